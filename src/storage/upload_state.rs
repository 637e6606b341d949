//! The records in the state file of a resumable upload. Records are appended, and the last complete one is the state of
//! the upload. A record that was truncated by a crash, or lost by the disk, fails its checksum and is ignored.
//!
//! A record is the length of its body and a checksum (four bytes each), and then the body: a byte for the event, the
//! offset, the boot identifier and the inode number (eight bytes each), the modification time (sixteen bytes), and the
//! caller's note. Numbers are big-endian.

use flate2::Crc;

/// The longest note of a record, in bytes: more than a path and the field section of a request have together. A record with
/// a greater length is damaged.
pub(super) const NOTE_BYTES_MAX: usize = 64 * 1024;

const HEADER_BYTES: usize = 8;
const FIXED_BYTES: usize = 41;

/// The event that a record reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The upload has been created. This is the first record.
    Created,
    /// The content is stored up to the offset; if the upload is durable, it is on the disk.
    Progress,
    /// The content is complete, and its file is about to be published, with this inode number and modification time.
    Publishing { inode: u64, modified_ns: i128 },
    /// The upload has ended.
    Published,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) event: Event,
    /// The number of bytes of content.
    pub(super) offset: u64,
    /// The boot identifier of the system, if the content was not flushed. After the next start of the system it is
    /// unknown which part of the content is on the disk. `None` if it was flushed, or if the system has no identifier.
    pub(super) boot_id: Option<u64>,
    /// What the caller needs to continue the upload.
    pub(super) note: Vec<u8>,
}

impl Record {
    /// The length of the record, in bytes.
    pub(super) fn encoded_bytes(&self) -> usize {
        HEADER_BYTES + FIXED_BYTES + self.note.len()
    }

    /// The bytes of the record; `None` if the note is longer than [`NOTE_BYTES_MAX`].
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let (event, inode, modified_ns) = match self.event {
            Event::Created => (0, 0, 0),
            Event::Progress => (1, 0, 0),
            Event::Publishing { inode, modified_ns } => (2, inode, modified_ns),
            Event::Published => (3, 0, 0),
        };
        if self.note.len() > NOTE_BYTES_MAX {
            return None;
        }
        let body_bytes = u32::try_from(FIXED_BYTES + self.note.len()).ok()?;
        let mut body = vec![event];
        body.extend_from_slice(&self.offset.to_be_bytes());
        body.extend_from_slice(&self.boot_id.unwrap_or(0).to_be_bytes());
        body.extend_from_slice(&inode.to_be_bytes());
        body.extend_from_slice(&modified_ns.to_be_bytes());
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
        let (boot_id, rest) = rest.split_first_chunk()?;
        let (inode, rest) = rest.split_first_chunk()?;
        let (modified_ns, note) = rest.split_first_chunk()?;
        let event = match event {
            0 => Event::Created,
            1 => Event::Progress,
            2 => {
                Event::Publishing { inode: u64::from_be_bytes(*inode), modified_ns: i128::from_be_bytes(*modified_ns) }
            }
            3 => Event::Published,
            _ => return None,
        };
        let boot_id = Some(u64::from_be_bytes(*boot_id)).filter(|id| *id != 0);
        let record = Record { event, offset: u64::from_be_bytes(*offset), boot_id, note: note.to_vec() };
        Some((record, HEADER_BYTES + body_bytes))
    }
}

/// The content of a state file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UploadState {
    /// The note of the first record.
    pub(super) creation: Vec<u8>,
    /// The last complete record whose content is known to be on the disk; it may be the first one.
    pub(super) last: Record,
    /// The length of all records up to that one, in bytes. The rest of the file is ignored.
    pub(super) bytes: usize,
}

impl UploadState {
    /// Decodes the content of a state file. `boot_id` is the current one: a record with another identifier is not
    /// believed, because the system may have stopped before its content was on the disk. `None` if no record is
    /// believed, or if the first one is incomplete, damaged, or not a creation.
    pub(super) fn decode(content: &[u8], boot_id: Option<u64>) -> Option<UploadState> {
        let (first, _) = Record::decode(content).filter(|(first, _)| first.event == Event::Created)?;
        let mut last = None;
        let mut bytes = 0;
        while let Some((record, record_bytes)) = content.get(bytes..).and_then(Record::decode) {
            bytes += record_bytes;
            // A record that was flushed is believed although an earlier one was not, since a flush covers everything.
            if record.boot_id.is_none() || record.boot_id == boot_id {
                last = Some((record, bytes));
            }
        }
        last.map(|(last, bytes)| UploadState { creation: first.note, last, bytes })
    }

    /// The event of the last complete record, whether it is believed or not. `None` if this is not the content of a state
    /// file.
    pub(super) fn last_event(content: &[u8]) -> Option<Event> {
        let (first, mut bytes) = Record::decode(content).filter(|(first, _)| first.event == Event::Created)?;
        let mut last = first.event;
        while let Some((record, record_bytes)) = content.get(bytes..).and_then(Record::decode) {
            bytes += record_bytes;
            last = record.event;
        }
        Some(last)
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
        Record { event, offset, boot_id: None, note: note.to_vec() }
    }

    fn file() -> (Vec<Record>, Vec<Vec<u8>>) {
        let records = vec![
            record(Event::Created, 0, b"creation"),
            record(Event::Progress, 7, b""),
            record(Event::Progress, u64::MAX, &[0xff; NOTE_BYTES_MAX]),
            record(Event::Publishing { inode: 12, modified_ns: -1 }, 9, b"note"),
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
            assert_eq!(UploadState::decode(&content[..cut], None), expected, "{cut}");
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
            let state = UploadState::decode(&content, None).unwrap();
            assert_eq!((state.last, state.bytes), (records[0].clone(), before), "{place}");
        }
        let zeros = [&encoded[0][..], &[0; 4096]].concat();
        assert_eq!(UploadState::decode(&zeros, None).unwrap().bytes, before);
    }

    #[test]
    fn a_file_that_does_not_begin_with_a_creation_is_not_decoded() {
        let (_, encoded) = file();
        assert_eq!(UploadState::decode(&encoded[1], None), None);
        assert_eq!(UploadState::decode(b"", None), None);
    }

    #[test]
    fn a_record_of_another_boot_is_believed_only_if_it_was_flushed() {
        let records = [(1, Some(5)), (2, None), (3, Some(5)), (4, Some(6))].map(|(offset, boot_id)| Record {
            event: if offset == 1 { Event::Created } else { Event::Progress },
            offset,
            boot_id,
            note: Vec::new(),
        });
        let encoded: Vec<Vec<u8>> = records.iter().map(|record| record.encode().unwrap()).collect();
        let offset = |count: usize, boot_id| {
            UploadState::decode(&encoded[..count].concat(), boot_id).map(|state| state.last.offset)
        };
        assert_eq!((offset(1, Some(5)), offset(1, Some(6)), offset(1, None)), (Some(1), None, None));
        assert_eq!((offset(4, Some(5)), offset(4, Some(6)), offset(4, None)), (Some(3), Some(4), Some(2)));
    }

    #[test]
    fn a_note_that_is_too_long_is_not_encoded() {
        assert_eq!(record(Event::Progress, 0, &[0; NOTE_BYTES_MAX + 1]).encode(), None);
    }
}
