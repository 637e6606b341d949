//! Preconditions (RFC 9110 §13): entity tags, dates, and the order in which they count.

use super::Now;
use super::date;
use super::fields::{FieldName, Fields};
use super::method::Method;
use super::request::Request;

/// What is known of the representation that a request selects. The default knows nothing but that there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// Its entity tag, as it stands in an ETag field.
    pub etag: Option<&'a str>,
    /// When it was last modified, in seconds since 1970.
    pub last_modified_unix_s: Option<u64>,
}

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Perform the method.
    Proceed,
    /// The peer has the representation already: 304.
    NotModified,
    /// Do nothing: 412.
    Failed,
}

/// The tags of an If-Match or If-None-Match.
#[derive(Clone, Debug)]
enum Tags {
    /// `*`: whatever there is.
    Any,
    /// Lists of tags, a line each, as they were received: no tag costs memory of its own.
    Listed(Vec<Box<[u8]>>),
}

/// What a request demands of the selected representation. Owned, so that an upload can be judged again at its end.
#[derive(Clone, Debug)]
pub struct Preconditions {
    is_read: bool,
    if_match: Option<Tags>,
    if_unmodified_since_unix_s: Option<u64>,
    if_none_match: Option<Tags>,
    if_modified_since_unix_s: Option<u64>,
}

impl Preconditions {
    /// The preconditions of a request; `None` where it has none that count. A date that is none is ignored.
    pub fn of(request: &Request<'_>, now: &Now) -> Option<Preconditions> {
        let fields = &request.fields;
        const NAMES: [FieldName; 4] =
            [FieldName::IfMatch, FieldName::IfUnmodifiedSince, FieldName::IfNoneMatch, FieldName::IfModifiedSince];
        // Methods that neither select nor modify a representation have none (§13.2.1).
        if !fields.contains_any(NAMES) || matches!(request.method, Method::Connect | Method::Options | Method::Trace) {
            return None;
        }
        let date_in = |name| date::parse(fields.single(name)?, now.unix_s());
        Some(Preconditions {
            is_read: matches!(request.method, Method::Get | Method::Head),
            if_match: Tags::of(fields, FieldName::IfMatch),
            if_unmodified_since_unix_s: date_in(FieldName::IfUnmodifiedSince),
            if_none_match: Tags::of(fields, FieldName::IfNoneMatch),
            if_modified_since_unix_s: date_in(FieldName::IfModifiedSince),
        })
    }

    /// Whether the request is to be done only where nothing exists yet: `If-None-Match: *`.
    pub fn demand_absence(&self) -> bool {
        matches!(self.if_none_match, Some(Tags::Any))
    }

    /// Evaluates them in the order of §13.2.2. `selected` is `None` where no representation exists.
    ///
    /// To be asked only where the answer would have been a 2xx (§13.2.1). A date is ignored where there is none to compare
    /// it with.
    pub fn evaluate(&self, selected: Option<Validators<'_>>) -> Verdict {
        let last_modified = selected.and_then(|validators| validators.last_modified_unix_s);
        // Steps 1 and 2.
        if let Some(tags) = &self.if_match {
            if !tags.any_matches(selected, strongly_equal) {
                return Verdict::Failed;
            }
        } else if let (Some(date), Some(modified)) = (self.if_unmodified_since_unix_s, last_modified)
            && modified > date
        {
            return Verdict::Failed;
        }
        // Steps 3 and 4.
        if let Some(tags) = &self.if_none_match {
            if tags.any_matches(selected, weakly_equal) {
                return if self.is_read { Verdict::NotModified } else { Verdict::Failed };
            }
            // Who wrote that meant to protect something. Reading on is harmless; replacing it would not be.
            if tags.is_malformed() && !self.is_read {
                return Verdict::Failed;
            }
        } else if self.is_read
            && let (Some(date), Some(modified)) = (self.if_modified_since_unix_s, last_modified)
            && modified <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }
}

impl Tags {
    fn of(fields: &Fields<'_>, name: FieldName) -> Option<Tags> {
        if !fields.contains(name) {
            return None;
        }
        if fields.single(name) == Some(b"*") {
            return Some(Tags::Any);
        }
        Some(Tags::Listed(fields.values(name).map(Box::from).collect()))
    }

    /// Whether there is more than tags.
    fn is_malformed(&self) -> bool {
        let Tags::Listed(lines) = self else { return false };
        lines.iter().any(|line| {
            let mut tags = EntityTags(line);
            tags.by_ref().for_each(drop);
            !tags.0.is_empty()
        })
    }

    fn any_matches(&self, selected: Option<Validators<'_>>, equal: fn(&[u8], &[u8]) -> bool) -> bool {
        match (self, selected) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::Listed(lines), Some(validators)) => validators.etag.is_some_and(|etag| {
                lines.iter().flat_map(|line| EntityTags(line)).any(|tag| equal(tag, etag.as_bytes()))
            }),
        }
    }
}

/// The entity tags of a list (§8.8.3), up to the first member that is none; what is left then is not empty. A tag may
/// hold commas.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ' | b'\t' | b',', tail @ ..] = self.0 {
            self.0 = tail;
        }
        let (tag, tail) = self.0.split_at_checked(entity_tag_bytes(self.0)?)?;
        // What follows a tag is white space, a comma, or the end: of `"a""b"`, no member is a tag.
        if !matches!(tail, [] | [b' ' | b'\t' | b',', ..]) {
            return None;
        }
        self.0 = tail;
        Some(tag)
    }
}

/// How long the entity tag is that `bytes` begin with.
fn entity_tag_bytes(bytes: &[u8]) -> Option<usize> {
    let opaque_start = match bytes {
        [b'W', b'/', b'"', ..] => 3,
        [b'"', ..] => 1,
        _ => return None,
    };
    let opaque = &bytes[opaque_start..];
    let end = opaque.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
    (opaque[end] == b'"').then_some(opaque_start + end + 1)
}

/// Strong comparison (§8.8.3.2): both strong, and the same.
pub fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    one == other && !one.starts_with(b"W/")
}

/// Weak comparison (§8.8.3.2): the same but for their strength.
pub fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    one.strip_prefix(b"W/").unwrap_or(one) == other.strip_prefix(b"W/").unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &str) -> Vec<String> {
        EntityTags(list.as_bytes()).map(|tag| String::from_utf8_lossy(tag).into_owned()).collect()
    }

    #[test]
    fn lists_of_tags() {
        assert_eq!(tags(r#""a""#), [r#""a""#]);
        assert_eq!(tags(r#", "a",W/"b" ,, "c,d", "" "#), [r#""a""#, r#"W/"b""#, r#""c,d""#, r#""""#]);
        assert_eq!(tags(r#""a", b, "c""#), [r#""a""#], "nothing is believed behind a member that is no tag");
        assert_eq!(tags(r#""a""b""#), [""; 0]);
        for none in ["", "a", "\"a", "w/\"a\"", "\"a b\"", "*"] {
            assert_eq!(tags(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn comparison() {
        assert!(strongly_equal(b"\"a\"", b"\"a\""));
        assert!(!strongly_equal(b"W/\"a\"", b"W/\"a\""));
        assert!(!strongly_equal(b"W/\"a\"", b"\"a\""));
        assert!(weakly_equal(b"W/\"a\"", b"\"a\""));
        assert!(!weakly_equal(b"W/\"a\"", b"\"b\""));
    }
}
