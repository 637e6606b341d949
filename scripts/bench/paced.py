"""How long small answers take at a fixed rate, alone and while others pull large files slowly."""

import contextlib
import json
import subprocess
import time

import client
import process
import table
from context import rotated
from servers import BEFORE, PEERS, SPINDLE

NAME = "paced"
RATE = 2_000
PULLERS = 16
PULLER_RATE = "8M"

# The pullers and the pacer share a core; a pacer that had to wait for it would measure its own delay.
PACER_NICE, PULLER_NICE = -20, 10

# Until the pullers have filled their buffers and draw at their rate.
SETTLE_SECONDS = 1

# How long after the last request all must have been answered.
ANSWER_SECONDS = 60


def title():
    return f"{RATE:,} small requests a second, beside {PULLERS} clients that pull 1 GiB files"


def run(context):
    """The table."""
    names = context.available((SPINDLE, BEFORE, *PEERS))
    results = {name: ([], []) for name in names}
    with contextlib.ExitStack() as stack:
        servers = {name: context.start(name, stack, context.work("small")) for name in names}
        for turn in range(context.rounds):
            for name in rotated(names, turn):
                results[name][0].append(_pace(context, servers[name]))
                with _pullers(servers[name]):
                    results[name][1].append(_pace(context, servers[name]))
    headings = ("", "p50, µs: alone", "beside pullers", "p99, µs: alone", "beside pullers", "p99 × alone")
    return [headings, *(_row(name, *results[name]) for name in names)]


def _row(name, alone, beside):
    ratios = [one["p99_us"] / other["p99_us"] for one, other in zip(beside, alone)]
    columns = [[run[key] for run in runs] for key in ("p50_us", "p99_us") for runs in (alone, beside)]
    return (name, *(table.cell(table.spread(values)) for values in (*columns, ratios)))


def _pace(context, server):
    arguments = [context.binaries.example("pace"), server.port, RATE, context.seconds]
    pacer = process.start(arguments, process.LOAD_CORE, stdout=subprocess.PIPE, text=True)
    process.renice(pacer.pid, PACER_NICE)
    said = process.finish(pacer, context.seconds + ANSWER_SECONDS)
    if pacer.returncode:
        raise client.Mismatch(f"{server.name}: the paced client was not answered")
    return json.loads(said)


@contextlib.contextmanager
def _pullers(server):
    pullers = []
    try:
        for _ in range(PULLERS):
            url = f"http://127.0.0.1:{server.port}/files/1g"
            arguments = ["curl", "--silent", "--fail", "--output", "/dev/null", "--limit-rate", PULLER_RATE, url]
            pullers.append(process.start(arguments, process.LOAD_CORE))
            process.renice(pullers[-1].pid, PULLER_NICE)
        time.sleep(SETTLE_SECONDS)
        yield
        if any(puller.poll() is not None for puller in pullers):
            raise client.Mismatch(f"{server.name}: a client that pulled a large file ended early")
    finally:
        for puller in pullers:
            process.stop(puller)
