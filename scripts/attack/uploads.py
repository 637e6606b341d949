"""pipelined-uploads: clients that send as many requests as the server takes, without waiting for answers."""

import time

import clients
import row
from context import NGINX, SPINDLE
from targets import Target

NAME = "pipelined-uploads"

HONEST_RATE = 50

# Until the clients have filled what buffers there are.
SETTLE_SECONDS = 0.5

P99_MAX = 0.05
P99_TO_NGINX_MAX = 0.1
SYNCS_MAX = 2

# What an answer takes besides the syncs.
SYNC_SLACK_SECONDS = 0.01


def run(context):
    rows = []
    for connections, kind, words in (
        (1, "uploads", "1 uploader"),
        (100, "uploads", "100 uploaders"),
        (100, "ranges", "100 that ask for 60 ranges"),
        (100, "gzip", "100 with gzip"),
    ):
        results = {name: _attack(context, name, connections, kind) for name in context.names()}
        rows += _rows(connections, kind, words, results)
    return rows + _with_syncs(context)


class _Result:
    def __init__(self, answers, counts):
        self.answers = answers
        # Those that were refused show that an attack is not what it is meant to be.
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
        answers = clients.honest(context, target, HONEST_RATE, seconds)
        return _Result(answers, swarm.result(0))


def _rows(connections, kind, words, results):
    values = lambda text: {name: text(result) for name, result in results.items()}
    p99 = results[SPINDLE].answers.p99_s
    mark, is_met = f"≤ {row.duration(P99_MAX)}", p99 <= P99_MAX
    if kind == "uploads" and connections == 1:
        mark, is_met = "", None
    elif kind == "uploads":
        mark, is_met = "≤ a tenth of nginx's", None
        if NGINX in results:
            is_met = p99 <= results[NGINX].answers.p99_s * P99_TO_NGINX_MAX
    return [
        row.Row(NAME, f"{words}: requests", values(lambda result: result.load)),
        row.Row(NAME, f"{words}: honest p99", values(lambda result: row.duration(result.answers.p99_s)), mark, is_met),
    ]


def _with_syncs(context):
    """Uploads that are acknowledged only when the disk has them, and a probe that takes the disk's time beside them."""
    directory = context.disk_directory()
    words = "100 uploaders with --fsync"
    if directory is None:
        return [row.Row(NAME, f"{words}: skipped, no directory is on a disk", {})]
    with Target(SPINDLE, context, options=("--fsync",), directory=directory) as target:
        probe_seconds = context.seconds(5, 3) + 2
        with clients.Client(context, 0, "sync", target.root, probe_seconds) as probe:
            result = _load(context, target, 100, "uploads")
            sync_s = probe.result(probe_seconds)["max_us"] / 1e6
    limit = SYNCS_MAX * sync_s + SYNC_SLACK_SECONDS
    longest = result.answers.max_s
    return [
        row.Row(NAME, f"{words}: requests", {SPINDLE: result.load}),
        row.Row(NAME, f"{words}: honest p99", {SPINDLE: row.duration(result.answers.p99_s)}),
        row.Row(NAME, f"{words}: honest longest", {SPINDLE: row.duration(longest)},
                f"≤ {SYNCS_MAX} × {row.duration(sync_s)}, the longest sync, + 10 ms", longest <= limit),
    ]
