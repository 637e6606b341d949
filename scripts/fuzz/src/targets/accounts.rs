//! The text of an accounts file.
//!
//! 1. No input makes it panic.
//! 2. The result is that of a second implementation, which reads the text line by line without looking back.
//! 3. What was read can be written, and is then read again as the same.
//! 4. A comment before the text only moves the line of an error.
//! 5. Nothing of the text is in the message of an error.

use std::collections::BTreeMap;

use spindle::semantics::accounts::{Accounts, AccountsError, account_line, parse_rights, rights_text};
use spindle::semantics::rights::Rights;

/// Runs the target.
pub fn run(input: &[u8]) {
    let result = Accounts::parse(input);
    assert_eq!(result.is_ok(), reference(input).is_some(), "the second implementation accepts the same texts");
    let shifted = Accounts::parse(&[b"# comment\n", input].concat());
    match (&result, &shifted) {
        (Err(AccountsError::Line(line, _)), Err(AccountsError::Line(later, _))) => {
            assert_eq!(*later, line + 1, "a comment moves the line of an error");
        }
        (Err(_), Err(_)) | (Ok(_), Ok(_)) => {}
        _ => panic!("a comment changes whether the text is accepted"),
    }
    match result {
        Ok(accounts) => check_accounts(&accounts, input),
        Err(error) => {
            let message = error.to_string();
            let is_quoted =
                |word: &&[u8]| word.len() > 12 && message.as_bytes().windows(word.len()).any(|part| part == *word);
            let quoted = input.split(|byte| byte.is_ascii_whitespace()).find(is_quoted);
            assert_eq!(quoted, None, "no error quotes the text");
        }
    }
}

fn check_accounts(accounts: &Accounts, input: &[u8]) {
    let expected = reference(input).expect("it was accepted");
    let mut text = String::new();
    if accounts.everybody() != Rights::NONE {
        text += &format!("* {}\n", rights_text(accounts.everybody()));
    }
    for account in accounts.iter() {
        text += &account_line(account.name(), account.rights(), account.hash());
    }
    let again = reference(text.as_bytes()).expect("what was written is accepted");
    assert_eq!(again, expected, "what was read is read again as it was written");
    assert!(Accounts::parse(text.as_bytes()).is_ok());
}

/// The rights and hash of each name; `None` if the text is not accepted.
fn reference(text: &[u8]) -> Option<BTreeMap<String, (Rights, String)>> {
    let mut found = BTreeMap::new();
    let mut hashes = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = std::str::from_utf8(line.trim_ascii()).ok()?;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        let (name, rights, hash) = match words[..] {
            ["*", rights] => ("*", rights, ""),
            [name, rights, hash] if name != "*" => (name, rights, hash),
            _ => return None,
        };
        let rights = parse_rights(rights)?;
        if name != "*" {
            let first = name.chars().next()?;
            let is_name =
                first.is_alphanumeric() && name.chars().all(|each| each.is_alphanumeric() || "@+-._".contains(each));
            let digits = hash.strip_prefix("sha256:")?;
            let is_hash = digits.len() == 64 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            if !is_name || name.len() > 64 || !is_hash || hashes.contains(&hash) {
                return None;
            }
            hashes.push(hash);
        }
        if hashes.len() > 1000 || found.insert(name.to_owned(), (rights, hash.to_owned())).is_some() {
            return None;
        }
    }
    (!found.is_empty()).then_some(found)
}
