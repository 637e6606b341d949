"""Runs `pace`, the client that requests at a constant rate or as fast as the responses arrive."""

import json
import subprocess

import client
import process

CONNECTIONS = 16

# All clients share a core. If this one had to wait for the core, it would measure its own delay.
NICE = -20

# How long after the last request the last response may arrive.
RESPONSE_SECONDS = 60

# The rate at which each connection always waits for one response.
ALL = "all"


def run(context, server, rate, seconds, path="/", connections=CONNECTIONS, fields=(), once_connected=lambda: None):
    """Returns the latencies in µs, the bytes received, and the server's processor time in µs. Connecting is not measured.

    `once_connected` is called before the first request.
    """
    arguments = [context.binaries.example("pace"), server.port, rate, seconds, path, connections, *fields]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    pacer = process.start(arguments, process.LOAD_CORE, text=True, **pipes)
    process.renice(pacer.pid, NICE)
    if pacer.stdout.readline() != "ready\n":
        process.stop(pacer)
        raise client.MeasurementFailed(f"{server.name}: {connections:,} connections with {path} failed")
    once_connected()
    before_ns = server.cpu_ns()
    # The client begins at the end of its standard input.
    output = process.wait_for_output(pacer, seconds + RESPONSE_SECONDS)
    cpu_us = (server.cpu_ns() - before_ns) / 1000
    if pacer.returncode:
        raise client.MeasurementFailed(f"{server.name}: the client at a constant rate failed")
    return json.loads(output) | {"cpu_us": cpu_us}
