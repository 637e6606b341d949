"""Connections that nobody uses: what they cost those that are busy, and what memory each of them holds."""

import contextlib
import subprocess

import client
import process
import rounds
import table
from context import rotated
from servers import BEFORE, CONTROL, NULL, PEERS, SPINDLE

NAME = "idle"
CONNECTIONS_MAX = 10_000

# Spindle keeps three descriptors for each connection, and needs some for the busy ones.
DESCRIPTORS_PER_CONNECTION = 3
CONNECTIONS_RESERVED = 200


def connections():
    """As many as the limit on descriptors allows."""
    most = process.descriptor_limit() // DESCRIPTORS_PER_CONNECTION - CONNECTIONS_RESERVED
    return min(CONNECTIONS_MAX, most // 100 * 100)


def title():
    return f"64 busy connections beside {connections():,} idle ones"


def run(context):
    """The table."""
    work = context.work("small")
    with contextlib.ExitStack() as stack:
        names = context.available((NULL, CONTROL, SPINDLE, BEFORE, *PEERS))
        pairs = {name: _Pair(context, work, name, stack) for name in names}
        for turn in range(context.rounds):
            for name in rotated(names, turn):
                pairs[name].measure(work, context.seconds)
    headings = ("", "CPU per request, µs: none idle", "beside idle ones", "× none idle", "memory of an idle one, bytes")
    return [headings, *(pair.row() for pair in pairs.values())]


class _Pair:
    """Two of one kind: beside one of them there are idle connections."""

    def __init__(self, context, work, name, stack):
        self.name = name
        self.samples = ([], [])
        self.servers = [context.start(name, stack, work) for _ in range(2)]
        for server in self.servers:
            # Whatever the server keeps for its busiest moment is there before memory is measured.
            rounds.load(work, server.port, rounds.WARM_UP_SECONDS)
        before_bytes = self.servers[1].resident_bytes()
        _hold(context, self.servers[1], stack)
        self.idle_bytes = (self.servers[1].resident_bytes() - before_bytes) / connections()

    def measure(self, work, seconds):
        for server, samples in zip(self.servers, self.samples):
            samples.append(rounds.measure(work, server, seconds).cpu_ns_per_request / 1000)

    def row(self):
        alone, beside = self.samples
        ratios = [one / other for one, other in zip(beside, alone)]
        cells = [table.cell(table.spread(values)) for values in (alone, beside, ratios)]
        return (self.name, *cells, f"{self.idle_bytes:,.0f}")


def _hold(context, server, stack):
    """Opens the idle connections. They are closed with the stack."""
    arguments = [context.binaries.example("idle"), server.port, connections()]
    holder = process.start(arguments, process.LOAD_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(process.stop, holder)
    if holder.stdout.readline() != "ready\n":
        raise client.Mismatch(f"{server.name} does not take {connections():,} connections")
