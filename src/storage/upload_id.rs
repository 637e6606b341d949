//! The identifier of a resumable upload, and the names of its files.

use std::fmt;

use super::temporary_file::{TemporaryName, partial_name};

/// The identifier of a resumable upload: 128 random bits. A client that knows it may continue the upload.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId(u128);

impl UploadId {
    /// The identifier with these random bits.
    pub fn new(random: u128) -> UploadId {
        UploadId(random)
    }

    /// Parses 32 lower-case hexadecimal digits.
    pub fn parse(digits: &[u8]) -> Option<UploadId> {
        if digits.len() != 32 || !digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(str::from_utf8(digits).ok()?, 16).ok().map(UploadId)
    }

    /// The names of the content file and of the state file, each made from one half of the identifier. So both halves
    /// are needed to continue an upload.
    pub(super) fn names(self) -> (TemporaryName, TemporaryName) {
        (partial_name((self.0 >> 64) as u64), partial_name(self.0 as u64))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Without the digits, which are the client's secret: others may read the log.
impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadId")
    }
}
