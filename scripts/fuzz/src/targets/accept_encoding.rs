//! The negotiation of a content coding. The input is one field value a line; of what no value may hold, nothing is left.
//!
//! 1. No input makes it panic.
//! 2. The outcome is that of a second, plainer reading of RFC 9110 §12.5.3.
//! 3. Empty members, white space around commas, the case of letters, and where the list is cut into lines change nothing.
//! 4. Gzip is never chosen for a peer that named neither it nor `*`.

use spindle::http1::limits::{FIELD_LINES_MAX, FIELD_SECTION_BYTES_MAX};
use spindle::http1::message_head::HeadParser;
use spindle::semantics::content_coding::{ContentCoding, negotiate};
use spindle::semantics::fields::FieldSpans;

/// Runs the target.
pub fn run(input: &[u8]) {
    let values: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').take(FIELD_LINES_MAX).map(field_value).collect();
    let Some(chosen) = choice(&values) else { return };

    assert_eq!(chosen, expected(&values), "the choice is the one that the RFC's text makes");
    let names_gzip = values
        .iter()
        .any(|value| value.contains(&b'*') || value.windows(4).any(|bytes| bytes.eq_ignore_ascii_case(b"gzip")));
    assert!(chosen != Some(ContentCoding::Gzip) || names_gzip, "nobody gets gzip who has not asked for it");

    unchanged(&values, chosen, "empty members and white space around commas change nothing", |value| {
        vec![[b", ,", &value.split(|byte| *byte == b',').collect::<Vec<_>>().join(&b" ,\t, "[..])[..], b"\t,"].concat()]
    });
    unchanged(&values, chosen, "the case of letters changes nothing", |value| vec![value.to_ascii_uppercase()]);
    unchanged(&values, chosen, "where the list is cut into lines changes nothing", |value| {
        value.split(|byte| *byte == b',').map(<[u8]>::to_vec).collect()
    });
}

/// What of `line` a field value may hold.
fn field_value(line: &[u8]) -> Vec<u8> {
    line.iter().copied().filter(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)).collect()
}

/// What is negotiated for a request with these Accept-Encoding lines; `None` where there is no room for them.
fn choice(values: &[Vec<u8>]) -> Option<Option<ContentCoding>> {
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
    assert_eq!(parser.advance(&head, &mut spans), Ok(true), "field content is accepted in a field");
    let head = parser.complete(&head, &spans);
    Some(negotiate(&head.fields))
}

fn unchanged(
    values: &[Vec<u8>],
    chosen: Option<ContentCoding>,
    sentence: &str,
    rewrite: impl Fn(&[u8]) -> Vec<Vec<u8>>,
) {
    let rewritten: Vec<_> = values.iter().flat_map(|value| rewrite(value)).collect();
    if let Some(again) = choice(&rewritten) {
        assert_eq!(again, chosen, "{sentence}");
    }
}

/// The choice by a plainer reading: the list as text, weights as fractions.
fn expected(values: &[Vec<u8>]) -> Option<ContentCoding> {
    // One char a byte, so that what is no ASCII is no letter of any name either.
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

/// Name in small letters and weight; `None` for what is outside the grammar.
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
