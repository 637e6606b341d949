"""shutdown: the server shuts down gracefully while connected clients have not yet sent a request; alone and behind HAProxy."""

import contextlib
import signal
import socket
import subprocess
import tempfile
import time

import client
import clients
import process
import row
from context import SPINDLE
from targets import Target

NAME = "shutdown"

ACCEPTED, IN_BACKLOG = 100, 100
# Linux hands over a silent connection after a second.
SETTLE_SECONDS = 1.5

# Between the signal and the requests: the longest time that a request is on its way.
DELAY_SECONDS = 0.05
RESPONSE_SECONDS = 5

RESTARTS = 10
# The server waits 1¼ s for silent clients.
RESTART_SECONDS = 1.5
LOAD_CONNECTIONS = 64
BETWEEN_RESTARTS_SECONDS = 0.5

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

HAPROXY_CONFIGURATION = """
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
    option http-server-close
    option redispatch 1
    retries 3
    default-server check inter 100ms fall 1 rise 1
frontend all
    bind 127.0.0.1:{port}
    default_backend both
backend both
    balance roundrobin
    option httpchk GET /
    server one 127.0.0.1:{one}
    server two 127.0.0.1:{two}
"""


def run(context):
    served = {name: _shut_down_with_silent_clients(context, name) for name in context.names()}
    rows = [
        row.Row(NAME, f"{label}: served", {name: f"{own[part]}/{count}" for name, own in served.items()},
                "all", served[SPINDLE][part] == count)
        for part, (label, count) in enumerate((("accepted, silent", ACCEPTED), ("in the backlog", IN_BACKLOG)))
    ]
    if not context.haproxy:
        return [*rows, row.Row(NAME, "behind HAProxy: skipped, it is missing (--install installs it)", {})]
    counts = {name: _restart_behind_haproxy(context, name) for name in context.names()}
    return [
        *rows,
        row.Row(NAME, f"behind HAProxy, {RESTARTS} restarts: responses", {name: _text(own) for name, own in counts.items()},
                "no 502, none cut off", not {"0", "502"} & set(counts[SPINDLE])),
    ]


def _shut_down_with_silent_clients(context, name):
    """How many clients get a response: of those whose connection was accepted, and of those still in the backlog."""
    with Target(name, context) as target, contextlib.ExitStack() as stack:
        connect = lambda: stack.enter_context(socket.create_connection(("127.0.0.1", target.port), RESPONSE_SECONDS))
        accepted = [connect() for _ in range(ACCEPTED)]
        time.sleep(SETTLE_SECONDS)
        pids = process.process_tree(target.process.pid)
        _signal(pids, signal.SIGSTOP)
        in_backlog = [connect() for _ in range(IN_BACKLOG)]
        target.shut_down_gracefully()
        _signal(pids, signal.SIGCONT)
        time.sleep(DELAY_SECONDS)
        sent = [[_send(connection) for connection in part] for part in (accepted, in_backlog)]
        return [
            sum(is_sent and _receives_200(connection) for connection, is_sent in zip(part, part_sent))
            for part, part_sent in zip((accepted, in_backlog), sent)
        ]


def _signal(pids, number):
    for pid in pids:
        subprocess.run(["kill", f"-{number.value}", str(pid)], check=True)


def _send(connection):
    with contextlib.suppress(OSError):
        connection.sendall(REQUEST)
        return True
    return False


def _receives_200(connection):
    with contextlib.suppress(OSError):
        return connection.recv(1024).startswith(b"HTTP/1.1 200 ")
    return False


def _restart_behind_haproxy(context, name):
    """The number of responses by status, while two servers behind HAProxy are restarted in turn under load."""
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(Target(name, context)) for _ in range(2)]
        port = client.free_port()
        _start_haproxy(context, stack, port, targets)
        restarts = context.seconds(RESTARTS, 4)
        seconds = int(2 + restarts * (BETWEEN_RESTARTS_SECONDS + RESTART_SECONDS))
        with clients.hostile(context, "load", port, LOAD_CONNECTIONS, seconds) as load:
            time.sleep(BETWEEN_RESTARTS_SECONDS)
            for restart in range(restarts):
                target = targets[restart % 2]
                target.shut_down_gracefully()
                if target.seconds_to_exit(process.STOP_SECONDS) is None:
                    raise client.MeasurementFailed(f"{name} does not exit behind HAProxy")
                target.start()
                time.sleep(BETWEEN_RESTARTS_SECONDS)
            return load.result(seconds)


def _start_haproxy(context, stack, port, targets):
    configuration = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="attack-", suffix=".cfg"))
    configuration.write(HAPROXY_CONFIGURATION.format(port=port, one=targets[0].port, two=targets[1].port))
    configuration.flush()
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    haproxy = process.start([context.haproxy, "-db", "-f", configuration.name], context.client_core, **output)
    stack.callback(process.stop, haproxy)
    client.wait_for(port, haproxy)
    time.sleep(SETTLE_SECONDS)


def _text(counts):
    """All statuses as text. 0 stands for a connection that was closed without a response."""
    named = {"0": "cut off"}
    return ", ".join(f"{named.get(status, status)}: {count:,}" for status, count in counts.items())
