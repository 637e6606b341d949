"""pipelined-uploads: clients that pipeline as many requests as the server accepts, without waiting for responses."""

import time

import clients
import row
from context import NGINX, SPINDLE
from targets import Target

NAME = "pipelined-uploads"

HONEST_RATE = 50

# After this time the clients have filled all buffers.
SETTLE_SECONDS = 0.5

P99_MAX = 0.05
P99_TO_NGINX_MAX = 0.1
# A turn has at most two groups of 64 uploads. Each flushes contents, files with their names, and directories.
SYNCS_MAX = 6

# The time of a response besides the syncs.
SYNC_SLACK_SECONDS = 0.01


def run(context):
    rows = []
    for connections, kind, label in (
        (1, "uploads", "1 uploader"),
        (100, "uploads", "100 uploaders"),
        (100, "ranges", "100 that request 60 ranges"),
        (100, "gzip", "100 with gzip"),
    ):
        results = {name: _attack(context, name, connections, kind) for name in context.names()}
        rows += _rows(connections, kind, label, results)
    return rows + _with_syncs(context)


class _Result:
    def __init__(self, honest, counts):
        self.honest = honest
        # A refused request means that the attack does not work as intended.
        load = f"{counts['succeeded'] / counts['seconds']:,.0f}/s"
        load += f", {counts['closed']:,} closed" if counts["closed"] else ""
        self.load = load + (" REFUSED" if counts["refused"] else "")


def _attack(context, name, connections, kind):
    with Target(name, context) as target:
        return _load(context, target, connections, kind)


def _load(context, target, connections, kind):
    seconds = context.seconds(5, 3)
    swarm_seconds = seconds + clients.Honest.TIMEOUT_SECONDS + 1
    with clients.hostile(context, "swarm", target.port, connections, swarm_seconds, kind) as swarm:
        time.sleep(SETTLE_SECONDS)
        honest = clients.honest(context, target, HONEST_RATE, seconds)
        return _Result(honest, swarm.result(0))


def _rows(connections, kind, label, results):
    values = lambda text: {name: text(result) for name, result in results.items()}
    p99 = results[SPINDLE].honest.p99_s
    requirement, is_met = f"≤ {row.duration(P99_MAX)}", p99 <= P99_MAX
    if kind == "uploads" and connections == 1:
        requirement, is_met = "", None
    elif kind == "uploads":
        requirement, is_met = "≤ a tenth of nginx's", None
        if NGINX in results:
            is_met = p99 <= results[NGINX].honest.p99_s * P99_TO_NGINX_MAX
    return [
        row.Row(NAME, f"{label}: requests", values(lambda result: result.load)),
        row.Row(NAME, f"{label}: well-behaved p99", values(lambda result: row.duration(result.honest.p99_s)),
                requirement, is_met),
    ]


def _with_syncs(context):
    """Uploads with --fsync, and a probe that measures how long the disk takes for a sync at the same time."""
    directory = context.disk_directory()
    label = "100 uploaders with --fsync"
    if directory is None:
        return [row.Row(NAME, f"{label}: skipped, no directory on a disk was found", {})]
    with Target(SPINDLE, context, options=("--fsync",), directory=directory) as target:
        probe_seconds = context.seconds(5, 3) + 2
        with clients.Client(context, 0, "sync", target.root, probe_seconds) as probe:
            result = _load(context, target, 100, "uploads")
            sync_s = probe.result(probe_seconds)["max_us"] / 1e6
    limit = SYNCS_MAX * sync_s + SYNC_SLACK_SECONDS
    longest = result.honest.max_s
    return [
        row.Row(NAME, f"{label}: requests", {SPINDLE: result.load}),
        row.Row(NAME, f"{label}: well-behaved p99", {SPINDLE: row.duration(result.honest.p99_s)}),
        row.Row(NAME, f"{label}: well-behaved longest", {SPINDLE: row.duration(longest)},
                f"≤ {SYNCS_MAX} × {row.duration(sync_s)}, the longest sync, + 10 ms", longest <= limit),
    ]
