//! Retries calls that a signal interrupted, and repeats short reads and writes.

use rustix::io::Errno;

use super::file_system::{DirectoryEntry, FileSystem};

/// The number of attempts while a call returns `EINTR`. A signal interrupts a call once, but a file system in user
/// space may return `EINTR` for ever. It must not block the thread, which serves all other connections.
const ATTEMPTS_MAX: u32 = 16;

/// Repeats a call while it returns `EINTR`, up to [`ATTEMPTS_MAX`] times. After the last attempt the result is `EIO`,
/// because the caller must not take it for an interruption and try again.
pub(super) fn retry_on_intr<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..ATTEMPTS_MAX {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::IO)
}

/// Reads the next entry of a directory, and returns what `take` makes of it. The entry itself is only borrowed.
pub(super) fn next_entry<F: FileSystem, T>(
    file_system: &F,
    entries: &mut F::Entries,
    take: impl Fn(&DirectoryEntry<'_>) -> T,
) -> Option<Result<T, Errno>> {
    retry_on_intr(|| file_system.next_entry(entries).map(|entry| entry.map(|entry| take(&entry))).transpose())
        .transpose()
}

/// Fills `space` with the bytes from `offset` on, in as many calls of `read` as that takes. `None` if the file ends
/// first.
pub(super) fn read_exactly(
    read: impl Fn(&mut [u8], u64) -> Result<usize, Errno>,
    mut space: &mut [u8],
    mut offset: u64,
) -> Result<Option<()>, Errno> {
    while !space.is_empty() {
        let bytes = match retry_on_intr(|| read(space, offset))? {
            0 => return Ok(None),
            bytes => bytes.min(space.len()),
        };
        space = &mut space[bytes..];
        offset = offset.saturating_add(bytes as u64);
    }
    Ok(Some(()))
}

/// Writes all of `content`, in as many calls of `write` as that takes.
pub(super) fn write_all(write: impl Fn(&[u8]) -> Result<usize, Errno>, mut content: &[u8]) -> Result<(), Errno> {
    while !content.is_empty() {
        content = match retry_on_intr(|| write(content))? {
            // Only a broken file system writes nothing without an error; the loop would never end.
            0 => return Err(Errno::IO),
            bytes => content.get(bytes..).unwrap_or_default(),
        };
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn an_interrupted_call_is_retried_a_bounded_number_of_times() {
        let calls = Cell::new(0);
        let succeeds_at = |last: u32| {
            calls.set(0);
            retry_on_intr(|| {
                calls.set(calls.get() + 1);
                if calls.get() < last { Err(Errno::INTR) } else { Ok(()) }
            })
        };
        assert_eq!((succeeds_at(ATTEMPTS_MAX), calls.get()), (Ok(()), ATTEMPTS_MAX));
        assert_eq!((succeeds_at(u32::MAX), calls.get()), (Err(Errno::IO), ATTEMPTS_MAX));
        assert_eq!(retry_on_intr(|| Err::<(), _>(Errno::NOENT)), Err(Errno::NOENT));
    }

    #[test]
    fn short_and_interrupted_writes_are_continued() {
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
    fn a_file_that_ends_early_is_not_read_exactly() {
        let file = b"0123";
        // Every other call is interrupted; the rest return at most two bytes.
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
