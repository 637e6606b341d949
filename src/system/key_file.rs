//! The file with the keys that sign links.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use log::warn;

use super::settings_file;
use crate::semantics::link::{KeySource, LinkKeys};

/// The longest file that is read, in bytes: far longer than the keys and a few comments.
const BYTES_MAX: u64 = 64 * 1024;

/// The permissions of a new file: nobody else may read it.
const NEW_MODE: u32 = 0o600;

/// The permissions that a key file should not have: those of everybody, and that of the group to write.
const EXPOSED: u32 = 0o027;

/// A key file, which is opened by its path each time.
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file at `path`. Does not open it yet.
    pub fn new(path: &Path) -> KeyFile {
        KeyFile { path: path.to_owned() }
    }
}

impl KeySource for KeyFile {
    /// Warns if users of the system who should not know the keys can read or replace them.
    fn read(&mut self) -> Result<LinkKeys, String> {
        let path = &self.path;
        let (text, mode) = settings_file::read(path, BYTES_MAX)
            .map_err(|error| format!("cannot read the key file {path:?}: {error}"))?;
        if mode & EXPOSED != 0 {
            warn!("the key file {path:?} has mode {:o}: others can read or change it; use chmod 600", mode & 0o777);
        }
        LinkKeys::parse(&text).map_err(|error| format!("the key file {path:?} cannot be used: {error}"))
    }
}

/// Writes a new file that only its owner can read.
///
/// # Errors
/// If something exists at the path, which is never replaced, or the file cannot be written. Then there is none.
pub fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(NEW_MODE).open(path)?;
    file.write_all(content).and_then(|()| file.sync_all()).inspect_err(|_| {
        // A file with half a key would only be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::semantics::link::{SECRET_BYTES, key_line};

    #[test]
    fn a_new_file_can_be_read_by_its_owner_only_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, key_line(&[1; SECRET_BYTES]).as_bytes()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(KeyFile::new(&path).read().is_ok());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        for existing in [&path, &link] {
            assert_eq!(create(existing, b"other").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read(&path).unwrap(), key_line(&[1; SECRET_BYTES]).as_bytes());
        assert!(!folder.path().join("nowhere").exists());
    }

    #[test]
    fn the_reason_why_a_file_cannot_be_used_does_not_contain_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let error = |path: &Path| KeyFile::new(path).read().unwrap_err();
        assert!(error(&path).starts_with("cannot read the key file "), "{}", error(&path));
        assert!(error(folder.path()).ends_with("it is not a regular file"), "{}", error(folder.path()));
        fs::write(&path, "ab".repeat(SECRET_BYTES) + "cd\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(error(&path).ends_with("line 1 is no key: expected 64 hexadecimal digits"), "{}", error(&path));
        assert!(!error(&path).contains("abab"));
        fs::write(&path, "#".repeat(70_000)).unwrap();
        assert!(error(&path).ends_with("it is too long"), "{}", error(&path));
    }
}
