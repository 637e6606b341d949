"""Measures how the cost of a request grows with what surrounds it. scripts/bench.sh --growth runs this."""

import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
import time

import bench
import client
import growth_chart
import process
import servers
import table
import workloads
from context import Context, rotated
from growth_curves import CURVES

ROUNDS, SECONDS = 3, 0.5

# The tag of a file that has changed just now is weak, and so longer. The client expects responses of the same length.
SETTLE_SECONDS = 3


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh --growth", description=__doc__)
    names = [curve.name for curve in CURVES]
    parser.add_argument("--only", metavar="NAME,…", help=f"measure only these: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"number of rounds [{ROUNDS}]")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long each load takes [{SECONDS}]")
    parser.add_argument("--raise-priority", action="store_true", help="run before other processes (root only)")
    parser.add_argument("--out", metavar="DIR", help="directory of the charts and of growth.md [target/bench]")
    parser.add_argument("--files", metavar="DIR", help="directory for served files [the temporary directory]")
    parser.add_argument("--binaries", metavar="DIR", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(curve, context):
    """Measures every point in each round. Returns figure → line → x → (median, least, greatest)."""
    samples = {}
    with contextlib.ExitStack() as stack:
        points = list(curve.points(context, stack))
        time.sleep(SETTLE_SECONDS)
        for turn in range(context.rounds):
            for point in rotated(points, turn):
                for figure, value in point.measure().items():
                    samples.setdefault(figure, {}).setdefault(point.line, {}).setdefault(point.x, []).append(value)
    return {
        figure: {line: {x: table.spread(values) for x, values in sorted(by_x.items())} for line, by_x in lines.items()}
        for figure, lines in samples.items()
    }


def rows(curve, figures):
    """The cells of the table: a row for each x, a column for each figure and line."""
    columns = [(figure, line) for figure, lines in figures.items() for line in lines]
    name = lambda figure, line: figure if len(figures[figure]) == 1 else f"{line}: {figure}"
    xs = sorted({x for figure, line in columns for x in figures[figure][line]})
    cells = [(curve.x_label, *(name(*column) for column in columns))]
    for x in xs:
        cells.append((curve.write_x(x), *(table.cell(figures[figure][line].get(x)) for figure, line in columns)))
    return cells


def run(curves, context, out):
    """Measures the curves. Writes a chart for each and a page with the tables. Returns how many failed."""
    load = os.getloadavg()[0]
    note = f"{bench.system()}; load average before: {load:.1f}; median (least–greatest) of {context.rounds} rounds"
    print(note, flush=True)
    sections, failures = [], 0
    for curve in curves:
        began = time.monotonic()
        try:
            figures = measure(curve, context)
        except client.MeasurementFailed as failure:
            print(f"\n{curve.name}: not measured: {failure}", flush=True)
            failures += 1
            continue
        cells = rows(curve, figures)
        print(f"\n{curve.title} ({curve.name}, {time.monotonic() - began:.0f} s)\n{table.as_text(cells)}", flush=True)
        sections.append(f"### {curve.title}\n\n{table.as_markdown(cells)}\n")
        panels = [(figure, curve.x_label, curve.write_x, lines) for figure, lines in figures.items()]
        (out / f"growth-{curve.name}.svg").write_text(growth_chart.draw(curve.title, note, panels))
        (out / "growth.md").write_text("\n".join([f"{note}.\n", *sections]))
    return failures


def main():
    arguments = parse_arguments()
    names = bench.select([curve.name for curve in CURVES], arguments.only)
    process.raise_descriptor_limit()
    process.pin_to_core(process.LOAD_CORE)
    if arguments.raise_priority:
        process.raise_priority(bench.NICE)
    tempfile.tempdir = arguments.files
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        root = pathlib.Path(directory)
        workloads.make_root(root)
        context = Context(servers.Binaries(arguments.binaries, None), root, arguments.rounds, arguments.seconds)
        return 1 if run([curve for curve in CURVES if curve.name in names], context, out) else 0


if __name__ == "__main__":
    sys.exit(main())
