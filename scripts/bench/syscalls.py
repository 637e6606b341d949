"""Which system calls a request costs, as strace counts them."""

import contextlib
import pathlib
import shutil
import signal
import tempfile
import time

import client
import process
import rounds
from servers import BEFORE, NULL, PEERS, SPINDLE

NAME = "syscalls"
SECONDS = 2
ATTACH_SECONDS = 5

# A call that fewer requests than this make is part of no request.
PER_REQUEST_MIN = 0.01


def title():
    return "System calls per request, 64 connections (strace -c)"


def run(context):
    """The table."""
    if not shutil.which("strace"):
        raise client.Mismatch("strace is not installed")
    measured = [context.work(name) for name in ("small", "file-4k")]
    rows = [("", *(work.title for work in measured))]
    for name in context.available((NULL, SPINDLE, BEFORE, *PEERS)):
        rows.append((name, *(_calls(context, work, name) for work in measured)))
    return rows


def _calls(context, work, name):
    with contextlib.ExitStack() as stack:
        server = context.start(name, stack, work)
        rounds.load(work, server.port, rounds.WARM_UP_SECONDS)
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        summary = pathlib.Path(directory, "strace")
        arguments = ["strace", "-f", "-c", "-q", "-o", summary, "-p", server.worker]
        strace = process.start(arguments, process.LOAD_CORE)
        try:
            _wait_until_traced(server)
            requests = rounds.measure(work, server, SECONDS).requests_per_s * SECONDS
        finally:
            # It lets the server go, and writes its summary.
            strace.send_signal(signal.SIGINT)
            process.finish(strace, process.STOP_SECONDS)
        counts = _read_summary(summary.read_text())
    per_request = {call: count / requests for call, count in counts.items()}
    often = sorted(((count, call) for call, count in per_request.items() if count >= PER_REQUEST_MIN), reverse=True)
    return ", ".join(f"{call} {count:.2f}" for count, call in often)


def _wait_until_traced(server):
    end = time.monotonic() + ATTACH_SECONDS
    status = pathlib.Path(f"/proc/{server.worker}/status")
    while "TracerPid:\t0\n" in status.read_text():
        if time.monotonic() > end:
            raise client.Mismatch("strace could not attach")
        time.sleep(0.01)


def _read_summary(text):
    """From strace's table: share, seconds, µs a call, calls, errors where there are some, name."""
    counts = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) in (5, 6) and words[3].isdigit() and words[-1] != "total":
            counts[words[-1]] = int(words[3])
    return counts
