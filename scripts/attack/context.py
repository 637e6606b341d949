"""Passed to every attack: the programs, the cores, the duration, and directories."""

import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

SPINDLE = "spindle"
NGINX = "nginx"
LIGHTTPD = "lighttpd"


def executable(name):
    """The path of a program, which may be in a directory that is missing in the user's PATH."""
    return shutil.which(name, path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")


# A few hundred thousand uploads of one byte take a page and an inode each.
MEMORY_BYTES_MIN = 3 << 30


class Context:
    def __init__(self, server, attacker, is_quick, spare_directory):
        self.server = server
        self.attacker = attacker
        self.is_quick = is_quick
        self._spare_directory = spare_directory
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.client_core = cores[0], cores[min(1, len(cores) - 1)]
        self.nginx = executable(NGINX)
        self.lighttpd = executable(LIGHTTPD)
        self.haproxy = executable("haproxy")

    def names(self):
        """The names of the servers under attack."""
        return (SPINDLE, NGINX) if self.nginx else (SPINDLE,)

    def seconds(self, full, quick):
        return quick if self.is_quick else full

    @functools.cached_property
    def files_directory(self):
        """The directory of the servers' files: in memory if there is room, so that pauses of the disk are not measured."""
        memory = pathlib.Path("/dev/shm")
        if os.access(memory, os.W_OK) and _file_system(memory) == "tmpfs":
            if shutil.disk_usage(memory).free >= MEMORY_BYTES_MIN:
                return str(memory)
        return tempfile.gettempdir()

    def disk_directory(self):
        """A directory on a disk, on which a sync takes its time, or None."""
        for directory in (tempfile.gettempdir(), "/var/tmp", self._spare_directory):
            if pathlib.Path(directory).is_dir() and _file_system(directory) not in ("tmpfs", "ramfs"):
                return directory
        return None


def _file_system(directory):
    command = ["stat", "--file-system", "--format=%T", directory]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
