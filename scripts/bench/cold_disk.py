"""Small responses beside clients that download files that are not in memory, from a disk that is made slow.

The server runs in a control group whose reads from the disk of the files are limited, so it must run as root, and the files must
be on a disk (`--files`), not in memory. Both versions of control groups are supported.
"""

import contextlib
import os
import pathlib
import socket
import threading
import time

import client
import pace
import table
from context import rotated
from servers import BASELINE, SPINDLE

NAME = "cold-disk"
CLIENTS = 16
FILE_BYTES = 16 << 20
READ_BYTES_PER_SECOND = 20_000_000
RATE = 500
SECONDS = 5
RECEIVE_BYTES = 256 << 10

V1 = pathlib.Path("/sys/fs/cgroup/blkio")
V2 = pathlib.Path("/sys/fs/cgroup")


def title():
    return (
        f"{RATE} small requests a second, beside {CLIENTS} downloads that are not in memory, "
        f"from a disk of {READ_BYTES_PER_SECOND // 1_000_000} MB/s"
    )


def run(context):
    """Returns the table."""
    names = context.available((SPINDLE, BASELINE))
    paths = [context.root / "files" / f"cold-{number}" for number in range(CLIENTS)]
    results = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        for path in paths:
            stack.callback(path.unlink, missing_ok=True)
            _write(path)
        os.sync()
        group = stack.enter_context(_SlowReads(_disk_of(context.root)))
        # The first time that it runs, its program is read.
        started = {name: context.start(name, stack, context.workload("small")) for name in names}
        for server in started.values():
            group.add(server.process.pid)
        for turn in range(context.rounds):
            for name in rotated(names, turn):
                results[name].append(_measure(context, started[name], paths))
    headings = ("", "p99, ms: alone", "beside downloads", "× alone", "longest, ms", "downloads, MB/s")
    rows = [(name, *(table.cell(table.spread(values)) for values in zip(*own))) for name, own in results.items()]
    return [headings, *rows]


def _write(path):
    with open(path, "wb") as file:
        for _ in range(FILE_BYTES >> 20):
            file.write(os.urandom(1 << 20))


def _measure(context, server, paths):
    alone = pace.run(context, server, RATE, SECONDS)
    for path in paths:
        _evict(path)
    with _Downloads(server.port, paths) as downloads:
        beside = pace.run(context, server, RATE, SECONDS, once_connected=downloads.begin)
        rate = downloads.received_bytes() / (time.monotonic() - downloads.began)
    p99s = [one["p99_us"] / 1000 for one in (alone, beside)]
    return (*p99s, p99s[1] / p99s[0], beside["max_us"] / 1000, rate / 1e6)


def _evict(path):
    """Drops the file from memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _disk_of(path):
    """The numbers of the disk with the file system of `path`: that of the whole disk, since partitions cannot be limited."""
    device = os.stat(path).st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    node = pathlib.Path("/sys/dev/block", numbers)
    if not node.exists():
        raise client.MeasurementFailed("the files are not on a disk that can be slowed down; --files chooses another directory")
    if (node / "partition").exists():
        return (node.resolve().parent / "dev").read_text().strip()
    return numbers


class _SlowReads:
    """A control group whose processes read slowly from a disk."""

    def __init__(self, disk):
        is_v1 = V1.is_dir()
        self._path = (V1 if is_v1 else V2) / f"spindle-bench-{os.getpid()}"
        self._limit = (
            ("blkio.throttle.read_bps_device", f"{disk} {READ_BYTES_PER_SECOND}")
            if is_v1
            else ("io.max", f"{disk} rbps={READ_BYTES_PER_SECOND}")
        )

    def __enter__(self):
        try:
            if not V1.is_dir():
                (V2 / "cgroup.subtree_control").write_text("+io")
            self._path.mkdir()
            name, limit = self._limit
            (self._path / name).write_text(limit)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._path.rmdir()
            raise client.MeasurementFailed(f"the disk cannot be slowed down: {error}") from None
        return self

    def __exit__(self, *_):
        root = (V1 if V1.is_dir() else V2) / "cgroup.procs"
        for pid in (self._path / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                root.write_text(pid)
        with contextlib.suppress(OSError):
            self._path.rmdir()

    def add(self, pid):
        (self._path / "cgroup.procs").write_text(str(pid))


class _Downloads:
    """Clients that receive as fast as the server sends."""

    def __init__(self, port, paths):
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in paths]
        self._received = [0] * len(paths)
        self.began = None
        self._threads = [
            threading.Thread(target=self._receive, args=(number, path.name), daemon=True) for number, path in enumerate(paths)
        ]

    def __enter__(self):
        return self

    def begin(self):
        self.began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_):
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            if thread.ident:
                thread.join()
        for connection in self._sockets:
            connection.close()

    def received_bytes(self):
        return sum(self._received)

    def _receive(self, number, name):
        connection = self._sockets[number]
        with contextlib.suppress(OSError):
            connection.sendall(f"GET /files/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            while content := connection.recv(RECEIVE_BYTES):
                self._received[number] += len(content)
