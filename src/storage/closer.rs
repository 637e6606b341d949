//! A thread that closes files. The last close of a file without a name frees its content, which keeps ext4 or tmpfs busy
//! for a sixth to half a second per gigabyte. Everybody would wait for that if the event loop closed the file.
//!
//! The thread is created when the server starts, because a confined process can create none. Without it, or if the queue
//! is full, a file is closed in place. When the process ends, the system closes what is left.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

/// The stack of the thread, in bytes. It makes one system call after the other.
const STACK_BYTES: usize = 64 * 1024;

static CLOSER: OnceLock<Closer> = OnceLock::new();

/// How many bytes the files in the queue have on the disk.
static BYTES_QUEUED: AtomicU64 = AtomicU64::new(0);

/// What the thread does next.
enum Job {
    /// Closes a file that has this many bytes on the disk.
    Close(OwnedFd, u64),
    /// Answers, since all earlier jobs are done.
    Answer(SyncSender<()>),
}

struct Closer {
    queue: SyncSender<Job>,
}

/// Creates the thread. Returns when it waits for work, so that it makes no other system call than `close` and what waiting
/// takes. At most `files_max` files wait to be closed. Further calls do nothing.
///
/// # Errors
/// The system creates no more threads.
pub fn start(files_max: usize) -> io::Result<()> {
    if CLOSER.get().is_none() {
        let _ = CLOSER.set(start_closer(files_max)?);
    }
    Ok(())
}

fn start_closer(files_max: usize) -> io::Result<Closer> {
    let (queue, jobs) = sync_channel(files_max);
    let (ready, is_ready) = channel();
    thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let _ = ready.send(());
        run(jobs);
    })?;
    is_ready.recv().map_err(io::Error::other)?;
    Ok(Closer { queue })
}

/// Ends with the process, which holds the other end.
fn run(jobs: Receiver<Job>) {
    for job in jobs {
        match job {
            Job::Close(file, bytes) => {
                drop(file);
                // What `bytes_queued` no longer counts is free.
                BYTES_QUEUED.fetch_sub(bytes, Ordering::Release);
            }
            Job::Answer(answer) => {
                let _ = answer.send(());
            }
        }
    }
}

impl Closer {
    /// Has the file closed, at once if the queue is full.
    fn close(&self, file: OwnedFd, bytes: u64) {
        BYTES_QUEUED.fetch_add(bytes, Ordering::Relaxed);
        // An error returns the file, and so closes it.
        if self.queue.try_send(Job::Close(file, bytes)).is_err() {
            BYTES_QUEUED.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Waits until the files that are in the queue now have been closed.
    fn wait(&self) {
        let (answer, is_answered) = sync_channel(0);
        if self.queue.send(Job::Answer(answer)).is_ok() {
            let _ = is_answered.recv();
        }
    }
}

/// Has a file closed that has no name, and this many bytes on the disk.
pub(super) fn close(file: OwnedFd, bytes: u64) {
    match CLOSER.get() {
        Some(closer) => closer.close(file, bytes),
        None => drop(file),
    }
}

/// As [`FileSystem::bytes_being_freed`](super::FileSystem::bytes_being_freed).
pub(super) fn bytes_queued() -> u64 {
    BYTES_QUEUED.load(Ordering::Acquire)
}

/// As [`FileSystem::wait_until_freed`](super::FileSystem::wait_until_freed).
pub(super) fn wait() {
    if let Some(closer) = CLOSER.get() {
        closer.wait();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::Duration;

    use rustix::fs::{FlockOperation, flock};

    use super::*;

    /// A removed file, open twice: the first one is locked until it is closed.
    fn removed(path: &Path) -> (OwnedFd, File) {
        fs::write(path, b"content").unwrap();
        let [file, other] = [(); 2].map(|()| File::open(path).unwrap());
        fs::remove_file(path).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        (file.into(), other)
    }

    fn is_closed(other: &File) -> bool {
        flock(other, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// A process that another test is just starting has a copy of each descriptor until it executes its program.
    fn wait_until_closed(other: &File) {
        let is_closed = || is_closed(other) || (thread::sleep(Duration::from_millis(1)), false).1;
        assert!((0..10_000).any(|_| is_closed()));
    }

    #[test]
    fn a_file_is_closed_by_the_thread_or_at_once_if_the_queue_is_full() {
        let directory = tempfile::tempdir().unwrap();
        let closer = start_closer(1).unwrap();
        let [queued, further] = [(); 2].map(|()| removed(&directory.path().join("name")));
        // The thread stands still until this answer is taken. The second job has the only place in the queue once the thread
        // has taken the first one.
        let (answer, stands_still) = sync_channel(0);
        closer.queue.send(Job::Answer(answer)).unwrap();
        closer.queue.send(Job::Close(queued.0, 0)).unwrap();
        closer.close(further.0, 4096);
        // There is no place in the queue.
        wait_until_closed(&further.1);
        assert!(!is_closed(&queued.1), "the thread stands still");
        stands_still.recv().unwrap();
        closer.wait();
        wait_until_closed(&queued.1);
        let last = removed(&directory.path().join("name"));
        closer.close(last.0, 0);
        closer.wait();
        wait_until_closed(&last.1);
    }
}
