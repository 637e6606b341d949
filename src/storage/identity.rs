//! Which version of which file it is.

use rustix::fs::Stat;

/// One version of one file, as the system reported it. Two equal identities mean the same octets, as far as a stat can
/// tell: a file whose times are coarse may be written twice within one tick of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device that holds the file.
    pub device: u64,
    /// The file's number on its device.
    pub inode: u64,
    /// The size of the content, in octets.
    pub octets: u64,
    /// When the content was last modified: nanoseconds since 1970, negative before.
    pub modified_ns: i128,
    /// When the file or its names were last changed: nanoseconds since 1970, negative before.
    pub changed_ns: i128,
}

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        let (device, inode) = file_number(stat);
        Identity {
            device,
            inode,
            // A size is never negative, except from a file system that is broken: nothing is then served.
            octets: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec)),
            changed_ns: nanoseconds(i128::from(stat.st_ctime), i128::from(stat.st_ctime_nsec)),
        }
    }
}

/// The device and the number on it: what a file is called, whatever its name.
#[allow(clippy::unnecessary_cast, reason = "the width and the sign of a device number differ between systems")]
pub(super) fn file_number(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

pub(super) fn same_file(one: &Stat, other: &Stat) -> bool {
    file_number(one) == file_number(other)
}

fn nanoseconds(seconds: i128, rest: i128) -> i128 {
    // Sixty-four bits of seconds times 10^9 fit in 128 bits with room to spare.
    seconds * 1_000_000_000 + rest
}
