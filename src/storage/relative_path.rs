//! A path beneath the root that was checked once.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::temporary_file;

/// The longest segment, in bytes: the limit of nearly every file system.
pub const SEGMENT_BYTES_MAX: usize = 255;

/// The longest path, in bytes. The limit of Linux is 4096 with the terminating NUL.
pub const PATH_BYTES_MAX: usize = 4095;

/// The most directories that a path may lead through. An upload may have to create each of them, and to find an
/// unfinished upload each may have to be opened, while all other clients wait. An archive contains as many levels, and the
/// shared folder itself.
pub const DIRECTORIES_MAX: usize = 63;

/// The initial capacity of a path, in bytes: enough for nearly every path, so that it takes one allocation.
const PATH_BYTES_USUAL: usize = 128;

/// A path of one or more segments that leads down from the root. No segment is empty, `.` or `..`, contains a `/` or a
/// NUL, is longer than 255 bytes, or is the name of a temporary file. The path is no longer than 4095 bytes, and leads
/// through at most 63 directories.
///
/// The bytes need not be UTF-8. Links are not checked here, but when the path is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct RelativePath {
    bytes: Vec<u8>,
    /// The offset of the last segment.
    name_at: usize,
}

/// Why segments do not make a [`RelativePath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// There is no segment, or an empty one.
    Empty,
    /// A segment is `.` or `..`.
    DotSegment,
    /// A segment contains a `/` or a NUL.
    ForbiddenByte,
    /// A segment is longer than 255 bytes, or the path longer than 4095, or it has more than 64 segments.
    TooLong,
    /// A segment is the name of a temporary file, in lower or upper case.
    Reserved,
}

impl RelativePath {
    /// Joins segments, which must already be percent-decoded.
    pub fn from_segments<I>(segments: I) -> Result<Self, PathError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut bytes = Vec::with_capacity(PATH_BYTES_USUAL);
        let mut name_at = 0;
        for (directories, segment) in segments.into_iter().enumerate() {
            let segment = segment.as_ref();
            check(segment)?;
            if directories > DIRECTORIES_MAX {
                return Err(PathError::TooLong);
            }
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

    /// Whether `name` is valid as a segment.
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

    /// The path without the last segment; `None` if that is the root.
    pub fn parent(&self) -> Option<&[u8]> {
        self.bytes.get(..self.name_at.checked_sub(1)?)
    }

    /// The path without the last segment, without the last two, and so on, down to an empty one for the root.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::successors(Some(self.parent().unwrap_or_default()), |path| {
            (!path.is_empty()).then(|| &path[..memchr::memrchr(b'/', path).unwrap_or(0)])
        })
    }
}

fn check(segment: &[u8]) -> Result<(), PathError> {
    match segment {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::DotSegment),
        _ if segment.len() > SEGMENT_BYTES_MAX => Err(PathError::TooLong),
        _ if memchr::memchr2(b'/', 0, segment).is_some() => Err(PathError::ForbiddenByte),
        // In any case: on a file system that ignores case, another spelling would open the same file.
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

/// Escaped, so that a name cannot forge a line of the log.
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
            PathError::ForbiddenByte => "the name contains a slash or a NUL",
            PathError::TooLong => "the name is too long",
            PathError::Reserved => "the name is reserved for temporary files",
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
    fn segments_are_joined_and_split_again() {
        let one = of(&[b"name"]).unwrap();
        assert_eq!((one.as_bytes(), one.parent(), one.name()), (&b"name"[..], None, &b"name"[..]));
        assert!(one.ancestors().eq([b""]));
        let three = of(&[b"a", b"..b", b"\xff"]).unwrap();
        assert!(three.ancestors().eq([&b"a/..b"[..], b"a", b""]));
        let parts = (three.as_bytes(), three.parent(), three.name());
        assert_eq!(parts, (&b"a/..b/\xff"[..], Some(&b"a/..b"[..]), &b"\xff"[..]));
    }

    #[test]
    fn a_path_leads_through_at_most_63_directories() {
        assert!(RelativePath::from_segments(["a"; DIRECTORIES_MAX + 1]).is_ok());
        assert_eq!(RelativePath::from_segments(["a"; DIRECTORIES_MAX + 2]).err(), Some(PathError::TooLong));
    }

    #[test]
    fn segments_that_could_lead_elsewhere_are_refused() {
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
    fn a_segment_and_a_path_have_a_greatest_length() {
        assert!(of(&[&[b'a'; 255]]).is_ok());
        assert_eq!(of(&[&[b'a'; 256]]).err(), Some(PathError::TooLong));
        // 4095 bytes are 16 segments of 255 bytes and the 15 slashes between them.
        let mut path = [&[b'a'; 255][..]; 16];
        assert!(of(&path).is_ok());
        path[15] = &[b'a'; 254];
        assert!(of(&path).is_ok());
        assert_eq!(of(&[&path[..], &[b"a"]].concat()).err(), Some(PathError::TooLong));
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_the_log() {
        assert_eq!(format!("{:?}", of(&[b"a\n\"\xff"]).unwrap()), r#""a\n\"\xff""#);
    }

    proptest! {
        #[test]
        fn an_accepted_path_only_leads_down(
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
