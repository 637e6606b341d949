//! The validators of a file: entity tag and modification date (RFC 9110 §8.8).

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::semantics::Now;
use crate::semantics::conditional::{self, Validators};
use crate::semantics::date::{self, ImfFixdate};
use crate::semantics::response::Response;
use crate::semantics::status::Status;
use crate::storage::{Metadata, Published};

/// For how long after a modification by another program, in nanoseconds, a second one may get the same modification
/// time. The coarsest clock of a file system in use ticks every two seconds.
const RECENT_NS: i128 = 2_000_000_000;

/// How many of this run's uploads are remembered. An upload that is forgotten too early has a weak tag for two seconds.
const REMEMBERED_MAX: usize = 1024;

const NS_PER_S: i128 = 1_000_000_000;

/// As many bytes as a tag usually has, or more.
const ETAG_BYTES_USUAL: usize = 80;

/// The latest uploads of this run.
///
/// Storage gives every upload a modification time that no other version of the file has. So its tag is strong from
/// the start, provided that the file system has kept that time exactly.
#[derive(Debug, Default)]
pub(super) struct OwnUploads {
    published: VecDeque<Metadata>,
}

impl OwnUploads {
    pub(super) fn remember(&mut self, published: &Published) {
        // A file system with coarser times, such as whole seconds, gives several uploads the same time.
        if published.metadata.modified_ns != i128::from(published.modified_ns) {
            return;
        }
        let metadata = published.metadata;
        if self.published.len() == REMEMBERED_MAX {
            self.published.pop_front();
        }
        self.published.push_back(metadata);
    }

    fn contain(&self, metadata: &Metadata) -> bool {
        // The latest upload is requested most often.
        self.published.iter().rev().any(|published| published == metadata)
    }
}

/// The fields that describe one version of a file.
#[derive(Clone, Debug)]
pub(in crate::routes) struct FileVersion {
    etag: String,
    last_modified_unix_s: Option<u64>,
    /// The same as a date, formatted once.
    date: Option<ImfFixdate>,
    /// Whether another modification may still get the same date, or the same time from a coarse clock.
    is_recent: bool,
}

impl FileVersion {
    pub(super) fn of(metadata: &Metadata, own_uploads: &OwnUploads, now: &Now) -> FileVersion {
        let Metadata { modified_ns, changed_ns, .. } = metadata;
        // A time in the future counts as recent too: a program or a wrong clock has set it.
        let latest_ns = *modified_ns.max(changed_ns);
        let is_recent = i128::from(now.unix_ns) - latest_ns < RECENT_NS;
        let weakness = if is_recent && !own_uploads.contain(metadata) { "W/" } else { "" };
        let last_modified_unix_s = u64::try_from(modified_ns.div_euclid(NS_PER_S)).ok();
        FileVersion {
            etag: etag(weakness, metadata),
            last_modified_unix_s,
            date: last_modified_unix_s.and_then(ImfFixdate::new),
            is_recent,
        }
    }

    /// A response with the fields that describe this version: ETag and Last-Modified.
    pub(super) fn into_response<'r, B>(version: Cow<'r, FileVersion>, status: Status, now: &Now) -> Response<'r, B> {
        let last_modified = version.last_modified(now);
        let etag = match version {
            Cow::Borrowed(version) => Cow::Borrowed(&*version.etag),
            Cow::Owned(version) => Cow::Owned(version.etag),
        };
        Response { last_modified, etag: Some(etag), ..Response::new(status) }
    }

    /// Whether another modification may still get the same date, or the same time from a coarse clock.
    pub(super) fn is_recent(&self) -> bool {
        self.is_recent
    }

    pub(super) fn validators(&self) -> Validators<'_> {
        Validators { etag: Some(&self.etag), last_modified_unix_s: self.last_modified_unix_s }
    }

    /// Whether `validator`, the value of If-Range, names this version (RFC 9110 §13.1.5): as a strong tag, or as
    /// exactly the modification date if the modification is too old for another one to share that date. That includes
    /// uploads: two of them may fall into the same second.
    pub(super) fn matches_if_range(&self, validator: &[u8], now: &Now) -> bool {
        if validator.starts_with(b"\"") || validator.starts_with(b"W/") {
            return conditional::strongly_equal(validator, self.etag.as_bytes());
        }
        !self.is_recent
            && self.last_modified_unix_s.is_some()
            && date::parse(validator, now.unix_s()) == self.last_modified_unix_s
    }

    /// The Last-Modified field: never later than Date (§8.8.2.1), and `None` if the format cannot express the time.
    fn last_modified(&self, now: &Now) -> Option<ImfFixdate> {
        match self.last_modified_unix_s {
            Some(unix_s) if unix_s > now.unix_s() && self.date.is_some() => ImfFixdate::new(now.unix_s()),
            _ => self.date,
        }
    }
}

/// What the system reports of a file, as a tag. `format!` takes twice as many instructions: a quarter of those of a small
/// upload.
fn etag(weakness: &str, metadata: &Metadata) -> String {
    let Metadata { device, inode, size_bytes, modified_ns, changed_ns, kind: _ } = *metadata;
    let times = [modified_ns, changed_ns].map(|time_ns| time_ns as u128);
    let numbers = [device.into(), inode.into(), size_bytes.into()].into_iter().chain(times);
    let mut tag = String::with_capacity(ETAG_BYTES_USUAL);
    tag.push_str(weakness);
    for (index, number) in numbers.enumerate() {
        tag.push(if index == 0 { '"' } else { '-' });
        push_hexadecimal(&mut tag, number);
    }
    tag.push('"');
    tag
}

/// Appends the digits of `number`, without leading zeros.
fn push_hexadecimal(text: &mut String, number: u128) {
    let digits = (u128::BITS - number.leading_zeros()).div_ceil(4).max(1);
    text.extend((0..digits).rev().map(|at| char::from(b"0123456789abcdef"[(number >> (4 * at)) as usize % 16])));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileKind;

    const NOW: Now = Now { monotonic_ns: 0, unix_ns: 784_111_777_000_000_000 };
    const FILE: Metadata = Metadata {
        kind: FileKind::Regular,
        device: 1,
        inode: 2,
        size_bytes: 3,
        modified_ns: 784_111_700_000_000_000,
        changed_ns: 4,
    };

    fn version(metadata: Metadata) -> FileVersion {
        FileVersion::of(&metadata, &OwnUploads::default(), &NOW)
    }

    #[test]
    fn each_part_of_the_metadata_changes_the_tag() {
        let others = [
            Metadata { device: 9, ..FILE },
            Metadata { inode: 9, ..FILE },
            Metadata { size_bytes: 9, ..FILE },
            Metadata { modified_ns: 9, ..FILE },
            Metadata { changed_ns: 9, ..FILE },
        ];
        for other in others {
            assert_ne!(version(other).etag, version(FILE).etag);
        }
    }

    #[test]
    fn a_tag_consists_of_hexadecimal_numbers() {
        for (device, size_bytes, time_ns) in
            [(0, 15, -1), (16, u64::MAX, i128::MIN), (0xfedc, 1, 784_111_700_123_456_789)]
        {
            let metadata = Metadata { device, size_bytes, modified_ns: time_ns, changed_ns: time_ns / 3, ..FILE };
            let expected = format!("W/\"{device:x}-2-{size_bytes:x}-{time_ns:x}-{:x}\"", time_ns / 3);
            assert_eq!(etag("W/", &metadata), expected);
        }
    }

    #[test]
    fn a_tag_is_weak_while_a_modification_by_others_is_recent() {
        let age = |age_ns: i128| Metadata { modified_ns: i128::from(NOW.unix_ns) - age_ns, ..FILE };
        assert!(version(age(RECENT_NS - 1)).etag.starts_with("W/"));
        assert!(version(age(-5)).etag.starts_with("W/"));
        assert!(version(age(RECENT_NS)).etag.starts_with('"'));

        let mut own_uploads = OwnUploads::default();
        own_uploads.remember(&published(age(1)));
        assert!(FileVersion::of(&age(1), &own_uploads, &NOW).etag.starts_with('"'));
        assert!(FileVersion::of(&age(2), &own_uploads, &NOW).etag.starts_with("W/"));
    }

    fn published(metadata: Metadata) -> Published {
        Published { created: true, metadata, modified_ns: u64::try_from(metadata.modified_ns).unwrap() }
    }

    /// A file system that keeps whole seconds would show two uploads of one second as one version.
    #[test]
    fn the_tag_of_an_upload_whose_time_was_not_kept_exactly_is_weak_at_first() {
        let now_ns = NOW.unix_ns;
        let kept = Metadata { modified_ns: i128::from(now_ns), ..FILE };
        for (given_ns, is_strong) in [(now_ns, true), (now_ns + 1, false), (now_ns + 999_999_999, false)] {
            let mut own_uploads = OwnUploads::default();
            own_uploads.remember(&Published { modified_ns: given_ns, ..published(kept) });
            let tag = FileVersion::of(&kept, &own_uploads, &NOW).etag;
            assert_eq!(!tag.starts_with("W/"), is_strong, "{given_ns}");
        }
    }

    #[test]
    fn if_range_names_a_version_by_a_strong_tag_or_an_old_date() {
        let old = version(FILE);
        let named = |version: &FileVersion, validator: &str| version.matches_if_range(validator.as_bytes(), &NOW);
        assert!(named(&old, &old.etag));
        assert!(named(&old, "Sun, 06 Nov 1994 08:48:20 GMT"));
        assert!(!named(&old, "Sun, 06 Nov 1994 08:48:21 GMT"));
        assert!(!named(&old, "Sun, 06 Nov 1994 08:48:19 GMT"));
        assert!(!named(&old, &format!("W/{}", old.etag)));
        assert!(!named(&old, "\"other\"") && !named(&old, "*") && !named(&old, ""));

        let recent = version(Metadata { modified_ns: i128::from(NOW.unix_ns), ..FILE });
        assert!(!named(&recent, &recent.etag), "a weak tag names nothing");
        assert!(!named(&recent, "Sun, 06 Nov 1994 08:49:37 GMT"));
    }

    #[test]
    fn last_modified_is_never_in_the_future_and_absent_where_no_date_can_name_it() {
        let at = |unix_s: i128| version(Metadata { modified_ns: unix_s * NS_PER_S, ..FILE }).last_modified(&NOW);
        assert_eq!(at(784_111_777), ImfFixdate::new(784_111_777));
        assert_eq!(at(784_111_778), ImfFixdate::new(784_111_777));
        assert_eq!(at(0), ImfFixdate::new(0));
        assert_eq!(at(-1), None);
        assert_eq!(at(253_402_300_800), None);
    }
}
