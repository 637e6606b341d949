"""Uploads that are confirmed only after a flush (--fsync): from one client and from many, and small responses beside them."""

import contextlib
import selectors
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import client
import servers
import table
from context import rotated
from servers import BASELINE, SPINDLE

NAME = "durable-uploads"
UPLOAD_BYTES = 4096
CLIENTS = (1, 8, 64)
READ_INTERVAL_SECONDS = 0.001


def title():
    return f"Uploads of {UPLOAD_BYTES >> 10} KiB with --fsync, and a request for a small response every millisecond beside them"


def run(context):
    """Returns the table."""
    names = context.available((SPINDLE, BASELINE))
    samples = {(name, clients): [] for clients in CLIENTS for name in names}
    with _new_directories(context.root / "files") as new_directory:
        for turn in range(context.rounds):
            for name, clients in rotated(list(samples), turn):
                with contextlib.ExitStack() as stack:
                    server = servers.Server(name, context.binaries, context.root, options=("--fsync",))
                    stack.callback(server.stop)
                    samples[name, clients].append(_measure(server, context, clients, new_directory()))
    rows = [("", "uploads/s", "p50 of an upload, ms", "p99, ms", "p99 of a small response, ms")]
    if BASELINE in names:
        rows[0] += ("× baseline's uploads/s",)
    for (name, clients), own in samples.items():
        cells = [table.cell(table.spread(values)) for values in zip(*own)]
        row = (f"{name}, {clients} at a time", *cells)
        if BASELINE in names:
            ratios = [one[0] / other[0] for one, other in zip(own, samples[BASELINE, clients])]
            row += (table.cell(table.spread(ratios)),)
        rows.append(row)
    return rows


@contextlib.contextmanager
def _new_directories(files):
    """Gives each measurement an empty directory, and removes all of them at the end.

    Without a journal, ext4 does not use the inode of a deleted file again for up to six minutes, and searches beyond each of
    them for a free one: a measurement after the deletion of another's files takes up to forty times as long to create its
    own. So nothing is deleted before the last measurement, and with the attribute T each directory begins in another part of
    the disk. A second run within those minutes is disturbed all the same.
    """
    made = []

    def new():
        made.append(Path(tempfile.mkdtemp(prefix="up-durable-", dir=files)))
        subprocess.run(["chattr", "+T", made[-1]], stderr=subprocess.DEVNULL, check=False)
        return made[-1]

    try:
        yield new
    finally:
        for directory in made:
            shutil.rmtree(directory)


def _measure(server, context, clients, directory):
    """Keeps one upload of each client in progress. The first second is not counted."""
    content = (context.root / "files" / "4k").read_bytes()[:UPLOAD_BYTES]
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        uploads = [stack.enter_context(_Upload(server.port, f"/files/{directory.name}/{n}", content)) for n in range(clients)]
        for upload in uploads:
            selector.register(upload.socket, selectors.EVENT_READ, upload)
            upload.send()
        reader = stack.enter_context(_Reader(server.port))
        selector.register(reader.socket, selectors.EVENT_READ, reader)
        end = time.monotonic() + 1
        _run_until(selector, reader, end)
        for each in (*uploads, reader):
            each.taken.clear()
        begun = time.monotonic()
        _run_until(selector, reader, begun + context.seconds)
        took = time.monotonic() - begun
        taken = sorted(taken for upload in uploads for taken in upload.taken)
        reads = sorted(reader.taken)
    return (
        len(taken) / took,
        statistics.median(taken) * 1000,
        _p99(taken) * 1000,
        _p99(reads) * 1000,
    )


def _p99(values):
    return values[min(len(values) - 1, len(values) * 99 // 100)]


def _run_until(selector, reader, end):
    # Where each upload takes the disk long, a small response may take seconds.
    while (now := time.monotonic()) < end or not reader.taken:
        if now > end + client.RESPONSE_SECONDS:
            raise client.MeasurementFailed(f"a small response took more than {client.RESPONSE_SECONDS} s")
        if reader.is_due(now):
            reader.send()
        for key, _ in selector.select(READ_INTERVAL_SECONDS):
            key.data.receive()


class _Exchange:
    """One request after the other on one connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=client.RESPONSE_SECONDS)
        self.taken = []
        self.sent_at = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self):
        self.sent_at = time.monotonic()
        self.socket.sendall(self.message)

    def receive(self):
        response = self.socket.recv(65536)
        if not response.startswith(b"HTTP/1.1 20"):
            raise client.MeasurementFailed(f"a request got {response[:40]}")
        self.taken.append(time.monotonic() - self.sent_at)
        self.sent_at = None


class _Upload(_Exchange):
    """Uploads one new file after the other."""

    def __init__(self, port, path, content):
        super().__init__(port)
        self.path, self.content, self.count = path, content, 0

    @property
    def message(self):
        self.count += 1
        target = f"{self.path}-{self.count}"
        head = f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(self.content)}\r\n\r\n"
        return head.encode() + self.content

    def receive(self):
        super().receive()
        self.send()


class _Reader(_Exchange):
    """Requests a small response, at a fixed rate as long as responses come in time."""

    message = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def is_due(self, now):
        return self.sent_at is None and now >= getattr(self, "due", 0)

    def send(self):
        self.due = time.monotonic() + READ_INTERVAL_SECONDS
        super().send()
