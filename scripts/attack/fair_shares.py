"""fair-shares: more hostile clients than the server has descriptors for, from one address and from many, and an honest client
from another address. Each server is measured alone right before each attack, since other programs may use the machine."""

import contextlib
import socket
import time

import clients
import row
from context import LIGHTTPD, NGINX, SPINDLE
from targets import Target

NAME = "fair-shares"

DESCRIPTORS = 2_000
CLIENTS = 2_500
ADDRESSES = 200
SETTLE_SECONDS = 2
HONEST_RATE = 200
# A request that takes longer has failed.
TIMEOUT_SECONDS = 2

P99_TO_ALONE_MAX = 1.2
LONGEST_MAX = 0.1

HONEST_ADDRESS = ("127.0.0.9", 0)

KINDS = (
    ("heads", "send a head slowly"),
    ("content", "send content slowly"),
    ("readers", "do not read"),
    ("idle", "idle after a response"),
    ("silent", "send nothing"),
    ("drains", "send after the last response"),
    ("uploads", "pipeline uploads"),
    ("pending", "begin resumable uploads"),
)

# What lighttpd and nginx do not have, or not in the packages that are used.
UPLOADS = ("content", "uploads", "pending")


class _Result:
    def __init__(self, alone, attacked, counts, may_upload):
        self.alone, self.attacked, self.counts, self.may_upload = alone, attacked, counts, may_upload
        self.ratio = attacked.p99_s / alone.p99_s

    @property
    def is_fair(self):
        is_fast = self.ratio <= P99_TO_ALONE_MAX and self.attacked.max_s <= LONGEST_MAX
        return is_fast and self.attacked.is_complete and self.may_upload is not False

    def cells(self):
        served = f"{self.attacked.succeeded}/{self.attacked.requests}"
        if not self.attacked.succeeded:
            return [f"{row.duration(self.alone.p99_s)} → none served"]
        return [f"{row.duration(self.alone.p99_s)} → {row.duration(self.attacked.p99_s)}, longest "
                f"{row.duration(self.attacked.max_s)}, {served}"]


def run(context):
    rows = []
    print(f"\nFor README ({CLIENTS:,} hostile clients, {DESCRIPTORS:,} descriptors, {HONEST_RATE} honest requests a second):\n")
    print("| hostile clients that | addresses | Spindle: honest p99 alone → attacked | nginx | lighttpd |\n|---|---|---|---|---|", flush=True)
    for kind, label in KINDS:
        for addresses in (1, ADDRESSES):
            names = [name for name in (*context.names(), LIGHTTPD) if _has(context, name, kind)]
            results = {name: _attack(context, name, kind, addresses) for name in names}
            rows += _rows(label, addresses, results)
            cells = [" ".join(results[name].cells()) if name in results else "–" for name in (SPINDLE, NGINX, LIGHTTPD)]
            # Each row at once, since all of them take minutes.
            print(f"| {label} | {addresses} | {' | '.join(cells)} |", flush=True)
    return rows


def _has(context, name, kind):
    if name == LIGHTTPD:
        return context.lighttpd is not None and kind not in UPLOADS
    return name == SPINDLE or kind != "pending"


def _rows(label, addresses, results):
    own = results[SPINDLE]
    requirement = f"p99 ≤ {P99_TO_ALONE_MAX} × alone, longest ≤ {row.duration(LONGEST_MAX)}, all"
    where = "one address" if addresses == 1 else f"{addresses} addresses"
    figures = {name: " ".join(result.cells()) for name, result in results.items()}
    return [row.Row(NAME, f"{label}, {where}", figures, requirement, own.is_fair)]


def _attack(context, name, kind, addresses):
    seconds = context.seconds(4, 2)
    with Target(name, context, descriptors=DESCRIPTORS) as target:
        alone = _honest(context, target, context.seconds(3, 2))
        swarm_seconds = SETTLE_SECONDS + seconds + 2 * TIMEOUT_SECONDS
        # A client that reconnects after it was refused is a new attack each time.
        with clients.hostile(context, "swarm", target.port, CLIENTS, swarm_seconds, kind, addresses) as swarm:
            time.sleep(SETTLE_SECONDS)
            attacked = _honest(context, target, seconds)
            may_upload = _may_upload(target.port) if kind == "pending" and name == SPINDLE else None
            counts = swarm.result(0)
    return _Result(alone, attacked, counts, may_upload)


def _honest(context, target, seconds):
    with clients.Honest(context, target, HONEST_RATE, seconds, TIMEOUT_SECONDS) as client:
        return client.result()


def _may_upload(port):
    """Whether somebody else can still begin a resumable upload."""
    head = ("POST /files/honest HTTP/1.1\r\nHost: a\r\nUpload-Draft-Interop-Version: 8\r\nUpload-Complete: ?0\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n")
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS, HONEST_ADDRESS) as stream:
        stream.settimeout(TIMEOUT_SECONDS)
        stream.sendall(head.encode())
        response = b""
        while part := stream.recv(4096):
            response += part
        return b"HTTP/1.1 201 " in response
    return False
