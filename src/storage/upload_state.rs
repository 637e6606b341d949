//! The records in the state file of a resumable upload. Records are appended, and the last complete one is the state of
//! the upload. A record that was truncated by a crash, or lost by the disk, fails its checksum and is ignored.
//!
//! A record is the length of its body and a checksum (four bytes each), and then the body: a byte for the event, the
//! offset and the inode number (eight bytes each), and the caller's note. Numbers are big-endian.

use flate2::Crc;

/// The longest note of a record, in bytes. A record with a greater length is damaged.
pub(super) const NOTE_BYTES_MAX: usize = 16 * 1024;

const HEADER_BYTES: usize = 8;
const FIXED_BYTES: usize = 17;

/// The event that a record reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The upload has been created. This is the first record.
    Created,
    /// The content is stored up to the offset; if the upload is durable, it is on the disk.
    Progress,
    /// The content is complete, and its file, which has this inode number, is about to be published.
    Publishing { inode: u64 },
    /// The upload has ended.
    Published,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) event: Event,
    /// The number of bytes of content.
    pub(super) offset: u64,
    /// What the caller needs to continue the upload.
    pub(super) note: Vec<u8>,
}

impl Record {
    /// The bytes of the record; `None` if the note is longer than [`NOTE_BYTES_MAX`].
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

    /// The record at the start of `bytes`, and its length in bytes; `None` if it is incomplete or damaged.
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

/// The content of a state file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UploadState {
    /// The note of the first record.
    pub(super) creation: Vec<u8>,
    /// The last complete record; it may be the first one.
    pub(super) last: Record,
    /// The length of all complete records, in bytes. The rest of the file is damaged.
    pub(super) bytes: usize,
}

impl UploadState {
    /// Decodes the content of a state file; `None` if the first record is incomplete, damaged, or not a creation.
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
#[allow(clippy::unwrap_used, reason = "a test may panic")]
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
    fn a_truncated_file_has_the_state_of_its_last_complete_record() {
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
    fn a_damaged_record_and_everything_after_it_is_ignored() {
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
    fn a_file_that_does_not_begin_with_a_creation_is_not_decoded() {
        let (_, encoded) = file();
        assert_eq!(UploadState::decode(&encoded[1]), None);
        assert_eq!(UploadState::decode(b""), None);
    }

    #[test]
    fn a_note_that_is_too_long_is_not_encoded() {
        assert_eq!(record(Event::Progress, 0, &[0; NOTE_BYTES_MAX + 1]).encode(), None);
    }
}
