"""What a request costs with one process, and with two that share a port, each on its own core."""

import contextlib
import os

import handover
import machine as parts
import process

# For each process. So each has as many connections, and as much to do in one turn, as a process that is alone.
WORKERS = 16

# Two processes double the throughput of a machine that has the cores for it if each request costs what it costs with one.
RATIO_MAX = 2 / 1.8


def _microseconds_per_request(machine, servers):
    """The processor time of the servers for each request, over persistent connections."""
    workers = WORKERS * servers
    connections = workers * 4
    requests = machine.amount(200_000, 20_000) // connections
    with contextlib.ExitStack() as stack:
        pids = []
        for number in range(servers):
            options = ["--listen", "%s:%d" % handover.ADDRESS, "--reuse-port"]
            server = parts.Server(machine, ("127.0.0.1", handover.ADMIN_PORTS[number]), options)
            stack.callback(server.kill)
            server.start()
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(server.process.pid, {cores[number % len(cores)]})
            pids.append(server.process.pid)
        before = [process.cpu_ns([pid]) for pid in pids]
        load = parts.Load(machine, "each", "%s:%d" % handover.ADDRESS, workers, connections, requests)
        stack.callback(load.kill)
        result = load.result()
        spent = [process.cpu_ns([pid]) - start for pid, start in zip(pids, before)]
        if result["failed"]:
            raise parts.Failed(parts.as_text(result))
    return sum(spent) / parts.total(result["done"]) / 1000, [one / sum(spent) for one in spent]


def cost(machine):
    """One process, two, and one again: the two rounds with one are the control, since other programs share the cores."""
    rounds = machine.amount(5, 1)
    one, two, again, shares = [], [], [], []
    for _ in range(rounds):
        one.append(_microseconds_per_request(machine, 1)[0])
        microseconds, share = _microseconds_per_request(machine, 2)
        two.append(microseconds)
        shares.append(min(share))
        again.append(_microseconds_per_request(machine, 1)[0])
    one, two, again = (sorted(figures)[rounds // 2] for figures in (one, two, again))
    text = (f"  median of {rounds}: one process {one:.2f} µs of processor time per request, two {two:.2f} µs "
            f"(the smaller share of one of them was at least {min(shares):.0%}), one again {again:.2f} µs")
    return text, two <= max(one, again) * RATIO_MAX
