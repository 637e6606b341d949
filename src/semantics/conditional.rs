//! Preconditions (RFC 9110 §13): entity tags, dates, and the order in which they are evaluated.

use super::Now;
use super::date;
use super::fields::{FieldName, Fields};
use super::method::Method;
use super::request::Request;

/// The validators of the representation that a request selects. The default is a representation without validators.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// The entity tag, as in an ETag field.
    pub etag: Option<&'a str>,
    /// The time of the last modification, in seconds since 1970.
    pub last_modified_unix_s: Option<u64>,
}

/// The result of evaluating a request's preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Perform the method.
    Proceed,
    /// Respond with 304: the client already has the representation.
    NotModified,
    /// Respond with 412, and do not perform the method.
    Failed,
}

/// The value of an If-Match or If-None-Match field.
#[derive(Clone, Debug)]
enum Tags {
    /// `*`: any representation.
    Any,
    /// Lists of tags, one per field line. They are stored unparsed, so that a tag needs no memory of its own.
    Listed(Vec<Box<[u8]>>),
}

/// The preconditions of a request. It owns its values, so that those of an upload can be evaluated again at its end.
#[derive(Clone, Debug)]
pub struct Preconditions {
    is_read: bool,
    if_match: Option<Tags>,
    if_unmodified_since_unix_s: Option<u64>,
    if_none_match: Option<Tags>,
    if_modified_since_unix_s: Option<u64>,
}

impl Preconditions {
    /// The preconditions of `request`; `None` if it has none, or its method ignores them. A malformed date is ignored.
    #[inline]
    pub fn of(request: &Request<'_>, now: &Now) -> Option<Preconditions> {
        const NAMES: [FieldName; 4] =
            [FieldName::IfMatch, FieldName::IfUnmodifiedSince, FieldName::IfNoneMatch, FieldName::IfModifiedSince];
        if request.fields.contains_any(NAMES) { Preconditions::of_fields(request, now) } else { None }
    }

    fn of_fields(request: &Request<'_>, now: &Now) -> Option<Preconditions> {
        let fields = &request.fields;
        // §13.2.1: methods that neither select nor modify a representation ignore preconditions.
        if matches!(request.method, Method::Connect | Method::Options | Method::Trace) {
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

    /// Whether the method is to be performed only if no representation exists: `If-None-Match: *`.
    pub fn demand_absence(&self) -> bool {
        matches!(self.if_none_match, Some(Tags::Any))
    }

    /// Evaluates the preconditions in the order of §13.2.2. `selected` is `None` if no representation exists.
    ///
    /// To be called only if the response without preconditions would be a 2xx (§13.2.1). A date is ignored if the
    /// representation has none.
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
            // A malformed field of a write was probably meant to protect a representation, so that is not replaced. For
            // a read, ignoring the field is harmless.
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

    /// Whether a line contains anything but tags.
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

/// Iterates over the entity tags of a list (§8.8.3), up to the first member that is not a tag; the rest of the list
/// then remains. A tag may contain commas.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ' | b'\t' | b',', tail @ ..] = self.0 {
            self.0 = tail;
        }
        let (tag, tail) = self.0.split_at_checked(entity_tag_bytes(self.0)?)?;
        // White space, a comma or the end must follow a tag: no member of `"a""b"` is a tag.
        if !matches!(tail, [] | [b' ' | b'\t' | b',', ..]) {
            return None;
        }
        self.0 = tail;
        Some(tag)
    }
}

/// The length of the entity tag that `bytes` begin with.
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

/// Strong comparison (§8.8.3.2): both tags are strong and equal.
pub fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    one == other && !one.starts_with(b"W/")
}

/// Weak comparison (§8.8.3.2): the tags are equal, apart from being strong or weak.
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
    fn a_list_yields_its_tags_up_to_a_malformed_member() {
        assert_eq!(tags(r#""a""#), [r#""a""#]);
        assert_eq!(tags(r#", "a",W/"b" ,, "c,d", "" "#), [r#""a""#, r#"W/"b""#, r#""c,d""#, r#""""#]);
        assert_eq!(tags(r#""a", b, "c""#), [r#""a""#], "tags after a malformed member are ignored");
        assert_eq!(tags(r#""a""b""#), [""; 0]);
        for none in ["", "a", "\"a", "w/\"a\"", "\"a b\"", "*"] {
            assert_eq!(tags(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn tags_are_compared_strongly_or_weakly() {
        assert!(strongly_equal(b"\"a\"", b"\"a\""));
        assert!(!strongly_equal(b"W/\"a\"", b"W/\"a\""));
        assert!(!strongly_equal(b"W/\"a\"", b"\"a\""));
        assert!(weakly_equal(b"W/\"a\"", b"\"a\""));
        assert!(!weakly_equal(b"W/\"a\"", b"\"b\""));
    }
}
