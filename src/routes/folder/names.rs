//! The order of names as people expect it: numbers by their value, and capital letters beside small ones.

use std::cmp::Ordering;

/// Compares two names: runs of digits by their value, everything else letter by letter without regard to case. Names that
/// are the same in that way are ordered by their bytes, so that only equal names compare as equal.
pub(super) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    compare_as_people_do(one, other).then_with(|| one.cmp(other))
}

fn compare_as_people_do(one: &[u8], other: &[u8]) -> Ordering {
    let same = same_beginning(one, other);
    // What is UTF-8 is compared by characters, so that É stands beside é.
    let mut one = Text { rest: &one[same..] };
    let mut other = Text { rest: &other[same..] };
    loop {
        if one.starts_with_digit() && other.starts_with_digit() {
            let (digits, other_digits) = (one.take_number(), other.take_number());
            // Without leading zeros the longer number is the larger one.
            let ordering = digits.len().cmp(&other_digits.len()).then_with(|| digits.cmp(other_digits));
            if ordering.is_ne() {
                return ordering;
            }
            continue;
        }
        match (one.take_letter(), other.take_letter()) {
            (None, None) => return Ordering::Equal,
            (letter, other_letter) if letter == other_letter => {}
            (letter, other_letter) => return letter.cmp(&other_letter),
        }
    }
}

/// How many bytes at the beginning need no closer look: ASCII that is the same but for case. Names in one directory often
/// begin alike. A number that begins there is left to be compared as a whole.
fn same_beginning(one: &[u8], other: &[u8]) -> usize {
    // Eight bytes take as long as one.
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    let start = 8 * words.take_while(|(one, other)| one == other && one.is_ascii()).count();
    let is_same = |(one, other): &(&u8, &u8)| one.is_ascii() && one.eq_ignore_ascii_case(other);
    let same = start + one[start..].iter().zip(&other[start..]).take_while(is_same).count();
    let digits = one[..same].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    same - digits
}

/// What is left of a name.
struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn starts_with_digit(&self) -> bool {
        self.rest.first().is_some_and(u8::is_ascii_digit)
    }

    /// The digits that come next, without leading zeros.
    fn take_number(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        &digits[zeros..]
    }

    /// The next character in lower case, as a number; a byte that is not UTF-8 comes behind all characters.
    fn take_letter(&mut self) -> Option<u32> {
        const BEHIND_CHARACTERS: u32 = char::MAX as u32 + 1;
        let (&first, behind_first) = self.rest.split_first()?;
        if first.is_ascii() {
            self.rest = behind_first;
            return Some(u32::from(first.to_ascii_lowercase()));
        }
        // No character is longer than four bytes.
        let head = &self.rest[..self.rest.len().min(4)];
        let Some(character) = head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()) else {
            self.rest = behind_first;
            return Some(BEHIND_CHARACTERS + u32::from(first));
        };
        self.rest = &self.rest[character.len_utf8()..];
        // Of the few characters whose lower case is several, the first decides.
        character.to_lowercase().next().map(u32::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_the_order_in_which_people_look_for_them() {
        for ordered in [
            &["file1", "file2", "file10", "file20", "file100"][..],
            &["1.2", "1.10", "2.1"],
            &["a", "B", "c", "D"],
            &["", "0", "1", "a"],
            &["a", "a b", "a-b", "a.b", "a1", "ab"],
            &["a1b2", "a1b10", "a2b1"],
            &["img7.png", "IMG8.png", "img009.png", "IMG10.PNG"],
            // Of the same number, fewer leading zeros do not count, and the bytes decide.
            &["a007", "a07", "a7", "a8"],
            &["Readme", "readme"],
            &["Äpfel", "äpfel", "zebra"][..2],
            &["école1", "École2", "école10"],
            // Beyond any machine number.
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
    fn a_number_counts_as_a_whole_wherever_two_names_begin_to_differ() {
        for (less, greater) in [
            ("a12", "a123"),
            ("a129", "a1210"),
            ("A19x", "a20"),
            ("a0012", "a13"),
            ("a9é", "A10É"),
            ("file name 12", "file name 123"),
            ("0123456789x", "01234567890"),
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
