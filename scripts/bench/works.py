"""What is measured: requests, and what a right answer to each is."""

import gzip
import itertools
import pathlib
from dataclasses import dataclass, field

import client
from servers import BEFORE, CONTROL, NULL, PEERS, SPINDLE

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"

# What a browser sends for a page's second picture: 14 lines and Host.
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

FILES = {"4k": 4 * KIB, "64k": 64 * KIB, "1m": MIB, "1g": GIB}

NULLS = (NULL, CONTROL)
EVERYBODY = (*NULLS, SPINDLE, BEFORE, *PEERS)


@dataclass(frozen=True)
class Work:
    """Requests of one kind, sent by wrk."""

    name: str
    title: str
    path: str
    content: bytes | pathlib.Path = b""
    connections: int = 64
    depth: int = 1
    fields: tuple = ()
    upload_bytes: int = 0
    contestants: tuple = EVERYBODY
    # Where a request takes so long that those cut off at the end of a round count, bytes are counted.
    counts_bytes: bool = False
    # Whether spindle shares the whole root as a folder, as the peers serve it.
    shares_root: bool = False
    # What must be in the content, where its whole is the server's own business.
    names: tuple = ()

    def null_arguments(self, spindle_port):
        """What makes null send as much as spindle does."""
        _, head_bytes, content = self.ask(spindle_port)
        persistence = "close" if "Connection: close" in self.fields else "keep"
        return [head_bytes + len(content), 2 if self.upload_bytes else 1, persistence]

    def ask(self, port):
        """One request of this kind: status, bytes of the head, content."""
        if self.upload_bytes:
            return client.ask(port, f"{self.path}0", "PUT", self.fields, b"x" * (self.upload_bytes - 4) + b"\r\n\r\n")
        return client.ask(port, self.path, "GET", self.fields)

    def check(self, server):
        """Raises Mismatch if the answer is not what it should be."""
        status, _, content = self.ask(server.port)
        if status not in ((200, 201, 204) if self.upload_bytes else (200,)):
            raise client.Mismatch(f"{server.name} answers {self.path} with {status}")
        if server.name in NULLS:
            return
        if "Accept-Encoding: gzip" in self.fields:
            content = gzip.decompress(content)
        if self.names:
            missing = [name for name in self.names if name.encode() not in content]
            if missing:
                raise client.Mismatch(f"{server.name} answers {self.path} without {missing[0]}")
            return
        expected = self.content.read_bytes() if isinstance(self.content, pathlib.Path) else self.content
        if not self.upload_bytes and content != expected:
            raise client.Mismatch(f"{server.name} answers {self.path} with the wrong {len(content)} bytes")


def make_root(root):
    """Lays out what is served."""
    (root / "files").mkdir()
    (root / "index.html").touch()
    (root / "user-agent").write_text(USER_AGENT)
    block = bytes(itertools.islice(_noise(), MIB))
    for name, bytes in FILES.items():
        with open(root / "files" / name, "wb") as file:
            for start in range(0, bytes, MIB):
                file.write(block[: bytes - start])


    make_entries(root / "folder" / "1000", LISTED)
    # nginx decides by the place whether a listing is JSON.
    (root / "json").symlink_to("folder")


LISTED = 1000


def entry_names(count):
    """What is listed: names of different lengths."""
    return [f"{'a name ' * (number % 3)}entry-{number:06}.txt" for number in range(count)]


def make_entries(directory, count):
    """Files of different sizes, which hold no blocks of the disk."""
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
    "small", "pipelined", "browser", "file-4k", "file-64k", "file-1m", "file-1g", "upload-256k", "gzip-short", "gzip-4k",
    "connect", "list-html", "list-json", "shared-4k",
)


def works(root):
    """All of them, in the order of the report."""

    def file(size, title, name=None, **more):
        return Work(name or f"file-{size}", title, f"/files/{size}", root / "files" / size, **more)

    gzipped = {"fields": ("Accept-Encoding: gzip",), "contestants": (*NULLS, SPINDLE, BEFORE)}
    agent = USER_AGENT.encode()
    listed = {"names": tuple(name.split()[-1] for name in entry_names(LISTED)), "connections": 8, "shares_root": True}
    return [
        Work("small", "Small answer, 64 connections", "/"),
        Work("pipelined", "Small answer, pipelined 16 deep", "/", depth=16),
        Work("browser", "A browser's fields", "/user-agent", agent, fields=BROWSER_FIELDS),
        file("4k", "4 KiB file"),
        file("64k", "64 KiB file"),
        file("1m", "1 MiB file, 16 connections", connections=16, counts_bytes=True),
        file("1g", "1 GiB file, 2 connections", connections=2, counts_bytes=True, contestants=(SPINDLE, BEFORE, *PEERS)),
        Work("upload-256k", "256 KiB upload, 16 connections", "/files/up-", connections=16,
             upload_bytes=256 * KIB, contestants=(*NULLS, SPINDLE, BEFORE, "nginx")),
        Work("gzip-short", "gzip of a short echo", "/echo/abc", b"abc", **gzipped),
        Work("gzip-4k", "gzip of a 4 KiB echo", f"/echo/{ECHO_LONG}", ECHO_LONG.encode(), **gzipped),
        Work("connect", "A connection for each request", "/", fields=("Connection: close",)),
        Work("list-html", "Listing of 1,000 entries as a page", "/folder/1000/", contestants=(SPINDLE, BEFORE, *PEERS), **listed),
        Work("list-json", "Listing of 1,000 entries as JSON", "/json/1000/?format=json",
             contestants=(SPINDLE, BEFORE, "nginx"), **listed),
        file("4k", "4 KiB file in a shared folder", name="shared-4k", shares_root=True),
    ]
