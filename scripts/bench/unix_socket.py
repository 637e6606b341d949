"""Small responses over a Unix socket, beside the same over TCP."""

import contextlib
import subprocess

import client
import process
import servers
import table
from context import rotated

NAME = "unix-socket"
CONNECTIONS = (64, 1)

TCP = "TCP"
CONTROL = "TCP again (control)"
UNIX = "Unix socket"


def title():
    return "Small response over TCP and over a Unix socket: CPU per request, µs"


def run(context):
    """Returns the table."""
    results = [_measure(context, connections) for connections in CONNECTIONS]
    rows = [("", *(cell for count in CONNECTIONS for cell in (f"{count} connections", "× TCP")))]
    for name in (TCP, CONTROL, UNIX):
        cells = []
        for result in results:
            ratios = [one / other for one, other in zip(result[name], result[TCP])]
            cells += [table.cell(table.spread(result[name])), table.cell(table.spread(ratios))]
        rows.append((name, *cells))
    return rows


def _measure(context, connections):
    with contextlib.ExitStack() as stack:
        # A server of its own for each, so that none serves on more sockets than another.
        started = {}
        for name in (TCP, CONTROL, UNIX):
            server = servers.Server(servers.SPINDLE, context.binaries, context.root, unix_socket=name == UNIX)
            stack.callback(server.stop)
            started[name] = (server, address_of(server) if name == UNIX else server.port)
            exchanges(context, started[name][1], connections, 1)
        cpu_us = {name: [] for name in started}
        for turn in range(context.rounds):
            for name in rotated(list(started), turn):
                server, address = started[name]
                before_ns = server.cpu_ns()
                count = exchanges(context, address, connections, context.seconds)
                cpu_us[name].append((server.cpu_ns() - before_ns) / count / 1000)
        return cpu_us


def address_of(server):
    """The Unix socket of a server that was started with one."""
    return f"{server.run}/socket"


def exchanges(context, address, connections, seconds):
    """Loads a server with small responses, and returns how many it has sent."""
    arguments = [context.binaries.example("exchanges"), address, connections, seconds]
    load = process.start(arguments, process.LOAD_CORE, stdout=subprocess.PIPE, text=True)
    output = process.wait_for_output(load, seconds + process.STOP_SECONDS)
    if load.returncode or not output.strip():
        raise client.MeasurementFailed("exchanges failed")
    return int(output)
