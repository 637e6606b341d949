"""What the records of exchanges cost: spindle with an access log, or with metrics, beside spindle without."""

import contextlib
import dataclasses
import os
import pathlib

import rounds
import servers
import table
from context import rotated

NAME = "records"
LOG_BYTES_MAX = 1 << 30

PLAIN = "without records"
CONTESTANTS = {
    PLAIN: (),
    "without records again (control)": (),
    "access log, combined": ("--access-log", "{run}/access.log"),
    "access log, JSON": ("--access-log", "{run}/access.log", "--log-format", "json"),
    "metrics": ("--admin", "unix:{run}/admin.sock"),
}


def title():
    return "Access log and metrics: CPU per request, µs"


def run(context):
    """Returns the table."""
    small = context.workload("small")
    one = dataclasses.replace(small, title="Small response, 1 connection", connections=1)
    measured = (small, context.workload("pipelined"), one)
    results = [_measure(context, workload) for workload in measured]
    headings = [("", *(cell for workload in measured for cell in (workload.title, "× without")))]
    rows = [(name, *(cell for result in results for cell in _cells(result[name], result[PLAIN]))) for name in CONTESTANTS]
    return headings + rows


def _measure(context, workload):
    with contextlib.ExitStack() as stack:
        started = {}
        for name, options in CONTESTANTS.items():
            server = servers.Server(servers.SPINDLE, context.binaries, context.root, options=options)
            stack.callback(server.stop)
            workload.check(server)
            rounds.load(workload, server.port, rounds.WARM_UP_SECONDS)
            started[name] = server
        cpu_us = {name: [] for name in CONTESTANTS}
        for turn in range(context.rounds):
            for name in rotated(list(started), turn):
                sample = rounds.measure(workload, started[name], context.seconds)
                cpu_us[name].append(sample.cpu_ns_per_request / 1000)
                _shorten_log(started[name])
        return cpu_us


def _shorten_log(server):
    """Empties an access log that would fill the disk. The server appends, so its next line is the first."""
    log = pathlib.Path(server.run, "access.log")
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        os.truncate(log, 0)


def _cells(own, plain):
    ratios = [one / other for one, other in zip(own, plain)]
    return table.cell(table.spread(own)), table.cell(table.spread(ratios))
