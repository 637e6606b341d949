"""File systems in image files, mounted through loop devices."""

import os
import pathlib
import shutil
import subprocess
import time

MIB = 1 << 20


class Kind:
    """A kind of file system, with the commands that make and check it."""

    def __init__(self, name, make, image_bytes, mount_options="", check=None):
        self.name, self.make, self.image_bytes, self.check = name, make, image_bytes, check
        self.mount_options = mount_options

    def missing(self):
        """Why this file system cannot be used here, or None."""
        for command in [self.make, self.check]:
            if command and not shutil.which(command[0]):
                return f"{command[0]} is missing"
        return None


E2FSCK = ["e2fsck", "-fy"]

KINDS = [
    Kind("ext4", ["mkfs.ext4", "-q"], 64 * MIB, check=E2FSCK),
    Kind("ext4 without a journal", ["mkfs.ext4", "-q", "-O", "^has_journal"], 64 * MIB, check=E2FSCK),
    Kind("ext2", ["mkfs.ext2", "-q"], 64 * MIB, check=E2FSCK),
    # Not checked: xfs_repair refuses a file system whose journal has not been replayed by a mount. nouuid: a copy has the UUID of the
    # original.
    Kind("xfs", ["mkfs.xfs", "-q"], 320 * MIB, mount_options=",nouuid"),
    Kind("btrfs", ["mkfs.btrfs", "-q"], 128 * MIB),
]


def run(command, accept=(0,)):
    """Runs a command. Raises an error if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode not in accept:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout.strip()}")
    return done.stdout


class Disk:
    """A mounted image. Leaving the context unmounts it, which also releases the loop device."""

    def __init__(self, kind, image, mount_point):
        self.kind, self.image, self.mount_point = kind, pathlib.Path(image), pathlib.Path(mount_point)
        self.device = None

    @staticmethod
    def make(kind, place):
        """Makes a new file system in the directory `place`."""
        image = pathlib.Path(place, "image")
        with open(image, "wb") as file:
            file.truncate(kind.image_bytes)
        run([*kind.make, image])
        return Disk(kind, image, pathlib.Path(place, "mounted"))

    def __enter__(self):
        self.mount_point.mkdir(exist_ok=True)
        run(["mount", "-o", f"loop{self.kind.mount_options}", self.image, self.mount_point])
        self.device = run(["losetup", "--noheadings", "--output", "NAME", "-j", self.image]).split()[0]
        return self

    def __exit__(self, *_):
        for _ in range(50):
            if subprocess.run(["umount", self.mount_point], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"{self.mount_point} is still busy")

    def activity(self):
        """The numbers of writes and flushes that the device has completed, and of its requests in flight."""
        stat = pathlib.Path("/sys/block", os.path.basename(self.device), "stat").read_text(encoding="ascii").split()
        # Writes completed, flushes completed, in flight: see the kernel's Documentation/block/stat.rst.
        return stat[4], stat[15], stat[8]

    def copy(self, to):
        """Copies the image as it is at one moment. If anything was written during the copy, copies it again."""
        for _ in range(100):
            before = self.activity()
            if before[2] == "0":
                run(["cp", "--reflink=auto", "--sparse=always", self.image, to])
                if self.activity() == before:
                    return
            time.sleep(0.01)
        raise RuntimeError(f"{self.device} is never idle")


def read_after_power_cut(kind, image, mount_point):
    """Checks and repairs a copy as at the start of a machine. Returns the contents of its files by their paths."""
    if kind.check:
        # 1: errors were corrected. 2: errors were corrected, and the machine should be restarted.
        run([*kind.check, image], accept=(0, 1, 2, 3))
    contents = {}
    with Disk(kind, image, mount_point) as disk:
        served = disk.mount_point / "served"
        for path in served.rglob("*"):
            if path.is_file():
                contents[str(path.relative_to(served))] = path.read_bytes()
    return contents
