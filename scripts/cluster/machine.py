"""Starts and stops the servers and the clients of scripts/cluster.sh."""

import contextlib
import http.client
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

START_SECONDS = 20
STOP_SECONDS = 20
LOAD_SECONDS = 3600

# Passes standard input, a listening socket, as a service manager does (sd_listen_fds(3)).
INHERIT = 'exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'


class Failed(Exception):
    """A scenario could not be carried out."""


class Machine:
    """The programs, and a directory in memory that the servers share."""

    def __init__(self, arguments):
        self.server = arguments.server
        self.load = arguments.load
        self.is_quick = arguments.quick
        self.haproxy = shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")
        self.bindfs = shutil.which("bindfs")
        memory = pathlib.Path("/dev/shm")
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="cluster-", dir=memory if memory.is_dir() else None))
        self.files = self.scratch / "files"
        self.journal = self.scratch / "journal"
        self.files.mkdir()
        subprocess.run([self.load, "prepare", self.files], check=True)

    def remove(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def amount(self, full, quick):
        return quick if self.is_quick else full

    def remove_uploads(self):
        """Makes room in memory, and begins a new journal."""
        self.journal.unlink(missing_ok=True)
        for pattern in ("upload-*", ".spindle*"):
            for path in self.files.glob(pattern):
                path.unlink()

    def verify(self):
        """Compares the uploads that were acknowledged with the files on the disk."""
        command = [self.load, "verify", self.files, self.journal]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Server:
    """A Spindle with a listener for the administrator."""

    def __init__(self, machine, admin, options, listener=None, files=None):
        self.machine, self.admin, self.options, self.listener = machine, admin, options, listener
        self.files = files or machine.files
        self.process = None

    def start(self):
        command = [self.machine.server, "--admin", f"{self.admin[0]}:{self.admin[1]}", "--uploads", "create", "--quiet",
                   *self.options, self.files]
        if self.listener:
            command = ["sh", "-c", INHERIT, "sh", *command]
        self.process = subprocess.Popen([str(part) for part in command], stdin=self.listener or subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"a server does not start: exit code {self.process.poll()}")
            time.sleep(0.01)
        return self

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(*self.admin, timeout=5)
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            finally:
                connection.close()
        return False

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        """Waits for the end of a server that was told to end."""
        if self.process.wait(STOP_SECONDS) != 0:
            raise Failed(f"a server ended with {self.process.returncode}")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Load:
    """Clients that run beside what happens to the servers."""

    def __init__(self, machine, *arguments):
        command = [str(part) for part in (machine.load, *arguments)]
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def runs(self):
        return self.process.poll() is None

    def result(self):
        """Lets a mixed load end once it has sent its requests, waits for that, and returns what was counted."""
        output = self.process.communicate(timeout=LOAD_SECONDS)[0]
        if self.process.returncode != 0:
            raise Failed("the clients failed")
        return {**json.loads(output), "seconds": time.monotonic() - self.started}

    def kill(self):
        self.process.kill()
        self.process.wait()


def total(counts):
    return sum(counts.values())


def as_text(result):
    """What was done, noted and failed, in one line each."""
    lines = []
    for title in ("done", "noted", "failed"):
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(result[title].items(), key=lambda one: -one[1]))
        lines.append(f"    {title}: {total(result[title]):,}" if title != "noted" else f"    {title}:")
        lines[-1] += f" ({counts})" if counts else ""
    return "\n".join(lines)
