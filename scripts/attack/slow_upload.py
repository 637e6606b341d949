"""slow-upload: a client uploads a lot of content fast, and from then on one byte every 25 seconds."""

import concurrent.futures
import select
import socket
import time

import row
from context import SPINDLE
from targets import Target

NAME = "slow-upload"

MIB = 1 << 20
FAST_CHUNKS = 62
TRICKLE_SECONDS = 25
LIMIT_SECONDS = 65

HEAD = b"PUT /files/slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def run(context):
    # Both servers at the same time, since the attack mostly waits.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = {name: pool.submit(_attack, context, name) for name in context.names()}
        results = {name: future.result() for name, future in running.items()}
    status, seconds = results[SPINDLE]
    return [
        row.Row(NAME, "closed", {name: _text(*result) for name, result in results.items()},
                f"408, ≤ {LIMIT_SECONDS} s", status == "408" and seconds is not None)
    ]


def _text(status, seconds):
    return f"still open after {LIMIT_SECONDS} s" if seconds is None else f"{status} after {row.duration(seconds)}"


def _attack(context, name):
    """Returns the status, and the seconds from the end of the fast part to the response."""
    with Target(name, context) as target, socket.create_connection(("127.0.0.1", target.port), 30) as connection:
        # Another attack sets the namespace's send buffers to a small size, with which this part would be slow.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
        connection.sendall(HEAD)
        for _ in range(FAST_CHUNKS):
            connection.sendall(b"%x\r\n" % MIB + bytes(MIB) + b"\r\n")
        start = time.monotonic()
        next_byte = start + TRICKLE_SECONDS
        while (now := time.monotonic()) < start + LIMIT_SECONDS:
            if now >= next_byte:
                connection.sendall(b"1\r\nx\r\n")
                next_byte += TRICKLE_SECONDS
            wake = min(next_byte, start + LIMIT_SECONDS)
            if select.select([connection], [], [], max(0, wake - now))[0]:
                response = connection.recv(1024)
                return response[9:12].decode(errors="replace") or "closed", time.monotonic() - start
        return None, None
