"""Passed to every measurement: the programs, the files, and the duration."""

import contextlib

import servers
import workloads


class Context:
    def __init__(self, binaries, root, rounds, seconds):
        self.binaries = binaries
        self.root = root
        self.rounds = rounds
        self.seconds = seconds
        self.workloads = {workload.name: workload for workload in workloads.workloads(root)}
        self._null_arguments = {}

    def workload(self, name):
        return self.workloads[name]

    def available(self, names):
        """The servers among `names` that are installed."""
        return [name for name in names if name in self.binaries.available()]

    def start(self, name, stack, workload):
        """Starts a server, which runs until the stack is closed, and checks that it responds correctly to the workload."""
        arguments = self.null_arguments(workload) if name in workloads.NULLS else ()
        server = servers.Server(name, self.binaries, self.root, arguments, workload.shares_root)
        stack.callback(server.stop)
        workload.check(server)
        return server

    def null_arguments(self, workload):
        """Arguments that make null send as many bytes as spindle."""
        if workload.name not in self._null_arguments:
            with contextlib.ExitStack() as stack:
                spindle = self.start(servers.SPINDLE, stack, workload)
                self._null_arguments[workload.name] = workload.null_arguments(spindle.port)
        return self._null_arguments[workload.name]


def rotated(names, turn):
    """The names, starting with another one in each turn. Otherwise each server would always be measured after the same other one."""
    start = turn % len(names)
    return names[start:] + names[:start]
