//! The test fixture: a file system with a served directory, another directory beside it, and actions of another
//! process.

use std::cell::Cell;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use spindle::storage::{Access, FileSystem};

use crate::disk::{Action, Disk, Settings};

/// The time on the simulated disk, in seconds since 1970.
pub(crate) const START_S: u64 = 1_700_000_000;

pub(crate) trait Fixture {
    type System: FileSystem;

    /// Whether the file system has the system calls of Linux, and not only those of every Unix.
    const IS_LINUX: bool;

    fn new() -> Self;
    fn system(&self) -> Self::System;
    fn root_path(&self) -> PathBuf;
    /// The absolute path of `path`, which is relative to the parent of the served directory.
    fn absolute(&self, path: &str) -> String;
    fn act(&self, action: &Action);
    fn read(&self, path: &str) -> Option<Vec<u8>>;
    fn names(&self, path: &str) -> Vec<String>;
    fn add_fifo(&self, path: &str);
    fn add_socket(&self, path: &str);

    /// The granularity to which the file system rounds down modification times.
    fn time_granularity_ns(&self) -> u64 {
        1
    }

    fn root(&self) -> <Self::System as FileSystem>::File {
        self.system().open_root(&self.root_path(), Access::ReadDirectory).unwrap()
    }

    fn add(&self, path: &str, content: &str) {
        self.act(&Action::Replace { path: path.to_owned(), content: content.as_bytes().to_vec() });
    }

    fn add_directory(&self, path: &str) {
        self.act(&Action::MakeDirectory { path: path.to_owned() });
    }

    fn add_link(&self, path: &str, target: &str) {
        self.act(&Action::SoftLink { path: path.to_owned(), target: target.to_owned() });
    }

    fn rename(&self, from: &str, to: &str) {
        self.act(&Action::Rename { directory: ".".to_owned(), from: from.to_owned(), to: to.to_owned() });
    }

    fn remove_directory(&self, path: &str) {
        self.act(&Action::RemoveTree { path: path.to_owned() });
    }
}

/// The simulated disk, with the system calls of Linux or only with those of every Unix.
pub(crate) struct Simulated<const LINUX: bool> {
    disk: Disk,
}

impl<const LINUX: bool> Fixture for Simulated<LINUX> {
    type System = Disk;

    const IS_LINUX: bool = LINUX;

    fn new() -> Self {
        let settings = if LINUX { Settings::linux(1) } else { Settings::portable(1) };
        let disk = Disk::new(settings, Rc::new(Cell::new(START_S * 1_000_000_000)));
        disk.add_file("/outside/secret", b"secret", 0);
        Simulated { disk }
    }

    fn system(&self) -> Disk {
        self.disk.clone()
    }

    fn root_path(&self) -> PathBuf {
        Disk::root_path().to_path_buf()
    }

    fn absolute(&self, path: &str) -> String {
        format!("/{path}")
    }

    fn act(&self, action: &Action) {
        assert!(self.disk.act(action), "{action:?}");
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.disk.read(path)
    }

    fn names(&self, path: &str) -> Vec<String> {
        self.disk.names(path)
    }

    fn add_fifo(&self, path: &str) {
        self.disk.add_fifo(path);
    }

    fn add_socket(&self, path: &str) {
        self.disk.add_socket(path);
    }
}

/// A directory of this machine, with one of the server's own implementations.
pub(crate) struct Real<F> {
    system: F,
    directory: tempfile::TempDir,
}

impl<F: FileSystem + Default + RealSystem> Fixture for Real<F> {
    type System = F;

    const IS_LINUX: bool = F::IS_LINUX;

    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("served")).unwrap();
        fs::create_dir(directory.path().join("outside")).unwrap();
        fs::write(directory.path().join("outside/secret"), b"secret").unwrap();
        Real { system: F::default(), directory }
    }

    fn system(&self) -> F {
        self.system.clone()
    }

    fn root_path(&self) -> PathBuf {
        self.directory.path().join("served")
    }

    fn absolute(&self, path: &str) -> String {
        self.directory.path().join(path).to_str().unwrap().to_owned()
    }

    fn act(&self, action: &Action) {
        perform(&self.root_path(), action).unwrap();
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.root_path().join(path)).ok()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root_path().join(path)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn add_fifo(&self, path: &str) {
        let made = std::process::Command::new("mkfifo").arg(self.root_path().join(path)).status();
        assert!(made.unwrap().success());
    }

    fn time_granularity_ns(&self) -> u64 {
        env::var(crate::mounted::GRANULARITY).map_or(1, |ns| ns.parse().unwrap())
    }

    fn add_socket(&self, path: &str) {
        drop(std::os::unix::net::UnixListener::bind(self.root_path().join(path)).unwrap());
    }
}

/// An implementation for real file systems.
pub(crate) trait RealSystem {
    const IS_LINUX: bool;
}

fn perform(root: &Path, action: &Action) -> std::io::Result<()> {
    let at = |path: &str| root.join(path);
    match action {
        Action::Rename { directory, from, to } => fs::rename(at(directory).join(from), at(directory).join(to)),
        Action::Replace { path, content } => {
            fs::write(at("../outside/new"), content)?;
            fs::rename(at("../outside/new"), at(path))
        }
        Action::Create { path, content } | Action::Overwrite { path, content } => fs::write(at(path), content),
        Action::Truncate { path, bytes } => fs::File::options().write(true).open(at(path))?.set_len(*bytes as u64),
        Action::Unlink { path } => fs::remove_file(at(path)),
        Action::HardLink { from, to } => fs::hard_link(at(from), at(to)),
        Action::SoftLink { target, path } => symlink(target, at(path)),
        Action::MakeDirectory { path } => fs::create_dir(at(path)),
        Action::RemoveTree { path } => fs::remove_dir_all(at(path)),
        Action::Move { from, to } => fs::rename(at(from), at(to)),
        // The tests may run as root, to which permissions do not apply. No server uses these file systems.
        Action::Permit { .. } | Action::CleanUp { .. } => Ok(()),
    }
}

/// Makes each function a test on each file system.
macro_rules! contract {
    ($($name:ident)*) => {
        mod on_simulated_linux { $(#[test] fn $name() { super::$name(&crate::fixture::Fixture::new() as &crate::fixture::Simulated<true>); })* }
        mod on_simulated_unix { $(#[test] fn $name() { super::$name(&crate::fixture::Fixture::new() as &crate::fixture::Simulated<false>); })* }
        #[cfg(target_os = "linux")]
        mod on_linux { $(#[test] fn $name() { super::$name(&crate::fixture::Fixture::new() as &crate::fixture::Real<spindle::storage::Linux>); })* }
        mod on_any_system { $(#[test] fn $name() { super::$name(&crate::fixture::Fixture::new() as &crate::fixture::Real<spindle::storage::Portable>); })* }
    };
}
pub(crate) use contract;

#[cfg(target_os = "linux")]
impl RealSystem for spindle::storage::Linux {
    const IS_LINUX: bool = true;
}

impl RealSystem for spindle::storage::Portable {
    const IS_LINUX: bool = false;
}
