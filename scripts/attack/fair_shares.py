"""fair-shares: more hostile clients than the server has descriptors for, from one address and from many, and an honest client
from another address. The honest client is measured three times, since the attack also takes time from the machine:

- alone: right before the attack;
- beside: during the attack, at the attacked server;
- elsewhere: at the same time, at another process of the same server, which nobody attacks. It runs on the same core, before
  the attacked one whenever it has something to do. What its requests take longer than alone is the machine's part: the kernel
  handles the packets of the attack on the same cores, and the honest client shares its core with the hostile ones.
"""

import contextlib
import socket
import time

import clients
import process
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

P99_TO_ELSEWHERE_MAX = 1.2
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
    def __init__(self, alone, elsewhere, beside, may_upload):
        self.alone, self.elsewhere, self.beside, self.may_upload = alone, elsewhere, beside, may_upload
        self.ratio = beside.p99_s / elsewhere.p99_s

    @property
    def is_fair(self):
        is_fast = self.ratio <= P99_TO_ELSEWHERE_MAX and self.beside.max_s <= LONGEST_MAX
        return is_fast and self.beside.is_complete and self.may_upload is not False

    def cells(self):
        """The 99th percentiles alone, elsewhere and beside, and the longest time beside."""
        p99s = [row.duration(one.p99_s) for one in (self.alone, self.elsewhere)]
        if not self.beside.succeeded:
            return [*p99s, "none served", "", ""]
        served = "" if self.beside.is_complete else f", {self.beside.succeeded} of {self.beside.requests}"
        return [*p99s, row.duration(self.beside.p99_s) + served, f"{self.ratio:.1f}", row.duration(self.beside.max_s)]

    def summary(self):
        """All of that in a cell."""
        alone, elsewhere, beside, ratio, longest = self.cells()
        times = f", {ratio} ×, longest {longest}" if ratio else ""
        return f"{alone} → {elsewhere} → {beside}{times}"

    def comparison(self):
        """What a server that is only the comparison gets in README."""
        _, elsewhere, beside, ratio, _ = self.cells()
        return f"{beside} ÷ {elsewhere} = {ratio}" if self.beside.is_complete else beside


def run(context):
    rows = []
    print(f"\nFor README ({CLIENTS:,} hostile clients, {DESCRIPTORS:,} descriptors, {HONEST_RATE} honest requests a second):\n")
    print(f"| {CLIENTS:,} clients that | addresses | alone | elsewhere | beside | ÷ elsewhere | longest | nginx | lighttpd |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for kind, label in KINDS:
        for addresses in (1, ADDRESSES):
            names = [name for name in (*context.names(), LIGHTTPD) if _has(context, name, kind)]
            results = {name: _attack(context, name, kind, addresses) for name in names}
            rows += _rows(label, addresses, results)
            others = [results[name].comparison() if name in results else "" for name in (NGINX, LIGHTTPD)]
            # Each row at once, since all of them take minutes.
            print(f"| {' | '.join([label, str(addresses), *results[SPINDLE].cells(), *others])} |", flush=True)
    return rows


def _has(context, name, kind):
    if name == LIGHTTPD:
        return context.lighttpd is not None and kind not in UPLOADS
    return name == SPINDLE or kind != "pending"


def _rows(label, addresses, results):
    own = results[SPINDLE]
    requirement = f"p99 ≤ {P99_TO_ELSEWHERE_MAX} × elsewhere, longest ≤ {row.duration(LONGEST_MAX)}, all"
    where = "one address" if addresses == 1 else f"{addresses} addresses"
    figures = {name: result.summary() for name, result in results.items()}
    return [row.Row(NAME, f"{label}, {where}: p99 alone → elsewhere → beside", figures, requirement, own.is_fair)]


def _attack(context, name, kind, addresses):
    seconds = context.seconds(10, 4)
    with Target(name, context, descriptors=DESCRIPTORS) as target, Target(name, context, descriptors=DESCRIPTORS) as other:
        process.put_first(process.process_tree(other.process.pid))
        [alone] = _honest(context, [target], context.seconds(3, 2))
        swarm_seconds = SETTLE_SECONDS + seconds + 2 * TIMEOUT_SECONDS
        # A client that reconnects after it was refused is a new attack each time.
        with clients.hostile(context, "swarm", target.port, CLIENTS, swarm_seconds, kind, addresses):
            time.sleep(SETTLE_SECONDS)
            elsewhere, beside = _honest(context, [other, target], seconds)
            may_upload = _may_upload(target.port) if kind == "pending" and name == SPINDLE else None
    return _Result(alone, elsewhere, beside, may_upload)


def _honest(context, targets, seconds):
    """The results of honest clients, one for each of the servers, which run at the same time."""
    with contextlib.ExitStack() as stack:
        honest = [
            stack.enter_context(clients.Honest(context, target, HONEST_RATE, seconds, TIMEOUT_SECONDS)) for target in targets
        ]
        return [client.result() for client in honest]


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
