"""unread-response: a client requests a large file and never reads it. The server must close the connection, and use no
processor time meanwhile."""

import concurrent.futures
import math
import socket
import time

import clients
import network
import process
import row
from context import NGINX
from targets import Target

NAME = "unread-response"

# With a small send buffer the server's write timeout is near its minimum.
SMALL_BUFFERS = "4096 4096 4096"

# The server's write timeout, and a second for each so many bytes of the send buffer.
STALL_SECONDS = 30
BYTES_PER_SECOND = 16 * 1024
DEADLINE_SECONDS_MAX = 90
LATE_SECONDS = 3

BEFORE_SECONDS, AFTER_SECONDS = 1, 3
HONEST_RATE = 20
HONEST_SECONDS_MAX = 0.05
CPU_MAX = 0.05
EXIT_SECONDS_MAX = 1.5

REQUEST = b"GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n"


def run(context):
    with network.setting("ipv4/tcp_wmem", SMALL_BUFFERS):
        buffer_bytes = int(network.read("ipv4/tcp_wmem").split()[2])
        deadline = STALL_SECONDS + math.ceil(buffer_bytes / BYTES_PER_SECOND)
        if deadline > DEADLINE_SECONDS_MAX:
            return [row.Row(NAME, "skipped: without a network namespace it would take too long", {})]
        # Both servers at the same time, each on a core of its own, since the attack mostly waits.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = {name: pool.submit(_attack, context, name, deadline) for name in context.names()}
            attacks = {name: future.result() for name, future in running.items()}
    return _rows(attacks, deadline)


class _Attack:
    closed_after = None
    # The share of a core in the busiest second.
    cpu = 0.0
    result = None
    exit_seconds = None


def _attack(context, name, deadline):
    attack = _Attack()
    limit = deadline + LATE_SECONDS
    core = context.client_core if name == NGINX else context.server_core
    with Target(name, context, core=core) as target, socket.socket() as client:
        seconds = BEFORE_SECONDS + limit + AFTER_SECONDS
        with clients.Honest(context, target, HONEST_RATE, seconds) as honest:
            time.sleep(BEFORE_SECONDS)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", target.port))
            client.sendall(REQUEST)
            peer_port = client.getsockname()[1]
            _watch(attack, target, peer_port, limit)
            attack.result = honest.result()
        target.shut_down_gracefully()
        attack.exit_seconds = target.seconds_to_exit(process.STOP_SECONDS)
    return attack


def _watch(attack, target, peer_port, limit):
    """Watches the connection and the processor time until the server must have closed the connection."""
    start = second = time.monotonic()
    cpu_ns = target.cpu_ns()
    was_open = False
    while (now := time.monotonic()) < start + limit:
        is_open = network.is_open(target.port, peer_port)
        # Until the server accepts it, a connection looks like a closed one.
        if was_open and not is_open and attack.closed_after is None:
            attack.closed_after = now - start
        was_open |= is_open
        if now >= second + 1:
            used_ns = target.cpu_ns()
            attack.cpu = max(attack.cpu, (used_ns - cpu_ns) / 1e9 / (now - second))
            second, cpu_ns = now, used_ns
        time.sleep(0.05)


def _rows(attacks, deadline):
    spindle = attacks["spindle"]
    values = lambda text: {name: text(attack) for name, attack in attacks.items()}
    result, exit_seconds = spindle.result, spindle.exit_seconds
    return [
        row.Row(NAME, "closed after", values(lambda attack: row.duration(attack.closed_after)),
                f"≤ {deadline + LATE_SECONDS} s", spindle.closed_after is not None),
        row.Row(NAME, "CPU in the busiest second", values(lambda attack: f"{attack.cpu:.1%}"),
                f"≤ {CPU_MAX:.0%}", spindle.cpu <= CPU_MAX),
        row.Row(NAME, "well-behaved: served", values(lambda attack: attack.result.count()), "all", result.is_complete),
        row.Row(NAME, "well-behaved: p99", values(lambda attack: row.duration(attack.result.p99_s)),
                f"≤ {row.duration(HONEST_SECONDS_MAX)}", result.p99_s <= HONEST_SECONDS_MAX),
        row.Row(NAME, "exits after SIGTERM", values(lambda attack: row.duration(attack.exit_seconds)),
                f"≤ {EXIT_SECONDS_MAX} s", exit_seconds is not None and exit_seconds <= EXIT_SECONDS_MAX),
    ]
