//! Content coding negotiation. Each line of the input is one value of Accept-Encoding; bytes that no field value may
//! contain are removed.
//!
//! 1. No input makes it panic.
//! 2. The result is that of a second, simpler implementation of RFC 9110 §12.5.3.
//! 3. Empty members, white space around commas, the case of letters, and how the list is split into lines have no
//!    effect.
//! 4. Gzip is never chosen unless the client named it or `*`.

use spindle::http1::limits::{FIELD_LINES_MAX, FIELD_SECTION_BYTES_MAX};
use spindle::http1::message_head::HeadParser;
use spindle::semantics::content_coding::{ContentCoding, negotiate};
use spindle::semantics::fields::FieldSpans;

/// Runs the target.
pub fn run(input: &[u8]) {
    let values: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').take(FIELD_LINES_MAX).map(field_value).collect();
    let Some(chosen) = negotiated(&values) else { return };

    assert_eq!(chosen, expected(&values), "the result is that of the reference implementation");
    let names_gzip = values
        .iter()
        .any(|value| value.contains(&b'*') || value.windows(4).any(|bytes| bytes.eq_ignore_ascii_case(b"gzip")));
    assert!(chosen != Some(ContentCoding::Gzip) || names_gzip, "gzip is not chosen unless the client named it or `*`");

    assert_unchanged(&values, chosen, "empty members and white space around commas have no effect", |value| {
        vec![[b", ,", &value.split(|byte| *byte == b',').collect::<Vec<_>>().join(&b" ,\t, "[..])[..], b"\t,"].concat()]
    });
    assert_unchanged(&values, chosen, "the case of letters has no effect", |value| vec![value.to_ascii_uppercase()]);
    assert_unchanged(&values, chosen, "how the list is split into lines has no effect", |value| {
        value.split(|byte| *byte == b',').map(<[u8]>::to_vec).collect()
    });
}

/// `line` without the bytes that no field value may contain.
fn field_value(line: &[u8]) -> Vec<u8> {
    line.iter().copied().filter(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)).collect()
}

/// The result for a request with these Accept-Encoding lines; `None` if they exceed the limits of a head.
fn negotiated(values: &[Vec<u8>]) -> Option<Option<ContentCoding>> {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    for value in values {
        head.extend_from_slice(b"Accept-Encoding:");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    if values.len() > FIELD_LINES_MAX || head.len() > FIELD_SECTION_BYTES_MAX {
        return None;
    }
    let mut spans = FieldSpans::with_capacity(FIELD_LINES_MAX);
    let mut parser = HeadParser::default();
    assert_eq!(parser.advance(&head, &mut spans), Ok(true), "the head is accepted");
    let head = parser.complete(&head, &spans);
    Some(negotiate(&head.fields))
}

fn assert_unchanged(
    values: &[Vec<u8>],
    chosen: Option<ContentCoding>,
    invariant: &str,
    rewrite: impl Fn(&[u8]) -> Vec<Vec<u8>>,
) {
    let rewritten: Vec<_> = values.iter().flat_map(|value| rewrite(value)).collect();
    if let Some(again) = negotiated(&rewritten) {
        assert_eq!(again, chosen, "{invariant}");
    }
}

/// The reference implementation: the list as text, and weights as floating-point numbers.
fn expected(values: &[Vec<u8>]) -> Option<ContentCoding> {
    // One char for each byte: a byte outside ASCII must not become a letter of a name.
    let list = values.iter().map(|value| value.iter().copied().map(char::from).collect::<String>());
    let list = list.collect::<Vec<_>>().join(",");
    let members: Vec<(String, f64)> = list.split(',').filter_map(member).collect();
    let weight_of =
        |names: &[&str]| members.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, weight)| *weight);
    let any = weight_of(&["*"]);
    let gzip = weight_of(&["gzip", "x-gzip"]).or(any).unwrap_or(0.0);
    let identity = weight_of(&["identity"]).or(any);
    if gzip > 0.0 && gzip >= identity.unwrap_or(0.0) {
        Some(ContentCoding::Gzip)
    } else if identity != Some(0.0) {
        Some(ContentCoding::Identity)
    } else {
        None
    }
}

/// The name in lower case, and the weight; `None` if the member is malformed.
fn member(text: &str) -> Option<(String, f64)> {
    let white_space = [' ', '\t'];
    let (name, weight) = match text.split_once(';') {
        None => (text, 1.0),
        Some((name, parameter)) => (name, qvalue(parameter.trim_matches(white_space))?),
    };
    Some((name.trim_matches(white_space).to_ascii_lowercase(), weight))
}

fn qvalue(parameter: &str) -> Option<f64> {
    let digits = parameter.strip_prefix("q=").or(parameter.strip_prefix("Q="))?;
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !all_digits(decimals) {
        return None;
    }
    let weight = digits.trim_end_matches('.').parse().ok()?;
    (weight <= 1.0).then_some(weight)
}
