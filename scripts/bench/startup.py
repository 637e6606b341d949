"""The time from the start of a server to its first response, its memory at that time, and the size of its binary."""

import contextlib
import time

import table
from servers import BASELINE, NULL, OTHERS, SPINDLE

NAME = "startup"
STARTS_PER_ROUND = 3


def title():
    return "Start"


def run(context):
    """Returns the table."""
    workload = context.workload("small")
    names = context.available((NULL, SPINDLE, BASELINE, *OTHERS))
    context.null_arguments(workload)  # computed here, so that no start waits for it
    results = {name: ([], []) for name in names}
    for _ in range(context.rounds * STARTS_PER_ROUND):
        for name in names:
            times_ms, memory_mib = results[name]
            with contextlib.ExitStack() as stack:
                started = time.monotonic()
                server = context.start(name, stack, workload)
                times_ms.append((time.monotonic() - started) * 1000)
                memory_mib.append(server.resident_bytes() / 2**20)
    headings = ("", "from start to first response, ms", "memory, MiB", "binary, MiB")
    rows = [headings]
    for name in names:
        binary = context.binaries.path(name)
        size = f"{binary.stat().st_size / 2**20:.2f}" if name not in OTHERS else ""
        rows.append((name, *(table.cell(table.spread(values)) for values in results[name]), size))
    return rows
