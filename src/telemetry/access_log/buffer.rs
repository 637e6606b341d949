//! Lines that have not been written yet.

/// While this many bytes are waiting, further lines are lost. More than a turn's lines, and more than the longest line:
/// a head of 48 KiB of which each byte becomes four.
pub(super) const WAITING_BYTES_MAX: usize = 256 * 1024;

/// Lines in the order of their exchanges. Only whole lines are lost: either the new one, or the rest of one that was
/// written in part.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    /// How many bytes of a line were written before the ones that wait. 0 if these begin with a whole line.
    begun_bytes: usize,
}

impl LineBuffer {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends the line that `push` appends to its argument. Returns whether there was room for it.
    pub(super) fn push(&mut self, push: impl FnOnce(&mut Vec<u8>)) -> bool {
        let before = self.bytes.len();
        push(&mut self.bytes);
        let fits = self.bytes.len() <= WAITING_BYTES_MAX;
        if !fits {
            self.bytes.truncate(before);
        }
        fits
    }

    /// Removes the first bytes, because they were written.
    pub(super) fn written(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes.len());
        self.begun_bytes = match memchr::memrchr(b'\n', &self.bytes[..bytes]) {
            Some(line_end) => bytes - line_end - 1,
            None => self.begun_bytes + bytes,
        };
        self.bytes.drain(..bytes);
    }

    /// Removes the rest of a line that was written in part, because what follows goes to another file. Returns whether
    /// there was one.
    pub(super) fn drop_begun_line(&mut self) -> bool {
        if self.begun_bytes == 0 {
            return false;
        }
        let end = memchr::memchr(b'\n', &self.bytes).map_or(self.bytes.len(), |line_end| line_end + 1);
        self.bytes.drain(..end);
        self.begun_bytes = 0;
        true
    }

    /// Removes everything. Returns how many lines that loses.
    pub(super) fn drop_all(&mut self) -> u64 {
        let lines = memchr::memchr_iter(b'\n', &self.bytes).count() as u64;
        *self = LineBuffer::default();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(text: &str) -> LineBuffer {
        let mut buffer = LineBuffer::default();
        assert!(buffer.push(|bytes| bytes.extend_from_slice(text.as_bytes())));
        buffer
    }

    #[test]
    fn a_line_for_which_there_is_no_room_is_lost_whole() {
        let mut buffer = buffer("first\n");
        let room = WAITING_BYTES_MAX - buffer.waiting().len();
        assert!(!buffer.push(|bytes| bytes.resize(bytes.len() + room + 1, b'x')));
        assert_eq!(buffer.waiting(), b"first\n");
        assert!(buffer.push(|bytes| bytes.resize(bytes.len() + room, b'x')));
    }

    #[test]
    fn the_rest_of_a_line_stays_until_it_is_written_or_dropped() {
        let mut buffer = buffer("first\nsecond\nthird\n");
        buffer.written(6);
        assert!(!buffer.drop_begun_line(), "a whole line was written");
        buffer.written(2);
        buffer.written(1);
        assert_eq!(buffer.waiting(), b"ond\nthird\n");
        assert!(buffer.drop_begun_line());
        assert_eq!(buffer.waiting(), b"third\n");
        assert!(!buffer.drop_begun_line());
        buffer.written(6);
        assert!(buffer.is_empty() && buffer.drop_all() == 0);
    }

    #[test]
    fn lines_are_counted_when_they_are_dropped() {
        let mut buffer = buffer("first\nsecond\n");
        buffer.written(3);
        assert_eq!(buffer.drop_all(), 2, "the first one was not written completely");
        assert!(buffer.is_empty() && !buffer.drop_begun_line());
    }
}
