"""The curves: what grows, and what is measured at each of its points."""

import socket
import subprocess
from dataclasses import dataclass
from typing import Callable

import client
import pace
import process
import servers
from servers import NULL, SPINDLE

RATE = 2_000
BUSY = 64
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SMALL_FILE = b"0123456789abcde\n" * 256

CPU = "CPU per request, µs"


@dataclass(frozen=True)
class Point:
    """One measurement, which is repeated in each round. It returns figure → value."""

    line: str
    x: int
    measure: Callable[[], dict]


@dataclass(frozen=True)
class Curve:
    """What grows. `points` starts the servers, which run until the stack is closed."""

    name: str
    title: str
    x_label: str
    write_x: Callable[[int], str]
    points: Callable


def count(number):
    for unit, one in (("M", 1_000_000), ("k", 1_000)):
        if number >= one and number % one == 0:
            return f"{number // one:,} {unit}"
    return f"{number:,}"


def size(bytes):
    for unit, one in (("GB", 10**9), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if bytes >= one and bytes % one == 0:
            return f"{bytes // one} {unit}"
    return f"{bytes} B"


def _sample(context, server, path="/", connections=BUSY, fields=(), rate=RATE):
    """Processor time while all connections always wait for a response, and latency at a constant rate."""
    busy = pace.run(context, server, pace.ALL, context.seconds, path, connections, fields)
    paced = pace.run(context, server, rate, context.seconds, path, connections, fields)
    return {CPU: busy["cpu_us"] / busy["responses"], f"p99 at {rate:,} requests/s, µs": paced["p99_us"]}


def _spindle(context, stack, directory, options=()):
    server = servers.Server(SPINDLE, context.binaries, directory, shares_root=True, options=options)
    stack.callback(server.stop)
    return server


def _write(path, content=b"", bytes=0):
    """Writes a file, sparse up to `bytes`."""
    with open(path, "wb") as file:
        file.write(content)
        file.truncate(max(bytes, len(content)))


def busy(context, stack):
    """Each of the connections requests in turn."""
    started = {name: context.start(name, stack, context.workload("small")) for name in (NULL, SPINDLE)}
    for connections in (1, 64, 1_000, 6_000):
        for name, server in started.items():
            yield Point(name, connections, lambda server=server, connections=connections: _sample(
                context, server, connections=connections))


def idle(context, stack):
    """64 connections request in turn, beside idle ones."""
    for connections in (0, 100, 1_000, 3_000, 6_000):
        for name in (NULL, SPINDLE):
            server = context.start(name, stack, context.workload("small"))
            if connections:
                hold_idle(context, server, connections, stack)
            yield Point(name, connections, lambda server=server: _sample(context, server))


def hold_idle(context, server, connections, stack):
    """Opens idle connections, which are closed with the stack."""
    arguments = [context.binaries.example("idle"), server.port, connections]
    holder = process.start(arguments, process.LOAD_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(process.stop, holder)
    if holder.stdout.readline() != "ready\n":
        raise client.MeasurementFailed(f"{server.name} does not accept {connections:,} connections")


LISTING = "listing as JSON: CPU per entry, µs"
LISTED_MIN = 100
FILES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)


def directories(context, stack):
    """A 4 KiB file in a directory with others, and the listing of the directory."""
    root = context.root / "directories"
    server = None
    for files in FILES:
        directory = root / str(files)
        directory.mkdir(parents=True)
        for number in range(files - 1):
            (directory / f"entry-{number:07}.txt").touch()
        _write(directory / "4k", SMALL_FILE)
        server = server or _spindle(context, stack, root)
        yield Point(SPINDLE, files, lambda files=files: _directory(context, server, files))


def _directory(context, server, files):
    figures = _sample(context, server, f"/{files}/4k")
    if files < LISTED_MIN:
        return figures
    listings = max(1, 10_000 // files)
    before_ns = server.cpu_ns()
    for _ in range(listings):
        status, _, content = client.request(server.port, f"/{files}/?format=json")
        if status != 200 or content.count(b'"name"') != files:
            raise client.MeasurementFailed(f"the listing of {files:,} entries is wrong")
    return figures | {LISTING: (server.cpu_ns() - before_ns) / 1000 / listings / files}


LAST_BYTES = 1_000
LAST = "its last 1,000 bytes"
FIRST = "its first MiB"
WHOLE = "all of it"
PER_MIB = "CPU per MiB, µs"
SIZES = (1, KIB, 64 * KIB, MIB, 64 * MIB, GIB, 100 * 10**9)


def files(context, stack):
    """The end of a file, its first MiB, and all of it. The files are sparse."""
    root = context.root / "sizes"
    root.mkdir()
    for bytes in SIZES:
        _write(root / str(bytes), bytes=bytes)
    server = _spindle(context, stack, root)
    for bytes in SIZES:
        path = f"/{bytes}"
        end = (f"Range: bytes=-{LAST_BYTES}",)
        yield Point(LAST, bytes, lambda path=path, end=end: _sample(context, server, path, fields=end))
        if bytes >= MIB:
            first = (f"Range: bytes=0-{MIB - 1}",)
            yield Point(FIRST, bytes, lambda path=path, first=first: _per_mib(context, server, path, 16, first))
        if 64 * KIB <= bytes <= GIB:
            connections = 16 if bytes <= MIB else 2
            yield Point(WHOLE, bytes, lambda path=path, connections=connections: _per_mib(
                context, server, path, connections))


def _per_mib(context, server, path, connections, fields=()):
    result = pace.run(context, server, pace.ALL, context.seconds, path, connections, fields)
    return {PER_MIB: result["cpu_us"] / (result["bytes"] / MIB)}


# Many ranges cost so much that the server could not keep up with the usual rate.
RANGES_RATE = 500


def ranges(context, stack):
    """Ranges of 1 KiB of a file of 1 MiB, with gaps."""
    directory = context.root / "ranges"
    directory.mkdir()
    _write(directory / "1m", bytes=MIB)
    server = _spindle(context, stack, directory)
    for number in (1, 2, 4, 8, 16, 32, 64):
        firsts = [16 * KIB * index for index in range(number)]
        field = "Range: bytes=" + ",".join(f"{first}-{first + KIB - 1}" for first in firsts)
        yield Point(SPINDLE, number, lambda field=field: _sample(context, server, "/1m", fields=(field,), rate=RANGES_RATE))


BEGIN = "one more, begun and cancelled: CPU, µs"
BEGUN_PER_SAMPLE = 300
PENDING = (0, 10, 100, 1_000, 10_000)


def pending(context, stack):
    """A file in a folder with unfinished resumable uploads, and the beginning of one more."""
    for uploads in PENDING:
        directory = context.root / "pending" / str(uploads)
        directory.mkdir(parents=True)
        _write(directory / "4k", SMALL_FILE)
        # One address gets at most half of the places.
        most = ("--uploads", "manage", "--uploads-pending", str(3 * max(PENDING)))
        server = _spindle(context, stack, directory, most)
        uploader = stack.enter_context(_Uploader(server))
        for _ in range(uploads):
            uploader.begin()
        yield Point(SPINDLE, uploads, lambda server=server, uploader=uploader: _pending(context, server, uploader))


def _pending(context, server, uploader):
    figures = _sample(context, server, "/4k")
    before_ns = server.cpu_ns()
    for _ in range(BEGUN_PER_SAMPLE):
        uploader.cancel(uploader.begin())
    return figures | {BEGIN: (server.cpu_ns() - before_ns) / 1000 / BEGUN_PER_SAMPLE}


class _Uploader:
    """Begins and cancels resumable uploads over one connection."""

    def __init__(self, server):
        self._server = server
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=client.RESPONSE_SECONDS)
        self._stream = self._socket.makefile("rb")
        self._number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def begin(self):
        """Begins an upload, and returns its path."""
        self._number += 1
        fields = "Upload-Complete: ?0\r\nContent-Length: 0\r\n"
        return self._exchange(f"POST /upload-{self._number} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n", 201)

    def cancel(self, path):
        self._exchange(f"DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 204)

    def _exchange(self, request, expected):
        self._socket.sendall(request.encode())
        status = int(self._stream.readline().split()[1])
        location, content_bytes = None, 0
        while (line := self._stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            if name.lower() == "location":
                location = value.strip()
            if name.lower() == "content-length":
                content_bytes = int(value)
        content = self._stream.read(content_bytes)
        if status != expected:
            raise client.MeasurementFailed(f"{self._server.name} responds with {status}: {content.decode()}")
        return location


CURVES = (
    Curve("busy", "Cost by the number of busy connections", "busy connections", count, busy),
    Curve("idle", f"Cost by the number of idle connections, beside {BUSY} busy ones", "idle connections", count, idle),
    Curve("directory", "Cost of a 4 KiB file by the number of files in its directory", "files in the directory", count,
          directories),
    Curve("file", "Cost by the length of the file", "length of the file", size, files),
    Curve("ranges", "Cost by the number of ranges, of 1 KiB each", "ranges in a request", count, ranges),
    Curve("pending", "Cost by the number of unfinished uploads", "unfinished uploads", count, pending),
)
