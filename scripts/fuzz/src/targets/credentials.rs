//! The value of an Authorization field, as HTTP Basic has it.
//!
//! 1. No input makes it panic.
//! 2. The result is that of a second implementation, which decodes bit by bit.
//! 3. They are the credentials of an account with that name and secret, and of no other.

use spindle::semantics::accounts::{Accounts, Credentials, SecretHash, account_line, is_valid_name};
use spindle::semantics::rights::Rights;

/// The longest credentials, in bytes.
const BYTES_MAX: usize = 129;

/// Runs the target.
pub fn run(input: &[u8]) {
    let parsed = Credentials::parse(input);
    let expected = reference(input);
    assert_eq!(parsed.is_ok(), expected.is_some(), "the second implementation accepts the same values");
    let (Ok(credentials), Some((name, secret))) = (parsed, expected) else { return };
    assert_eq!(credentials.name(), name, "the name is that of the second implementation");
    let Ok(name) = std::str::from_utf8(&name) else { return };
    if !is_valid_name(name) {
        return;
    }
    let accounts = |name: &str, secret: &[u8]| {
        Accounts::parse(account_line(name, Rights::ALL, SecretHash::of(secret)).as_bytes()).expect("an account")
    };
    assert!(accounts(name, &secret).authenticate(&credentials).is_some(), "they are those of this account");
    let other = [&secret[..], b"x"].concat();
    assert!(accounts(name, &other).authenticate(&credentials).is_none(), "they are those of another secret");
    let other = if name == "other" { "another" } else { "other" };
    assert!(accounts(other, &secret).authenticate(&credentials).is_none(), "they are those of another name");
}

/// The name and the secret; `None` if the value is malformed or too long.
fn reference(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let unpadded = match rest {
        [start @ .., b'=', b'='] | [start @ .., b'='] => start,
        all => all,
    };
    let padding = rest.len() - unpadded.len();
    if padding > 0 && rest.len() % 4 != 0 {
        return None;
    }
    let (mut bits, mut count, mut decoded) = (0_u32, 0, Vec::new());
    for letter in unpadded {
        let six = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            .iter()
            .position(|each| each == letter)?;
        bits = (bits << 6 | six as u32) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    // What is left over must be nothing, and less than a letter.
    if count >= 6 || bits & ((1 << count) - 1) != 0 || decoded.len() > BYTES_MAX {
        return None;
    }
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}
