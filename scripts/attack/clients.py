"""Runs of the attacker program, hostile and honest."""

import json
import select
import subprocess

import process

# They share a core. An honest client that had to wait for it would measure its own delay.
HONEST_NICE, HOSTILE_NICE = -20, 10

READY_SECONDS = 30

# How much longer than asked for a client may take.
GRACE_SECONDS = 30


class ClientFailure(Exception):
    """A client could not do its part; nothing has been measured."""


class Client:
    """A client that runs until the block ends, or until its result is asked for."""

    def __init__(self, context, nice, *arguments):
        self.name = arguments[0]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._process = process.start([context.attacker, *arguments], context.client_core, text=True, **pipes)
        process.renice(self._process.pid, nice)
        readable = select.select([self._process.stdout], [], [], READY_SECONDS)[0]
        if not readable or self._process.stdout.readline() != "ready\n":
            self._process.kill()
            raise ClientFailure(f"{self.name} did not begin: {self._process.communicate()[1].strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def result(self, seconds):
        """What it counted. One that waits for its input's end has it now."""
        try:
            output, complaint = self._process.communicate(timeout=seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            raise ClientFailure(f"{self.name} did not end") from None
        if self._process.returncode:
            raise ClientFailure(f"{self.name} failed: {complaint.strip()}")
        return json.loads(output)


def hostile(context, *arguments):
    return Client(context, HOSTILE_NICE, *arguments)


class Honest:
    """An honest client on fresh connections at a fixed rate."""

    TIMEOUT_SECONDS = 10

    def __init__(self, context, target, rate, seconds):
        self._seconds = seconds
        self._client = Client(context, HONEST_NICE, "honest", target.port, rate, seconds, self.TIMEOUT_SECONDS * 1000)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self._client.__exit__(*details)

    def result(self):
        return Answers(self._client.result(self._seconds + self.TIMEOUT_SECONDS))


class Answers:
    """What an honest client saw."""

    def __init__(self, output):
        self.asked = output["asked"]
        self.answered = output["asked"] - output["failed"]
        self.failure = output["failure"]
        self.p50_s, self.p99_s, self.max_s = (output[key] / 1e6 for key in ("p50_us", "p99_us", "max_us"))

    @property
    def are_complete(self):
        return self.answered == self.asked

    def count(self):
        """How many were answered, and where some were not, what became of one of them."""
        return f"{self.answered}/{self.asked}" + (f" ({self.failure})" if self.failure else "")


def honest(context, target, rate, seconds):
    """The answers to an honest client, from now on."""
    with Honest(context, target, rate, seconds) as client:
        return client.result()
