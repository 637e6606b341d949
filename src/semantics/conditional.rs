//! Preconditions (RFC 9110 §13): entity tags, dates, and the order in which they count.

use super::Now;
use super::date;
use super::fields::{FieldName, Fields};
use super::method::Method;

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

/// Evaluates the preconditions in the order of §13.2.2. `selected` is `None` where no representation exists.
///
/// To be asked only where the answer would have been a 2xx (§13.2.1). A date that is none is ignored, and so is one where
/// there is nothing to compare it with.
pub fn evaluate(method: Method, fields: &Fields<'_>, selected: Option<Validators<'_>>, now: &Now) -> Verdict {
    // Methods that neither select nor modify a representation have no preconditions (§13.2.1).
    if matches!(method, Method::Connect | Method::Options | Method::Trace) {
        return Verdict::Proceed;
    }
    let is_read = matches!(method, Method::Get | Method::Head);
    let last_modified = selected.and_then(|validators| validators.last_modified_unix_s);
    let date_in = |name| date::parse(fields.single(name)?, now.unix_s());

    // Steps 1 and 2.
    if fields.contains(FieldName::IfMatch) {
        if !any_tag_matches(fields, FieldName::IfMatch, selected, strongly_equal) {
            return Verdict::Failed;
        }
    } else if let (Some(date), Some(modified)) = (date_in(FieldName::IfUnmodifiedSince), last_modified)
        && modified > date
    {
        return Verdict::Failed;
    }
    // Steps 3 and 4.
    if fields.contains(FieldName::IfNoneMatch) {
        if any_tag_matches(fields, FieldName::IfNoneMatch, selected, weakly_equal) {
            return if is_read { Verdict::NotModified } else { Verdict::Failed };
        }
    } else if is_read
        && let (Some(date), Some(modified)) = (date_in(FieldName::IfModifiedSince), last_modified)
        && modified <= date
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

fn any_tag_matches(
    fields: &Fields<'_>,
    name: FieldName,
    selected: Option<Validators<'_>>,
    equal: fn(&[u8], &[u8]) -> bool,
) -> bool {
    let Some(validators) = selected else { return false };
    if fields.single(name) == Some(b"*") {
        return true;
    }
    let Some(etag) = validators.etag else { return false };
    fields.values(name).flat_map(entity_tags).any(|tag| equal(tag, etag.as_bytes()))
}

/// The entity tags of a list (§8.8.3), up to the first member that is none. A tag may hold commas.
pub fn entity_tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', tail @ ..] = rest {
            rest = tail;
        }
        let (tag, tail) = rest.split_at_checked(entity_tag_octets(rest)?)?;
        // What follows a tag is white space, a comma, or the end: `"a""b"` is no list.
        rest = if matches!(tail, [] | [b' ' | b'\t' | b',', ..]) { tail } else { &[] };
        Some(tag)
    })
}

/// How long the entity tag is that `octets` begin with.
fn entity_tag_octets(octets: &[u8]) -> Option<usize> {
    let opaque_start = match octets {
        [b'W', b'/', b'"', ..] => 3,
        [b'"', ..] => 1,
        _ => return None,
    };
    let opaque = &octets[opaque_start..];
    let end = opaque.iter().position(|octet| !matches!(octet, 0x21 | 0x23..=0x7e | 0x80..))?;
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
        entity_tags(list.as_bytes()).map(|tag| String::from_utf8_lossy(tag).into_owned()).collect()
    }

    #[test]
    fn lists_of_tags() {
        assert_eq!(tags(r#""a""#), [r#""a""#]);
        assert_eq!(tags(r#", "a",W/"b" ,, "c,d", "" "#), [r#""a""#, r#"W/"b""#, r#""c,d""#, r#""""#]);
        assert_eq!(tags(r#""a", b, "c""#), [r#""a""#], "nothing is believed behind a member that is no tag");
        assert_eq!(tags(r#""a""b""#), [r#""a""#]);
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
