"""Attacks spindle, and nginx for comparison, and prints what other clients saw meanwhile. scripts/attack.sh builds the
programs and runs this."""

import argparse
import concurrent.futures
import pathlib
import platform
import signal
import sys
import time

# For client.py, process.py and servers.py, which belong to the benchmark.
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

import chunks
import client
import clients
import connection_limit
import context
import fair_shares
import memory
import network
import process
import row
import servers
import shutdown
import slow_upload
import unread_response
import uploads

# Attacks that mostly wait run at the same time.
WAITING = (unread_response, slow_upload)
LOADING = (uploads, chunks, connection_limit, fair_shares, shutdown, memory)
NAMES = [attack.NAME for attack in (*WAITING, *LOADING)]

NICE = -10


def parse_arguments():
    install = "As the first option, --install installs nginx, lighttpd and HAProxy as Debian packages."
    parser = argparse.ArgumentParser(prog="scripts/attack.sh", description=__doc__, epilog=install)
    parser.add_argument("--only", metavar="NAME,…", help=f"run only these, of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="shorten the attacks that can be shortened")
    parser.add_argument("--server", metavar="PATH", help="the binary of spindle [target/release/spindle]")
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
    """Prints the machine and the programs, and what is missing."""
    nginx = servers.version(context.NGINX) if machine.nginx else "nginx is missing (--install installs it)"
    lighttpd = servers.version(context.LIGHTTPD) if machine.lighttpd else "lighttpd is missing"
    print(f"Linux {platform.release()}; server on core {machine.server_core}, clients on core {machine.client_core}; "
          f"{nginx}; {lighttpd}; files in {machine.files_directory}")
    if machine.server_core == machine.client_core:
        print("note: server and clients share the only core, for which the required figures are not meant")
    if not network.is_own():
        print("note: no network namespace could be made; the attacks run on the ordinary loopback interface")
    sys.stdout.flush()


def attempt(attack, machine):
    """Carries out an attack and returns its rows. An attack that cannot be carried out counts as failed."""
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
    # Exits by an exception, which stops the processes that were started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    start = time.monotonic()
    process.raise_descriptor_limit()
    process.raise_priority(NICE)
    network.prepare()
    machine = context.Context(arguments.server, arguments.attacker, arguments.quick, arguments.spare)
    process.pin_to_core(machine.client_core)
    describe(machine)
    rows = run(names, machine)
    failed = sum(one.is_met is False for one in rows)
    passed = sum(one.is_met is True for one in rows)
    print(f"\n{row.as_text(rows)}\n\n{passed} passed, {failed} failed; {time.monotonic() - start:.0f} s in all")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
