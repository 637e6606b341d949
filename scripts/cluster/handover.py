"""One server after another on the same port, without a proxy: sockets of a service manager, and --reuse-port."""

import contextlib
import functools
import itertools
import socket
import time

import machine as parts
import network

WORKERS = 16
ADDRESS = ("127.0.0.1", 14221)
ADMIN_PORTS = (19421, 19422)

# Between two handovers.
PAUSE_SECONDS = 0.3

# A request on each connection, or ten.
LOADS = (("a connection for each request", 1), ("ten requests on a connection", 10))


def _loads(machine, hand_over, start_first):
    """Hands over from server to server while clients open connections. Yields the title, the counts, and the handovers."""
    for title, requests in LOADS:
        with contextlib.ExitStack() as stack:
            admins = itertools.cycle(ADMIN_PORTS)
            server = start_first(stack, next(admins))
            load = parts.Load(machine, "each", "%s:%d" % ADDRESS, WORKERS, machine.amount(100_000, 10_000), requests)
            stack.callback(load.kill)
            handovers = 0
            while load.runs():
                time.sleep(PAUSE_SECONDS)
                server = hand_over(stack, server, next(admins))
                handovers += 1
            yield title, load.result(), handovers


def _start(machine, options, listener, stack, admin_port):
    server = parts.Server(machine, ("127.0.0.1", admin_port), options, listener)
    stack.callback(server.kill)
    return server.start()


def _overlapping(start, stack, old, admin_port):
    new = start(stack, admin_port)
    old.terminate()
    old.wait()
    return new


def _one_after_the_other(start, stack, old, admin_port):
    old.terminate()
    old.wait()
    return start(stack, admin_port)


def _report(loads):
    lines, failed = [], 0
    for title, result, handovers in loads:
        lines.append(f"  {title}: {handovers} handovers, {result['noted'].get('connections', 0):,} connections, "
                     f"{result['seconds']:.0f} s\n{parts.as_text(result)}")
        failed += parts.total(result["failed"])
    return "\n".join(lines), failed


def inherited(machine, hand_over):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(ADDRESS)
        listener.listen(4096)
        start = functools.partial(_start, machine, ["--listen", "fd:3"], listener)
        text, failed = _report(_loads(machine, functools.partial(hand_over, start), start))
    return text, failed == 0


def inherited_overlapping(machine):
    """The service manager holds the socket. The next server is ready before the old one is told to end."""
    return inherited(machine, _overlapping)


def inherited_one_after_the_other(machine):
    """The service manager holds the socket. The next server starts after the old one has ended."""
    return inherited(machine, _one_after_the_other)


def reuse_port(machine):
    """Each server has its own socket. Without the setting the kernel promises nothing, so the target is only for the setting."""
    options = ["--listen", "%s:%d" % ADDRESS, "--reuse-port"]
    start = functools.partial(_start, machine, options, None)
    texts, is_met = [], True
    for value in ("0", "1"):
        with network.setting("ipv4/tcp_migrate_req", value) as is_set:
            if not is_set:
                texts.append(f"  tcp_migrate_req={value}: skipped, it needs a network namespace")
                continue
            text, failed = _report(_loads(machine, functools.partial(_overlapping, start), start))
            texts.append(f"  tcp_migrate_req={value}\n{text}")
            is_met = is_met and (failed == 0 or value == "0")
    return "\n".join(texts), is_met
