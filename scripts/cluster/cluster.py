"""Restarts servers that share one directory while clients load them, and counts what fails. scripts/cluster.sh builds the
programs and runs this."""

import argparse
import functools
import pathlib
import signal
import sys
import time

# For network.py and process.py, which belong to the attacks and to the benchmark.
SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(SCRIPTS / "attack"), str(SCRIPTS / "bench")]

import handover
import haproxy
import machine as parts
import network
import process
import processors


def behind_haproxy(scenario, machine):
    if not machine.haproxy:
        return "  HAProxy is missing (--install installs it)", None
    if scenario is haproxy.rolling_restart_with_mounts and not machine.bindfs:
        return "  bindfs is missing (--install installs it)", None
    result, verified, what, is_met = scenario(machine)
    text = (f"  {what}, {parts.total(result['done']):,} requests in {result['seconds']:.0f} s\n{parts.as_text(result)}\n"
            f"  afterwards\n{parts.as_text(verified)}")
    return text, is_met


SCENARIOS = {
    "rolling": functools.partial(behind_haproxy, haproxy.rolling_restart),
    "mounts": functools.partial(behind_haproxy, haproxy.rolling_restart_with_mounts),
    "kill": functools.partial(behind_haproxy, haproxy.kill),
    "inherited-overlap": handover.inherited_overlapping,
    "inherited-gap": handover.inherited_one_after_the_other,
    "reuse-port": handover.reuse_port,
    "cost": processors.cost,
}


def parse_arguments():
    install = "As the first option, --install installs HAProxy and bindfs as Debian packages."
    parser = argparse.ArgumentParser(prog="scripts/cluster.sh", description=__doc__, epilog=install)
    parser.add_argument("--only", metavar="NAME,…", help=f"run only these, of {', '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="a minute and a half in all, with fewer requests")
    parser.add_argument("--server", metavar="PATH", help="the binary of spindle [target/release/spindle]")
    parser.add_argument("--load", metavar="PATH", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def select(only):
    names = list(SCENARIOS) if only is None else only.split(",")
    if set(names) - set(SCENARIOS):
        sys.exit(f"cluster.sh: unknown name in --only; expected: {', '.join(SCENARIOS)}")
    return names


def attempt(name, machine):
    """Carries out a scenario, and returns whether it met its target; None if it was skipped."""
    start = time.monotonic()
    try:
        text, is_met = SCENARIOS[name](machine)
    except (parts.Failed, OSError) as problem:
        text, is_met = f"  {problem}", False
    verdict = {True: "passed", False: "FAILED", None: "skipped"}[is_met]
    print(f"{name}: {verdict}, {time.monotonic() - start:.0f} s\n{text}\n", flush=True)
    return is_met


def main():
    arguments = parse_arguments()
    names = select(arguments.only)
    # Exits by an exception, which stops the processes that were started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    process.raise_descriptor_limit()
    network.prepare()
    if network.is_own():
        # Otherwise a client's connection could have the port of a server that is just restarting.
        network.write("ipv4/ip_local_reserved_ports", "4221,9421,14221,19421,19422")
    else:
        print("note: no network namespace could be made; everything runs on the ordinary loopback interface")
    machine = parts.Machine(arguments)
    try:
        met = [attempt(name, machine) for name in names]
    finally:
        machine.remove()
    print(f"{met.count(True)} passed, {met.count(False)} failed")
    return 1 if False in met else 0


if __name__ == "__main__":
    sys.exit(main())
