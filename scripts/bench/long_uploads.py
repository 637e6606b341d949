"""Long uploads, one after the other: plain, resumable in one and in several requests, and verified by a digest."""

import base64
import contextlib
import hashlib
import socket
import time

import client
import table
from context import rotated
from servers import BASELINE, SPINDLE

NAME = "long-uploads"
UPLOAD_BYTES = 256 << 20
PART_BYTES = 16 << 20
SEND_BYTES = 1 << 20
RESPONSE_SECONDS = 60

# 64 KiB is what the server hashes at a time.
HASH_BYTES = 64 << 10


def title():
    return f"Upload of {UPLOAD_BYTES >> 20} MiB"


def run(context):
    """Returns the table."""
    block = (context.root / "files" / "1m").read_bytes()[:SEND_BYTES]
    digest = hashlib.sha256()
    for _ in range(UPLOAD_BYTES // SEND_BYTES):
        digest.update(block)
    fields = (f"Repr-Digest: sha-256=:{base64.b64encode(digest.digest()).decode()}:",)
    kinds = {
        "plain": lambda upload: upload.plain(),
        "plain again (control)": lambda upload: upload.plain(),
        "plain, verified by SHA-256": lambda upload: upload.plain(fields),
        "resumable, one request": lambda upload: upload.resumable(),
        f"resumable, parts of {PART_BYTES >> 20} MiB": lambda upload: upload.in_parts(),
        "resumable, one request, verified": lambda upload: upload.resumable(fields),
    }
    names = context.available((SPINDLE, BASELINE))
    samples = {(name, kind): [] for name in names for kind in kinds}
    hash_ms = []
    with contextlib.ExitStack() as stack:
        uploads = {}
        for name in names:
            server = context.start(name, stack, context.workload("small"))
            uploads[name] = stack.enter_context(_Upload(server, context.root / "files" / "long-upload", block))
            uploads[name].plain()
        for turn in range(context.rounds):
            hash_ms.append(_hash_ms(block[:HASH_BYTES]))
            for name, kind in rotated(list(samples), turn):
                before_ns = uploads[name].server.cpu_ns()
                kinds[kind](uploads[name])
                samples[name, kind].append((uploads[name].server.cpu_ns() - before_ns) / 1e6)
                uploads[name].remove()
    rows = [("", "CPU, ms", "× plain", "least × least plain")]
    for (name, kind), own in samples.items():
        plain = samples[name, "plain"]
        ratios = [one / other for one, other in zip(own, plain)]
        cells = [table.cell(table.spread(values)) for values in (own, ratios)]
        rows.append((f"{name}: {kind}", *cells, f"{min(own) / min(plain):.2f}"))
    rows.append(("SHA-256 alone, by this client", table.cell(table.spread(hash_ms)), "", ""))
    return rows


def _hash_ms(block):
    began = time.process_time()
    digest = hashlib.sha256()
    for _ in range(UPLOAD_BYTES // len(block)):
        digest.update(block)
    return (time.process_time() - began) * 1000


class _Upload:
    """Uploads to one server, over one connection."""

    def __init__(self, server, path, block):
        self.server, self._path, self._block = server, path, block
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=RESPONSE_SECONDS)
        self._stream = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def remove(self):
        """Checks and removes the uploaded file, so that the next upload need not free its space."""
        if self._path.stat().st_size != UPLOAD_BYTES:
            raise client.MeasurementFailed(f"{self.server.name}: the upload has a wrong length")
        self._path.unlink()

    def plain(self, fields=()):
        self._request("PUT", f"/files/{self._path.name}", UPLOAD_BYTES, fields)

    def resumable(self, fields=()):
        self._request("PUT", f"/files/{self._path.name}", UPLOAD_BYTES, ("Upload-Complete: ?1", *fields))

    def in_parts(self):
        fields = ("Upload-Complete: ?0", f"Upload-Length: {UPLOAD_BYTES}")
        location = self._request("PUT", f"/files/{self._path.name}", 0, fields)
        for offset in range(0, UPLOAD_BYTES, PART_BYTES):
            is_last = offset + PART_BYTES == UPLOAD_BYTES
            fields = ("Content-Type: application/partial-upload", f"Upload-Offset: {offset}", f"Upload-Complete: ?{is_last:d}")
            self._request("PATCH", location, PART_BYTES, fields)

    def _request(self, method, path, content_bytes, fields):
        """Sends one request, and returns the Location of the final response."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}", f"Content-Length: {content_bytes}", *fields]
        self._socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        for _ in range(content_bytes // SEND_BYTES):
            self._socket.sendall(self._block)
        status, location = self._response()
        while status == 104:
            status, location = self._response()
        if status not in (201, 204):
            raise client.MeasurementFailed(f"{self.server.name} responds to {method} with {status}")
        return location

    def _response(self):
        status = int(self._stream.readline().split()[1])
        location, content_bytes = None, 0
        while (line := self._stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            if name.lower() == "location":
                location = value.strip()
            if name.lower() == "content-length":
                content_bytes = int(value)
        self._stream.read(content_bytes)
        return status, location
