//! The values of options. Each error says what is expected, in one line without the value.

use crate::http1::limits::SECOND_NS;
use crate::routes::UploadPolicy;
use crate::system::listen::Bind;

/// The longest timeout, in seconds: a day.
const TIMEOUT_S_MAX: u64 = 86_400;

pub(super) fn parse_bind(value: &str) -> Result<Bind, String> {
    value.parse()
}

/// Accepts any characters that a Host field may contain (RFC 3986 §3.2.2), without percent-encoding.
pub(super) fn parse_host(value: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match value == "*" || !value.is_empty() && value.bytes().all(is_name) {
        true => Ok(value.to_owned()),
        false => Err("expected a host name without a port, or * for every name".to_owned()),
    }
}

pub(super) fn parse_port(value: &str) -> Result<u16, String> {
    digits(value)
        .and_then(|port| u16::try_from(port).ok())
        .ok_or("expected a port, which is a number from 0 to 65535".to_owned())
}

pub(super) fn parse_policy(value: &str) -> Result<UploadPolicy, String> {
    match value {
        "replace" => Ok(UploadPolicy::Replace),
        "create" => Ok(UploadPolicy::Create),
        "off" => Ok(UploadPolicy::Off),
        _ => Err("expected off, create or replace".to_owned()),
    }
}

pub(super) fn parse_seconds(value: &str) -> Result<u64, String> {
    match digits(value) {
        Some(seconds @ 1..=TIMEOUT_S_MAX) => Ok(seconds * SECOND_NS),
        _ => Err(format!("expected a whole number of seconds from 1 to {TIMEOUT_S_MAX}")),
    }
}

pub(super) fn parse_size(value: &str) -> Result<u64, String> {
    let (number, exponent) = match value.as_bytes() {
        [.., b'K' | b'k'] => (&value[..value.len() - 1], 10),
        [.., b'M' | b'm'] => (&value[..value.len() - 1], 20),
        [.., b'G' | b'g'] => (&value[..value.len() - 1], 30),
        [.., b'T' | b't'] => (&value[..value.len() - 1], 40),
        _ => (value, 0),
    };
    digits(number)
        .and_then(|number| number.checked_mul(1 << exponent))
        .ok_or("expected a number of bytes, or a number with K, M, G or T".to_owned())
}

/// Parses decimal digits. Unlike the standard library's parser, does not accept a plus sign.
fn digits(value: &str) -> Option<u64> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}
