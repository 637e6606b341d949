//! Threads that flush several files at the same time. A disk that is asked to flush its cache for many files at once
//! does it once. Asked for one file after the other, it does it for each, even if the journal of the file system has
//! brought all of them to the disk already.
//!
//! The threads do nothing else, and the caller waits for them: no other part of the server notices that they exist. They
//! are created when the server starts, because a confined process can create none. Without them, files are flushed one
//! after the other.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use rustix::io::Errno;

/// How many files are flushed at the same time, each by a thread: as many as a group of uploads has, so that a group takes
/// about as long as one upload. The disk flushes its cache once or twice for all of them.
pub const FLUSHED_AT_ONCE_MAX: usize = 64;

/// The stack of a thread, in bytes. It makes one system call after the other.
const STACK_BYTES: usize = 64 * 1024;

static FLUSHERS: OnceLock<Vec<Sender<Job>>> = OnceLock::new();

/// A file to be flushed, by a descriptor of its own, and where its index and the result go.
struct Job {
    file: OwnedFd,
    index: usize,
    results: Sender<(usize, Result<(), Errno>)>,
}

/// Creates the threads. Returns when all of them wait for work, so that none makes another system call than `fsync`,
/// `close`, and what waiting takes. Further calls do nothing.
///
/// # Errors
/// The system creates no more threads. Those that it has created are used.
pub fn start() -> io::Result<()> {
    let mut flushers = Vec::new();
    let mut refusal = None;
    for _ in 0..FLUSHED_AT_ONCE_MAX {
        match start_one() {
            Ok(flusher) => flushers.push(flusher),
            Err(error) => {
                refusal = Some(error);
                break;
            }
        }
    }
    if !flushers.is_empty() {
        let _ = FLUSHERS.set(flushers);
    }
    refusal.map_or(Ok(()), Err)
}

fn start_one() -> io::Result<Sender<Job>> {
    let (jobs, queue) = channel::<Job>();
    let (ready, is_ready) = channel();
    thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let _ = ready.send(());
        // Ends with the process, which holds the other end.
        for Job { file, index, results } in queue {
            let flushed = rustix::fs::fsync(&file);
            // Before the result, so that the caller has its descriptors back.
            drop(file);
            let _ = results.send((index, flushed));
        }
    })?;
    is_ready.recv().map_err(io::Error::other)?;
    Ok(jobs)
}

/// Flushes `files` at the same time, as far as there are threads and descriptors for that. Returns their results in
/// their order.
pub(super) fn sync_all(files: &[&OwnedFd]) -> Vec<Result<(), Errno>> {
    match FLUSHERS.get() {
        Some(flushers) if files.len() > 1 => sync_with(flushers, files),
        _ => files.iter().map(rustix::fs::fsync).collect(),
    }
}

fn sync_with(flushers: &[Sender<Job>], files: &[&OwnedFd]) -> Vec<Result<(), Errno>> {
    let (results, flushed) = channel();
    for ((index, file), flusher) in files.iter().enumerate().zip(flushers.iter().cycle()) {
        if let Ok(file) = rustix::io::fcntl_dupfd_cloexec(file, 0) {
            let _ = flusher.send(Job { file, index, results: results.clone() });
        }
    }
    drop(results);
    let mut by_index: Vec<Option<Result<(), Errno>>> = vec![None; files.len()];
    // Ends when the last job has been done, and has dropped its sender.
    for (index, result) in flushed {
        by_index[index] = Some(result);
    }
    let of_file = |(file, result): (&&OwnedFd, Option<_>)| result.unwrap_or_else(|| rustix::fs::fsync(file));
    files.iter().zip(by_index).map(of_file).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::File;

    use super::*;

    /// A pipe cannot be flushed.
    #[test]
    fn each_file_has_its_own_result_with_and_without_threads() {
        let flushers: Vec<_> = (0..3).map(|_| start_one().unwrap()).collect();
        let directory = tempfile::tempdir().unwrap();
        let (pipe, _writer) = rustix::pipe::pipe().unwrap();
        for count in [0, 1, 2, 3, 7, 64] {
            let create = |n: usize| OwnedFd::from(File::create(directory.path().join(n.to_string())).unwrap());
            let created: Vec<OwnedFd> = (0..count).map(create).collect();
            let mut files: Vec<&OwnedFd> = created.iter().collect();
            let mut expected = vec![Ok(()); count];
            if count > 1 {
                files[count / 2] = &pipe;
                expected[count / 2] = Err(Errno::INVAL);
            }
            assert_eq!(sync_with(&flushers, &files), expected);
            assert_eq!(sync_all(&files), expected);
        }
    }
}
