//! Protection against cross-origin writes, by the fields Origin (Fetch §3.2) and Sec-Fetch-Site (Fetch Metadata §2.4).
//!
//! A page of any site can make a browser send a POST to this server, even if only the browser's machine can reach it.
//! The browser does not let the page read the response, but the upload would be stored. Programs other than browsers
//! send neither field.

use super::fields::{FieldName, Fields};
use super::method::Method;
use super::request::Request;

/// Whether the request may modify something, and a page of another origin made a browser send it.
#[inline]
pub fn is_cross_origin_write(request: &Request<'_>) -> bool {
    let is_safe = matches!(request.method, Method::Get | Method::Head | Method::Options);
    !is_safe && (is_cross_site(&request.fields) || has_other_origin(request))
}

/// Whether Sec-Fetch-Site has a value other than `same-origin` or `none`, which stands for a request by the user: a
/// typed address, or a bookmark.
fn is_cross_site(fields: &Fields<'_>) -> bool {
    fields.values(FieldName::SecFetchSite).any(|site| !matches!(site, b"same-origin" | b"none"))
}

fn has_other_origin(request: &Request<'_>) -> bool {
    let mut origins = request.fields.values(FieldName::Origin);
    match (origins.next(), origins.next()) {
        (None, _) => false,
        (Some(origin), None) => !request.authority().is_some_and(|authority| {
            is_origin_of(origin, authority) || is_same_origin_by_tls(&request.fields, origin, authority)
        }),
        (Some(_), Some(_)) => true,
    }
}

const SCHEME: &[u8] = b"http://";
const TLS_SCHEME: &[u8] = b"https://";

/// Whether `origin`, the value of an Origin field, is the origin of `http` resources at `authority`, a valid host and
/// port.
fn is_origin_of(origin: &[u8], authority: &[u8]) -> bool {
    let Some((scheme, origin_authority)) = origin.split_at_checked(SCHEME.len()) else { return false };
    let (host, port) = host_and_port(authority);
    let (origin_host, origin_port) = host_and_port(origin_authority);
    scheme.eq_ignore_ascii_case(SCHEME) && origin_host.eq_ignore_ascii_case(host) && origin_port == port
}

/// Whether the request comes from a page at the `https` address of `authority`, behind a proxy with TLS. Only the browser
/// knows that its address had this scheme, so it has to say that the origin is the same.
fn is_same_origin_by_tls(fields: &Fields<'_>, origin: &[u8], authority: &[u8]) -> bool {
    let Some((scheme, origin_authority)) = origin.split_at_checked(TLS_SCHEME.len()) else { return false };
    fields.single(FieldName::SecFetchSite) == Some(b"same-origin")
        && scheme.eq_ignore_ascii_case(TLS_SCHEME)
        && origin_authority.eq_ignore_ascii_case(authority)
}

/// The host and the port of an authority. A missing or empty port is 80 (RFC 9110 §4.2.1).
pub fn host_and_port(authority: &[u8]) -> (&[u8], &[u8]) {
    const DEFAULT_PORT: &[u8] = b"80";
    // A colon of an IPv6 address is not found, because the closing bracket follows it.
    match authority.iter().rposition(|byte| !byte.is_ascii_digit()) {
        Some(colon) if authority[colon] == b':' => match &authority[colon + 1..] {
            b"" => (&authority[..colon], DEFAULT_PORT),
            port => (&authority[..colon], port),
        },
        _ => (authority, DEFAULT_PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_equal_if_scheme_host_and_port_are() {
        for (origin, authority) in [
            ("http://h", "h"),
            ("http://h", "h:80"),
            ("http://h:80", "h:"),
            ("HTTP://LocalHost:4221", "localHOST:4221"),
            ("http://127.0.0.1:4221", "127.0.0.1:4221"),
            ("http://[::1]", "[::1]:80"),
            ("http://[FE80::1]:81", "[fe80::1]:81"),
            ("http://1", "1"),
        ] {
            assert!(is_origin_of(origin.as_bytes(), authority.as_bytes()), "{origin} {authority}");
        }
        for (origin, authority) in [
            ("null", "h"),
            ("null", "null"),
            ("", "h"),
            ("h", "h"),
            ("http://", "h"),
            ("http://h/", "h"),
            ("http://u@h", "h"),
            ("https://h", "h"),
            ("https://h:80", "h"),
            ("http://h:443", "h:4430"),
            ("http://h:8", "h:80"),
            ("http://h", "h:81"),
            ("http://h.a", "h"),
            ("http://a", "h.a"),
            ("http://h http://h", "h"),
            ("http://h, http://a", "h"),
            ("http://[::1]", "[::1]:1"),
            ("http://::1", "[::1]"),
            ("http://1", "1:1"),
        ] {
            assert!(!is_origin_of(origin.as_bytes(), authority.as_bytes()), "{origin} {authority}");
        }
    }
}
