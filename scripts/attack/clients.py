"""Runs the clients of the attacker program, hostile and honest (well-behaved) ones."""

import json
import select
import subprocess

import process

# All clients share a core. An honest client that had to wait for the core would measure its own delay.
HONEST_NICE, HOSTILE_NICE = -20, 10

READY_SECONDS = 30

# How much longer than its set time a client may take.
GRACE_SECONDS = 30


class ClientFailure(Exception):
    """A client failed, so that nothing was measured."""


class Client:
    """A client that runs until `result` is called or the `with` block ends."""

    def __init__(self, context, nice, *arguments):
        self.name = arguments[0]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._process = process.start([context.attacker, *arguments], context.client_core, text=True, **pipes)
        process.renice(self._process.pid, nice)
        readable = select.select([self._process.stdout], [], [], READY_SECONDS)[0]
        if not readable or self._process.stdout.readline() != "ready\n":
            self._process.kill()
            raise ClientFailure(f"{self.name} did not start: {self._process.communicate()[1].strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def result(self, seconds):
        """Closes the client's standard input, which makes some clients stop, and returns its counts."""
        try:
            output, errors = self._process.communicate(timeout=seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            raise ClientFailure(f"{self.name} did not exit") from None
        if self._process.returncode:
            raise ClientFailure(f"{self.name} failed: {errors.strip()}")
        return json.loads(output)


def hostile(context, *arguments):
    return Client(context, HOSTILE_NICE, *arguments)


class Honest:
    """An honest client that sends requests at a constant rate, each on a new connection."""

    TIMEOUT_SECONDS = 10

    def __init__(self, context, target, rate, seconds, timeout_seconds=TIMEOUT_SECONDS):
        self._seconds = seconds
        self._client = Client(context, HONEST_NICE, "honest", target.port, rate, seconds, timeout_seconds * 1000)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self._client.__exit__(*details)

    def result(self):
        return HonestResult(self._client.result(self._seconds + self.TIMEOUT_SECONDS))


class HonestResult:
    """The counts and latencies of an honest client."""

    def __init__(self, output):
        self.requests = output["requests"]
        self.succeeded = output["requests"] - output["failed"]
        self.failure = output["failure"]
        self.p50_s, self.p99_s, self.max_s = (output[key] / 1e6 for key in ("p50_us", "p99_us", "max_us"))

    @property
    def is_complete(self):
        return self.succeeded == self.requests

    def count(self):
        """How many requests succeeded, and the reason for one failure, if there was one."""
        return f"{self.succeeded}/{self.requests}" + (f" ({self.failure})" if self.failure else "")


def honest(context, target, rate, seconds):
    """Runs an honest client for some seconds and returns its result."""
    with Honest(context, target, rate, seconds) as client:
        return client.result()
