"""Idle connections: how they affect the busy ones, and how much memory each of them takes."""

import contextlib
import subprocess

import client
import process
import rounds
import table
from context import rotated
from servers import BASELINE, CONTROL, NULL, OTHERS, SPINDLE

NAME = "idle"
CONNECTIONS_MAX = 10_000

# Spindle reserves three descriptors for each connection, and needs some for the busy ones.
DESCRIPTORS_PER_CONNECTION = 3
CONNECTIONS_RESERVED = 200


def connections():
    """As many as the limit on descriptors allows."""
    most = process.descriptor_limit() // DESCRIPTORS_PER_CONNECTION - CONNECTIONS_RESERVED
    return min(CONNECTIONS_MAX, most // 100 * 100)


def title():
    return f"64 busy connections, with {connections():,} idle ones"


def run(context):
    """Returns the table."""
    workload = context.workload("small")
    with contextlib.ExitStack() as stack:
        names = context.available((NULL, CONTROL, SPINDLE, BASELINE, *OTHERS))
        pairs = {name: _Pair(context, workload, name, stack) for name in names}
        for turn in range(context.rounds):
            for name in rotated(names, turn):
                pairs[name].measure(workload, context.seconds)
    headings = ("", "CPU per request, µs: none idle", "with idle ones", "× none idle", "memory of an idle one, bytes")
    return [headings, *(pair.row() for pair in pairs.values())]


class _Pair:
    """Two instances of a server, of which the second also has idle connections."""

    def __init__(self, context, workload, name, stack):
        self.name = name
        self.samples = ([], [])
        self.servers = [context.start(name, stack, workload) for _ in range(2)]
        for server in self.servers:
            # A server keeps some memory after a load. It must be allocated before memory is measured.
            rounds.load(workload, server.port, rounds.WARM_UP_SECONDS)
        before_bytes = self.servers[1].resident_bytes()
        _hold(context, self.servers[1], stack)
        self.idle_bytes = (self.servers[1].resident_bytes() - before_bytes) / connections()

    def measure(self, workload, seconds):
        for server, samples in zip(self.servers, self.samples):
            samples.append(rounds.measure(workload, server, seconds).cpu_ns_per_request / 1000)

    def row(self):
        alone, with_idle = self.samples
        ratios = [one / other for one, other in zip(with_idle, alone)]
        cells = [table.cell(table.spread(values)) for values in (alone, with_idle, ratios)]
        return (self.name, *cells, f"{self.idle_bytes:,.0f}")


def _hold(context, server, stack):
    """Opens the idle connections, which are closed with the stack."""
    arguments = [context.binaries.example("idle"), server.port, connections()]
    holder = process.start(arguments, process.LOAD_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(process.stop, holder)
    if holder.stdout.readline() != "ready\n":
        raise client.MeasurementFailed(f"{server.name} does not accept {connections():,} connections")
