"""What every measurement needs: where things are, and how long to measure."""

import contextlib

import servers
import works


class Context:
    def __init__(self, binaries, root, rounds, seconds):
        self.binaries = binaries
        self.root = root
        self.rounds = rounds
        self.seconds = seconds
        self.works = {work.name: work for work in works.works(root)}
        self._null_arguments = {}

    def work(self, name):
        return self.works[name]

    def available(self, names):
        """Those of the contestants that are here."""
        return [name for name in names if name in self.binaries.available()]

    def start(self, name, stack, work):
        """A contestant that runs until the stack is closed, and answers the work as it should."""
        arguments = self.null_arguments(work) if name in works.NULLS else ()
        server = servers.Server(name, self.binaries, self.root, arguments, work.shares_root)
        stack.callback(server.stop)
        work.check(server)
        return server

    def null_arguments(self, work):
        """What makes null send as much as spindle does."""
        if work.name not in self._null_arguments:
            with contextlib.ExitStack() as stack:
                spindle = self.start(servers.SPINDLE, stack, work)
                self._null_arguments[work.name] = work.null_arguments(spindle.port)
        return self._null_arguments[work.name]


def rotated(names, turn):
    """Each turn begins with another one, so that none always follows the same neighbour's load."""
    start = turn % len(names)
    return names[start:] + names[:start]
