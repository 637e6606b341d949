//! Content-Disposition of what is to be saved (RFC 6266).

use std::fmt::Write as _;

/// `attachment` with the name for every client: in `filename`, for old ones, ASCII with a `_` in the place of what they
/// might read in another way; in `filename*` (RFC 8187) the name itself, where that says more. A name that is not UTF-8
/// has U+FFFD for the bytes that are none.
pub(super) fn attachment(name: &[u8]) -> String {
    let plain: String = String::from_utf8_lossy(name).chars().map(plain_character).collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain.as_bytes() != name {
        value.push_str("; filename*=UTF-8''");
        for byte in String::from_utf8_lossy(name).bytes() {
            // attr-char, but for those that some clients stumble over.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                value.push(char::from(byte));
            } else {
                // Writing to a string never fails.
                let _ = write!(value, "%{byte:02X}");
            }
        }
    }
    value
}

/// Quotes and backslashes would end or escape something, a percent sign is decoded by some, and a slash is no name.
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
    fn any_name_is_a_safe_value() {
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
