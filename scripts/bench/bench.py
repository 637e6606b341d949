"""Measures spindle side by side with null and with other servers. scripts/bench.sh builds, then runs this."""

import argparse
import datetime
import pathlib
import platform
import sys
import tempfile

import client
import process
import rounds
import servers
import table
import works

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


def select(all_works, only):
    names = [work.name for work in all_works]
    if only is None:
        return all_works
    unknown = set(only.split(",")) - set(names)
    if unknown:
        sys.exit(f"bench.sh: --only knows {', '.join(names)}")
    return [work for work in all_works if work.name in only.split(",")]


def main():
    arguments = parse_arguments()
    extent = QUICK if arguments.quick else FULL
    count, seconds = arguments.rounds or extent["rounds"], arguments.seconds or extent["seconds"]
    process.raise_descriptor_limit()
    binaries = servers.Binaries(arguments.binaries, arguments.before)
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        root = pathlib.Path(directory)
        selected = select(works.works(root), arguments.only)
        works.make_root(root)
        heading = f"{machine(binaries.available())}; {count} rounds of {seconds} s, median (least–greatest)"
        print(heading)
        page = [heading]
        for work in selected:
            try:
                samples = rounds.run(work, binaries, root, count, seconds)
            except client.Mismatch as mismatch:
                print(f"\n{work.title}: no comparison, since {mismatch}", flush=True)
                failures += 1
                continue
            cells = table.rows(work, table.figures(samples))
            print(f"\n{work.title} ({work.name})\n{table.as_text(cells)}", flush=True)
            page.append(f"### {work.title}\n\n{table.as_markdown(cells)}")
        (out / "bench.md").write_text("\n\n".join(page) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
