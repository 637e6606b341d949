"""Instructions that a request costs in user space, as callgrind counts them: the same in each run."""

import os
import re
import shutil
import subprocess

import client

NAME = "instructions"
REQUESTS = (("root", "GET /"), ("user-agent", "GET /user-agent, a browser's fields"), ("echo", "GET /echo/abc"))

# Two counts: their difference leaves out what starting and ending costs.
FEW, MANY = 1_000, 3_000


def title():
    return "Instructions per exchange on a kept connection, without a socket (callgrind)"


def run(context):
    """The table."""
    if not shutil.which("valgrind"):
        raise client.Mismatch("valgrind is not installed")
    rows = [("", "instructions")]
    for name, label in REQUESTS:
        per_exchange = (_count(context, name, MANY) - _count(context, name, FEW)) / (MANY - FEW)
        rows.append((label, f"{per_exchange:,.0f}"))
    return rows


def _count(context, name, exchanges):
    program = context.binaries.example("instructions")
    arguments = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}", program, name, str(exchanges)]
    said = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=True)
    return int(re.search(r"Collected : (\d+)", said.stderr)[1])
