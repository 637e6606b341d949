"""Starts and stops processes, pins them to cores, and measures them. Linux only, since it reads /proc."""

import atexit
import contextlib
import os
import pathlib
import resource
import subprocess

SERVER_CORE = 0
LOAD_CORE = 1

# Enough for 10,000 connections. A server may reserve three descriptors for each.
DESCRIPTORS = 65536

STOP_SECONDS = 5


def raise_descriptor_limit():
    """Raises the limit of this process and its children, as far as permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((max(DESCRIPTORS, soft), max(DESCRIPTORS, hard)), (hard, hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break


def descriptor_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def start(arguments, core, **options):
    """Starts a process on one core. It inherits this process's affinity, so that its start already runs there."""
    allowed = os.sched_getaffinity(0)
    pin_to_core(core)
    try:
        return subprocess.Popen([str(argument) for argument in arguments], **options)
    finally:
        os.sched_setaffinity(0, allowed)


def stop(process):
    """Terminates a child process, and waits for it."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pin_to_core(core):
    """Restricts this process to one core."""
    os.sched_setaffinity(0, {core})


def renice(pid, nice):
    """Sets the nice value of a process, which its later children inherit, if permitted."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)


def put_first(pids):
    """Lets these processes take their core from ordinary ones whenever they have something to do, if permitted."""
    for pid in pids:
        for task in _tasks(pid):
            # A thread may have ended meanwhile.
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.sched_setscheduler(int(task), os.SCHED_FIFO, os.sched_param(1))


def raise_priority(nice):
    """Raises the priority of this process, and of its children, above that of other processes, if permitted."""
    renice(os.getpid(), nice)
    # If the kernel schedules by session (autogroup), a nice value only counts within its session. The session has a nice value
    # of its own, which applies to the whole terminal and is restored at exit.
    group = pathlib.Path("/proc/self/autogroup")
    with contextlib.suppress(OSError):
        before = group.read_text().split()[-1]
        group.write_text(str(nice))
        atexit.register(group.write_text, before)


def wait_for_output(process, seconds):
    """Waits for a process to exit, and returns its output. A process that takes longer is stopped, and nothing is returned."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        stop(process)
        return ""


def process_tree(pid):
    """The process and its descendants."""
    pids = [pid]
    for task in _tasks(pid):
        # A thread may have ended meanwhile.
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{task}/children") as children:
            for child in children.read().split():
                pids += process_tree(int(child))
    return pids


def cpu_ns(pids):
    """The processor time of all threads of the processes, in nanoseconds."""
    total = 0
    for pid in pids:
        for task in _tasks(pid):
            with open(f"/proc/{pid}/task/{task}/schedstat") as schedstat:
                total += int(schedstat.read().split()[0])
    return total


def resident_bytes(pid):
    """The resident memory of a process, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def _tasks(pid):
    return os.listdir(f"/proc/{pid}/task")
