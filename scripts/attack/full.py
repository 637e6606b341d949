"""full: more clients than the server has descriptors for, which come back whenever they are sent away."""

import time

import clients
import row
from context import NGINX, SPINDLE
from targets import Target

NAME = "full"

DESCRIPTORS = 2_000
CLIENTS = 3_000
SETTLE_SECONDS = 2
HONEST_RATE = 5


def run(context):
    rows = []
    for kind, words in (
        ("idle", "idle after an answer"),
        ("silent", "silent"),
        ("half", "with half a head"),
    ):
        results = {name: _attack(context, name, kind) for name in context.names()}
        values = lambda text: {name: text(*result) for name, result in results.items()}
        answers, _ = results[SPINDLE]
        rows += [
            row.Row(NAME, f"{words}: reconnects", values(lambda _answers, reconnects: f"{reconnects:,.0f}/s")),
            row.Row(NAME, f"{words}: honest answered", values(lambda answers, _: answers.count()), "all",
                    answers.are_complete),
            row.Row(NAME, f"{words}: honest p99", values(lambda answers, _: row.duration(answers.p99_s))),
        ]
    return rows


def _attack(context, name, kind):
    # nginx is there to be compared with: half the time will do.
    seconds = context.seconds(10 if name == NGINX else 20, 5)
    swarm_seconds = SETTLE_SECONDS + seconds + clients.Honest.TIMEOUT_SECONDS
    with Target(name, context, descriptors=DESCRIPTORS) as target:
        with clients.hostile(context, "swarm", target.port, CLIENTS, swarm_seconds, kind) as swarm:
            time.sleep(SETTLE_SECONDS)
            answers = clients.honest(context, target, HONEST_RATE, seconds)
            counts = swarm.result(0)
    return answers, (counts["connects"] - CLIENTS) / counts["seconds"]
