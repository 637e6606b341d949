#!/usr/bin/env python3
"""Sends ambiguous messages to the server through HAProxy, nginx and Caddy, while other clients send marked requests over the
same connections to the server. No client may get the response to a request of another, and no file may contain bytes of a
request of another.

Usage: smuggling.py PATH/TO/spindle WORK. Prints a line for each proxy. Exit status: 0, 1 if something was mixed up, 2 if no
proxy is installed.

That it would notice is shown with the same proxies before a server that misreads requests on purpose.
"""

import concurrent.futures
import pathlib
import socket
import subprocess
import sys
import threading
import time

import messages
import net
import proxies

# Only requests of the other clients contain this.
MARK = b"VICTIM"
VICTIMS = 4
RETRIES = 8
# Caddy closes a connection on which a response arrives that it does not wait for, unless a request is sent at that moment.
CONTROL_ROUNDS = 20
# What a proxy sends of its own accord if its connection to the server was closed.
PROXY_FAILURES = (408, 502, 503, 504)
# More files than connections, so that a wrong response is not right by accident.
FILES = {f"{MARK.decode()}-{number}": f"the content of {number} ".encode() * (number + 1) for number in range(16)}


class Server:
    """spindle, which shares a folder."""

    def __init__(self, program, work):
        self.folder = work / "folder"
        self.folder.mkdir(parents=True)
        for name, content in {**FILES, "SMUGGLED": b"SMUGGLED", "a": b"a", "large": b"large" * 400_000}.items():
            (self.folder / name).write_bytes(content)
        self.log = work / "access.log"
        self.process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", "0", "--uploads", "replace", "--access-log", self.log, self.folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(work / "server.log", "wb"), text=True)
        for line in self.process.stdout:
            if line.startswith("Listening on http://127.0.0.1:"):
                self.port = int(line.strip().rpartition(":")[2])
                return
        raise RuntimeError("the server does not start")

    def uploaded(self, name):
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def mixed_files(self):
        """The files that contain bytes of another client's request."""
        own = lambda path: path.name.startswith(MARK.decode())
        return [path.name for path in self.folder.rglob("*") if path.is_file() and not own(path) and MARK in path.read_bytes()]

    def requests_of_attackers(self):
        lines = self.log.read_bytes().splitlines()
        return sum(MARK not in line for line in lines)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class BrokenServer:
    """Keeps files in memory. Takes the last Content-Length, ignores Transfer-Encoding, and the content of a GET."""

    def __init__(self):
        self.files = {"/" + name: content for name, content in FILES.items()}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        reader = net.Reader(connection)
        try:
            while True:
                lines = reader.until(b"\r\n\r\n").split(b"\r\n")
                method, target = (lines[0].decode("latin-1").split() + ["", ""])[:2]
                lengths = [line.partition(b":")[2] for line in lines if line.lower().startswith(b"content-length:")]
                if method == "PUT":
                    self.files[target] = reader.exactly(int(lengths[-1])) if lengths else b""
                content = self.files.get(target, b"SMUGGLED")
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))
        except (net.Broken, OSError, ValueError):
            connection.close()

    def uploaded(self, name):
        return self.files.get("/" + name)

    def mixed_files(self):
        own = lambda name: name.startswith("/" + MARK.decode())
        return [name for name, content in self.files.items() if not own(name) and MARK in content]

    def stop(self):
        self.listener.close()


class Mixed(Exception):
    """A client got what belongs to another."""


class Victim:
    """A client that sends ordinary requests over a connection of its own, and knows what it must get."""

    def __init__(self, port, server):
        self.port, self.server = port, server
        self.reader = None
        self.count = 0

    def exchange(self, request, expected_status, expected_content):
        """Sends a request until the proxy has passed it on. Any other response than the expected one is a finding."""
        problem = None
        for _ in range(RETRIES):
            try:
                if self.reader is None:
                    self.reader = net.Reader(net.connect(self.port))
                self.reader.connection.sendall(request)
                status, content = self.reader.response()
            except (net.Broken, OSError) as error:
                problem = error
            else:
                if status in expected_status and (expected_content is None or content == expected_content):
                    if leftover := self.reader.leftover():
                        raise Mixed(f"more than a response arrived: {leftover[:200]}")
                    return
                if status not in PROXY_FAILURES:
                    raise Mixed(f"{request[:40]} got {status} {content[:200]}")
                problem = status
            self.close()
        raise Mixed(f"{request[:40]} got no response {RETRIES} times: {problem}")

    def run(self):
        """A GET, a PUT and another GET, each for something else."""
        self.count += 1
        names = list(FILES)
        self.get(names[self.count % len(names)])
        name, content = f"{MARK.decode()}-upload-{self.count}", b"%s uploads %d" % (MARK, self.count)
        self.exchange(messages.put(messages.length(len(content)), content, target=b"/" + name.encode()), (200, 201, 204), None)
        stored = self.server.uploaded(name)
        if stored != content:
            raise Mixed(f"the upload contains {stored}")
        self.get(names[(self.count * 7 + 3) % len(names)])

    def get(self, name):
        self.exchange(b"GET /" + name.encode() + b" HTTP/1.1\r\n" + messages.HOST + b"\r\n", (200,), FILES[name])

    def close(self):
        if self.reader is not None:
            self.reader.connection.close()
        self.reader = None


def attack(port, message, victims):
    """Sends a message, lets the others send theirs, and reads what the attacker has got. Raises what was mixed up."""
    connection = net.connect(port)
    try:
        try:
            step = message.piece_bytes or len(message.content)
            for start in range(0, len(message.content), step):
                connection.sendall(message.content[start:start + step])
            received = b""
            if message.abandons:
                time.sleep(0.01)
                connection.close()
            else:
                received, _ = net.receive_until_silent(connection, 0.02, 1)
        except OSError:
            received = b""
        for victim in victims:
            victim.run()
        if not message.abandons:
            received += net.receive_until_silent(connection, 0.001, 0.1)[0]
        if MARK in received:
            raise Mixed(f"the attacker got {received[-300:]}")
    finally:
        connection.close()


def run(way, server, work, sent):
    """What was mixed up, by message."""
    findings = {}
    proxy = proxies.Proxy(way, server.port, work / "proxy")
    try:
        victims = [Victim(proxy.port, server) for _ in range(VICTIMS)]
        for number, message in enumerate(sent):
            try:
                attack(proxy.port, message, [victims[number % VICTIMS]])
                if mixed := server.mixed_files():
                    raise Mixed(f"the request of another is in the file {mixed[0]}")
            except Mixed as mixed:
                findings[message.name] = str(mixed)
                victims[number % VICTIMS].close()
        for victim in victims:
            victim.close()
    finally:
        proxy.stop()
    return findings


def check(way, program, work):
    """The lines about a proxy, and whether they are good."""
    broken = BrokenServer()
    control = run(way, broken, work / way / "control", messages.control_messages() * CONTROL_ROUNDS)
    broken.stop()
    if not control:
        return f"{way}: the server that misreads requests was not noticed", False
    server = Server(program, work / way)
    sent = messages.all_messages()
    begun = time.monotonic()
    try:
        findings = run(way, server, work / way / "server", sent)
    finally:
        server.stop()
    lines = [f"{way}: {len(sent)} messages, of which {server.requests_of_attackers()} requests reached the server; {len(findings)} mixed up; "
             f"{time.monotonic() - begun:.0f} s; control noticed"]
    lines += [f"    {name}: {finding}" for name, finding in findings.items()]
    return "\n".join(lines), not findings


def main():
    program, work = sys.argv[1], pathlib.Path(sys.argv[2])
    ways = [way for way in proxies.WAYS if proxies.is_installed(way)]
    if not ways:
        print("no proxy is installed")
        return 2
    with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
        results = list(pool.map(lambda way: check(way, program, work), ways))
    for text, _ in results:
        print(text)
    return 0 if all(is_good for _, is_good in results) else 1


if __name__ == "__main__":
    sys.exit(main())
