"""Measures spindle side by side with null and with other servers. scripts/bench.sh builds, then runs this."""

import argparse
import datetime
import pathlib
import platform
import sys
import tempfile

import client
import idle
import paced
import process
import rounds
import servers
import startup
import syscalls
import table
import works
from context import Context

FULL = {"rounds": 11, "seconds": 2}
QUICK = {"rounds": 3, "seconds": 1}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s each, to see a change at once")
    parser.add_argument("--only", metavar="NAME,…", help="measure this work only; `list` names all")
    parser.add_argument("--rounds", type=int, help="how many rounds [11]")
    parser.add_argument("--seconds", type=int, help="how long a contestant is loaded in a round [2]")
    parser.add_argument("--before", metavar="BINARY", help="another spindle, measured in the same rounds")
    parser.add_argument("--out", metavar="DIR", default="target/bench", help="where the report goes [target/bench]")
    parser.add_argument("--binaries", metavar="DIR", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def machine(available):
    """What the figures were taken on, in one line each."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    peers = ", ".join(servers.version(peer) for peer in servers.PEERS if peer in available)
    return (
        f"{datetime.date.today()}, {model}, Linux {platform.release()}; "
        f"server on core {process.SERVER_CORE}, wrk on core {process.LOAD_CORE}; peers: {peers or 'none'}"
    )


EXTRAS = (idle, paced, startup, syscalls)


def select(names, only):
    """The names that were asked for."""
    if only is None:
        return names
    unknown = set(only.split(",")) - set(names)
    if unknown:
        sys.exit(f"bench.sh: --only knows {', '.join(names)}")
    return [name for name in names if name in only.split(",")]


def measure(name, context):
    """A title, and the cells of a table."""
    extras = {extra.NAME: extra for extra in EXTRAS}
    if name in extras:
        return extras[name].title(), extras[name].run(context)
    work = context.work(name)
    return work.title, table.rows(work, table.figures(work, rounds.run(work, context)))


def report(names, context, out):
    """Measures, prints, and writes. Returns how many measurements came to nothing."""
    extent = f"{context.rounds} rounds of {context.seconds} s, median (least–greatest)"
    heading = f"{machine(context.binaries.available())}; {extent}"
    print(heading, flush=True)
    page = [heading]
    failures = 0
    for name in names:
        try:
            title, cells = measure(name, context)
        except client.Mismatch as mismatch:
            print(f"\n{name}: no comparison, since {mismatch}", flush=True)
            failures += 1
            continue
        print(f"\n{title} ({name})\n{table.as_text(cells)}", flush=True)
        page.append(f"### {title}\n\n{table.as_markdown(cells)}")
        # Written as far as it goes: a run of an hour that is broken off has not been in vain.
        (out / "bench.md").write_text("\n\n".join(page) + "\n")
    return failures


def main():
    arguments = parse_arguments()
    names = select([*works.NAMES, *(extra.NAME for extra in EXTRAS)], arguments.only)
    extent = QUICK if arguments.quick else FULL
    process.raise_descriptor_limit()
    process.stay_on(process.LOAD_CORE)
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        root = pathlib.Path(directory)
        works.make_root(root)
        context = Context(
            servers.Binaries(arguments.binaries, arguments.before),
            root,
            arguments.rounds or extent["rounds"],
            arguments.seconds or extent["seconds"],
        )
        return 1 if report(names, context, out) else 0


if __name__ == "__main__":
    sys.exit(main())
