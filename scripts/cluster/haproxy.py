"""Three servers behind HAProxy, with contrib/haproxy/haproxy.cfg: a rolling restart, and the sudden end of one."""

import contextlib
import pathlib
import subprocess
import time

import machine as parts
import network

CONFIGURATION = pathlib.Path(__file__).resolve().parents[2] / "contrib" / "haproxy" / "haproxy.cfg"

WORKERS = 32
SHUTDOWN_DELAY_SECONDS = 3

# Until HAProxy has seen that a server which started is ready: one failed check may have just begun.
READY_SECONDS = 2.5


class Cluster:
    """HAProxy and its servers. In a network namespace they have the addresses of the configuration; otherwise addresses of the
    loopback network, and a port that needs no permission."""

    def __init__(self, machine, stack, has_mounts=False):
        self.network = "10.0.0" if network.is_own() else "127.0.0"
        self.port = 80 if network.is_own() else 18080
        proxy = f"{self.network}.1"
        self.address = f"{proxy}:{self.port}"
        if network.is_own():
            for host in (1, 11, 12, 13):
                subprocess.run(["ip", "address", "replace", f"10.0.0.{host}/32", "dev", "lo"], check=True)
        self.servers = []
        for host in (11, 12, 13):
            own = f"{self.network}.{host}"
            options = ["--bind", own, "--port", "4221", "--proxy-protocol", f"{self.network}.0/24",
                       "--shutdown-delay", str(SHUTDOWN_DELAY_SECONDS)]
            files = _mount(machine, stack, host) if has_mounts else None
            server = parts.Server(machine, (own, 9421), options, files=files)
            stack.callback(server.kill)
            self.servers.append(server.start())
        self._start_haproxy(machine, stack)

    def _start_haproxy(self, machine, stack):
        text = CONFIGURATION.read_text().replace("10.0.0.", f"{self.network}.")
        text = text.replace(f"bind {self.network}.1:80", f"bind {self.address}")
        # Only so that the clients can see which server an upload was continued on.
        text = text.replace("default_backend spindle", "default_backend spindle\n    http-after-response set-header Served-By %s")
        path = machine.scratch / "haproxy.cfg"
        path.write_text(text)
        checked = subprocess.run([machine.haproxy, "-c", "-f", path], capture_output=True, text=True, check=False)
        if checked.returncode != 0:
            raise parts.Failed(checked.stdout + checked.stderr)
        process = subprocess.Popen([machine.haproxy, "-db", "-f", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        time.sleep(READY_SECONDS)
        if process.poll() is not None:
            raise parts.Failed("HAProxy does not start")

    def restart(self, server):
        server.terminate()
        server.wait()
        server.start()
        time.sleep(READY_SECONDS)


def _mount(machine, stack, host):
    """The directory as another machine would see it, over a file system in user space without unnamed files (O_TMPFILE). Its
    locks reach the directory, and nothing is cached that another mount could change."""
    point = machine.scratch / f"mount-{host}"
    point.mkdir(exist_ok=True)
    uncached = "attr_timeout=0,entry_timeout=0,negative_timeout=0"
    command = [machine.bindfs, "-f", "--multithreaded", "--enable-lock-forwarding", "-o", uncached, machine.files, point]
    process = subprocess.Popen(command)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    deadline = time.monotonic() + parts.START_SECONDS
    while not point.is_mount():
        if process.poll() is not None or time.monotonic() > deadline:
            raise parts.Failed("bindfs does not start")
        time.sleep(0.01)
    return point


def _mix(machine, cluster, requests, run):
    return parts.Load(machine, "mix", cluster.address, WORKERS, requests, machine.journal, run)


def rolling_restart(machine, requests=1_000_000, rounds=8, has_mounts=False):
    """Restarts one server after another under load."""
    machine.remove_uploads()
    rounds = machine.amount(rounds, 1)
    with contextlib.ExitStack() as stack:
        cluster = Cluster(machine, stack, has_mounts)
        load = _mix(machine, cluster, machine.amount(requests, 10_000), "rolling")
        stack.callback(load.kill)
        time.sleep(1)
        for server in cluster.servers * rounds:
            cluster.restart(server)
        result = load.result()
    verified = machine.verify()
    return result, verified, f"{3 * rounds} restarts", not result["failed"] and not verified["failed"]


def rolling_restart_with_mounts(machine):
    """The same, where each server sees the directory through a mount of its own."""
    return rolling_restart(machine, requests=100_000, rounds=4, has_mounts=True)


def kill(machine):
    """Kills one server after another, and starts each again."""
    machine.remove_uploads()
    kills = machine.amount(10, 2)
    with contextlib.ExitStack() as stack:
        cluster = Cluster(machine, stack)
        load = _mix(machine, cluster, machine.amount(100_000, 10_000), "kill")
        stack.callback(load.kill)
        for number in range(kills):
            time.sleep(2)
            server = cluster.servers[number % len(cluster.servers)]
            server.kill()
            time.sleep(2)
            server.start()
        result = load.result()
    verified = machine.verify()
    # One request of each client can be in progress on the server.
    is_met = parts.total(result["failed"]) <= kills * WORKERS and not verified["failed"]
    return result, verified, f"{kills} kills, at most {WORKERS} requests in progress at each", is_met
