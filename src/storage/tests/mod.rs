//! What the laws promise, tried on a real directory: in the way of this system, and in the way of systems that lack
//! `openat2` and unnamed files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]

mod commits;
mod faults;
mod listings;
mod lookups;
mod ranges;
mod scarcity;
mod sweeps;
mod uploads;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Directory, FileRange, OpenedFile, Publish, Published, RelativePath, StorageError, Upload};

/// How a directory is opened for a test: as this system does, and as others do.
const WAYS: [fn(&Path) -> Directory; 2] = [|path| Directory::open(path, 1).unwrap(), Directory::open_as_elsewhere];

fn path(text: &str) -> RelativePath {
    RelativePath::from_segments(text.split('/')).unwrap()
}

fn begin(directory: &Directory, name: &str, publish: Publish) -> Result<Upload, StorageError> {
    directory.begin_upload(&path(name), publish, None, false)
}

/// Uploads whole content in one go, with no condition.
fn put(directory: &Directory, name: &str, publish: Publish, content: &[u8]) -> Result<Published, StorageError> {
    let mut upload = begin(directory, name, publish)?;
    upload.write(content)?;
    upload.commit(0, |_| true)
}

/// All of an open file.
fn content(opened: &OpenedFile) -> Vec<u8> {
    let range = FileRange::whole(opened.clone());
    let mut content = vec![0; usize::try_from(range.remaining()).unwrap()];
    assert_eq!(range.read_at(&mut content).unwrap(), content.len());
    content
}

/// Every name in a directory, sorted, hidden ones too.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

const CHILD: &str = "SPINDLE_STORAGE_TEST_CHILD";

/// Whether this is the process that [`run_as_child`] started, and the argument that it was given.
fn child_argument() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Runs one test again in a process of its own, whose limits and whose death harm no other test.
fn run_as_child(module: &str, test: &str, argument: &Path) -> Output {
    child_command(module, test, argument, &[]).output().unwrap()
}

/// The command for [`run_as_child`], behind a prefix that has the rest of the line as its arguments.
fn child_command(module: &str, test: &str, argument: &Path, prefix: &[&str]) -> Command {
    let (_, module) = module.split_once("::").unwrap();
    let program = std::env::current_exe().unwrap();
    let mut words = prefix.iter().map(OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", &format!("{module}::{test}"), "--nocapture"]);
    command.env(CHILD, argument);
    command
}

fn assert_success(output: &Output) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    // A name that matches no test also succeeds.
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}
