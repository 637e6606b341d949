"""A client for single requests, which check that a server responds correctly before it is measured."""

import socket
import time

START_SECONDS = 10
RESPONSE_SECONDS = 30


class MeasurementFailed(Exception):
    """A result would be wrong or is impossible, for example because a server does not respond as it should."""


def wait_for(port, process):
    """Waits until the port accepts connections. Raises MeasurementFailed if the process exits or the time is up."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise MeasurementFailed(f"it exited with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            # Short, because the time to the first response is measured too. A refused local connection takes microseconds.
            time.sleep(0.0001)
    raise MeasurementFailed(f"it did not listen within {START_SECONDS} s")


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(port, path, method="GET", fields=(), content=b""):
    """Sends one request on a new connection. Returns the status, the length of the head in bytes, and the content."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *fields]
    if method == "PUT":
        lines.append(f"Content-Length: {len(content)}")
    message = "\r\n".join(lines).encode() + b"\r\n\r\n" + content
    with socket.create_connection(("127.0.0.1", port), timeout=RESPONSE_SECONDS) as connection:
        connection.sendall(message)
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
    """The content of a response with Transfer-Encoding: chunked."""
    chunks = []
    while length := int(stream.readline(), 16):
        chunks.append(stream.read(length))
        stream.readline()
    return b"".join(chunks)
