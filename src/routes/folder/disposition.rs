//! Content-Disposition of a response that a browser saves (RFC 6266).

use std::fmt::Write as _;

/// `attachment`, with the name in two forms. `filename` is for old clients: ASCII, with a `_` for every character that
/// clients read differently. `filename*` (RFC 8187) has the name itself, and is left out if it is the same. In a name
/// that is not UTF-8, each invalid sequence becomes U+FFFD.
pub(super) fn attachment(name: &[u8]) -> String {
    let plain: String = String::from_utf8_lossy(name).chars().map(plain_character).collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain.as_bytes() != name {
        value.push_str("; filename*=UTF-8''");
        for byte in String::from_utf8_lossy(name).bytes() {
            // The attr-char of RFC 8187 without those that some clients misread.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                value.push(char::from(byte));
            } else {
                // Writing to a `String` never fails.
                let _ = write!(value, "%{byte:02X}");
            }
        }
    }
    value
}

/// A quote would end the value, a backslash would escape the next character, some clients decode percent signs, and a
/// slash cannot be in a file name.
fn plain_character(character: char) -> char {
    match character {
        '"' | '\\' | '/' | '%' => '_',
        ' '..='~' => character,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_a_valid_value() {
        for (name, expected) in [
            (&b"a b.txt"[..], "attachment; filename=\"a b.txt\""),
            ("é.txt".as_bytes(), "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
            (b"a\"b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
            (b"a\r\nb: c;d", "attachment; filename=\"a__b: c;d\"; filename*=UTF-8''a%0D%0Ab%3A%20c%3Bd"),
            (b"%41'", "attachment; filename=\"_41'\"; filename*=UTF-8''%2541%27"),
            (b"\xff", "attachment; filename=\"_\"; filename*=UTF-8''%EF%BF%BD"),
        ] {
            assert_eq!(attachment(name), expected);
        }
    }
}
