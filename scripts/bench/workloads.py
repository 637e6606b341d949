"""The workloads: their requests, and the expected responses."""

import base64
import gzip
import hashlib
import itertools
import pathlib
from dataclasses import dataclass

import client
from servers import BASELINE, CONTROL, NULL, OTHERS, SPINDLE

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"

# The fields of a browser's request for the second picture of a page: 14 lines and Host.
BROWSER_FIELDS = (
    "Connection: keep-alive",
    'sec-ch-ua: "Not/A)Brand";v="8", "Chromium";v="126", "Google Chrome";v="126"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    f"User-Agent: {USER_AGENT}",
    "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: no-cors",
    "Sec-Fetch-Dest: image",
    "Referer: http://127.0.0.1/albums/summer/index.html",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Cookie: session=5f2d9c1e7ab04c3d; theme=dark; consent=1",
    "DNT: 1",
    "Priority: u=2, i",
)

ECHO_LONG = ("It-was-the-best-of-times,-it-was-the-worst-of-times;-" * 78)[: 4 * KIB]

FILES = {"4k": 4 * KIB, "4k.html": 4 * KIB, "64k": 64 * KIB, "1m": MIB, "1g": GIB}

NULLS = (NULL, CONTROL)
ALL_SERVERS = (*NULLS, SPINDLE, BASELINE, *OTHERS)


@dataclass(frozen=True)
class Workload:
    """Requests of one kind, sent by wrk."""

    name: str
    title: str
    path: str
    content: bytes | pathlib.Path = b""
    connections: int = 64
    depth: int = 1
    fields: tuple = ()
    upload_bytes: int = 0
    servers: tuple = ALL_SERVERS
    # Whether to count bytes instead of requests, for requests so long that one cut off at the end of a round matters.
    counts_bytes: bool = False
    # Whether spindle shares the whole root directory, as the other servers do, instead of serving /files/.
    shares_root: bool = False
    # Names that the content must contain, if the rest of it depends on the server.
    names: tuple = ()

    def null_arguments(self, spindle_port):
        """Arguments that make null send as many bytes as spindle."""
        _, head_bytes, content = self.request(spindle_port)
        persistence = "close" if "Connection: close" in self.fields else "keep"
        return [head_bytes + len(content), 2 if self.upload_bytes else 1, persistence]

    def request(self, port):
        """Sends one request. Returns the status, the length of the head in bytes, and the content."""
        if self.upload_bytes:
            return client.request(port, f"{self.path}0", "PUT", self.fields, upload_content(self.upload_bytes))
        return client.request(port, self.path, "GET", self.fields)

    def check(self, server):
        """Raises MeasurementFailed if the server's response is wrong."""
        status, _, content = self.request(server.port)
        if status not in ((200, 201, 204) if self.upload_bytes else (200,)):
            raise client.MeasurementFailed(f"{server.name} responds to {self.path} with {status}")
        if server.name in NULLS:
            return
        if "Accept-Encoding: gzip" in self.fields:
            content = gzip.decompress(content)
        if self.names:
            missing = [name for name in self.names if name.encode() not in content]
            if missing:
                raise client.MeasurementFailed(f"{server.name} responds to {self.path} without {missing[0]}")
            return
        expected = self.content.read_bytes() if isinstance(self.content, pathlib.Path) else self.content
        if not self.upload_bytes and content != expected:
            raise client.MeasurementFailed(f"{server.name} responds to {self.path} with {len(content)} bytes of wrong content")


def upload_content(bytes):
    """What load.lua uploads. It ends in a blank line."""
    return (b"0123456789abcde\n" * (bytes // 16 + 1))[: bytes - 4] + b"\r\n\r\n"


def repr_digest(content):
    """The field that states the content's digest."""
    return f"Repr-Digest: sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def make_root(root):
    """Creates the files that the servers serve."""
    (root / "files").mkdir()
    (root / "index.html").touch()
    (root / "user-agent").write_text(USER_AGENT)
    block = bytes(itertools.islice(_noise(), MIB))
    for name, size in FILES.items():
        with open(root / "files" / name, "wb") as file:
            for start in range(0, size, MIB):
                file.write(block[: size - start])
    make_entries(root / "folder" / "1000", LISTED)
    # nginx lists as HTML or as JSON by the path.
    (root / "json").symlink_to("folder")


LISTED = 1000


def entry_names(count):
    """Names of different lengths."""
    return [f"{'a name ' * (number % 3)}entry-{number:06}.txt" for number in range(count)]


def make_entries(directory, count):
    """Sparse files of different sizes."""
    directory.mkdir(parents=True)
    for number, name in enumerate(entry_names(count)):
        with open(directory / name, "wb") as file:
            file.truncate(number * 37)


def _noise():
    state = 1
    while True:
        state = (state * 1103515245 + 12345) % (1 << 31)
        yield state >> 16 & 0xFF


NAMES = (
    "small", "pipelined", "browser", "file-4k", "file-64k", "file-1m", "file-1g", "upload-4k", "upload-256k", "gzip-short",
    "gzip-4k", "connect", "list-html", "list-json", "shared-4k", "typed-4k",
)


def workloads(root):
    """All workloads, in the order of the report."""

    def file(size, title, name=None, **more):
        return Workload(name or f"file-{size}", title, f"/files/{size}", root / "files" / size, **more)

    gzipped = {"fields": ("Accept-Encoding: gzip",), "servers": (*NULLS, SPINDLE, BASELINE)}
    agent = USER_AGENT.encode()
    listed = {"names": tuple(name.split()[-1] for name in entry_names(LISTED)), "connections": 8, "shares_root": True}
    return [
        Workload("small", "Small response, 64 connections", "/"),
        Workload("pipelined", "Small response, pipelined 16 deep", "/", depth=16),
        Workload("browser", "A browser's fields", "/user-agent", agent, fields=BROWSER_FIELDS),
        file("4k", "4 KiB file"),
        file("64k", "64 KiB file"),
        file("1m", "1 MiB file, 16 connections", connections=16, counts_bytes=True),
        file("1g", "1 GiB file, 2 connections", connections=2, counts_bytes=True, servers=(SPINDLE, BASELINE, *OTHERS)),
        Workload("upload-4k", "4 KiB upload, 16 connections", "/files/up-", connections=16,
             upload_bytes=4 * KIB, servers=(*NULLS, SPINDLE, BASELINE, "nginx")),
        Workload("upload-256k", "256 KiB upload, 16 connections", "/files/up-", connections=16,
             upload_bytes=256 * KIB, servers=(*NULLS, SPINDLE, BASELINE, "nginx")),
        Workload("gzip-short", "gzip of a short echo", "/echo/abc", b"abc", **gzipped),
        Workload("gzip-4k", "gzip of a 4 KiB echo", f"/echo/{ECHO_LONG}", ECHO_LONG.encode(), **gzipped),
        Workload("connect", "A connection for each request", "/", fields=("Connection: close",)),
        Workload("list-html", "Listing of 1,000 entries as a page", "/folder/1000/", servers=(SPINDLE, BASELINE, *OTHERS), **listed),
        Workload("list-json", "Listing of 1,000 entries as JSON", "/json/1000/?format=json",
             servers=(SPINDLE, BASELINE, "nginx"), **listed),
        file("4k", "4 KiB file in a shared folder", name="shared-4k", shares_root=True),
        file("4k.html", "4 KiB page in a shared folder", name="typed-4k", shares_root=True),
    ]
