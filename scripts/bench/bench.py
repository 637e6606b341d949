"""Benchmarks spindle beside `null` and other servers. scripts/bench.sh builds the programs and runs this."""

import argparse
import datetime
import os
import pathlib
import platform
import sys
import tempfile

import accounts
import archives
import chart
import client
import cold_disk
import durable_uploads
import idle
import instructions
import large_listing
import long_uploads
import paced
import process
import records
import reuse_port
import rounds
import servers
import startup
import syscalls
import table
import unix_socket
import workloads
from context import Context

FULL = {"rounds": 11, "seconds": 2}
QUICK = {"rounds": 3, "seconds": 1}
NICE = -10


def parse_arguments():
    first = (
        "As the first option, --install installs wrk and the other servers as Debian packages, --growth measures how the"
        " cost of a request grows, and --against COMMIT compares each work with another commit."
    )
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__, epilog=first)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s each, to see a large change")
    parser.add_argument("--only", metavar="NAME,…", help="run only these: small, pipelined, …; an unknown name lists all")
    parser.add_argument("--rounds", type=int, help="number of rounds [11]")
    parser.add_argument("--seconds", type=int, help="how long each server is under load in a round [2]")
    parser.add_argument("--baseline", metavar="BINARY", help="another build of spindle, measured in the same rounds")
    parser.add_argument("--out", metavar="DIR", help="directory of the report [target/bench]")
    parser.add_argument("--raise-priority", action="store_true", help="run before other processes (root only)")
    parser.add_argument("--files", metavar="DIR", help="directory for served and uploaded files [the temporary directory]")
    parser.add_argument("--binaries", metavar="DIR", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def system():
    """The date, the processor and the kernel."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{datetime.date.today()}, {model}, Linux {platform.release()}"


def machine(available):
    """The machine and the programs, in one line."""
    others = ", ".join(servers.version(name) for name in servers.OTHERS if name in available)
    return (
        f"{system()}; server on core {process.SERVER_CORE}, wrk on core {process.LOAD_CORE}; other servers: {others or 'none'}; "
        f"load average before: {os.getloadavg()[0]:.1f}"
    )


EXTRAS = (
    records, unix_socket, accounts, reuse_port, idle, paced, large_listing, archives, long_uploads, durable_uploads, cold_disk,
    startup, syscalls, instructions,
)


def select(names, only):
    if only is None:
        return names
    unknown = set(only.split(",")) - set(names)
    if unknown:
        sys.exit(f"bench.sh: unknown name in --only; expected: {', '.join(names)}")
    return [name for name in names if name in only.split(",")]


class Report:
    """The results so far: each is printed at once, and all are written to a directory as a page and a chart."""

    def __init__(self, context, out):
        self.context = context
        self.out = out
        self.note = machine(context.binaries.available())
        self.extent = f"{context.rounds} rounds of {context.seconds} s, median (least–greatest)"
        self.sections = []
        self.panels = []
        print(f"{self.note}; {self.extent}", flush=True)

    def measure(self, name):
        extras = {extra.NAME: extra for extra in EXTRAS}
        if name in extras:
            title, cells = extras[name].title(), extras[name].run(self.context)
        else:
            workload = self.context.workload(name)
            title, figures = workload.title, table.figures(workload, rounds.run(workload, self.context))
            cells = table.rows(workload, figures)
            self.panels.append((title, figures))
        print(f"\n{title} ({name})\n{table.as_text(cells)}", flush=True)
        self.sections.append(f"### {title}\n\n{table.as_markdown(cells)}\n")
        # After each result, so that an interrupted run keeps what it has measured.
        self.write()

    def write(self):
        page = "\n".join([f"{self.note}; {self.extent}.\n", *self.sections])
        (self.out / "bench.md").write_text(page)
        heading = "Processor time of the server for one request (shorter is better)"
        (self.out / "bench.svg").write_text(chart.draw(heading, self.note, self.panels))


def is_failure(report, name):
    """Measures. Returns whether that failed, after printing why."""
    try:
        report.measure(name)
    except client.MeasurementFailed as failure:
        print(f"\n{name}: not measured: {failure}", flush=True)
        return True
    return False


def main():
    arguments = parse_arguments()
    names = select([*workloads.NAMES, *(extra.NAME for extra in EXTRAS)], arguments.only)
    extent = QUICK if arguments.quick else FULL
    process.raise_descriptor_limit()
    process.pin_to_core(process.LOAD_CORE)
    if arguments.raise_priority:
        process.raise_priority(NICE)
    # Servers rename an upload from their temporary directory, which must therefore be on the same file system.
    tempfile.tempdir = arguments.files
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        root = pathlib.Path(directory)
        workloads.make_root(root)
        context = Context(
            servers.Binaries(arguments.binaries, arguments.baseline),
            root,
            arguments.rounds or extent["rounds"],
            arguments.seconds or extent["seconds"],
        )
        report = Report(context, out)
        return 1 if sum(is_failure(report, name) for name in names) else 0


if __name__ == "__main__":
    sys.exit(main())
