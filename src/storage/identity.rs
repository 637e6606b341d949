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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn an_identity_holds_all_that_the_system_reports() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("name");
        fs::write(&path, b"12345").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let quarter = Duration::from_millis(250);
        // A quarter of a second to either side of 1970, and the far future.
        for (modified, expected) in [
            (UNIX_EPOCH - quarter, -250_000_000),
            (UNIX_EPOCH + quarter, 250_000_000),
            (UNIX_EPOCH + Duration::from_secs(8_000_000_000), 8_000_000_000_000_000_000),
        ] {
            file.set_modified(modified).unwrap();
            let identity = Identity::of(&rustix::fs::fstat(&file).unwrap());
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!(identity.octets, 5);
            assert_eq!(identity.modified_ns, expected);
            assert_eq!((identity.device, identity.inode), (metadata.dev(), metadata.ino()));
            let changed_ns = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
            assert_eq!(identity.changed_ns, changed_ns);
        }
    }
}
