"""Two processes that share a port with --reuse-port, beside one alone: all on the same core."""

import contextlib

import rounds
import servers
import table
from context import rotated

NAME = "reuse-port"
PROCESSES = 2

ALONE = "one process"
CONTROL = "one process again (control)"
OPTION = "one process, --reuse-port"
SHARED = f"{PROCESSES} processes, --reuse-port"


def title():
    return f"Small response, {PROCESSES} processes on one core with --reuse-port"


def run(context):
    """Returns the table."""
    workload = context.workload("small")
    with contextlib.ExitStack() as stack:
        started = {
            ALONE: [_start(context, stack, workload)],
            CONTROL: [_start(context, stack, workload)],
            OPTION: [_start(context, stack, workload, ("--reuse-port",))],
            SHARED: _start_sharing(context, stack, workload),
        }
        cpu_us = {name: [] for name in started}
        busiest = {name: [] for name in started}
        for turn in range(context.rounds):
            for name in rotated(list(started), turn):
                group = started[name]
                before_ns = [server.cpu_ns() for server in group]
                counts = rounds.load(workload, group[0].port, context.seconds)
                spent_ns = [server.cpu_ns() - before for server, before in zip(group, before_ns)]
                cpu_us[name].append(sum(spent_ns) / counts["requests"] / 1000)
                busiest[name].append(max(spent_ns) / sum(spent_ns))
    rows = [("", "CPU per request, µs", "× one process", "share of the busiest process")]
    for name, own in cpu_us.items():
        ratios = [one / other for one, other in zip(own, cpu_us[ALONE])]
        rows.append((name, *(table.cell(table.spread(values)) for values in (own, ratios, busiest[name]))))
    return rows


def _start(context, stack, workload, options=(), port=None):
    server = servers.Server(servers.SPINDLE, context.binaries, context.root, options=options, port=port)
    stack.callback(server.stop)
    workload.check(server)
    rounds.load(workload, server.port, rounds.WARM_UP_SECONDS)
    return server


def _start_sharing(context, stack, workload):
    first = _start(context, stack, workload, ("--reuse-port",))
    others = [_start(context, stack, workload, ("--reuse-port",), first.port) for _ in range(PROCESSES - 1)]
    return [first, *others]
