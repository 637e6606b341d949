//! The fields of MOVE (RFC 4918 §10.3, §10.6): where a resource is moved, and whether it may replace another.

use super::fields::FieldName;
use super::origin::host_and_port;
use super::request::Request;

/// Why a Destination field cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationError {
    /// It is missing, given twice, or neither an absolute URI nor an absolute path.
    Malformed,
    /// It is a URI of another server.
    OtherServer,
}

/// The path of the Destination field, not percent-decoded: it begins with a slash. A query is left out, as it is in a
/// request target.
pub fn destination_path<'a>(request: &Request<'a>) -> Result<&'a [u8], DestinationError> {
    let value = request.fields.single(FieldName::Destination).ok_or(DestinationError::Malformed)?;
    if !is_uri_text(value) {
        return Err(DestinationError::Malformed);
    }
    let path_and_query = match value {
        [b'/', b'/', ..] => return Err(DestinationError::Malformed),
        [b'/', ..] => value,
        _ => without_authority(value, request)?,
    };
    let path = path_and_query.split(|byte| *byte == b'?').next().unwrap_or_default();
    Ok(if path.is_empty() { b"/" } else { path })
}

/// The path and query of an absolute URI of the server to which the request was sent.
fn without_authority<'a>(uri: &'a [u8], request: &Request<'_>) -> Result<&'a [u8], DestinationError> {
    let colon = memchr::memchr(b':', uri).ok_or(DestinationError::Malformed)?;
    let (scheme, rest) = uri.split_at(colon);
    if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(|byte| is_scheme_byte(*byte)) {
        return Err(DestinationError::Malformed);
    }
    let rest = rest.strip_prefix(b"://").ok_or(DestinationError::Malformed)?;
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(end);
    let is_same = |own: &[u8]| {
        let (host, port) = host_and_port(authority);
        let (own_host, own_port) = host_and_port(own);
        host.eq_ignore_ascii_case(own_host) && port == own_port
    };
    match request.authority() {
        _ if authority.is_empty() => Err(DestinationError::Malformed),
        Some(own) if scheme.eq_ignore_ascii_case(b"http") && is_same(own) => Ok(path_and_query),
        _ => Err(DestinationError::OtherServer),
    }
}

/// Whether all bytes may be in a URI without a fragment, and each percent sign is followed by two hexadecimal digits.
fn is_uri_text(value: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(byte);
    let mut parts = value.split(|byte| *byte == b'%');
    let before = parts.next().unwrap_or_default();
    before.iter().all(is_allowed)
        && parts.all(|part| {
            part.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) && part.iter().all(is_allowed)
        })
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// Whether what has the new name may be replaced: the Overwrite field, `T` if there is none. `None` if it is malformed.
pub fn may_overwrite(request: &Request<'_>) -> Option<bool> {
    if !request.fields.contains(FieldName::Overwrite) {
        return Some(true);
    }
    match request.fields.single(FieldName::Overwrite)? {
        b"T" | b"t" => Some(true),
        b"F" | b"f" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::fields::FieldName;
    use crate::semantics::method::Method;
    use crate::semantics::request::{PathAndQuery, Target, Version};
    use crate::semantics::stored_fields::StoredFields;

    const NAMES: [FieldName; 3] = [FieldName::Host, FieldName::Destination, FieldName::Overwrite];

    fn with_request<T>(lines: &str, test: impl FnOnce(&Request<'_>) -> T) -> T {
        let fields = StoredFields::parse(lines.as_bytes()).expect("fields");
        assert!(fields.fields().contains_any(NAMES));
        test(&Request {
            method: Method::Move,
            target: Target::Origin(PathAndQuery::new(b"/a")),
            version: Version::Http11,
            fields: fields.fields(),
            content_bytes: Some(0),
            arrived: None,
            endpoint: Default::default(),
            sender: None,
        })
    }

    fn path_of(host: &str, value: &str) -> Result<String, DestinationError> {
        with_request(&format!("Host: {host}\r\nDestination: {value}\r\n"), |request| {
            destination_path(request).map(|path| String::from_utf8_lossy(path).into_owned())
        })
    }

    #[test]
    fn a_destination_is_a_path_or_a_uri_of_the_same_server() {
        for (host, value, expected) in [
            ("h", "/b", "/b"),
            ("h", "/b/c%20d?q=/e", "/b/c%20d"),
            ("h", "/", "/"),
            ("h", "http://h", "/"),
            ("h", "http://h?q", "/"),
            ("h", "http://h/b", "/b"),
            ("h:80", "HTTP://H/b?q", "/b"),
            ("h", "http://h:80/b", "/b"),
            ("[::1]:4221", "http://[::1]:4221/b:c", "/b:c"),
        ] {
            assert_eq!(path_of(host, value).as_deref(), Ok(expected), "{value}");
        }
    }

    #[test]
    fn a_uri_of_another_server_is_told_from_a_malformed_one() {
        for value in ["http://other/b", "http://h:81/b", "https://h/b", "ftp://h/b", "http://u@h/b", "http://h.a/b"] {
            assert_eq!(path_of("h", value), Err(DestinationError::OtherServer), "{value}");
        }
        for value in [
            "",
            "b",
            "../b",
            "//h/b",
            "http:/b",
            "http:///b",
            ":/b",
            "1http://h/b",
            "/b#c",
            "/b c",
            "/%2",
            "/%zz",
            "/ü",
        ] {
            assert_eq!(path_of("h", value), Err(DestinationError::Malformed), "{value}");
        }
        with_request("Host: h\r\n", |request| {
            assert_eq!(destination_path(request), Err(DestinationError::Malformed));
        });
        with_request("Destination: /b\r\nDestination: /b\r\n", |request| {
            assert_eq!(destination_path(request), Err(DestinationError::Malformed));
        });
        with_request("Destination: http://h/b\r\n", |request| {
            assert_eq!(destination_path(request), Err(DestinationError::OtherServer), "the own name is unknown");
        });
    }

    #[test]
    fn overwrite_is_true_unless_it_says_otherwise() {
        for (lines, expected) in [
            ("Host: h\r\n", Some(true)),
            ("Overwrite: T\r\n", Some(true)),
            ("Overwrite: F\r\n", Some(false)),
            ("Overwrite: f\r\n", Some(false)),
            ("Overwrite: no\r\n", None),
            ("Overwrite: \r\n", None),
            ("Overwrite: T\r\nOverwrite: F\r\n", None),
        ] {
            assert_eq!(with_request(lines, may_overwrite), expected, "{lines}");
        }
    }
}
