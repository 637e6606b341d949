"""Rounds of load against contestants, one after another, so that whatever disturbs the machine disturbs all alike."""

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
    """One contestant in one round."""

    requests_per_s: float
    bytes_per_s: float
    cpu_ns_per_request: float
    p50_us: int
    p99_us: int
    resident_bytes: int


def load(work, port, seconds):
    """Loads a server, and returns what wrk counted. Raises Mismatch if wrk met an error."""
    arguments = ["wrk", "-t1", f"-c{work.connections}", f"-d{seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s"]
    for line in work.fields:
        arguments += ["-H", line]
    arguments += ["-s", LOAD_SCRIPT, f"http://127.0.0.1:{port}{work.path}", "--"]
    arguments += [str(work.depth), str(work.upload_bytes)]
    wrk = process.start(arguments, process.LOAD_CORE, stdout=subprocess.PIPE, text=True)
    said = process.finish(wrk, seconds + TIMEOUT_SECONDS)
    if wrk.returncode:
        raise client.Mismatch("wrk failed")
    counts = json.loads(said.splitlines()[-1])
    errors = {kind: counts[kind] for kind in ("connect", "read", "write", "status", "timeout") if counts[kind]}
    if errors:
        raise client.Mismatch(f"wrk met errors: {errors}")
    if not (counts["bytes"] if work.counts_bytes else counts["requests"]):
        raise client.Mismatch("no request was answered")
    return counts


def measure(work, server, seconds, answer_bytes=None):
    """One sample. Where bytes are counted, `answer_bytes` says how many of them each server's answer has."""
    cpu_before_ns = server.cpu_ns()
    try:
        counts = load(work, server.port, seconds)
    except client.Mismatch as mismatch:
        raise client.Mismatch(f"{server.name}: {mismatch}") from None
    cpu_ns = server.cpu_ns() - cpu_before_ns
    requests = counts["bytes"] / answer_bytes[server.name] if work.counts_bytes else counts["requests"]
    return Sample(
        requests_per_s=requests / counts["seconds"],
        bytes_per_s=counts["bytes"] / counts["seconds"],
        cpu_ns_per_request=cpu_ns / requests,
        p50_us=counts["p50_us"],
        p99_us=counts["p99_us"],
        resident_bytes=server.resident_bytes(),
    )


def run(work, context):
    """All rounds of one work: for each contestant a list of samples."""
    with contextlib.ExitStack() as stack:
        servers = {name: context.start(name, stack, work) for name in context.available(work.contestants)}
        answer_bytes = {}
        for server in servers.values():
            if work.counts_bytes:
                _, head_bytes, content = work.ask(server.port)
                answer_bytes[server.name] = head_bytes + len(content)
            load(work, server.port, WARM_UP_SECONDS)
        samples = {name: [] for name in servers}
        for turn in range(context.rounds):
            for name in rotated(list(servers), turn):
                samples[name].append(measure(work, servers[name], context.seconds, answer_bytes))
        return samples
