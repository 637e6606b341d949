//! Range requests (RFC 9110 §14): which bytes of a representation are requested.

use super::fields::list_members;

/// Most ranges of a request; if there are more, the field is ignored. Players and download managers request a handful.
const RANGES_MAX: usize = 64;

/// A range of a representation, as byte offsets from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub first: u64,
    /// The last byte, inclusive. It is never before the first.
    pub last: u64,
}

impl ByteRange {
    /// The length in bytes, at least 1.
    pub fn bytes(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// What a Range field selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The whole representation, because the field is ignored.
    Whole,
    /// A single range. Other requested ranges may have been unsatisfiable.
    One(ByteRange),
    /// Two or more ranges, in the requested order.
    Several(Vec<ByteRange>),
    /// Nothing: none of the ranges is satisfiable. The response is a 416.
    Unsatisfiable,
}

/// What `value`, the value of a Range field, selects of a representation of `bytes_total` bytes.
///
/// The field is ignored if it is malformed or has an unknown unit (§14.2). It is also ignored if it could serve only to
/// burden the server: if it has too many ranges, or if these are longer in total than the representation.
pub fn select(value: &[u8], bytes_total: u64) -> Selection {
    let Some(specs) = parse(value) else { return Selection::Whole };
    if specs.is_empty() || specs.len() > RANGES_MAX {
        return Selection::Whole;
    }
    // By the RFC's rule a suffix of an empty representation is satisfiable, but no Content-Range can express it.
    if bytes_total == 0 && specs.iter().any(|spec| matches!(spec, Spec::Suffix(1..))) {
        return Selection::Whole;
    }
    let ranges: Vec<ByteRange> = specs.iter().filter_map(|spec| spec.resolve(bytes_total)).collect();
    let bytes_sum: u128 = ranges.iter().map(|range| u128::from(range.bytes())).sum();
    match ranges[..] {
        [] => Selection::Unsatisfiable,
        _ if bytes_sum > u128::from(bytes_total) => Selection::Whole,
        [range] => Selection::One(range),
        _ => Selection::Several(ranges),
    }
}

/// A range as requested, before it is applied to a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From the first position to the second, inclusive, or to the end.
    From(u64, Option<u64>),
    /// This many bytes at the end.
    Suffix(u64),
}

impl Spec {
    fn resolve(self, bytes_total: u64) -> Option<ByteRange> {
        let end = bytes_total.checked_sub(1)?;
        match self {
            Spec::From(first, last) if first <= end => Some(ByteRange { first, last: last.unwrap_or(end).min(end) }),
            Spec::Suffix(bytes @ 1..) => Some(ByteRange { first: bytes_total.saturating_sub(bytes), last: end }),
            Spec::From(..) | Spec::Suffix(_) => None,
        }
    }
}

/// Parses `bytes=` and a list of ranges (§14.1.2); `None` if it is malformed or of another unit.
fn parse(value: &[u8]) -> Option<Vec<Spec>> {
    const UNIT: &[u8] = b"bytes=";
    let (unit, set) = value.split_at_checked(UNIT.len())?;
    if !unit.eq_ignore_ascii_case(UNIT) {
        return None;
    }
    // One more than the limit is enough to find that there are too many.
    list_members(set).take(RANGES_MAX + 1).map(parse_spec).collect()
}

fn parse_spec(member: &[u8]) -> Option<Spec> {
    let dash = memchr::memchr(b'-', member)?;
    match (&member[..dash], &member[dash + 1..]) {
        (b"", suffix) => Some(Spec::Suffix(parse_position(suffix)?)),
        (first, b"") => Some(Spec::From(parse_position(first)?, None)),
        (first, last) => {
            let (first, last) = (parse_position(first)?, parse_position(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// Parses 1*DIGIT. A number of more than 64 bits is treated as the largest one, since no representation is that long.
fn parse_position(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0_u64, |position, digit| position.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Selection {
        match pairs.iter().map(|&(first, last)| ByteRange { first, last }).collect::<Vec<_>>()[..] {
            [range] => Selection::One(range),
            ref ranges => Selection::Several(ranges.to_vec()),
        }
    }

    #[test]
    fn satisfiable_ranges_are_selected() {
        for (value, expected) in [
            ("bytes=0-0", &[(0, 0)][..]),
            ("bytes=2-5", &[(2, 5)]),
            ("bytes=2-", &[(2, 9)]),
            ("bytes=2-99", &[(2, 9)]),
            ("bytes=-3", &[(7, 9)]),
            ("bytes=-10", &[(0, 9)]),
            ("bytes=-99999999999999999999999", &[(0, 9)]),
            ("bytes=9-18446744073709551616", &[(9, 9)]),
            ("BYTES=0-", &[(0, 9)]),
            ("bytes=0-0,-1", &[(0, 0), (9, 9)]),
            ("bytes=, 5-6 ,\t0-1,,", &[(5, 6), (0, 1)]),
            ("bytes=0-0,99-", &[(0, 0)]),
            ("bytes=0-4,5-9", &[(0, 4), (5, 9)]),
        ] {
            assert_eq!(select(value.as_bytes(), 10), ranges(expected), "{value}");
        }
    }

    #[test]
    fn unsatisfiable_ranges_are_reported() {
        for value in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=18446744073709551615-", "bytes=99-,-0"] {
            assert_eq!(select(value.as_bytes(), 10), Selection::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn malformed_fields_are_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=-",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes 0-1",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=0x1-",
            "items=0-1",
            "bytes=0-1;2-3",
            "bytes=0-1,x",
            "bytes = 0-1",
            "bytes=0 -1",
            "bytes=0-\x0b1",
        ] {
            assert_eq!(select(value.as_bytes(), 10), Selection::Whole, "{value:?}");
        }
    }

    #[test]
    fn too_many_or_too_long_ranges_are_ignored() {
        assert_eq!(select(b"bytes=0-,0-", 10), Selection::Whole);
        assert_eq!(select(b"bytes=0-9,-1", 10), Selection::Whole);
        let many = |count: u64| {
            let set: Vec<String> = (0..count).map(|at| format!("{at}-{at}")).collect();
            select(format!("bytes={}", set.join(",")).as_bytes(), 1000)
        };
        assert!(matches!(many(64), Selection::Several(ranges) if ranges.len() == 64));
        assert_eq!(many(65), Selection::Whole);
    }

    #[test]
    fn ranges_of_an_empty_representation() {
        assert_eq!(select(b"bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(select(b"bytes=-0", 0), Selection::Unsatisfiable);
        assert_eq!(select(b"bytes=-5", 0), Selection::Whole);
    }

    #[test]
    fn ranges_of_the_longest_representation() {
        assert_eq!(select(b"bytes=-1", u64::MAX), ranges(&[(u64::MAX - 1, u64::MAX - 1)]));
        assert_eq!(select(b"bytes=0-,-18446744073709551615", u64::MAX), Selection::Whole);
    }
}
