"""tiny-chunks: many clients upload content in chunks of one byte, sent in bursts of many chunks."""

import time

import clients
import row
from context import NGINX, SPINDLE
from targets import Target

NAME = "tiny-chunks"

BURSTS_PER_SECOND = 1_100
CHUNKS_PER_BURST = 500

# After this time the server has created a file for each upload.
SETTLE_SECONDS = 1

HONEST_RATE = 50
CPU_TO_NGINX_MAX = 3
P99_MAX = 0.05


def run(context):
    rows = []
    for connections in (1_000, 3_000):
        results = {name: _attack(context, name, connections) for name in context.names()}
        rows += _rows(connections, results)
    return rows


def _attack(context, name, connections):
    # A second longer than the measurement, so that the load lasts until its end.
    seconds = SETTLE_SECONDS + context.seconds(5, 3) + 1
    arguments = ("chunks", connections, seconds, BURSTS_PER_SECOND, CHUNKS_PER_BURST)
    with Target(name, context) as target:
        with clients.hostile(context, arguments[0], target.port, *arguments[1:]) as uploaders:
            time.sleep(SETTLE_SECONDS)
            start, cpu_ns = time.monotonic(), target.cpu_ns()
            result = clients.honest(context, target, HONEST_RATE, seconds - SETTLE_SECONDS - 1)
            cpu = (target.cpu_ns() - cpu_ns) / 1e9 / (time.monotonic() - start)
            counts = uploaders.result(seconds)
    return result, cpu, counts


def _rows(connections, results):
    values = lambda text: {name: text(*result) for name, result in results.items()}
    result, cpu, _ = results[SPINDLE]
    is_cpu_met = cpu <= results[NGINX][1] * CPU_TO_NGINX_MAX if NGINX in results else None
    p99_requirement = (f"≤ {row.duration(P99_MAX)}", result.p99_s <= P99_MAX) if connections > 1_000 else ()
    label = f"{connections:,} connections"
    rate = lambda _result, _cpu, counts: (
        f"{counts['bursts'] / counts['seconds']:,.0f}/s" + (f", {counts['closed']} closed" if counts["closed"] else "")
    )
    return [
        row.Row(NAME, f"{label}: bursts", values(rate)),
        row.Row(NAME, f"{label}: CPU", values(lambda _result, cpu, _counts: f"{cpu:.1%}"),
                f"≤ {CPU_TO_NGINX_MAX} × nginx's", is_cpu_met),
        row.Row(NAME, f"{label}: well-behaved p99", values(lambda result, *_: row.duration(result.p99_s)), *p99_requirement),
    ]
