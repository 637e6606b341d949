//! Lower-case hexadecimal digits, as keys, hashes and signatures are written.

/// The bytes that `digits` stand for. `None` if these are not two lower-case digits for each byte.
pub(super) fn parse<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    if digits.len() != 2 * BYTES {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_spelling_of_each_byte() {
        assert_eq!(parse(b"00ff1a"), Some([0, 255, 26]));
        for wrong in [&b"00ff1A"[..], b"00ff1", b"00ff1a0", b"00ff1g", b"00ff+1", b""] {
            assert_eq!(parse::<3>(wrong), None);
        }
    }
}
