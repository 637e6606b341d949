//! The order of names that people expect: numbers are ordered by their value, and letters without regard to case.

/// Written before a byte that is not UTF-8. It is larger than the first byte of any character, so that byte is ordered
/// after all characters.
const NOT_UTF_8: u8 = 0xff;

/// The sort key of a name: the names are ordered by the bytes of their keys. A run of digits counts by its value, and
/// everything else character by character without regard to case. Names that differ in no other way have the same key,
/// and the caller has to order them by their own bytes.
///
/// Sorting compares each name a dozen times, so it is faster to make the key once than to compare the names directly.
pub(super) fn key(name: &[u8]) -> Box<[u8]> {
    let mut key = Vec::with_capacity(name.len() + 8);
    let mut rest = name;
    while let Some(first) = rest.first() {
        rest = if first.is_ascii_digit() {
            take_number(&mut key, rest)
        } else if first.is_ascii() {
            key.push(first.to_ascii_lowercase());
            &rest[1..]
        } else {
            take_character(&mut key, rest)
        };
    }
    key.into()
}

/// Writes the number at the beginning of `rest`, after a byte that orders it among characters. Returns what follows the
/// number. Without leading zeros the longer number is the larger one, so the length is written before the digits.
fn take_number<'a>(key: &mut Vec<u8>, rest: &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = &digits[zeros..];
    key.push(b'0');
    match u8::try_from(digits.len()) {
        Ok(length) if length < u8::MAX => key.push(length),
        _ => {
            key.push(u8::MAX);
            key.extend_from_slice(&digits.len().to_be_bytes());
        }
    }
    key.extend_from_slice(digits);
    rest
}

/// Writes the character at the beginning of `rest` in lower case, and returns what follows it. Comparing UTF-8 byte by
/// byte gives the order of the characters.
fn take_character<'a>(key: &mut Vec<u8>, rest: &'a [u8]) -> &'a [u8] {
    // A character has at most four bytes.
    let head = &rest[..rest.len().min(4)];
    let Some(character) = head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()) else {
        key.extend_from_slice(&[NOT_UTF_8, rest[0]]);
        return &rest[1..];
    };
    // For a few characters the lower case is several characters. The first is enough.
    let lower = character.to_lowercase().next().unwrap_or(character);
    key.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
    &rest[character.len_utf8()..]
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    fn compare(one: &[u8], other: &[u8]) -> Ordering {
        key(one).cmp(&key(other)).then_with(|| one.cmp(other))
    }

    #[test]
    fn names_are_in_the_order_that_people_expect() {
        for ordered in [
            &["file1", "file2", "file10", "file20", "file100"][..],
            &["1.2", "1.10", "2.1"],
            &["a", "B", "c", "D"],
            &["", "0", "1", "a"],
            &["a", "a b", "a-b", "a.b", "a1", "ab"],
            &["a1b2", "a1b10", "a2b1"],
            &["img7.png", "IMG8.png", "img009.png", "IMG10.PNG"],
            // Leading zeros do not count, so the bytes of the names decide.
            &["a007", "a07", "a7", "a8"],
            &["Readme", "readme"],
            &["Äpfel", "äpfel", "zebra"][..2],
            &["école1", "École2", "école10"],
            // Larger than any integer type.
            &["v99999999999999999999999999", "v100000000000000000000000000"],
        ] {
            for pair in ordered.windows(2) {
                let (one, other) = (pair[0].as_bytes(), pair[1].as_bytes());
                assert_eq!(compare(one, other), Ordering::Less, "{pair:?}");
                assert_eq!(compare(other, one), Ordering::Greater, "{pair:?}");
                assert_eq!(compare(one, one), Ordering::Equal);
            }
        }
    }

    #[test]
    fn numbers_are_compared_as_a_whole_wherever_two_names_begin_to_differ() {
        for (less, greater) in [
            ("a12", "a123"),
            ("a129", "a1210"),
            ("A19x", "a20"),
            ("a0012", "a13"),
            ("a9é", "A10É"),
            ("file name 12", "file name 123"),
            ("0123456789x", "01234567890"),
            (&"9".repeat(254), &format!("1{}", "0".repeat(254))),
            (&"9".repeat(255), &format!("1{}", "0".repeat(255))),
            (&"9".repeat(256), &format!("1{}", "0".repeat(256))),
        ] {
            assert_eq!(compare(less.as_bytes(), greater.as_bytes()), Ordering::Less, "{less} {greater}");
            assert_eq!(compare(greater.as_bytes(), less.as_bytes()), Ordering::Greater, "{less} {greater}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_come_last() {
        assert_eq!(compare(b"a\xff", "aé".as_bytes()), Ordering::Greater);
        assert_eq!(compare(b"\xfe", b"\xff"), Ordering::Less);
        assert_eq!(compare(b"\xc3", "é".as_bytes()), Ordering::Greater);
    }

    #[test]
    fn the_order_is_total() {
        let names = ["", "a", "A", "a1", "a01", "A1", "a10", "a2", "é", "É", "0", "00", "a0", "a00b", "a0b"];
        for one in names {
            for other in names {
                assert_eq!(
                    compare(one.as_bytes(), other.as_bytes()),
                    compare(other.as_bytes(), one.as_bytes()).reverse()
                );
                for third in names {
                    if compare(one.as_bytes(), other.as_bytes()).is_le()
                        && compare(other.as_bytes(), third.as_bytes()).is_le()
                    {
                        assert!(compare(one.as_bytes(), third.as_bytes()).is_le(), "{one:?} {other:?} {third:?}");
                    }
                }
            }
        }
    }
}
