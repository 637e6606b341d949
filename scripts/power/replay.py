"""Logs every write of a file system to its disk, in order, and computes the states that a power cut may leave.

The loop device uses a file that qemu-storage-daemon exports through FUSE. Its driver `blklogwrites` logs each write and each flush
in the format of the kernel's dm-log-writes (see its documentation in admin-guide/device-mapper).
"""

import os
import pathlib
import shutil
import struct
import subprocess
import time

from disks import Disk, run

SECTOR_BYTES = 512
# A power cut may leave only a part of a write on the disk. Each piece of this size is written completely or not at all.
PIECE_BYTES = 4096
MAGIC = 0x6A736677736872
FLUSH, DISCARD = 1, 4


def missing():
    """Why writes cannot be logged here, or None."""
    if not shutil.which("qemu-storage-daemon"):
        return "qemu-storage-daemon is missing"
    return None if os.path.exists("/dev/fuse") else "/dev/fuse is missing"


class LoggedDisk(Disk):
    """A disk whose writes are logged."""

    def __init__(self, made):
        place = made.image.parent
        super().__init__(made.kind, place / "exported", made.mount_point)
        self.base, self.log = place / "base", place / "log"
        run(["cp", "--sparse=always", made.image, self.base])
        self.log.touch()
        self.image.touch()
        self.written = made.image
        self.daemon = None

    def __enter__(self):
        options = [
            f"--blockdev=driver=file,node-name=disk,filename={self.written}",
            f"--blockdev=driver=file,node-name=log,filename={self.log}",
            "--blockdev=driver=blklogwrites,node-name=logged,file=disk,log=log",
            f"--export=type=fuse,id=export,node-name=logged,mountpoint={self.image},writable=on",
        ]
        # pylint: disable=consider-using-with
        self.daemon = subprocess.Popen(["qemu-storage-daemon", *options])
        for _ in range(500):
            if self.image.stat().st_size == self.kind.image_bytes:
                return super().__enter__()
            time.sleep(0.01)
        self.end_daemon()
        raise RuntimeError("qemu-storage-daemon does not export the disk")

    def __exit__(self, *error):
        try:
            super().__exit__(*error)
        finally:
            # The loop device is released a moment after the unmount.
            for _ in range(100):
                if not run(["losetup", "--noheadings", "-j", self.image]).strip():
                    break
                time.sleep(0.01)
            self.end_daemon()

    def end_daemon(self):
        """Ends the daemon, which first writes the rest of its log."""
        self.daemon.terminate()
        self.daemon.wait()

    def logged_bytes(self):
        """The length of the log: all writes so far are logged before this offset."""
        return self.log.stat().st_size


def entries(log):
    """Yields for each entry of the log: the offset of its end, whether it is a flush, the offset of its write, and the data."""
    with open(log, "rb") as file:
        magic, _, _, sector_bytes = struct.unpack("<QQQI", file.read(28))
        if magic != MAGIC or sector_bytes != SECTOR_BYTES:
            raise RuntimeError("the log has an unknown format")
        file.seek(SECTOR_BYTES)
        while len(head := file.read(SECTOR_BYTES)) == SECTOR_BYTES:
            sector, sectors, flags, _ = struct.unpack("<QQQQ", head[:32])
            data = b"" if flags & DISCARD else file.read(sectors * SECTOR_BYTES)
            yield file.tell(), bool(flags & FLUSH), sector * SECTOR_BYTES, data


def pieces(writes):
    """Splits the writes into pieces, each of which a disk writes completely or not at all."""
    for offset, data in writes:
        for start in range(0, len(data), PIECE_BYTES):
            yield offset + start, data[start : start + PIECE_BYTES]


def write(image, writes):
    """Applies the writes to an image."""
    with open(image, "r+b") as file:
        for offset, data in writes:
            file.seek(offset)
            file.write(data)


def states(disk, start, end, draw):
    """Cuts the power after each entry of the log between the offsets `start` and `end`. Yields an image, and the log's length at
    the cut.

    The image contains everything that was written before the last flush, and all or a random part of the writes since then. Before
    each flush, a second image contains none of the writes since the previous flush.
    """
    image = pathlib.Path(disk.base.parent, "state")
    since_flush, last_end = [], None
    for entry_end, is_flush, offset, data in entries(disk.log):
        if entry_end > end:
            break
        is_in_range = entry_end > start
        if is_flush:
            if is_in_range and last_end is not None and since_flush:
                run(["cp", "--sparse=always", disk.base, image])
                yield image, last_end
            write(disk.base, since_flush)
            since_flush = []
        elif data:
            since_flush.append((offset, data))
        if is_in_range:
            last_end = entry_end
            kept = draw.choice([1.0, 0.5, draw.random()])
            run(["cp", "--sparse=always", disk.base, image])
            write(image, [piece for piece in pieces(since_flush) if kept == 1.0 or draw.random() < kept])
            yield image, entry_end
