"""Processes: where they run, what they use, and how they end. Linux only, by way of /proc."""

import atexit
import contextlib
import os
import pathlib
import resource
import subprocess

SERVER_CORE = 0
LOAD_CORE = 1

# Ten thousand connections on both sides, and three descriptors for each where a server reserves them.
DESCRIPTORS = 65536

STOP_SECONDS = 5


def raise_descriptor_limit():
    """Raises the limit for this process and all that it starts, as far as this user may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((max(DESCRIPTORS, soft), max(DESCRIPTORS, hard)), (hard, hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break


def descriptor_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def start(arguments, core, **options):
    """Starts a process on one core; it inherits the place, so that not even its start runs elsewhere."""
    allowed = os.sched_getaffinity(0)
    stay_on(core)
    try:
        return subprocess.Popen([str(argument) for argument in arguments], **options)
    finally:
        os.sched_setaffinity(0, allowed)


def stop(process):
    """Ends a process that was started here, and waits for it."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stay_on(core):
    """Keeps this process to one core."""
    os.sched_setaffinity(0, {core})


def renice(pid, nice):
    """Gives a process, and what it starts from then on, another place in the queue, where this user may."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)


def come_first(nice):
    """Lets this process and all that it starts go before the rest of the machine, where this user may."""
    renice(os.getpid(), nice)
    # Where the kernel groups processes by session, nice counts within the group, and the group has one of its own. It
    # is the whole terminal's, and given back.
    group = pathlib.Path("/proc/self/autogroup")
    with contextlib.suppress(OSError):
        before = group.read_text().split()[-1]
        group.write_text(str(nice))
        atexit.register(group.write_text, before)


def finish(process, seconds):
    """What a process says until it ends. One that takes longer is ended, and has failed then."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        stop(process)
        return ""


def family(pid):
    """The process and its descendants."""
    pids = [pid]
    for task in _tasks(pid):
        with open(f"/proc/{pid}/task/{task}/children") as children:
            for child in children.read().split():
                pids += family(int(child))
    return pids


def cpu_ns(pids):
    """The time that all threads of the processes have spent on a processor, in nanoseconds."""
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
