//! Negotiation of the content coding by the Accept-Encoding field (RFC 9110 §12.5.3).

use super::fields::{FieldName, Fields, list_members, trim_white_space};

/// The coding of a response that the server can compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// Not compressed.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
}

/// The highest weight. Weights are thousandths: `q=0.5` is 500.
pub(super) const WEIGHT_MAX: u16 = 1000;

/// The weights in an Accept-Encoding field; `None` if the coding is not listed.
#[derive(Default)]
struct Weights {
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

/// The coding of a response that can be sent as identity or gzip; `None` if the client accepts neither.
///
/// Of equal weights, gzip is chosen. A malformed member is ignored: the field is a preference, and a malformed
/// preference is no reason to fail.
pub fn negotiate(fields: &Fields<'_>) -> Option<ContentCoding> {
    if !fields.contains(FieldName::AcceptEncoding) {
        return Some(ContentCoding::Identity);
    }
    let mut weights = Weights::default();
    for member in fields.values(FieldName::AcceptEncoding).flat_map(list_members) {
        weights.note(member);
    }
    weights.choose()
}

/// The indices of those `codings` that the client accepts and weighs at least as high as identity, the preferred ones
/// first; of equal weights, in their order. `codings` are the content codings in which stored representations exist.
///
/// Without an Accept-Encoding field the result is empty, because the client may be unable to decode anything.
pub fn preferred(fields: &Fields<'_>, codings: &[&str]) -> Vec<usize> {
    let identity = weight_of(fields, b"identity").unwrap_or(1);
    let mut preferred: Vec<(usize, u16)> = (0..codings.len())
        .map(|index| (index, weight_of(fields, codings[index].as_bytes()).unwrap_or(0)))
        .filter(|(_, weight)| *weight > 0 && *weight >= identity)
        .collect();
    // A stable sort: equal weights keep their order.
    preferred.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    preferred.into_iter().map(|(index, _)| index).collect()
}

/// The weight of a coding in Accept-Encoding, by its name or else by `*`; `None` if neither is listed.
fn weight_of(fields: &Fields<'_>, coding: &[u8]) -> Option<u16> {
    let members = || fields.values(FieldName::AcceptEncoding).flat_map(list_members).filter_map(weighted);
    let is_named =
        |name: &[u8]| name.eq_ignore_ascii_case(coding) || coding == b"gzip" && name.eq_ignore_ascii_case(b"x-gzip");
    let named = members().find(|(name, _)| is_named(name));
    named.or_else(|| members().find(|(name, _)| *name == b"*")).map(|(_, weight)| weight)
}

impl Weights {
    fn note(&mut self, member: &[u8]) {
        let Some((coding, weight)) = weighted(member) else { return };
        let slot = match coding {
            b"*" => &mut self.any,
            coding if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => &mut self.gzip,
            coding if coding.eq_ignore_ascii_case(b"identity") => &mut self.identity,
            _ => return,
        };
        // Of two members for one coding, the first counts.
        slot.get_or_insert(weight);
    }

    fn choose(&self) -> Option<ContentCoding> {
        let gzip = self.gzip.or(self.any).unwrap_or(0);
        // `*` includes identity: `*;q=0` excludes it, and `*;q=0.5` weighs it (§12.5.3, rule 2). If neither is listed,
        // identity is acceptable, but every listed coding is preferred.
        let identity = self.identity.or(self.any).unwrap_or(1);
        if gzip > 0 && gzip >= identity {
            Some(ContentCoding::Gzip)
        } else if identity > 0 {
            Some(ContentCoding::Identity)
        } else {
            None
        }
    }
}

/// The coding and the weight of `coding [ OWS ";" OWS "q=" qvalue ]`. The bytes of the coding are not checked, because
/// one that is not a token matches no name.
fn weighted(member: &[u8]) -> Option<(&[u8], u16)> {
    let Some(semicolon) = memchr::memchr(b';', member) else {
        return Some((member, WEIGHT_MAX));
    };
    let coding = trim_white_space(&member[..semicolon]);
    match trim_white_space(&member[semicolon + 1..]) {
        [b'q' | b'Q', b'=', qvalue @ ..] => Some((coding, parse_qvalue(qvalue)?)),
        _ => None,
    }
}

/// Parses `( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )` (RFC 9110 §12.4.2) into thousandths.
pub(super) fn parse_qvalue(qvalue: &[u8]) -> Option<u16> {
    let (whole, decimals) = match qvalue {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => WEIGHT_MAX,
        _ => return None,
    };
    let mut worth = 100;
    for digit in decimals {
        if !digit.is_ascii_digit() {
            return None;
        }
        weight += u16::from(digit - b'0') * worth;
        worth /= 10;
    }
    (weight <= WEIGHT_MAX).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ContentCoding::{Gzip, Identity};

    fn choose(value: &str) -> Option<ContentCoding> {
        let mut weights = Weights::default();
        list_members(value.as_bytes()).for_each(|member| weights.note(member));
        weights.choose()
    }

    #[test]
    fn gzip_is_chosen_if_it_weighs_at_least_as_much() {
        for value in [
            "gzip",
            "GZip",
            "x-gzip",
            "invalid-1, gzip, invalid-2",
            "invalid-1,gzip",
            ", gzip,,",
            "gzip;q=0.5",
            "gzip ; q=0.001",
            "gzip\t;\tQ=1.000",
            "*",
            "*;q=0.2",
            "gzip;q=0.5, identity;q=0.5",
            "identity;q=0, gzip",
            "*;q=0, gzip",
            "deflate;q=1, gzip;q=0.1",
        ] {
            assert_eq!(choose(value), Some(Gzip), "{value}");
        }
    }

    #[test]
    fn identity_is_chosen_if_gzip_is_not_accepted_or_weighs_less() {
        for value in [
            "",
            "invalid-encoding",
            "invalid-1, invalid-2",
            "deflate, br",
            "gzip;q=0",
            "gzip;q=0.000",
            "*;q=1, gzip;q=0",
            "gzip;q=0.4, identity;q=0.5",
            "identity, *;q=0",
            "gzip;q=0.4, *;q=0.5",
            "xgzip",
            "gzip2",
        ] {
            assert_eq!(choose(value), Some(Identity), "{value}");
        }
    }

    #[test]
    fn nothing_is_chosen_if_both_are_excluded() {
        for value in ["identity;q=0", "*;q=0", "gzip;q=0, identity;q=0", "identity;q=0, br", "gzip;q=0, *;q=0"] {
            assert_eq!(choose(value), None, "{value}");
        }
    }

    #[test]
    fn a_malformed_member_is_ignored() {
        for value in [
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=.5",
            "gzip;q=",
            "gzip;q",
            "gzip;",
            "gzip;x=1",
            "gzip;q=0,5",
            "gzip;q=-0",
            "gzip;q=+1",
            "gzip;q=1;x=2",
            "gzip;q =1",
            "gzip\x0b",
            "\x0cgzip",
        ] {
            assert_eq!(choose(value), Some(Identity), "{value:?}");
        }
    }

    #[test]
    fn stored_codings_are_ordered_by_weight_and_then_by_position() {
        use crate::semantics::fields::{FieldSpan, FieldSpans};
        let choose = |value: &str| {
            let mut spans = FieldSpans::default();
            let (name, value_end) = (FieldName::AcceptEncoding, value.len() as u16);
            spans.push(FieldSpan { name, name_start: 0, name_end: 0, value_start: 0, value_end });
            preferred(&Fields::new(value.as_bytes(), &spans), &["br", "zstd", "gzip"])
        };
        for (value, expected) in [
            ("gzip, deflate, br, zstd", &[0, 1, 2][..]),
            ("gzip, br;q=0.5", &[2, 0]),
            ("GZIP", &[2]),
            ("x-gzip;q=0.2, zstd;q=0.3", &[1, 2]),
            ("*", &[0, 1, 2]),
            ("*, br;q=0", &[1, 2]),
            ("br;q=0.4, identity;q=0.5", &[]),
            ("deflate", &[]),
            ("", &[]),
            ("br;q=0", &[]),
        ] {
            assert_eq!(choose(value), expected, "{value}");
        }
        assert!(preferred(&Fields::new(b"", &FieldSpans::default()), &["br"]).is_empty());
    }

    #[test]
    fn the_first_of_two_members_counts() {
        assert_eq!(choose("gzip;q=0, gzip"), Some(Identity));
    }
}
