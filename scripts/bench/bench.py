"""Measures spindle side by side with null and with other servers. scripts/bench.sh builds, then runs this."""

import argparse
import datetime
import os
import pathlib
import platform
import sys
import tempfile

import archives
import chart
import client
import idle
import instructions
import large_listing
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
NICE = -10


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s each, to see a change at once")
    parser.add_argument("--only", metavar="NAME,…", help="measure these only: small, pipelined, …; a wrong name lists all")
    parser.add_argument("--rounds", type=int, help="how many rounds [11]")
    parser.add_argument("--seconds", type=int, help="how long a contestant is loaded in a round [2]")
    parser.add_argument("--before", metavar="BINARY", help="another spindle, measured in the same rounds")
    parser.add_argument("--out", metavar="DIR", required=True, help="where the report goes [target/bench]")
    parser.add_argument("--first", action="store_true", help="go before whatever else the machine does (root only)")
    parser.add_argument("--files", metavar="DIR", help="where to lay out what is served and stored [the usual place]")
    parser.add_argument("--binaries", metavar="DIR", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def machine(available):
    """What the figures were taken on, in one line."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    peers = ", ".join(servers.version(peer) for peer in servers.PEERS if peer in available)
    return (
        f"{datetime.date.today()}, {model}, Linux {platform.release()}; "
        f"server on core {process.SERVER_CORE}, wrk on core {process.LOAD_CORE}; peers: {peers or 'none'}; "
        f"load average before: {os.getloadavg()[0]:.1f}"
    )


EXTRAS = (idle, paced, large_listing, archives, startup, syscalls, instructions)


def select(names, only):
    """The names that were asked for."""
    if only is None:
        return names
    unknown = set(only.split(",")) - set(names)
    if unknown:
        sys.exit(f"bench.sh: --only knows {', '.join(names)}")
    return [name for name in names if name in only.split(",")]


class Report:
    """What has been measured so far: printed at once, and written to a folder as a page and a chart."""

    def __init__(self, context, out):
        self.context = context
        self.out = out
        self.note = machine(context.binaries.available())
        self.extent = f"{context.rounds} rounds of {context.seconds} s, median (least–greatest)"
        self.sections = []
        self.panels = []
        print(f"{self.note}; {self.extent}", flush=True)

    def measure(self, name):
        """Measures one thing, by its name."""
        extras = {extra.NAME: extra for extra in EXTRAS}
        if name in extras:
            title, cells = extras[name].title(), extras[name].run(self.context)
        else:
            work = self.context.work(name)
            title, figures = work.title, table.figures(work, rounds.run(work, self.context))
            cells = table.rows(work, figures)
            self.panels.append((title, figures))
        print(f"\n{title} ({name})\n{table.as_text(cells)}", flush=True)
        self.sections.append(f"### {title}\n\n{table.as_markdown(cells)}\n")
        # Written as far as it goes: a run of an hour that is broken off has not been in vain.
        self.write()

    def write(self):
        page = "\n".join([f"{self.note}; {self.extent}.\n", *self.sections])
        (self.out / "bench.md").write_text(page)
        heading = "Processor time of the server for one request (shorter is better)"
        (self.out / "bench.svg").write_text(chart.draw(heading, self.note, self.panels))


def is_failure(report, name):
    """Measures, or says why there is nothing to compare."""
    try:
        report.measure(name)
    except client.Mismatch as mismatch:
        print(f"\n{name}: no comparison, since {mismatch}", flush=True)
        return True
    return False


def main():
    arguments = parse_arguments()
    names = select([*works.NAMES, *(extra.NAME for extra in EXTRAS)], arguments.only)
    extent = QUICK if arguments.quick else FULL
    process.raise_descriptor_limit()
    process.stay_on(process.LOAD_CORE)
    if arguments.first:
        process.come_first(NICE)
    # Uploads are renamed from where servers keep temporary files: all of it is on one file system.
    tempfile.tempdir = arguments.files
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
        report = Report(context, out)
        return 1 if sum(is_failure(report, name) for name in names) else 0


if __name__ == "__main__":
    sys.exit(main())
