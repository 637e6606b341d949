"""Sockets of the loopback interface, and a reader of responses."""

import socket
import time

SECONDS_MAX = 10


class Broken(Exception):
    """The connection ended, or was silent, before a response was complete."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), SECONDS_MAX)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def listens(port):
    try:
        connect(port).close()
    except OSError:
        return False
    return True


def receive_until_silent(connection, silence_s, most_s):
    """All that arrives until nothing has arrived for a while, or the connection has ended. Also whether it has ended."""
    received, until = b"", time.monotonic() + most_s
    connection.settimeout(silence_s)
    while time.monotonic() < until:
        try:
            piece = connection.recv(65536)
        except TimeoutError:
            return received, False
        except OSError:
            return received, True
        if not piece:
            return received, True
        received += piece
    return received, False


class Reader:
    """Reads responses from a connection."""

    def __init__(self, connection):
        self.connection = connection
        self.rest = b""

    def more(self):
        self.connection.settimeout(SECONDS_MAX)
        try:
            piece = self.connection.recv(65536)
        except OSError as error:
            raise Broken(str(error)) from error
        if not piece:
            raise Broken("the connection has ended")
        self.rest += piece

    def until(self, end):
        while end not in self.rest:
            self.more()
        found, _, self.rest = self.rest.partition(end)
        return found

    def exactly(self, count):
        while len(self.rest) < count:
            self.more()
        found, self.rest = self.rest[:count], self.rest[count:]
        return found

    def response(self):
        """The status and the content of the next final response."""
        while True:
            lines = self.until(b"\r\n\r\n").split(b"\r\n")
            status = int(lines[0].split()[1])
            fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
            if status // 100 != 1:
                break
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            return status, self.chunks()
        if status in (204, 304):
            return status, b""
        return status, self.exactly(int(fields.get(b"content-length", b"0")))

    def chunks(self):
        content = b""
        while True:
            size = int(self.until(b"\r\n"), 16)
            content += self.exactly(size)
            self.until(b"\r\n")
            if size == 0:
                return content

    def leftover(self):
        """What has arrived that belongs to no response."""
        more, _ = receive_until_silent(self.connection, 0.001, 0.01)
        return self.rest + more
