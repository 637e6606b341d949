"""What accounts cost: a small file of a shared folder, without accounts, for everybody, and with credentials."""

import base64
import contextlib
import dataclasses
import hashlib
import pathlib
import subprocess
import tempfile

import client
import rounds
import servers
import table
from context import rotated

NAME = "accounts"
ACCOUNTS = 999

PLAIN = "without accounts"
CONTROL = "without accounts again (control)"
EVERYBODY = f"{ACCOUNTS:,} accounts, and everybody may read"
CREDENTIALS = f"{ACCOUNTS:,} accounts, credentials in each request"


def title():
    return "4 KiB file in a shared folder, with accounts: CPU per request, µs"


def run(context):
    """Returns the table."""
    plain = context.workload("shared-4k")
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        secret = write_accounts(context, directory / "accounts")
        authorized = dataclasses.replace(plain, fields=(credentials(secret),))
        accounts = ("--accounts", str(directory / "accounts"))
        started = {}
        for name, workload, options in (
            (PLAIN, plain, ()),
            (CONTROL, plain, ()),
            (EVERYBODY, plain, accounts),
            (CREDENTIALS, authorized, accounts),
        ):
            server = servers.Server(servers.SPINDLE, context.binaries, context.root, shares_root=True, options=options)
            stack.callback(server.stop)
            workload.check(server)
            rounds.load(workload, server.port, rounds.WARM_UP_SECONDS)
            started[name] = (workload, server)
        cpu_us = {name: [] for name in started}
        for turn in range(context.rounds):
            for name in rotated(list(started), turn):
                sample = rounds.measure(*started[name], context.seconds)
                cpu_us[name].append(sample.cpu_ns_per_request / 1000)
    rows = [("", "CPU per request, µs", "× without")]
    for name, own in cpu_us.items():
        ratios = [one / other for one, other in zip(own, cpu_us[PLAIN])]
        rows.append((name, table.cell(table.spread(own)), table.cell(table.spread(ratios))))
    return rows


def credentials(secret):
    """The field with the credentials of the first account."""
    return f"Authorization: Basic {base64.b64encode(f'account-0:{secret}'.encode()).decode()}"


def write_accounts(context, path):
    """Writes a file of accounts. Returns the secret of the first one."""
    program = context.binaries.path(servers.SPINDLE)
    made = subprocess.run([program, "account", "account-0", "read"], capture_output=True, text=True, check=False)
    if made.returncode:
        raise client.MeasurementFailed("this build makes no accounts")
    hashes = (hashlib.sha256(f"secret {number}".encode()).hexdigest() for number in range(1, ACCOUNTS))
    others = [f"account-{number} read sha256:{hash}\n" for number, hash in enumerate(hashes, 1)]
    path.write_text("".join(["* read\n", made.stdout, *others]))
    return made.stderr.split()[-1]
