//! The file with the accounts.

use std::path::{Path, PathBuf};

use log::warn;

use super::settings_file;
use crate::semantics::accounts::{AccountSource, Accounts};

/// The longest file that is read, in bytes: the most accounts with the longest names, and comments.
const BYTES_MAX: u64 = 1024 * 1024;

/// The permissions that the file should not have: those of others to change it. To read it does no harm, since the
/// hashes do not help to find the secrets.
const EXPOSED: u32 = 0o022;

/// An accounts file, which is opened by its path each time.
pub struct AccountsFile {
    path: PathBuf,
}

impl AccountsFile {
    /// The file at `path`. Does not open it yet.
    pub fn new(path: &Path) -> AccountsFile {
        AccountsFile { path: path.to_owned() }
    }
}

impl AccountSource for AccountsFile {
    /// Warns if other users of the system can change the file.
    fn read(&mut self) -> Result<Accounts, String> {
        let path = &self.path;
        let (text, mode) = settings_file::read(path, BYTES_MAX)
            .map_err(|error| format!("cannot read the accounts file {path:?}: {error}"))?;
        if mode & EXPOSED != 0 {
            warn!("the accounts file {path:?} has mode {:o}: others can change it; use chmod go-w", mode & 0o777);
        }
        Accounts::parse(&text).map_err(|error| format!("the accounts file {path:?} cannot be used: {error}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_reason_why_a_file_cannot_be_used_has_its_line_and_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        let error = |path: &Path| AccountsFile::new(path).read().unwrap_err();
        assert!(error(&path).starts_with("cannot read the accounts file "), "{}", error(&path));
        assert!(error(folder.path()).ends_with("it is not a regular file"), "{}", error(folder.path()));
        fs::write(&path, "* read\nalice hunter2 read\n").unwrap();
        assert!(error(&path).contains("line 2: after the name: expected a list of read, create"), "{}", error(&path));
        assert!(!error(&path).contains("hunter2"));
        fs::write(&path, "#".repeat(BYTES_MAX as usize + 1)).unwrap();
        assert!(error(&path).ends_with("it is too long"), "{}", error(&path));
        fs::write(&path, "* read\n").unwrap();
        assert!(AccountsFile::new(&path).read().unwrap().everybody().reads);
    }
}
