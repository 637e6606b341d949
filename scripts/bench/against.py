"""Compares this commit with another one of this project, in the same rounds. scripts/bench.sh --against builds both."""

import argparse
import contextlib
import dataclasses
import pathlib
import sys
import tempfile

import accounts
import bench
import client
import process
import rounds
import servers
import table
import unix_socket
import workloads
from context import Context, rotated
from servers import BASELINE, SPINDLE

CONTROL = "spindle baseline again (control)"
NAMES = (SPINDLE, BASELINE, CONTROL)

# Options that a work needs beside the usual ones. `{run}` is a directory that exists as long as the server.
OPTIONS = {
    "access-log": ("--access-log", "{run}/access.log"),
    "access-log-json": ("--access-log", "{run}/access.log", "--log-format", "json"),
    "metrics": ("--admin", "unix:{run}/admin.sock"),
    "reuse-port": ("--reuse-port",),
}

# Fields with which an upload must be refused. A build that knows nothing of them would do less work.
REFUSED = {
    "upload-4k-verified": workloads.repr_digest(b"other content"),
    "upload-4k-resumable": "Upload-Length: 1",
}



@dataclasses.dataclass(frozen=True)
class Work:
    """A workload, and the servers that it needs."""

    workload: workloads.Workload
    options: tuple = ()
    # Whether the load comes through a Unix socket. It is then that of `exchanges`, since wrk knows none.
    unix_socket: bool = False
    # How many processes serve, all on the same core.
    processes: int = 1

    @property
    def is_one_server_under_wrk(self):
        return not self.unix_socket and self.processes == 1


def works(context, accounts_file):
    """Name → work. Writes the file of accounts that some need."""
    result = {name: Work(workload) for name, workload in context.workloads.items()}
    small = context.workload("small")
    one = dataclasses.replace(small, name="one", title="Small response, 1 connection", connections=1)
    archive = workloads.Workload("archive", "Archive of 1,000 entries", "/folder/1000/?archive=tar", connections=8,
                                 shares_root=True, names=("entry-000999.txt",), counts_bytes=True)
    verified = dataclasses.replace(
        context.workload("upload-4k"), name="upload-4k-verified", title="4 KiB upload, verified by SHA-256",
        fields=(workloads.repr_digest(workloads.upload_content(4 * workloads.KIB)),))
    resumable = dataclasses.replace(
        context.workload("upload-4k"), name="upload-4k-resumable", title="4 KiB resumable upload in one request",
        fields=("Upload-Complete: ?1",))
    result |= {workload.name: Work(workload) for workload in (one, archive, verified, resumable)}
    for name, options in OPTIONS.items():
        titled = dataclasses.replace(small, name=name, title=f"Small response, {' '.join(options)}")
        result[name] = Work(titled, options)
    result["unix-socket"] = Work(dataclasses.replace(small, title="Small response, Unix socket"), unix_socket=True)
    result["two-processes"] = Work(
        dataclasses.replace(small, title="Small response, two processes, --reuse-port"), ("--reuse-port",), processes=2)
    return result | accounts_works(context, accounts_file)


def accounts_works(context, file):
    """A small file of a shared folder with a thousand accounts, with credentials and without."""
    secret = accounts.write_accounts(context, file)
    plain, options = context.workload("shared-4k"), ("--accounts", str(file))
    everybody = dataclasses.replace(plain, title=f"{plain.title}, --accounts")
    authorized = dataclasses.replace(
        plain, title=f"{plain.title}, --accounts, credentials in each request", fields=(accounts.credentials(secret),))
    return {"accounts": Work(everybody, options), "credentials": Work(authorized, options)}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh --against COMMIT", description=__doc__)
    parser.add_argument("--only", metavar="NAME,…", help="run only these: small, pipelined, …; an unknown name lists all")
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds [7]")
    parser.add_argument("--seconds", type=int, default=1, help="how long each server is under load in a round [1]")
    parser.add_argument("--raise-priority", action="store_true", help="run before other processes (root only)")
    parser.add_argument("--files", metavar="DIR", help="directory for served and uploaded files [the temporary directory]")
    parser.add_argument("--out", metavar="DIR", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--binaries", metavar="DIR", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--baseline", metavar="BINARY", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def start(name, context, stack, work, port=None):
    """Starts one of the servers. Raises MeasurementFailed if it lacks an option, or responds differently."""
    build, workload = SPINDLE if name == SPINDLE else BASELINE, work.workload
    server = servers.Server(build, context.binaries, context.root, (), workload.shares_root, work.options,
                            work.unix_socket, port)
    stack.callback(server.stop)
    workload.check(server)
    if workload.name in REFUSED:
        fields = tuple(field for field in workload.fields if not field.startswith("Repr-Digest"))
        refused = dataclasses.replace(workload, fields=(*fields, REFUSED[workload.name]))
        if refused.request(server.port)[0] < 400:
            raise client.MeasurementFailed(f"{build} does not know {REFUSED[workload.name].split(':')[0]}")
    return server


def start_all(name, context, stack, work):
    """Starts the processes of one of the servers, which share its port."""
    first = start(name, context, stack, work)
    return [first, *(start(name, context, stack, work, first.port) for _ in range(work.processes - 1))]


def measure(context, work):
    """Returns the processor time of a request in µs: name → one value for each round."""
    with contextlib.ExitStack() as stack:
        started = {name: start_all(name, context, stack, work) for name in NAMES}
        response_bytes = {}
        for server, *_ in started.values():
            _, head_bytes, content = work.workload.request(server.port)
            response_bytes[server.name] = head_bytes + len(content)
            rounds.load(work.workload, server.port, rounds.WARM_UP_SECONDS)
        cpu_us = {name: [] for name in NAMES}
        for turn in range(context.rounds):
            for name in rotated(list(NAMES), turn):
                cpu_us[name].append(sample_us(context, work, started[name], response_bytes))
        return cpu_us


def sample_us(context, work, processes, response_bytes):
    """The processor time of a request in one round, in µs."""
    first = processes[0]
    if work.is_one_server_under_wrk:
        return rounds.measure(work.workload, first, context.seconds, response_bytes).cpu_ns_per_request / 1000
    before_ns = sum(server.cpu_ns() for server in processes)
    if work.unix_socket:
        address = unix_socket.address_of(first)
        requests = unix_socket.exchanges(context, address, work.workload.connections, context.seconds)
    else:
        requests = rounds.load(work.workload, first.port, context.seconds)["requests"]
    return (sum(server.cpu_ns() for server in processes) - before_ns) / requests / 1000


def row(workload, cpu_us):
    ratios = [[one / other for one, other in zip(cpu_us[name], cpu_us[BASELINE])] for name in (SPINDLE, CONTROL)]
    columns = (cpu_us[BASELINE], cpu_us[SPINDLE], *ratios)
    return (workload.title, *(table.cell(table.spread(values)) for values in columns))


def run(works, context):
    """Measures the works, prints each at once, and returns the table."""
    cells = [("", "CPU per request, µs: the other", "this", "this × the other", "the other again (control)")]
    for work in works:
        try:
            cells.append(row(work.workload, measure(context, work)))
        except client.MeasurementFailed as failure:
            cells.append((work.workload.title, f"skipped: {str(failure).splitlines()[0]}", "", "", ""))
        print(" | ".join(cells[-1]), flush=True)
    return cells


def main():
    arguments = parse_arguments()
    process.raise_descriptor_limit()
    process.pin_to_core(process.LOAD_CORE)
    if arguments.raise_priority:
        process.raise_priority(bench.NICE)
    tempfile.tempdir = arguments.files
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        root = pathlib.Path(directory, "root")
        root.mkdir()
        workloads.make_root(root)
        binaries = servers.Binaries(arguments.binaries, arguments.baseline)
        context = Context(binaries, root, arguments.rounds, arguments.seconds)
        known = works(context, pathlib.Path(directory, "accounts"))
        names = bench.select(list(known), arguments.only)
        note = f"{bench.machine(())}; {context.rounds} rounds of {context.seconds} s, median (least–greatest)"
        print(note, flush=True)
        cells = run([known[name] for name in names], context)
        (out / "against.md").write_text(f"{note}.\n\n{table.as_markdown(cells)}\n")
        return 0


if __name__ == "__main__":
    sys.exit(main())
