"""memory: thousands of clients make the server buffer something for each of them. How much memory remains afterwards?"""

import time

import clients
import network
import process
import row
from context import SPINDLE
from targets import Target

NAME = "memory"

CONNECTIONS_MAX = 6_000

# Spindle reserves three descriptors for each connection.
DESCRIPTORS_PER_CONNECTION = 3
DESCRIPTORS_RESERVED = 500

# What does not fit into small socket buffers stays in the server's own memory.
SMALL_BUFFERS = "4096 16384 16384"

WARM_UP_REQUESTS_PER_SECOND = 50
HOLD_SECONDS = 2
GAP_SECONDS = 1
MIB = 1 << 20
LEFT_BYTES_MAX = 8 * MIB


def connections():
    """As many as the limit on descriptors allows."""
    most = (process.descriptor_limit() - DESCRIPTORS_RESERVED) // DESCRIPTORS_PER_CONNECTION
    return min(CONNECTIONS_MAX, most)


def run(context):
    wait_seconds = context.seconds(60, 15)
    with network.setting("ipv4/tcp_wmem", SMALL_BUFFERS):
        attacks = []
        try:
            attacks += [_Attack(context, name) for name in context.names()]
            for attack in attacks:
                attack.run(context)
            # From the end of the last attack; the servers that were attacked before it have waited longer.
            time.sleep(wait_seconds)
            for attack in attacks:
                attack.measure_after()
        finally:
            for attack in attacks:
                attack.target.close()
    return _rows({attack.target.name: attack for attack in attacks}, wait_seconds)


class _Attack:
    def __init__(self, context, name):
        self.target = Target(name, context)
        self.connections = {}
        self.peaks = {}
        clients.honest(context, self.target, WARM_UP_REQUESTS_PER_SECOND, 1)
        self.before = self.after = self.target.resident_bytes()

    def run(self, context):
        for kind in ("pipelines", "heads"):
            with clients.hostile(context, "hold", self.target.port, connections(), kind) as holders:
                time.sleep(HOLD_SECONDS)
                self.peaks[kind] = self.target.resident_bytes()
                counts = holders.result(0)
                self.connections[kind] = counts["begun"] if kind == "pipelines" else counts["complete"]
            time.sleep(GAP_SECONDS)

    def measure_after(self):
        self.after = self.target.resident_bytes()


def _rows(attacks, wait_seconds):
    values = lambda text: {name: text(attack) for name, attack in attacks.items()}
    mib = lambda size: f"{size / MIB:.1f} MiB"
    peak = lambda kind: values(lambda attack: f"{mib(attack.peaks[kind])} ({attack.connections[kind]:,} connections)")
    spindle = attacks[SPINDLE]
    return [
        row.Row(NAME, "RSS at the start", values(lambda attack: mib(attack.before))),
        row.Row(NAME, f"RSS with {connections():,} unread pipelines", peak("pipelines")),
        row.Row(NAME, f"RSS with {connections():,} partial heads of 30 KB", peak("heads")),
        row.Row(NAME, f"RSS {wait_seconds} s after they have disconnected", values(lambda attack: mib(attack.after)),
                f"≤ start + {LEFT_BYTES_MAX // MIB} MiB", spindle.after - spindle.before <= LEFT_BYTES_MAX),
    ]
