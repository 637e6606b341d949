//! Reading a short file that an administrator writes: that of the accounts, or that of the keys.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// The content and the permissions of a file of at most `bytes_max` bytes.
///
/// # Errors
/// If it cannot be read, is longer, or is not a regular file.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<(Vec<u8>, u32)> {
    // Opening a named pipe would otherwise wait for a writer, and with it the whole server.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::other("it is too long"));
    }
    Ok((content, metadata.mode()))
}
