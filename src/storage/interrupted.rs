//! Calls that a signal interrupts are made again, a bounded number of times.

use rustix::io::Errno;

use super::file_system::{DirectoryEntry, FileSystem};

/// How often a call is made that says `EINTR`. A signal interrupts a call once; a file system in user space may say so
/// for ever, and must not hold the thread, which has other connections to serve.
const ATTEMPTS_MAX: u32 = 16;

/// Makes a call again while it says that it was interrupted and did nothing. If it never says anything else, that is an
/// I/O error: the caller must not take it for an interruption, and try again.
pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..ATTEMPTS_MAX {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::IO)
}

/// Reads the next entry of a directory, and takes of it what is needed: the entry itself is lent.
pub(super) fn next_entry<F: FileSystem, T>(
    file_system: &F,
    entries: &mut F::Entries,
    take: impl Fn(&DirectoryEntry<'_>) -> T,
) -> Option<Result<T, Errno>> {
    retry(|| file_system.next_entry(entries).map(|entry| entry.map(|entry| take(&entry))).transpose()).transpose()
}

/// Fills `space` from `offset` on, with as many calls of `read` as that takes; `None` where the file ends before that.
pub(super) fn read_exactly(
    read: impl Fn(&mut [u8], u64) -> Result<usize, Errno>,
    mut space: &mut [u8],
    mut offset: u64,
) -> Result<Option<()>, Errno> {
    while !space.is_empty() {
        let bytes = match retry(|| read(space, offset))? {
            0 => return Ok(None),
            bytes => bytes.min(space.len()),
        };
        space = &mut space[bytes..];
        offset = offset.saturating_add(bytes as u64);
    }
    Ok(Some(()))
}

/// Writes all of `content`, with as many calls of `write` as that takes. Each but the interrupted ones makes progress.
pub(super) fn write_all(write: impl Fn(&[u8]) -> Result<usize, Errno>, mut content: &[u8]) -> Result<(), Errno> {
    while !content.is_empty() {
        content = match retry(|| write(content))? {
            // A file system that is broken.
            0 => return Err(Errno::IO),
            bytes => content.get(bytes..).unwrap_or_default(),
        };
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn what_is_interrupted_is_tried_again_but_not_for_ever() {
        let calls = Cell::new(0);
        let succeeds_at = |last: u32| {
            calls.set(0);
            retry(|| {
                calls.set(calls.get() + 1);
                if calls.get() < last { Err(Errno::INTR) } else { Ok(()) }
            })
        };
        assert_eq!((succeeds_at(ATTEMPTS_MAX), calls.get()), (Ok(()), ATTEMPTS_MAX));
        assert_eq!((succeeds_at(u32::MAX), calls.get()), (Err(Errno::IO), ATTEMPTS_MAX));
        assert_eq!(retry(|| Err::<(), _>(Errno::NOENT)), Err(Errno::NOENT));
    }

    #[test]
    fn all_is_written_in_pieces_with_interruptions_between_them() {
        let (written, calls) = (RefCell::new(Vec::new()), Cell::new(0));
        let write = |content: &[u8]| {
            calls.set(calls.get() + 1);
            if calls.get() % ATTEMPTS_MAX != 0 {
                return Err(Errno::INTR);
            }
            let bytes = content.len().min(3);
            written.borrow_mut().extend_from_slice(&content[..bytes]);
            Ok(bytes)
        };
        assert_eq!(write_all(write, b"0123456789"), Ok(()));
        assert_eq!((&written.borrow()[..], calls.get()), (&b"0123456789"[..], 4 * ATTEMPTS_MAX));

        assert_eq!(write_all(|_| Err(Errno::INTR), b"1"), Err(Errno::IO));
        assert_eq!(write_all(|_| Ok(0), b"1"), Err(Errno::IO));
        assert_eq!(write_all(|_| Err(Errno::NOSPC), b"1"), Err(Errno::NOSPC));
        assert_eq!(write_all(|_| Err(Errno::NOSPC), b""), Ok(()));
    }

    #[test]
    fn a_file_that_is_too_short_does_not_fill_the_space() {
        let file = b"0123";
        // Two bytes a call, and only a second call gets them.
        let calls = Cell::new(0);
        let read = |space: &mut [u8], offset: u64| {
            calls.set(calls.get() + 1);
            if calls.get() % 2 == 1 {
                return Err(Errno::INTR);
            }
            let rest = file.get(offset as usize..).unwrap_or_default();
            let bytes = rest.len().min(space.len()).min(2);
            space[..bytes].copy_from_slice(&rest[..bytes]);
            Ok(bytes)
        };
        let mut space = [0; 3];
        assert_eq!(read_exactly(read, &mut space, 1), Ok(Some(())));
        assert_eq!(&space, b"123");
        assert_eq!(read_exactly(read, &mut space, 2), Ok(None));
    }
}
