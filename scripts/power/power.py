"""Simulates power failures of the server. scripts/power.sh describes it, and runs it in a mount namespace of its own."""

import argparse
import dataclasses
import hashlib
import http.client
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import replay
from disks import KINDS, Disk, read_after_power_cut, run

CONTENT_BYTES_MAX = 60_000
STOP_WAITS_MAX = 2_000


@dataclasses.dataclass
class Row:
    """One line of the table."""

    disk: str
    cut: str
    is_guaranteed: bool
    copies: int = 0
    acknowledged: int = 0
    lost: int = 0
    torn: int = 0

    def fails(self):
        """Whether an upload was lost or torn although that is guaranteed not to happen."""
        return self.is_guaranteed and self.lost + self.torn > 0


def content(path, version):
    """A version of a file. It contains its path, number and length, and bytes that show whether it is complete."""
    length = random.Random(f"{path} {version}").randrange(CONTENT_BYTES_MAX)
    head = f"{path} {version} {length}\n".encode()
    body = hashlib.shake_128(head).digest(length)
    return head + body


def version_of(path, found):
    """The number of the version that `found` is. None if it is not a complete version of this path."""
    match = re.match(rb"([^ ]+) (\d+) \d+\n", found)
    if not match or match[1].decode() != path:
        return None
    version = int(match[2])
    return version if content(path, version) == found else None


class Server:
    """The built server, on a free port."""

    def __init__(self, program, directory, options):
        command = [program, "--port", "0", "--bind", "127.0.0.1", "--directory", directory, *options]
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.port = None
        for _ in range(10):
            match = re.search(r"http://127\.0\.0\.1:(\d+)", self.process.stdout.readline())
            if match:
                self.port = int(match[1])
                return
        raise RuntimeError("the server does not listen")

    def putter(self):
        """Returns a function that stores a file. It uses a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

        def put(path, content_bytes):
            connection.request("PUT", f"/files/{path}", content_bytes)
            response = connection.getresponse()
            response.read()
            if response.status not in (201, 204):
                raise RuntimeError(f"PUT {path}: {response.status}")

        return put

    def kill(self):
        """Kills the server with SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """Stops the server between two system calls."""
        self.process.send_signal(signal.SIGSTOP)
        for _ in range(STOP_WAITS_MAX):
            # The state follows the name, which is in parentheses.
            stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
            if stat.rpartition(")")[2].split()[0] == "T":
                return
            time.sleep(0.001)
        raise RuntimeError("the server does not stop")

    def resume(self):
        """Continues the server after `stop`."""
        self.process.send_signal(signal.SIGCONT)


class PortableWriter:
    """Replaces the server: the example `portable`, which stores files with only the system calls of every Unix."""

    def __init__(self, program, directory, _options):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([program, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def putter(self):
        """Returns a function that stores a file."""

        def put(path, content_bytes):
            self.process.stdin.write(f"{path} {len(content_bytes)}\n".encode() + content_bytes)
            self.process.stdin.flush()
            if self.process.stdout.readline() != b"ok\n":
                raise RuntimeError(f"{path} was not stored")

        return put

    def kill(self):
        """Kills the process with SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Client:
    """Uploads files, and records the latest acknowledged version of each."""

    def __init__(self, put, draw):
        self.put = put
        self.draw = draw
        self.acknowledged = {}
        self.versions = {}

    def upload(self):
        """Uploads a file. About half of the uploads create a file, and the others replace one."""
        if self.versions and self.draw.random() < 0.5:
            path = self.draw.choice(sorted(self.versions))
        else:
            path = self.draw.choice(["", "sub/"]) + f"file-{len(self.versions)}"
        version = self.versions.get(path, 0) + 1
        self.versions[path] = version
        self.put(path, content(path, version))
        self.acknowledged[path] = version

    def upload_until_cut(self, finished):
        """Uploads files until the server has exited or `finished` is set."""
        while not finished.is_set():
            try:
                self.upload()
            except (OSError, http.client.HTTPException):
                return


def prepare(disk):
    """Creates the served directory and flushes it to the disk. Returns its path."""
    served = disk.mount_point / "served"
    (served / "sub").mkdir(parents=True, exist_ok=True)
    run(["sync", "-f", served])
    return served


def judge(row, acknowledged, contents):
    """Compares the contents of a copy with the acknowledged uploads, and adds the result to the row. Temporary files, which the
    server never shows to clients, are ignored."""
    row.copies += 1
    versions = {path: version_of(path, bytes_) for path, bytes_ in contents.items() if ".spindle-" not in path}
    row.torn += sum(version is None for version in versions.values())
    for path, version in acknowledged.items():
        row.acknowledged += 1
        # A torn file is already counted, and is not counted as lost too.
        is_present = path in versions and (versions[path] is None or versions[path] >= version)
        row.lost += not is_present


def judge_copies(row, kind, place, copies):
    """Judges the copies of a disk. The disk is no longer mounted."""
    for image, acknowledged in copies:
        judge(row, acknowledged, read_after_power_cut(kind, image, place / "copy-mounted"))
        os.unlink(image)


def cut_after_each(row, kind, place, options, arguments):
    """Copies the disk after each acknowledged upload."""
    copies = []
    with Disk.make(kind, place) as disk:
        server = Server(arguments.server, prepare(disk), options)
        try:
            client = Client(server.putter(), random.Random(arguments.seed))
            for number in range(arguments.uploads):
                client.upload()
                copies.append((place / f"copy-{number}", dict(client.acknowledged)))
                disk.copy(copies[-1][0])
        finally:
            server.kill()
    judge_copies(row, kind, place, copies)


def cut_at_random(row, kind, place, options, arguments):
    """Copies the disk at random moments during uploads, each time between two system calls of the server."""
    copies, draw, finished = [], random.Random(arguments.seed + 1), threading.Event()
    with Disk.make(kind, place) as disk:
        server = Server(arguments.server, prepare(disk), options)
        client = Client(server.putter(), random.Random(arguments.seed + 2))
        uploading = threading.Thread(target=client.upload_until_cut, args=[finished])
        try:
            uploading.start()
            for number in range(arguments.uploads):
                time.sleep(draw.uniform(0.001, 0.05))
                server.stop()
                # Gives the client time to receive the responses that the server has sent. If it misses one, the check is less
                # strict, but not wrong.
                time.sleep(0.005)
                copies.append((place / f"copy-{number}", dict(client.acknowledged)))
                disk.copy(copies[-1][0])
                server.resume()
        finally:
            finished.set()
            server.kill()
            uploading.join()
    judge_copies(row, kind, place, copies)


def cut_at_each_write(row, kind, place, options, arguments, is_portable=False):
    """Checks the states that a power cut may leave after each write to the disk, if the disk loses writes that were not flushed."""
    disk = replay.LoggedDisk(Disk.make(kind, place))
    acknowledgements = []
    with disk:
        served = prepare(disk)
        if is_portable:
            server = PortableWriter(arguments.portable, served, options)
        else:
            server = Server(arguments.server, served, options)
        try:
            client = Client(server.putter(), random.Random(arguments.seed + 4))
            start = disk.logged_bytes()
            for _ in range(max(1, arguments.uploads // 2)):
                client.upload()
                acknowledgements.append((disk.logged_bytes(), dict(client.acknowledged)))
            end = disk.logged_bytes()
        finally:
            server.kill()
    for image, cut_at in replay.states(disk, start, end, random.Random(arguments.seed + 5)):
        before = [acknowledged for logged_bytes, acknowledged in acknowledgements if logged_bytes <= cut_at]
        judge(row, before[-1] if before else {}, read_after_power_cut(kind, image, place / "copy-mounted"))


def cut_at_each_write_of_any_unix(row, kind, place, options, arguments):
    """The same without the system calls that only Linux has: with temporary names instead of unnamed files."""
    cut_at_each_write(row, kind, place, options, arguments, is_portable=True)


def kill_at_random(row, kind, place, options, arguments):
    """Kills the server during uploads. The machine continues."""
    draw = random.Random(arguments.seed + 3)
    with Disk.make(kind, place) as disk:
        served = prepare(disk)
        acknowledged, versions = {}, {}
        for number in range(arguments.uploads):
            server = Server(arguments.server, served, options)
            client = Client(server.putter(), random.Random(arguments.seed + number))
            client.acknowledged, client.versions = acknowledged, versions
            uploading = threading.Thread(target=client.upload_until_cut, args=[threading.Event()])
            uploading.start()
            time.sleep(draw.uniform(0.005, 0.06))
            server.kill()
            uploading.join()
            files = [path for path in served.rglob("*") if path.is_file()]
            judge(row, acknowledged, {str(path.relative_to(served)): path.read_bytes() for path in files})


CUTS = [
    ("after each", ["--fsync"], True, cut_after_each),
    ("at random", ["--fsync"], True, cut_at_random),
    ("at each write", ["--fsync"], True, cut_at_each_write),
    ("at each write, as any Unix", ["--fsync"], True, cut_at_each_write_of_any_unix),
    ("after each, without --fsync", [], False, cut_after_each),
    ("kill -9, without --fsync", [], True, kill_at_random),
]


def reason_to_skip(carry_out, arguments):
    """Why a row cannot be measured here, or None."""
    if carry_out is cut_at_each_write_of_any_unix and not arguments.portable:
        return "--portable is not given"
    if carry_out in (cut_at_each_write, cut_at_each_write_of_any_unix):
        return replay.missing()
    return None


def main():
    """Prints the table. Exits with 1 if an upload was lost or torn although that is guaranteed not to happen."""
    parser = argparse.ArgumentParser(prog="power.sh", description="Simulates power failures of the server.")
    parser.add_argument("--server", required=True, help="the binary of the server")
    parser.add_argument("--portable", help="the binary of the example `portable`, which stores files without the system calls of Linux")
    parser.add_argument("--only", help="test only these file systems, separated by commas")
    parser.add_argument("--uploads", type=int, default=32, help="number of uploads, copies and kills in each row")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moments and names")
    arguments = parser.parse_args()
    only = arguments.only.split(",") if arguments.only else None
    if os.geteuid() != 0:
        sys.exit("power.sh: must run as root, to mount file systems")
    form = "{:24}{:30}{:>7}{:>14}{:>6}{:>6}"
    print(form.format("file system", "power cut", "copies", "acknowledged", "lost", "torn"), flush=True)
    failed, seen = False, 0
    for kind in KINDS:
        if only and kind.name not in only:
            continue
        if kind.missing():
            print(f"{kind.name:24}skipped: {kind.missing()}", flush=True)
            continue
        for cut, options, is_guaranteed, carry_out in CUTS:
            reason = reason_to_skip(carry_out, arguments)
            if reason:
                print(f"{kind.name:24}{cut:30}skipped: {reason}", flush=True)
                continue
            row = Row(kind.name, cut, is_guaranteed)
            with tempfile.TemporaryDirectory(prefix="power.") as place:
                carry_out(row, kind, pathlib.Path(place), options, arguments)
            mark = "  FAILED" if row.fails() else ""
            print(form.format(row.disk, row.cut, row.copies, row.acknowledged, row.lost, row.torn) + mark, flush=True)
            failed, seen = failed or row.fails(), seen + 1
    if seen == 0:
        sys.exit("power.sh: no file system could be tested")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
