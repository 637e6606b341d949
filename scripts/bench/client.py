"""A client that asks once, to see whether an answer is what it should be before anything is measured."""

import socket
import time

START_SECONDS = 10
ANSWER_SECONDS = 30


class Mismatch(Exception):
    """A server answered, and not as it should."""


def wait_for(port, process):
    """Waits until the port accepts connections. Raises Mismatch where the process ends instead, or time passes."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Mismatch(f"it ended with {process.returncode} instead of serving")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            # Often, since the time to the first answer is measured too; a local refusal costs microseconds.
            time.sleep(0.0001)
    raise Mismatch(f"it did not listen within {START_SECONDS} s")


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, path, method="GET", fields=(), content=b""):
    """One request on a connection of its own. Returns the status, the length of the head, and the content."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *fields]
    if method == "PUT":
        lines.append(f"Content-Length: {len(content)}")
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + content
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(request)
        stream = connection.makefile("rb")
        status_line = stream.readline()
        head_bytes = len(status_line)
        content_bytes = 0
        is_chunked = False
        while (line := stream.readline()) not in (b"\r\n", b""):
            head_bytes += len(line)
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                content_bytes = int(value)
            is_chunked |= name.lower() == b"transfer-encoding"
        content = read_chunks(stream) if is_chunked else stream.read(content_bytes)
        return int(status_line.split()[1]), head_bytes + 2, content


def read_chunks(stream):
    """The content of a response whose length was not known."""
    chunks = []
    while length := int(stream.readline(), 16):
        chunks.append(stream.read(length))
        stream.readline()
    return b"".join(chunks)
