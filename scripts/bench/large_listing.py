"""A listing of very many entries: how soon it begins, what memory it takes, and what it costs those who ask for little."""

import contextlib
import json
import socket
import subprocess
import threading
import time

import client
import process
import table
import works
from context import rotated
from servers import BEFORE, PEERS, SPINDLE

NAME = "large-listing"
ENTRIES = 100_000
RATE = 200
PACER_NICE = -20
READ_BYTES = 1 << 18
ANSWER_SECONDS = 60
FIRST_BYTES_PER_ROUND = 3

WORK = works.Work(NAME, "", "/index.html", shares_root=True)


def title():
    return f"Listing of {ENTRIES:,} entries, beside {RATE} small requests a second"


def run(context):
    """The table."""
    directory = context.root / "folder" / "100000"
    if not directory.exists():
        works.make_entries(directory, ENTRIES)
    names = context.available((SPINDLE, BEFORE, *PEERS))
    results = {name: {"first": [], "alone": [], "beside": [], "listings": []} for name in names}
    with contextlib.ExitStack() as stack:
        servers = {name: context.start(name, stack, WORK) for name in names}
        idle_bytes, peak_bytes = {}, dict.fromkeys(names, 0)
        for name, server in servers.items():
            _pace(context, server)
            idle_bytes[name] = server.resident_bytes()
        for turn in range(context.rounds):
            for name in rotated(names, turn):
                server, result = servers[name], results[name]
                result["first"] += [_list(server)[0] for _ in range(FIRST_BYTES_PER_ROUND)]
                result["alone"].append(_pace(context, server)["p99_us"])
                with _reader(server) as reader:
                    result["beside"].append(_pace(context, server)["p99_us"])
                    peak_bytes[name] = max(peak_bytes[name], server.resident_bytes())
                result["listings"].append(reader.listings / reader.seconds)
        for name, server in servers.items():
            peak_bytes[name] = max(peak_bytes[name], _peak_bytes(server))
    headings = ("", "first byte, ms", "listings/s", "p99, µs: alone", "beside a listing", "× alone", "memory above idle, MiB")
    rows = [_row(name, results[name], peak_bytes[name] - idle_bytes[name]) for name in names]
    return [headings, *rows]


def _row(name, result, above_idle_bytes):
    ratios = [beside / alone for beside, alone in zip(result["beside"], result["alone"])]
    columns = (result["first"], result["listings"], result["alone"], result["beside"], ratios)
    return (name, *(table.cell(table.spread(values)) for values in columns), f"{above_idle_bytes / 2**20:.2f}")


def _peak_bytes(server):
    """The most memory that was ever resident."""
    with open(f"/proc/{server.worker}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def _pace(context, server):
    arguments = [context.binaries.example("pace"), server.port, RATE, context.seconds, WORK.path]
    pacer = process.start(arguments, process.LOAD_CORE, stdout=subprocess.PIPE, text=True)
    process.renice(pacer.pid, PACER_NICE)
    said = process.finish(pacer, context.seconds + ANSWER_SECONDS)
    if pacer.returncode:
        raise client.Mismatch(f"{server.name}: the paced client was not answered")
    return json.loads(said)


def _list(server):
    """One listing: milliseconds to its first byte, and all its bytes."""
    request = f"GET /folder/100000/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_SECONDS) as connection:
        started = time.monotonic()
        connection.sendall(request)
        received = len(connection.recv(READ_BYTES))
        first_ms = (time.monotonic() - started) * 1000
        while bytes := len(connection.recv(READ_BYTES)):
            received += bytes
    if received < ENTRIES * len("entry-000000.txt"):
        raise client.Mismatch(f"{server.name}: the listing of {ENTRIES:,} entries has {received:,} bytes")
    return first_ms, received


class _Reader(threading.Thread):
    """Lists, again and again."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.listings, self.seconds, self.failure = 0, 0, None
        self.goes_on = True

    def run(self):
        started = time.monotonic()
        try:
            while self.goes_on:
                _list(self.server)
                self.listings += 1
        except (OSError, client.Mismatch) as failure:
            self.failure = failure
        self.seconds = time.monotonic() - started


@contextlib.contextmanager
def _reader(server):
    reader = _Reader(server)
    reader.start()
    try:
        yield reader
    finally:
        reader.goes_on = False
        reader.join()
    if reader.failure:
        raise client.Mismatch(f"{server.name}: {reader.failure}")
