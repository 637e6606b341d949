"""Instructions in user space for a request, as callgrind counts them: every run gives the same number."""

import os
import re
import shutil
import subprocess

import client

NAME = "instructions"
REQUESTS = (("root", "GET /"), ("user-agent", "GET /user-agent, a browser's fields"), ("echo", "GET /echo/abc"))

# Numbers of exchanges. The difference of two runs does not contain the cost of starting and exiting.
FEW, MANY = 1_000, 3_000


def title():
    return "Instructions per exchange on a kept connection, without a socket (callgrind)"


def run(context):
    """Returns the table."""
    if not shutil.which("valgrind"):
        raise client.MeasurementFailed("valgrind is not installed")
    rows = [("", "instructions")]
    for name, label in REQUESTS:
        per_exchange = (_count(context, name, MANY) - _count(context, name, FEW)) / (MANY - FEW)
        rows.append((label, f"{per_exchange:,.0f}"))
    return rows


def _count(context, name, exchanges):
    program = context.binaries.example("instructions")
    arguments = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}", program, name, str(exchanges)]
    output = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=True)
    return int(re.search(r"Collected : (\d+)", output.stderr)[1])
