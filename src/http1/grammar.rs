//! The grammar of single elements: byte classes of RFC 9110 §5.6 and RFC 3986 as a constant table, numbers, and hosts.

use std::net::Ipv6Addr;

use super::limits::CONTENT_LENGTH_DIGITS_MAX;

/// tchar (RFC 9110 §5.6.2), the bytes of a token.
pub const TCHAR: u8 = 1 << 0;
/// The bytes of a field value (RFC 9110 §5.5): SP, HTAB, VCHAR and obs-text.
pub const FIELD_CONTENT: u8 = 1 << 1;
/// The bytes of a path and of a query (RFC 3986 §3.3 and §3.4), except the percent sign.
const PATH_OR_QUERY: u8 = 1 << 2;
/// The bytes of a request target before its query: those of a path, and those that widespread clients send without
/// encoding them. The percent sign and the question mark are excluded, so that a scan stops at them: the digits after a
/// percent sign are checked, and after a question mark the class is [`TARGET_QUERY`].
pub const TARGET: u8 = 1 << 3;
/// The bytes of a request target's query: [`TARGET`], question marks, and backslashes, which some recipients treat as
/// slashes in a path but not in a query.
pub const TARGET_QUERY: u8 = 1 << 6;
/// The bytes of a reg-name (RFC 3986 §3.2.2), except the percent sign, and except the comma: no host name contains one,
/// and it could hide a list of hosts.
const REG_NAME: u8 = 1 << 4;
/// qdtext (RFC 9110 §5.6.4), the bytes of a quoted string that need no backslash.
pub const QDTEXT: u8 = 1 << 5;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
}

const fn class_of(byte: u8) -> u8 {
    let alphanumeric = byte.is_ascii_alphanumeric();
    let visible = byte.is_ascii_graphic();
    let obs_text = byte >= 0x80;
    let white_space = matches!(byte, b' ' | b'\t');
    let unreserved = alphanumeric || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let sub_delim = matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
    let path = unreserved || sub_delim || matches!(byte, b':' | b'@' | b'/');
    let sent_raw = matches!(byte, b'[' | b']' | b'|' | b'^' | b'{' | b'}' | b'`');

    let mut class = 0;
    if alphanumeric
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
    {
        class |= TCHAR;
    }
    if visible || obs_text || white_space {
        class |= FIELD_CONTENT;
    }
    if path || byte == b'?' {
        class |= PATH_OR_QUERY;
    }
    if path || sent_raw {
        class |= TARGET;
    }
    if path || sent_raw || matches!(byte, b'?' | b'\\') {
        class |= TARGET_QUERY;
    }
    if unreserved || (sub_delim && byte != b',') {
        class |= REG_NAME;
    }
    if (visible || obs_text || white_space) && byte != b'"' && byte != b'\\' {
        class |= QDTEXT;
    }
    class
}

/// Whether `byte` belongs to `class`, or to one of several classes combined by `|`.
#[inline]
pub fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// How many bytes at the start of `bytes` belong to `class`.
#[inline]
pub fn run(bytes: &[u8], class: u8) -> usize {
    // Chunks of eight, so that the compiler unrolls the inner loop.
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        if let Some(stop) = chunk.iter().position(|byte| !is(*byte, class)) {
            return index * 8 + stop;
        }
    }
    let stop = tail.iter().position(|byte| !is(*byte, class));
    bytes.len() - tail.len() + stop.unwrap_or(tail.len())
}

/// [`run`] of [`FIELD_CONTENT`], faster: field values are the longest part of a head.
#[inline]
pub fn run_of_field_content(bytes: &[u8]) -> usize {
    let stop = run_without_controls(bytes);
    // HTAB is the only control character in FIELD_CONTENT, and rare.
    if bytes.get(stop) == Some(&b'\t') { stop + run(&bytes[stop..], FIELD_CONTENT) } else { stop }
}

/// How many bytes at the start of `bytes` are no control characters. Eight bytes are compared at a time.
#[inline]
fn run_without_controls(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH_BITS: u64 = ONES << 7;
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        // The high bit of each byte below 0x20, and of each DEL. A borrow may set the high bit of further bytes, but
        // only above a byte that is a control character, and only the lowest one counts.
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH_BITS;
        let deletes = (word ^ (ONES * 0x7f)).wrapping_sub(ONES) & !(word ^ (ONES * 0x7f)) & HIGH_BITS;
        let stops = controls | deletes;
        if stops != 0 {
            return index * 8 + stops.trailing_zeros() as usize / 8;
        }
    }
    let stop = tail.iter().position(u8::is_ascii_control);
    bytes.len() - tail.len() + stop.unwrap_or(tail.len())
}

/// Parses 1*DIGIT of at most [`CONTENT_LENGTH_DIGITS_MAX`] digits: no sign, no white space, no separators. Leading
/// zeros are refused, since another recipient may parse such a number as octal.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > CONTENT_LENGTH_DIGITS_MAX || matches!(digits, [b'0', _, ..]) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

/// The value of a HEXDIG.
pub fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Whether `bytes` are `uri-host [ ":" port ]` (RFC 9110 §7.2).
///
/// Stricter than the grammar, in which a reg-name may be empty and contain commas: either could make two recipients
/// disagree about the host.
pub fn is_host_and_port(bytes: &[u8]) -> bool {
    let host_bytes = match bytes {
        [b'[', rest @ ..] => match memchr::memchr(b']', rest) {
            Some(end) if is_ip_literal(&rest[..end]) => end + 2,
            _ => return false,
        },
        _ => run_of_reg_name(bytes),
    };
    match &bytes[host_bytes..] {
        [] => host_bytes > 0,
        [b':', port @ ..] => host_bytes > 0 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether `bytes` are in authority-form (RFC 9112 §3.2.3): host, colon, and a port that is not empty.
pub fn is_authority_form(bytes: &[u8]) -> bool {
    is_host_and_port(bytes) && bytes.last().is_some_and(u8::is_ascii_digit) && {
        // The last byte that is not a digit must be the colon before the port.
        let port = bytes.iter().rposition(|byte| !byte.is_ascii_digit());
        port.is_some_and(|colon| bytes[colon] == b':' && colon > 0)
    }
}

/// Whether `bytes` are a path and a query of the URI grammar. The caller has checked the digits after percent signs.
pub fn is_path_and_query(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is(*byte, PATH_OR_QUERY) || *byte == b'%')
}

/// How many bytes at the start of `bytes` form a reg-name, percent-encoded bytes included.
fn run_of_reg_name(bytes: &[u8]) -> usize {
    let mut length = run(bytes, REG_NAME);
    while let [b'%', high, low, tail @ ..] = &bytes[length..] {
        if hex_digit(*high).is_none() || hex_digit(*low).is_none() {
            break;
        }
        length += 3 + run(tail, REG_NAME);
    }
    length
}

/// IPv6address or IPvFuture (RFC 3986 §3.2.2), without the brackets.
fn is_ip_literal(bytes: &[u8]) -> bool {
    if let [b'v' | b'V', rest @ ..] = bytes {
        let Some(dot) = memchr::memchr(b'.', rest) else { return false };
        let (version, address) = (&rest[..dot], &rest[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(|byte| is(*byte, REG_NAME) || matches!(byte, b':' | b','));
    }
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_members(class: u8) -> String {
        (0x21..0x7f).filter(|byte| is(*byte, class)).map(char::from).collect()
    }

    #[test]
    fn the_table_matches_the_grammar() {
        assert_eq!(
            class_members(TCHAR),
            "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~"
        );
        assert_eq!(
            class_members(PATH_OR_QUERY),
            "!$&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
        );
        assert_eq!(
            class_members(TARGET),
            "!$&'()*+,-./0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"
        );
        assert_eq!(
            class_members(TARGET_QUERY),
            "!$&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
        );
        for byte in (0..=0x20).chain(0x7f..=0xff) {
            assert!(!is(byte, TCHAR | PATH_OR_QUERY | TARGET | TARGET_QUERY), "{byte:#x}");
            let in_value = matches!(byte, b' ' | b'\t' | 0x80..);
            assert_eq!(is(byte, FIELD_CONTENT), in_value, "{byte:#x}");
        }
    }

    #[test]
    fn runs_stop_at_the_first_byte_outside_the_class() {
        for byte in 0..=255 {
            for at in 0..20 {
                let mut bytes = [b'a'; 20];
                bytes[at] = byte;
                let expected = |class| if is(byte, class) { 20 } else { at };
                assert_eq!(run(&bytes, TCHAR), expected(TCHAR), "{byte:#x} at {at}");
                assert_eq!(run_of_field_content(&bytes), expected(FIELD_CONTENT), "{byte:#x} at {at}");
                // Bytes after the stop do not matter.
                bytes[19] = 0;
                assert_eq!(run_of_field_content(&bytes), expected(FIELD_CONTENT).min(19), "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn a_decimal_consists_of_digits_only() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"7"), Some(7));
        assert_eq!(decimal(b"999999999999999999"), Some(999_999_999_999_999_999));
        for bad in [
            &b""[..],
            b"+5",
            b"-5",
            b" 5",
            b"5 ",
            b"5_0",
            b"0x5",
            b"5,5",
            b"05",
            b"00",
            b"1000000000000000000",
            b"\xb2",
        ] {
            assert_eq!(decimal(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn hosts_with_and_without_ports() {
        for good in ["a", "localhost:4221", "a:", "127.0.0.1:1", "[::1]", "[::1]:80", "[v1.a:b]", "a%2Db", "a_b!"] {
            assert!(is_host_and_port(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "u@a",
            "a/b",
            "a:b",
            "a:8:0",
            "a?b",
            "a#b",
            "[::1",
            "[::1]a",
            "[x]",
            "[]",
            "a%2",
            "a%zz",
            "\u{e9}",
            "a\t",
            "[::1]80",
            "[v.a]",
            "[::1%251]",
        ] {
            assert!(!is_host_and_port(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn an_authority_form_needs_a_port() {
        for good in ["a:1", "[::1]:443", "1:1"] {
            assert!(is_authority_form(good.as_bytes()), "{good}");
        }
        for bad in ["a", "a:", ":1", "[::1]", "1", "/", "a:1/", "u@a:1"] {
            assert!(!is_authority_form(bad.as_bytes()), "{bad}");
        }
    }
}
