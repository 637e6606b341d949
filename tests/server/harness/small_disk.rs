//! A small file system in memory, which a test can fill.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A file system of a few megabytes in memory. It is unmounted when it is dropped.
pub(crate) struct SmallDisk {
    mount_point: TempDir,
}

impl SmallDisk {
    /// Mounts one of this size. Returns `None`, after printing the reason, if this process may not mount file systems.
    pub(crate) fn mount(bytes: usize) -> Option<SmallDisk> {
        let mount_point = TempDir::new().expect("a temporary directory");
        let size = format!("size={bytes}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(mount_point.path()).output();
        let reason = match mounted {
            Ok(output) if output.status.success() => return Some(SmallDisk { mount_point }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        // The test harness would hide the output of `eprintln!` when the test passes.
        let _ = writeln!(io::stderr(), "skipped: no small disk: {reason}");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Makes the file system read-only, or writable again. Nobody may have a file open for writing.
    pub(crate) fn set_read_only(&self, is_read_only: bool) {
        let option = if is_read_only { "remount,ro" } else { "remount,rw" };
        let remounted = Command::new("mount").args(["-o", option]).arg(self.path()).status();
        assert!(remounted.is_ok_and(|status| status.success()), "{option}");
    }

    /// Lets it have at most so many files, names of files and directories, with its root: each takes some space.
    pub(crate) fn allow_files(&self, files: usize) {
        let limit = format!("remount,nr_inodes={files}");
        let output = Command::new("mount").args(["-o", &limit]).arg(self.path()).output().expect("mount to run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount, because the server may still have files open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// How many bytes can be written to the file system of `path`.
pub(crate) fn bytes_free(path: &Path) -> u64 {
    let space = rustix::fs::statvfs(path).expect("a file system");
    space.f_bavail * space.f_frsize
}
