"""The network of the attacks: if possible a namespace of its own, in which kernel settings can be changed."""

import contextlib
import fcntl
import os
import pathlib
import socket
import struct

SETTINGS = pathlib.Path("/proc/sys/net")

# Set by attack.sh after it has entered a namespace.
NAMESPACE = "SPINDLE_ATTACK_NAMESPACE"

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def is_own():
    return NAMESPACE in os.environ


def prepare():
    """Brings up the namespace's loopback interface, with enough ports for clients that reconnect all the time."""
    if not is_own():
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    with contextlib.suppress(OSError):
        write("ipv4/ip_local_port_range", "2000 65000")


def read(name):
    return (SETTINGS / name).read_text().strip()


def write(name, value):
    (SETTINGS / name).write_text(value)


@contextlib.contextmanager
def setting(name, value):
    """Changes a kernel setting of the namespace until the `with` block ends. Yields whether that was possible."""
    if not is_own():
        yield False
        return
    before = read(name)
    try:
        write(name, value)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        write(name, before)


def is_open(port, peer_port):
    """Whether the server that listens on `port` still has the connection from `peer_port` open."""
    local, remote = (f"0100007F:{number:04X}" for number in (port, peer_port))
    with open("/proc/thread-self/net/tcp") as table:
        for line in table:
            columns = line.split()
            # A socket that no process has open has no inode, even while the kernel still sends what is buffered.
            if columns[1:3] == [local, remote]:
                return columns[9] != "0"
    return False
