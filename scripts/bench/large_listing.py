"""A listing of very many entries: the time to its first byte, its memory, and how it delays small requests."""

import contextlib
import socket
import threading
import time

import client
import pace
import table
import workloads
from context import rotated
from servers import BASELINE, OTHERS, SPINDLE

NAME = "large-listing"
ENTRIES = 100_000
RATE = 200
READ_BYTES = 1 << 18
RESPONSE_SECONDS = 60
FIRST_BYTES_PER_ROUND = 3

WORKLOAD = workloads.Workload(NAME, "", "/index.html", shares_root=True)


def title():
    return f"Listing of {ENTRIES:,} entries, during {RATE} small requests a second"


def run(context):
    """Returns the table."""
    directory = context.root / "folder" / "100000"
    if not directory.exists():
        workloads.make_entries(directory, ENTRIES)
    names = context.available((SPINDLE, BASELINE, *OTHERS))
    results = {name: {"first": [], "alone": [], "during": [], "listings": []} for name in names}
    with contextlib.ExitStack() as stack:
        servers = {name: context.start(name, stack, WORKLOAD) for name in names}
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
                    result["during"].append(_pace(context, server)["p99_us"])
                    peak_bytes[name] = max(peak_bytes[name], server.resident_bytes())
                result["listings"].append(reader.listings / reader.seconds)
        for name, server in servers.items():
            peak_bytes[name] = max(peak_bytes[name], _peak_bytes(server))
    headings = ("", "first byte, ms", "listings/s", "p99, µs: alone", "during a listing", "× alone", "memory above idle, MiB")
    rows = [_row(name, results[name], peak_bytes[name] - idle_bytes[name]) for name in names]
    return [headings, *rows]


def _row(name, result, above_idle_bytes):
    ratios = [during / alone for during, alone in zip(result["during"], result["alone"])]
    columns = (result["first"], result["listings"], result["alone"], result["during"], ratios)
    return (name, *(table.cell(table.spread(values)) for values in columns), f"{above_idle_bytes / 2**20:.2f}")


def _peak_bytes(server):
    """The peak of the server's resident memory."""
    with open(f"/proc/{server.worker}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def _pace(context, server):
    return pace.run(context, server, RATE, context.seconds, WORKLOAD.path)


def _list(server):
    """Fetches one listing. Returns the milliseconds to its first byte, and the number of its bytes."""
    request = f"GET /folder/100000/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=RESPONSE_SECONDS) as connection:
        started = time.monotonic()
        connection.sendall(request)
        received = len(connection.recv(READ_BYTES))
        first_ms = (time.monotonic() - started) * 1000
        while bytes := len(connection.recv(READ_BYTES)):
            received += bytes
    if received < ENTRIES * len("entry-000000.txt"):
        raise client.MeasurementFailed(f"{server.name}: the listing of {ENTRIES:,} entries has {received:,} bytes")
    return first_ms, received


class _Reader(threading.Thread):
    """Fetches one listing after another, until `is_stopped`."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.listings, self.seconds, self.failure = 0, 0, None
        self.is_stopped = False

    def run(self):
        started = time.monotonic()
        try:
            while not self.is_stopped:
                _list(self.server)
                self.listings += 1
        except (OSError, client.MeasurementFailed) as failure:
            self.failure = failure
        self.seconds = time.monotonic() - started


@contextlib.contextmanager
def _reader(server):
    reader = _Reader(server)
    reader.start()
    try:
        yield reader
    finally:
        reader.is_stopped = True
        reader.join()
    if reader.failure:
        raise client.MeasurementFailed(f"{server.name}: {reader.failure}")
