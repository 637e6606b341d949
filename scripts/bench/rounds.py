"""Loads the servers one after another, in rounds, so that a disturbance of the machine affects all of them."""

import contextlib
import json
import pathlib
import subprocess
from dataclasses import dataclass

import client
import process
from context import rotated

LOAD_SCRIPT = pathlib.Path(__file__).with_name("load.lua")
WARM_UP_SECONDS = 1

# A 1 GiB file takes a slow server seconds.
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Sample:
    """The figures of one server in one round."""

    requests_per_s: float
    bytes_per_s: float
    cpu_ns_per_request: float
    p50_us: int
    p99_us: int
    resident_bytes: int


def load(workload, port, seconds):
    """Loads a server with wrk, and returns wrk's counts. Raises MeasurementFailed if wrk reports an error."""
    arguments = ["wrk", "-t1", f"-c{workload.connections}", f"-d{seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s"]
    for line in workload.fields:
        arguments += ["-H", line]
    arguments += ["-s", LOAD_SCRIPT, f"http://127.0.0.1:{port}{workload.path}", "--"]
    arguments += [str(workload.depth), str(workload.upload_bytes)]
    wrk = process.start(arguments, process.LOAD_CORE, stdout=subprocess.PIPE, text=True)
    output = process.wait_for_output(wrk, seconds + TIMEOUT_SECONDS)
    if wrk.returncode:
        raise client.MeasurementFailed("wrk failed")
    counts = json.loads(output.splitlines()[-1])
    errors = {kind: counts[kind] for kind in ("connect", "read", "write", "status", "timeout") if counts[kind]}
    if errors:
        raise client.MeasurementFailed(f"wrk reports errors: {errors}")
    if not (counts["bytes"] if workload.counts_bytes else counts["requests"]):
        raise client.MeasurementFailed("no request was completed")
    return counts


def measure(workload, server, seconds, response_bytes=None):
    """One sample. If the workload counts bytes, `response_bytes` has the length of each server's response."""
    cpu_before_ns = server.cpu_ns()
    try:
        counts = load(workload, server.port, seconds)
    except client.MeasurementFailed as failure:
        raise client.MeasurementFailed(f"{server.name}: {failure}") from None
    cpu_ns = server.cpu_ns() - cpu_before_ns
    requests = counts["bytes"] / response_bytes[server.name] if workload.counts_bytes else counts["requests"]
    return Sample(
        requests_per_s=requests / counts["seconds"],
        bytes_per_s=counts["bytes"] / counts["seconds"],
        cpu_ns_per_request=cpu_ns / requests,
        p50_us=counts["p50_us"],
        p99_us=counts["p99_us"],
        resident_bytes=server.resident_bytes(),
    )


def run(workload, context):
    """Runs all rounds of one workload. Returns a list of samples for each server."""
    with contextlib.ExitStack() as stack:
        servers = {name: context.start(name, stack, workload) for name in context.available(workload.servers)}
        response_bytes = {}
        for server in servers.values():
            if workload.counts_bytes:
                _, head_bytes, content = workload.request(server.port)
                response_bytes[server.name] = head_bytes + len(content)
            load(workload, server.port, WARM_UP_SECONDS)
        samples = {name: [] for name in servers}
        for turn in range(context.rounds):
            for name in rotated(list(servers), turn):
                samples[name].append(measure(workload, servers[name], context.seconds, response_bytes))
        return samples
