"""connection-limit: more clients than the server has descriptors for, which reconnect whenever they are disconnected."""

import time

import clients
import row
from context import NGINX, SPINDLE
from targets import Target

NAME = "connection-limit"

DESCRIPTORS = 2_000
CLIENTS = 3_000
SETTLE_SECONDS = 2
HONEST_RATE = 5


def run(context):
    rows = []
    for kind, label in (
        ("idle", "idle after a response"),
        ("silent", "silent"),
        ("half", "with half a head"),
    ):
        results = {name: _attack(context, name, kind) for name in context.names()}
        values = lambda text: {name: text(*result) for name, result in results.items()}
        result, _ = results[SPINDLE]
        rows += [
            row.Row(NAME, f"{label}: reconnects", values(lambda _result, reconnects: f"{reconnects:,.0f}/s")),
            row.Row(NAME, f"{label}: well-behaved served", values(lambda result, _: result.count()), "all",
                    result.is_complete),
            row.Row(NAME, f"{label}: well-behaved p99", values(lambda result, _: row.duration(result.p99_s))),
        ]
    return rows


def _attack(context, name, kind):
    # Half the time is enough for nginx, which is only the comparison.
    seconds = context.seconds(10 if name == NGINX else 20, 5)
    swarm_seconds = SETTLE_SECONDS + seconds + clients.Honest.TIMEOUT_SECONDS
    with Target(name, context, descriptors=DESCRIPTORS) as target:
        with clients.hostile(context, "swarm", target.port, CLIENTS, swarm_seconds, kind) as swarm:
            time.sleep(SETTLE_SECONDS)
            result = clients.honest(context, target, HONEST_RATE, seconds)
            counts = swarm.result(0)
    return result, (counts["connects"] - CLIENTS) / counts["seconds"]
