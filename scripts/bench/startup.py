"""From start to first answer, and what a server is before it has done anything."""

import contextlib
import time

import table
from servers import BEFORE, NULL, PEERS, SPINDLE

NAME = "startup"
STARTS_PER_ROUND = 3


def title():
    return "Start"


def run(context):
    """The table."""
    work = context.work("small")
    names = context.available((NULL, SPINDLE, BEFORE, *PEERS))
    context.null_arguments(work)  # asked for here, so that no start waits for it
    results = {name: ([], []) for name in names}
    for _ in range(context.rounds * STARTS_PER_ROUND):
        for name in names:
            times_ms, memory_mib = results[name]
            with contextlib.ExitStack() as stack:
                started = time.monotonic()
                server = context.start(name, stack, work)
                times_ms.append((time.monotonic() - started) * 1000)
                memory_mib.append(server.resident_bytes() / 2**20)
    headings = ("", "from start to first answer, ms", "memory, MiB", "binary, MiB")
    rows = [headings]
    for name in names:
        binary = context.binaries.path(name)
        size = f"{binary.stat().st_size / 2**20:.2f}" if name not in PEERS else ""
        rows.append((name, *(table.cell(table.spread(values)) for values in results[name]), size))
    return rows
