"""The system calls of a request, as strace counts them."""

import contextlib
import pathlib
import shutil
import signal
import tempfile
import time

import client
import process
import rounds
from servers import BASELINE, NULL, OTHERS, SPINDLE

NAME = "syscalls"
SECONDS = 2
ATTACH_SECONDS = 5

# Calls that occur more rarely than this do not belong to a request.
PER_REQUEST_MIN = 0.01


def title():
    return "System calls per request, 64 connections (strace -c)"


def run(context):
    """Returns the table."""
    if not shutil.which("strace"):
        raise client.MeasurementFailed("strace is not installed")
    measured = [context.workload(name) for name in ("small", "file-4k")]
    rows = [("", *(workload.title for workload in measured))]
    for name in context.available((NULL, SPINDLE, BASELINE, *OTHERS)):
        rows.append((name, *(_calls(context, workload, name) for workload in measured)))
    return rows


def _calls(context, workload, name):
    with contextlib.ExitStack() as stack:
        server = context.start(name, stack, workload)
        rounds.load(workload, server.port, rounds.WARM_UP_SECONDS)
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        summary = pathlib.Path(directory, "strace")
        arguments = ["strace", "-f", "-c", "-q", "-o", summary, "-p", server.worker]
        strace = process.start(arguments, process.LOAD_CORE)
        try:
            _wait_until_traced(server)
            requests = rounds.measure(workload, server, SECONDS).requests_per_s * SECONDS
        finally:
            # strace detaches from the server and writes its summary.
            strace.send_signal(signal.SIGINT)
            process.wait_for_output(strace, process.STOP_SECONDS)
        counts = _read_summary(summary.read_text())
    per_request = {call: count / requests for call, count in counts.items()}
    often = sorted(((count, call) for call, count in per_request.items() if count >= PER_REQUEST_MIN), reverse=True)
    return ", ".join(f"{call} {count:.2f}" for count, call in often)


def _wait_until_traced(server):
    end = time.monotonic() + ATTACH_SECONDS
    status = pathlib.Path(f"/proc/{server.worker}/status")
    while "TracerPid:\t0\n" in status.read_text():
        if time.monotonic() > end:
            raise client.MeasurementFailed("strace could not attach")
        time.sleep(0.01)


def _read_summary(text):
    """The number of calls by name. strace's columns are share, seconds, µs per call, calls, errors (or nothing) and name."""
    counts = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) in (5, 6) and words[3].isdigit() and words[-1] != "total":
            counts[words[-1]] = int(words[3])
    return counts
