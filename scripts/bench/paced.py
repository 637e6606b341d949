"""Latency of small requests at a constant rate, alone and while other clients download large files slowly."""

import contextlib
import time

import client
import pace
import process
import table
from context import rotated
from servers import BASELINE, OTHERS, SPINDLE

NAME = "paced"
RATE = 2_000
DOWNLOADS = 16
DOWNLOAD_RATE = "8M"

# All clients share a core. The client at a constant rate must not wait for it.
DOWNLOAD_NICE = 10

# After this time the buffers of the downloads are full, and the downloads run at their limited rate.
SETTLE_SECONDS = 1


def title():
    return f"{RATE:,} small requests a second, during {DOWNLOADS} slow downloads of 1 GiB files"


def run(context):
    """Returns the table."""
    names = context.available((SPINDLE, BASELINE, *OTHERS))
    results = {name: ([], []) for name in names}
    with contextlib.ExitStack() as stack:
        servers = {name: context.start(name, stack, context.workload("small")) for name in names}
        for turn in range(context.rounds):
            for name in rotated(names, turn):
                results[name][0].append(_pace(context, servers[name]))
                with _downloads(servers[name]):
                    results[name][1].append(_pace(context, servers[name]))
    headings = ("", "p50, µs: alone", "during downloads", "p99, µs: alone", "during downloads", "p99 × alone")
    return [headings, *(_row(name, *results[name]) for name in names)]


def _row(name, alone, during):
    ratios = [one["p99_us"] / other["p99_us"] for one, other in zip(during, alone)]
    columns = [[run[key] for run in runs] for key in ("p50_us", "p99_us") for runs in (alone, during)]
    return (name, *(table.cell(table.spread(values)) for values in (*columns, ratios)))


def _pace(context, server):
    return pace.run(context, server, RATE, context.seconds)


@contextlib.contextmanager
def _downloads(server):
    downloads = []
    try:
        for _ in range(DOWNLOADS):
            url = f"http://127.0.0.1:{server.port}/files/1g"
            arguments = ["curl", "--silent", "--fail", "--output", "/dev/null", "--limit-rate", DOWNLOAD_RATE, url]
            downloads.append(process.start(arguments, process.LOAD_CORE))
            process.renice(downloads[-1].pid, DOWNLOAD_NICE)
        time.sleep(SETTLE_SECONDS)
        yield
        if any(download.poll() is not None for download in downloads):
            raise client.MeasurementFailed(f"{server.name}: a slow download ended early")
    finally:
        for download in downloads:
            process.stop(download)
