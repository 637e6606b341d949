"""Attacks spindle, and nginx beside it, and tells what became of them. scripts/attack.sh builds, then runs this."""

import argparse
import concurrent.futures
import pathlib
import platform
import signal
import sys
import time

# The processes and the waiting are those of the benchmark.
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

import chunks
import client
import clients
import context
import earned
import ending
import full
import hang
import memory
import network
import process
import row
import servers
import uploads

# They mostly wait, and do so at the same time.
WAITING = (hang, earned)
LOADING = (uploads, chunks, full, ending, memory)
NAMES = [attack.NAME for attack in (*WAITING, *LOADING)]

NICE = -10


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/attack.sh", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", help=f"these attacks only, of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="shorter where an attack can be")
    parser.add_argument("--server", metavar="PATH", help="another spindle [target/release/spindle]")
    parser.add_argument("--attacker", metavar="PATH", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--spare", metavar="DIR", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def select(only):
    names = NAMES if only is None else only.split(",")
    unknown = set(names) - set(NAMES)
    if unknown:
        sys.exit(f"attack.sh: unknown name in --only; expected: {', '.join(NAMES)}")
    return names


def describe(machine):
    """What the figures are taken on, and what is missing."""
    peer = servers.version(context.NGINX) if machine.nginx else "nginx is missing (--install installs it)"
    print(f"Linux {platform.release()}; server on core {machine.server_core}, clients on core {machine.client_core}; {peer}; "
          f"files in {machine.files_directory}")
    if machine.server_core == machine.client_core:
        print("note: there is one core only, which the clients take from the server: the marks are not made for that")
    if not network.is_own():
        print("note: no network namespace could be made; the attacks run on the plain loopback")
    sys.stdout.flush()


def attempt(attack, machine):
    """The rows of an attack. One that cannot be made counts as missed."""
    start = time.monotonic()
    try:
        rows = attack.run(machine)
    except (client.MeasurementFailed, clients.ClientFailure, OSError) as problem:
        rows = [row.Row(attack.NAME, f"FAILED: {problem}", {}, "", False)]
    print(f"\n{attack.NAME}: {time.monotonic() - start:.0f} s\n{row.as_text(rows)}", flush=True)
    return rows


def run(names, machine):
    rows = []
    waiting = [attack for attack in WAITING if attack.NAME in names]
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(WAITING)) as pool:
        for finished in list(pool.map(lambda attack: attempt(attack, machine), waiting)):
            rows += finished
    for attack in LOADING:
        if attack.NAME in names:
            rows += attempt(attack, machine)
    return rows


def main():
    arguments = parse_arguments()
    names = select(arguments.only)
    # So that what was started here is ended here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    start = time.monotonic()
    process.raise_descriptor_limit()
    process.raise_priority(NICE)
    network.prepare()
    machine = context.Context(arguments.server, arguments.attacker, arguments.quick, arguments.spare)
    process.pin_to_core(machine.client_core)
    describe(machine)
    rows = run(names, machine)
    missed = sum(one.is_met is False for one in rows)
    met = sum(one.is_met is True for one in rows)
    print(f"\n{row.as_text(rows)}\n\n{met} met, {missed} missed; {time.monotonic() - start:.0f} s in all")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
