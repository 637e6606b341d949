//! The records in the state file of a resumable upload. Each is appended whole, and the last whole one says how the upload
//! stands. A record that a crash has cut short, or that the disk has lost, fails its checksum and counts as not written.
//!
//! A record is the length of its body and a checksum, in four bytes each, and then the body: a byte that says what is
//! recorded, two numbers of eight bytes, and the caller's note. Numbers are big-endian.

use flate2::Crc;

/// The longest note of a record, in bytes. A length above it is that of a damaged record.
pub(super) const NOTE_BYTES_MAX: usize = 16 * 1024;

const HEADER_BYTES: usize = 8;
const FIXED_BYTES: usize = 17;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The upload has been created. This is the first record.
    Created,
    /// The content is on the disk up to the offset, as far as the upload promises that.
    Progress,
    /// The content is complete, and its file, which has this inode number, is about to get its name.
    Publishing { inode: u64 },
    /// The file has its name.
    Published,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) event: Event,
    /// How many bytes of content there are.
    pub(super) offset: u64,
    /// What the caller needs to continue.
    pub(super) note: Vec<u8>,
}

impl Record {
    /// The record as it is written to the file; `None` if the note is longer than [`NOTE_BYTES_MAX`].
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let (event, inode) = match self.event {
            Event::Created => (0, 0),
            Event::Progress => (1, 0),
            Event::Publishing { inode } => (2, inode),
            Event::Published => (3, 0),
        };
        if self.note.len() > NOTE_BYTES_MAX {
            return None;
        }
        let body_bytes = u32::try_from(FIXED_BYTES + self.note.len()).ok()?;
        let mut body = vec![event];
        body.extend_from_slice(&self.offset.to_be_bytes());
        body.extend_from_slice(&inode.to_be_bytes());
        body.extend_from_slice(&self.note);
        Some([&body_bytes.to_be_bytes()[..], &checksum(&body).to_be_bytes(), &body].concat())
    }

    /// The record at the start of `bytes`, and its length; `None` if there is no whole one.
    fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let (body_bytes, expected) = header.split_first_chunk::<4>()?;
        let body_bytes = usize::try_from(u32::from_be_bytes(*body_bytes)).ok()?;
        if !(FIXED_BYTES..=FIXED_BYTES + NOTE_BYTES_MAX).contains(&body_bytes) {
            return None;
        }
        let body = rest.get(..body_bytes)?;
        if checksum(body).to_be_bytes() != *expected {
            return None;
        }
        let (event, rest) = body.split_first()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (inode, note) = rest.split_first_chunk()?;
        let event = match event {
            0 => Event::Created,
            1 => Event::Progress,
            2 => Event::Publishing { inode: u64::from_be_bytes(*inode) },
            3 => Event::Published,
            _ => return None,
        };
        let record = Record { event, offset: u64::from_be_bytes(*offset), note: note.to_vec() };
        Some((record, HEADER_BYTES + body_bytes))
    }
}

/// What a state file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UploadState {
    /// The note of the first record.
    pub(super) creation: Vec<u8>,
    /// The last whole record: perhaps the first one.
    pub(super) last: Record,
    /// The length of all whole records. What is behind them in the file is damaged.
    pub(super) bytes: usize,
}

impl UploadState {
    /// Reads the content of a state file; `None` if not even the first record is whole.
    pub(super) fn decode(content: &[u8]) -> Option<UploadState> {
        let (first, mut bytes) = Record::decode(content)?;
        if first.event != Event::Created {
            return None;
        }
        let mut state = UploadState { creation: first.note.clone(), last: first, bytes };
        while let Some((record, record_bytes)) = content.get(bytes..).and_then(Record::decode) {
            bytes += record_bytes;
            state.last = record;
        }
        state.bytes = bytes;
        Some(state)
    }
}

fn checksum(body: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(body);
    crc.sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn record(event: Event, offset: u64, note: &[u8]) -> Record {
        Record { event, offset, note: note.to_vec() }
    }

    fn file() -> (Vec<Record>, Vec<Vec<u8>>) {
        let records = vec![
            record(Event::Created, 0, b"creation"),
            record(Event::Progress, 7, b""),
            record(Event::Progress, u64::MAX, &[0xff; NOTE_BYTES_MAX]),
            record(Event::Publishing { inode: 12 }, 9, b"note"),
            record(Event::Published, 9, b"response"),
        ];
        let encoded = records.iter().map(|record| record.encode().unwrap()).collect();
        (records, encoded)
    }

    #[test]
    fn the_last_whole_record_counts_wherever_the_file_is_cut() {
        let (records, encoded) = file();
        let content = encoded.concat();
        let ends: Vec<usize> = encoded
            .iter()
            .scan(0, |end, record| {
                *end += record.len();
                Some(*end)
            })
            .collect();
        for cut in 0..=content.len() {
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            let expected = whole.checked_sub(1).map(|last| UploadState {
                creation: b"creation".to_vec(),
                last: records[last].clone(),
                bytes: ends[last],
            });
            assert_eq!(UploadState::decode(&content[..cut]), expected, "{cut}");
        }
    }

    #[test]
    fn a_damaged_record_ends_the_file() {
        let (records, encoded) = file();
        let (before, damaged) = (encoded[0].len(), encoded[1].len());
        let content = encoded.concat();
        for place in before..before + damaged {
            let mut content = content.clone();
            content[place] ^= 0x10;
            let state = UploadState::decode(&content).unwrap();
            assert_eq!((state.last, state.bytes), (records[0].clone(), before), "{place}");
        }
        let zeros = [&encoded[0][..], &[0; 4096]].concat();
        assert_eq!(UploadState::decode(&zeros).unwrap().bytes, before);
    }

    #[test]
    fn a_file_that_does_not_begin_with_a_creation_is_none() {
        let (_, encoded) = file();
        assert_eq!(UploadState::decode(&encoded[1]), None);
        assert_eq!(UploadState::decode(b""), None);
    }

    #[test]
    fn a_note_that_is_too_long_is_not_written() {
        assert_eq!(record(Event::Progress, 0, &[0; NOTE_BYTES_MAX + 1]).encode(), None);
    }
}
