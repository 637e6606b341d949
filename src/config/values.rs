//! The values of options. Each error says what is expected, in one line without the value.

use std::num::NonZeroU64;

use crate::http1::Rate;
use crate::http1::limits::{CONTENT_BYTES_PER_SECOND_MIN, SECOND_NS};
use crate::semantics::rights::UploadPolicy;
use crate::system::listen::Bind;
use crate::telemetry::LogFormat;

/// The longest timeout, in seconds: a day.
const TIMEOUT_S_MAX: u64 = 86_400;

/// The longest time that an unfinished upload can be kept, in seconds: a year.
const AGE_S_MAX: u64 = 366 * 86_400;

/// The longest time for which a link can be valid, in days.
const LIFETIME_D_MAX: u64 = 366;

/// The most unfinished uploads that can be kept.
const COUNT_MAX: usize = 1_000_000;

pub(super) fn parse_bind(value: &str) -> Result<Bind, String> {
    value.parse().map_err(|problem: String| match suggested_bind(value) {
        Some(suggestion) => format!("{problem}; write {suggestion}"),
        None => problem,
    })
}

/// What to write instead of `ADDRESS:PORT`, and instead of `*`.
fn suggested_bind(value: &str) -> Option<String> {
    if value == "*" {
        return Some(":: for all addresses, or 0.0.0.0 for all IPv4 addresses".to_owned());
    }
    let (address, port) = value.rsplit_once(':')?;
    let address = if matches!(address, "" | "*") { "::" } else { address };
    let (_, port) = (address.parse::<Bind>().ok()?, parse_port(port).ok()?);
    Some(format!("--bind {address} --port {port}"))
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
        "manage" => Ok(UploadPolicy::Manage),
        "replace" => Ok(UploadPolicy::Replace),
        "create" => Ok(UploadPolicy::Create),
        "off" => Ok(UploadPolicy::Off),
        _ => Err("expected off, create, replace or manage".to_owned()),
    }
}

pub(super) fn parse_user(value: &str) -> Result<String, String> {
    match value.is_empty() || value.contains('\0') {
        true => Err("expected the name of a user".to_owned()),
        false => Ok(value.to_owned()),
    }
}

pub(super) fn parse_log_format(value: &str) -> Result<LogFormat, String> {
    match value {
        "combined" => Ok(LogFormat::Combined),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected combined or json".to_owned()),
    }
}

pub(super) fn parse_seconds(value: &str) -> Result<u64, String> {
    match digits(value) {
        Some(seconds @ 1..=TIMEOUT_S_MAX) => Ok(seconds * SECOND_NS),
        _ => Err(format!("expected a whole number of seconds from 1 to {TIMEOUT_S_MAX}")),
    }
}

/// Unlike a timeout, a delay may be 0.
pub(super) fn parse_delay(value: &str) -> Result<u64, String> {
    match digits(value) {
        Some(seconds @ 0..=TIMEOUT_S_MAX) => Ok(seconds * SECOND_NS),
        _ => Err(format!("expected a whole number of seconds from 0 to {TIMEOUT_S_MAX}")),
    }
}

pub(super) fn parse_age(value: &str) -> Result<u64, String> {
    match digits(value) {
        Some(seconds @ 1..=AGE_S_MAX) => Ok(seconds),
        _ => Err(format!("expected a whole number of seconds from 1 to {AGE_S_MAX}, which is a year")),
    }
}

/// Parses the lifetime of a link, such as `2d`, in seconds.
pub(super) fn parse_lifetime(value: &str) -> Result<u64, String> {
    const UNITS_S: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 7 * 86_400)];
    let unit = UNITS_S.into_iter().find_map(|(unit, seconds)| Some((value.strip_suffix(unit)?, seconds)));
    let number = unit.and_then(|(number, seconds)| Some((digits(number)?, seconds)));
    match number.map(|(number, seconds)| number.checked_mul(seconds)) {
        Some(Some(lifetime_s)) if (1..=LIFETIME_D_MAX * 86_400).contains(&lifetime_s) => Ok(lifetime_s),
        Some(Some(0)) | None => Err("expected a number with s, m, h, d or w, such as 12h or 2d".to_owned()),
        Some(_) => Err(format!("expected at most {LIFETIME_D_MAX}d")),
    }
}

pub(super) fn parse_count(value: &str) -> Result<usize, String> {
    digits(value)
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count <= COUNT_MAX)
        .ok_or(format!("expected a whole number from 0 to {COUNT_MAX}"))
}

/// Of no connections, none could be served.
pub(super) fn parse_connections(value: &str) -> Result<usize, String> {
    match parse_count(value) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("expected a whole number from 1 to {COUNT_MAX}")),
    }
}

/// A rate at least as high as the one that the server demands of clients.
pub(super) fn parse_rate(value: &str) -> Result<Rate, String> {
    match parse_size(value)? {
        0..CONTENT_BYTES_PER_SECOND_MIN => Err(format!("expected at least {CONTENT_BYTES_PER_SECOND_MIN} bytes")),
        bytes => NonZeroU64::new(bytes).map(Rate::new).ok_or_else(|| "expected more than no bytes".to_owned()),
    }
}

/// The units of a size, each 1024 times the one before.
const UNITS: [&str; 5] = ["", "K", "M", "G", "T"];

pub(super) fn parse_size(value: &str) -> Result<u64, String> {
    let (number, unit_bytes) = split_unit(value);
    digits(number).and_then(|number| number.checked_mul(unit_bytes)).ok_or_else(|| {
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return format!("expected at most {}T", u64::MAX >> 40);
        }
        let expected = "expected a number of bytes, or a number with K, M, G or T";
        match suggested_size(value) {
            Some(suggestion) => format!("{expected}; write {suggestion}"),
            None => expected.to_owned(),
        }
    })
}

/// What to write instead of forms such as `1GB`, `1 GiB` and `1.5G`.
fn suggested_size(value: &str) -> Option<String> {
    let value = value.strip_suffix(['B', 'b']).unwrap_or(value);
    let value = value.strip_suffix(['i', 'I']).unwrap_or(value);
    let (number, unit_bytes) = split_unit(value);
    let (whole, fraction) = number.trim_end().split_once(['.', ',']).unwrap_or((number.trim_end(), "0"));
    let denominator = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let numerator = digits(whole)?.checked_mul(denominator)?.checked_add(digits(fraction)?)?;
    let bytes = u64::try_from(u128::from(numerator) * u128::from(unit_bytes) / u128::from(denominator)).ok()?;
    // The largest unit that needs no fraction.
    let unit = (bytes.max(1).trailing_zeros() as usize / 10).min(UNITS.len() - 1);
    Some(format!("{}{}", bytes >> (10 * unit), UNITS[unit]))
}

/// The number and the bytes of the unit that follows it.
fn split_unit(value: &str) -> (&str, u64) {
    let unit = UNITS.iter().rposition(|unit| value.to_ascii_uppercase().ends_with(unit)).unwrap_or(0);
    (&value[..value.len() - UNITS[unit].len()], 1 << (10 * unit))
}

/// Parses decimal digits. Unlike the standard library's parser, does not accept a plus sign.
fn digits(value: &str) -> Option<u64> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_port_and_a_star_are_refused_with_what_to_write_instead() {
        for (value, suggestion) in [
            ("0.0.0.0:80", "--bind 0.0.0.0 --port 80"),
            ("[::1]:80", "--bind [::1] --port 80"),
            ("localhost:8080", "--bind localhost --port 8080"),
            (":80", "--bind :: --port 80"),
            ("*:80", "--bind :: --port 80"),
            ("*", ":: for all addresses, or 0.0.0.0 for all IPv4 addresses"),
        ] {
            let error = parse_bind(value).unwrap_err();
            assert!(error.ends_with(&format!("; write {suggestion}")), "{value}: {error}");
        }
        for value in ["example.org", "example.org:80", "0.0.0.0:65536", "0.0.0.0:"] {
            let error = parse_bind(value).unwrap_err();
            assert!(!error.contains("write"), "{value}: {error}");
        }
    }

    #[test]
    fn sizes_in_other_forms_are_refused_with_what_to_write_instead() {
        for (value, suggestion) in [
            ("1GB", "1G"),
            ("1gib", "1G"),
            ("1 M", "1M"),
            ("100B", "100"),
            ("1.5G", "1536M"),
            ("0,5K", "512"),
            ("0.1G", "107374182"),
            ("1024.0TB", "1024T"),
            ("0.0K", "0"),
        ] {
            let error = parse_size(value).unwrap_err();
            assert!(error.ends_with(&format!("; write {suggestion}")), "{value}: {error}");
            assert!(parse_size(suggestion).is_ok(), "{suggestion}");
        }
        for value in ["", "K", "GB", "-1", "1X", "1.G", ".5G", "1.5.5G", "99999999999T", "ü", "0.00000000000000000001G"]
        {
            let error = parse_size(value).unwrap_err();
            assert!(!error.contains("write"), "{value}: {error}");
        }
    }
}
