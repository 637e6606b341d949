//! Tests of the laws of storage on a real directory: with the system calls of Linux, and with those of any Unix.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod cleanup;
mod commits;
mod durability;
mod eintr;
mod instrumented;
mod listings;
mod long_files;
mod lookups;
mod new_directories;
mod partial_uploads;
mod ranges;
mod reservations;
mod residency;
mod resource_limits;
mod resumed_uploads;
mod short_uploads;
mod strace;
mod tree_changes;
mod uncommitted_uploads;
mod upload_remains;
mod uploads;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use self::instrumented::{Fault, Instrumented, System};
use super::{Directory, FileRange, FileSystem, OpenedFile, Published, RelativePath, StorageError, Upload, UploadMode};

/// Each test runs on all of these.
#[cfg(target_os = "linux")]
const SYSTEMS: [System; 2] = [System::Linux, System::Portable];
#[cfg(not(target_os = "linux"))]
const SYSTEMS: [System; 1] = [System::Portable];

/// How a test opens a directory, on each of the systems.
#[cfg(target_os = "linux")]
const OPENERS: [fn(&Path) -> Directory<Instrumented>; 2] = [|path| open_on(System::Linux, path), open_portable];
#[cfg(not(target_os = "linux"))]
const OPENERS: [fn(&Path) -> Directory<Instrumented>; 1] = [open_portable];

fn open_on(system: System, path: &Path) -> Directory<Instrumented> {
    Directory::open_in(Instrumented::new(system), path, 1).unwrap()
}

fn open_portable(path: &Path) -> Directory<Instrumented> {
    open_on(System::Portable, path)
}

fn path(text: &str) -> RelativePath {
    RelativePath::from_segments(text.split('/')).unwrap()
}

fn begin<F: FileSystem>(directory: &Directory<F>, name: &str, mode: UploadMode) -> Result<Upload<F>, StorageError> {
    directory.begin_upload(&path(name), mode, None, false)
}

/// Uploads content without a condition.
fn put<F: FileSystem>(
    directory: &Directory<F>,
    name: &str,
    mode: UploadMode,
    content: &[u8],
) -> Result<Published, StorageError> {
    let mut upload = begin(directory, name, mode)?;
    upload.write(content)?;
    upload.commit(0, |_| true)
}

/// The whole content of an open file.
fn content<F: FileSystem>(opened: &OpenedFile<F>) -> Vec<u8> {
    let range = FileRange::whole(opened.clone());
    let mut content = vec![0; usize::try_from(range.remaining()).unwrap()];
    assert_eq!(range.read_at(&mut content).unwrap(), content.len());
    content
}

/// All names in a directory, sorted.
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

/// The argument of [`run_as_child`], if this process was started by it.
fn child_argument() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Runs one test again in a process of its own, which may set limits or be killed without an effect on other tests.
fn run_as_child(module: &str, test: &str, argument: &Path) -> Output {
    child_command(module, test, argument, &[]).output().unwrap()
}

/// The command of [`run_as_child`]. `prefix` is a program that runs the rest of the command line.
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
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    // If no test has the name, the process succeeds too.
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}
