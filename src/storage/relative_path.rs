//! A name below the root, checked once.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::temporary_file;

/// The most bytes that a segment may have: what nearly every file system allows.
const SEGMENT_BYTES_MAX: usize = 255;

/// The most bytes that a path may have: Linux takes 4096 with the NUL at the end.
const PATH_BYTES_MAX: usize = 4095;

/// Room for nearly every path that is asked for, so that making one takes one allocation.
const PATH_BYTES_USUAL: usize = 128;

/// A path that can only lead down: one or more segments, none of them empty, `.` or `..`, none with a `/` or a NUL in
/// it or over 255 bytes long, none the hidden name of an upload in progress, and no more than 4095 bytes in all.
///
/// The bytes need not be UTF-8. Links on the way are not its concern: those are judged when it is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct RelativePath {
    bytes: Vec<u8>,
    /// Where the last segment starts.
    name_at: usize,
}

/// Why bytes do not make a [`RelativePath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// No segment, or an empty one.
    Empty,
    /// `.` or `..`.
    DotSegment,
    /// A `/` or a NUL inside a segment.
    ForbiddenByte,
    /// A segment over 255 bytes, or a path over 4095.
    TooLong,
    /// The name of an upload in progress, in any spelling of case.
    Reserved,
}

impl RelativePath {
    /// Joins segments, each already decoded to the bytes that it stands for.
    pub fn from_segments<I>(segments: I) -> Result<Self, PathError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut bytes = Vec::with_capacity(PATH_BYTES_USUAL);
        let mut name_at = 0;
        for segment in segments {
            let segment = segment.as_ref();
            check(segment)?;
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            name_at = bytes.len();
            bytes.extend_from_slice(segment);
            if bytes.len() > PATH_BYTES_MAX {
                return Err(PathError::TooLong);
            }
        }
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        Ok(RelativePath { bytes, name_at })
    }

    /// Whether this may be a segment of a path.
    pub(super) fn is_segment(name: &[u8]) -> bool {
        check(name).is_ok()
    }

    /// The whole path, its segments joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last segment.
    pub fn name(&self) -> &[u8] {
        self.bytes.get(self.name_at..).unwrap_or_default()
    }

    /// The path of the directory in which the last segment stands; `None` if that is the root.
    pub fn parent(&self) -> Option<&[u8]> {
        self.bytes.get(..self.name_at.checked_sub(1)?)
    }
}

fn check(segment: &[u8]) -> Result<(), PathError> {
    match segment {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::DotSegment),
        _ if segment.len() > SEGMENT_BYTES_MAX => Err(PathError::TooLong),
        _ if memchr::memchr2(b'/', 0, segment).is_some() => Err(PathError::ForbiddenByte),
        // On a file system that ignores case, another spelling would reach the same file.
        _ if temporary_file::is_temporary_name_in_any_case(segment) => Err(PathError::Reserved),
        _ => Ok(()),
    }
}

/// Together with the same hash, this lets bytes be looked up in a map whose keys are paths.
impl Borrow<[u8]> for RelativePath {
    fn borrow(&self) -> &[u8] {
        &self.bytes
    }
}

impl Hash for RelativePath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

/// Escaped, so that a name in a log line cannot forge another line.
impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.bytes.escape_ascii())
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::Empty => "a segment of the name is empty",
            PathError::DotSegment => "a segment of the name is \".\" or \"..\"",
            PathError::ForbiddenByte => "the name holds a slash or a NUL",
            PathError::TooLong => "the name is too long",
            PathError::Reserved => "the name is one of those kept for uploads in progress",
        })
    }
}

impl std::error::Error for PathError {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Component, Path};

    fn of(segments: &[&[u8]]) -> Result<RelativePath, PathError> {
        RelativePath::from_segments(segments)
    }

    #[test]
    fn segments_are_joined_and_told_apart_again() {
        let one = of(&[b"name"]).unwrap();
        assert_eq!((one.as_bytes(), one.parent(), one.name()), (&b"name"[..], None, &b"name"[..]));
        let three = of(&[b"a", b"..b", b"\xff"]).unwrap();
        let parts = (three.as_bytes(), three.parent(), three.name());
        assert_eq!(parts, (&b"a/..b/\xff"[..], Some(&b"a/..b"[..]), &b"\xff"[..]));
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for (segments, reason) in [
            (&[][..], PathError::Empty),
            (&[&b""[..]], PathError::Empty),
            (&[b"a", b""], PathError::Empty),
            (&[b"", b"a"], PathError::Empty),
            (&[b"."], PathError::DotSegment),
            (&[b"a", b"..", b"b"], PathError::DotSegment),
            (&[b"a/b"], PathError::ForbiddenByte),
            (&[b"/"], PathError::ForbiddenByte),
            (&[b"../a"], PathError::ForbiddenByte),
            (&[b"a\0"], PathError::ForbiddenByte),
            (&[b".spindle-0123456789abcdef"], PathError::Reserved),
            (&[b".SPINDLE-0123456789ABCDEF", b"a"], PathError::Reserved),
        ] {
            assert_eq!(of(segments).err(), Some(reason), "{segments:?}");
        }
    }

    #[test]
    fn lengths_are_held_to_their_limits() {
        assert!(of(&[&[b'a'; 255]]).is_ok());
        assert_eq!(of(&[&[b'a'; 256]]).err(), Some(PathError::TooLong));
        // 4095 bytes are 2048 segments of one byte and the 2047 slashes between them.
        let mut path = [&b"a"[..]; 2048];
        assert!(of(&path).is_ok());
        path[2047] = b"aa";
        assert_eq!(of(&path).err(), Some(PathError::TooLong));
        assert_eq!(of(&[&b"a"[..]; 2049]).err(), Some(PathError::TooLong));
    }

    #[test]
    fn a_name_cannot_break_a_line_of_the_log() {
        assert_eq!(format!("{:?}", of(&[b"a\n\"\xff"]).unwrap()), r#""a\n\"\xff""#);
    }

    proptest! {
        #[test]
        fn what_is_accepted_only_leads_down(
            segments in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"./a\0"[..]), 0..4), 0..4)
        ) {
            if let Ok(path) = RelativePath::from_segments(&segments) {
                let seen = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
                let seen: Vec<_> = seen.components().collect();
                prop_assert!(seen.iter().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(seen.len(), segments.len());
                prop_assert!(!path.as_bytes().contains(&0));
            }
        }
    }
}
