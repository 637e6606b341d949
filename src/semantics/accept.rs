//! Negotiation of the media type by the Accept field (RFC 9110 §12.5.1).

use super::content_coding::{WEIGHT_MAX, parse_qvalue};
use super::fields::{FieldName, Fields, list_members, trim_white_space};

/// The index of the media type in `offers` that the client prefers; of equal weights, the first. Offers have no
/// parameters.
///
/// `None` if there is no Accept field, or if it accepts none of the offers. In both cases the resource uses its
/// default, which §12.5.1 allows: a client that asks for an image of a folder is better served by a page than by an
/// error.
pub fn negotiate(fields: &Fields<'_>, offers: &[&str]) -> Option<usize> {
    let mut best: Option<(usize, u16)> = None;
    for (index, offer) in offers.iter().enumerate() {
        let weight = weight_of(fields, offer.as_bytes());
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((index, weight));
        }
    }
    best.map(|(index, _)| index)
}

/// Whether Accept lists `offer`, a media type without parameters, or all types of its group (`text/*`). `*/*` does not
/// count, because programs that do not display the content send it as well.
pub fn names(fields: &Fields<'_>, offer: &str) -> bool {
    most_specific(fields, offer.as_bytes()).is_some_and(|(specificity, weight)| specificity > 0 && weight > 0)
}

/// The weight of `offer`; 0 if no range matches it.
fn weight_of(fields: &Fields<'_>, offer: &[u8]) -> u16 {
    most_specific(fields, offer).map_or(0, |(_, weight)| weight)
}

/// The specificity and weight of the most specific range that matches `offer`. Of equally specific ranges, the first
/// counts.
fn most_specific(fields: &Fields<'_>, offer: &[u8]) -> Option<(u8, u16)> {
    let mut found: Option<(u8, u16)> = None;
    for member in fields.values(FieldName::Accept).flat_map(list_members) {
        let Some((range, weight)) = weighted(member) else { continue };
        let Some(specificity) = specificity(range, offer) else { continue };
        if found.is_none_or(|(least, _)| specificity > least) {
            found = Some((specificity, weight));
        }
    }
    found
}

/// How specifically `range` matches `offer`; `None` if it does not match.
fn specificity(range: &[u8], offer: &[u8]) -> Option<u8> {
    if range == b"*/*" {
        return Some(0);
    }
    if let Some(group) = range.strip_suffix(b"*") {
        let is_group = group.ends_with(b"/") && offer.len() > group.len();
        return (is_group && offer[..group.len()].eq_ignore_ascii_case(group)).then_some(1);
    }
    range.eq_ignore_ascii_case(offer).then_some(2)
}

/// The range and the weight of `range *( OWS ";" OWS parameter )`. The weight is the parameter `q`. Other parameters
/// are ignored, because a client that requests a type with `charset=utf-8` means the type. A member with a malformed
/// weight is ignored.
fn weighted(member: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = member.split(|byte| *byte == b';').map(trim_white_space);
    let range = parts.next()?;
    let weight = parts.find_map(|parameter| match parameter {
        [b'q' | b'Q', b'=', qvalue @ ..] => Some(parse_qvalue(qvalue)),
        _ => None,
    });
    Some((range, weight.unwrap_or(Some(WEIGHT_MAX))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::fields::{FieldSpan, FieldSpans};

    const OFFERS: [&str; 3] = ["text/html", "application/json", "text/plain"];

    fn with_accept<T>(value: &str, then: impl FnOnce(&Fields<'_>) -> T) -> T {
        let mut spans = FieldSpans::default();
        let value_end = value.len() as u16;
        spans.push(FieldSpan { name: FieldName::Accept, name_start: 0, name_end: 0, value_start: 0, value_end });
        then(&Fields::new(value.as_bytes(), &spans))
    }

    fn choose(value: &str) -> Option<&'static str> {
        with_accept(value, |fields| negotiate(fields, &OFFERS)).map(|index| OFFERS[index])
    }

    #[test]
    fn the_highest_weight_wins_and_then_the_first_offer() {
        for (value, expected) in [
            ("*/*", "text/html"),
            ("application/json", "application/json"),
            ("Application/JSON", "application/json"),
            ("text/plain", "text/plain"),
            ("text/*", "text/html"),
            ("text/plain, text/html", "text/html"),
            ("text/html;q=0.5, application/json", "application/json"),
            ("text/html;q=0.5, application/json;q=0.4, */*;q=0.1", "text/html"),
            // The more specific range counts, whatever its weight.
            ("text/*, text/html;q=0.1", "text/plain"),
            ("*/*;q=0.9, text/html;q=0", "application/json"),
            ("*/*, text/*;q=0.5", "application/json"),
            ("application/json;charset=utf-8;q=0.7, text/html;q=0.6", "application/json"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", "text/html"),
            ("application/json ; Q=1.000 , text/html", "text/html"),
        ] {
            assert_eq!(choose(value), Some(expected), "{value}");
        }
    }

    #[test]
    fn nothing_is_chosen_if_no_offer_is_acceptable() {
        for value in ["", "image/png", "text/html;q=0", "*/*;q=0", "*", "text", "text/", "text/html;q=2", "html/*"] {
            assert_eq!(choose(value), None, "{value}");
        }
    }

    #[test]
    fn a_type_is_named_by_itself_or_by_its_kind_but_not_by_the_range_of_all_types() {
        for value in ["text/html", "TEXT/HTML;q=0.1", "text/*", "image/png, text/html;level=1", "*/*;q=0, text/html"] {
            assert!(with_accept(value, |fields| names(fields, "text/html")), "{value}");
        }
        for value in ["", "*/*", "text/plain", "text/html;q=0", "text/*, text/html;q=0", "image/*, */*;q=0.8"] {
            assert!(!with_accept(value, |fields| names(fields, "text/html")), "{value}");
        }
    }
}
