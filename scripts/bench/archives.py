"""Archives of folders: many small files compared with `tar` into a pipe, a few large ones with plain downloads of them."""

import contextlib
import os
import subprocess
import time

import client
import process
import table
import workloads
from context import rotated
from servers import BASELINE, SPINDLE

NAME = "archives"
SMALL_FILES = 10_000
LARGE_FILES = 10
LARGE_BYTES = 256 << 20
SECONDS_MAX = 120

WORKLOAD = workloads.Workload(NAME, "", "/index.html", shares_root=True)


def title():
    return f"Archives of {SMALL_FILES:,} small files and of {LARGE_FILES} files of {LARGE_BYTES >> 20} MiB"


def run(context):
    """Returns the table."""
    _lay_out(context.root / "folder")
    names = context.available((SPINDLE, BASELINE))
    results = {name: {} for name in ("tar", *names)}
    with contextlib.ExitStack() as stack:
        servers = {name: context.start(name, stack, WORKLOAD) for name in names}
        for turn in range(-1, context.rounds):
            for name in rotated(list(results), max(turn, 0)):
                sample = _tar(context.root) if name == "tar" else _download(servers[name])
                for key, value in sample.items():
                    # The first turn only brings the files into the page cache.
                    results[name].setdefault(key, []).extend([value] if turn >= 0 else [])
    headings = ("", "small files, MB/s", "× tar", "CPU, ms", "× tar", "large files, MB/s", "plain, MB/s", "× plain")
    return [headings, *(_row(name, result, results["tar"]) for name, result in results.items())]


def _row(name, own, tar):
    def ratio(key, other, other_key):
        return [one / another for one, another in zip(own[key], other[other_key])]

    columns = [own["small"], ratio("small", tar, "small"), own["cpu_ms"], ratio("cpu_ms", tar, "cpu_ms")]
    if name != "tar":
        columns += [own["large"], own["plain"], ratio("large", own, "plain")]
    cells = [table.cell(table.spread(values)) for values in columns]
    return (name, *cells, *[""] * (7 - len(cells)))


def _lay_out(folder):
    small, large = folder / "small", folder / "large"
    if small.exists():
        return
    for directory in range(100):
        (small / f"{directory:02}").mkdir(parents=True)
    for number in range(SMALL_FILES):
        (small / f"{number % 100:02}" / f"file-{number:05}.txt").write_bytes(b"0123456789abcde\n" * (number % 512))
    large.mkdir()
    for number in range(LARGE_FILES):
        with open(large / f"{number}", "wb") as file:
            file.truncate(LARGE_BYTES)


def _tar(root):
    """The same archive of small files, made by tar and written to a pipe."""
    read, write = os.pipe()
    began = time.monotonic()
    tar = process.start(["tar", "-C", root / "folder", "-cf", "-", "small"], process.SERVER_CORE, stdout=write)
    os.close(write)
    counter = process.start(["wc", "-c"], process.LOAD_CORE, stdin=read, stdout=subprocess.PIPE, text=True)
    os.close(read)
    bytes = int(process.wait_for_output(counter, SECONDS_MAX) or 0)
    seconds = time.monotonic() - began
    _, status, usage = os.wait4(tar.pid, 0)
    tar.returncode = os.waitstatus_to_exitcode(status)
    if tar.returncode or not bytes:
        raise client.MeasurementFailed("tar failed")
    return {"small": bytes / 1e6 / seconds, "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000}


def _download(server):
    cpu_ns = server.cpu_ns()
    small = _fetch(server, ["/folder/small/?archive=tar"], SMALL_FILES * 512)
    cpu_ns = server.cpu_ns() - cpu_ns
    large = _fetch(server, ["/folder/large/?archive=tar"], LARGE_FILES * LARGE_BYTES)
    plain = _fetch(server, [f"/folder/large/{number}" for number in range(LARGE_FILES)], LARGE_FILES * LARGE_BYTES)
    return {"small": small, "cpu_ms": cpu_ns / 1e6, "large": large, "plain": plain}


def _fetch(server, paths, bytes_min):
    """Fetches the paths over one connection with curl. Returns MB/s."""
    arguments = ["curl", "--silent", "--fail", "--write-out", "%{size_download}\n"]
    for path in paths:
        arguments += ["--output", "/dev/null", f"http://127.0.0.1:{server.port}{path}"]
    began = time.monotonic()
    curl = process.start(arguments, process.LOAD_CORE, stdout=subprocess.PIPE, text=True)
    output = process.wait_for_output(curl, SECONDS_MAX)
    seconds = time.monotonic() - began
    bytes = sum(map(int, output.split()))
    if curl.returncode or bytes < bytes_min:
        raise client.MeasurementFailed(f"{server.name}: curl fetched {bytes:,} bytes of {paths[0]}")
    return bytes / 1e6 / seconds
