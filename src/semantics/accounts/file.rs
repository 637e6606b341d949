//! The text of an accounts file.

use std::fmt;
use std::rc::Rc;

use super::{ACCOUNTS_MAX, Account, Accounts, SecretHash};
use crate::semantics::rights::{Rights, UploadPolicy};

/// The longest name of an account, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The name that stands for everybody.
const EVERYBODY: &str = "*";

/// The rights as a file names them.
const RIGHTS: [(&str, Rights); 4] = [
    ("read", Rights { reads: true, uploads: UploadPolicy::Off }),
    ("create", Rights { reads: false, uploads: UploadPolicy::Create }),
    ("replace", Rights { reads: false, uploads: UploadPolicy::Replace }),
    ("manage", Rights { reads: false, uploads: UploadPolicy::Manage }),
];

/// Why the text of an accounts file cannot be used. Never contains text of the file: a secret may be anywhere in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountsError {
    /// The line with this number is malformed.
    Line(usize, LineError),
    /// No line says what anybody may do. The file may be one that is just being written.
    Empty,
    /// There are more than [`ACCOUNTS_MAX`] accounts.
    TooMany,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It is not UTF-8.
    NotText,
    /// The name is not one that an account can have.
    Name,
    /// The rights are missing, or not a list of the four.
    Rights,
    /// The hash is missing or malformed.
    Hash,
    /// The line for everybody has a hash.
    HashOfEverybody,
    /// Something follows the hash.
    TooLong,
    /// The line with this number has the same name.
    SameName(usize),
    /// The line with this number has the same secret.
    SameSecret(usize),
}

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccountsError::Line(line, error) => write!(f, "line {line}: {error}"),
            AccountsError::Empty => f.write_str("it contains no account, and no line for everybody (*)"),
            AccountsError::TooMany => write!(f, "it contains more than {ACCOUNTS_MAX} accounts"),
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::NotText => f.write_str("it is not valid UTF-8"),
            LineError::Name => write!(f, "expected {NAME_EXPECTED}, or * for everybody"),
            LineError::Rights => write!(f, "after the name: expected {RIGHTS_EXPECTED}"),
            LineError::Hash => f.write_str(
                "after the rights: expected sha256: and 64 hexadecimal digits, as spindle account prints them",
            ),
            LineError::HashOfEverybody => f.write_str("the line of everybody (*) must end after the rights"),
            LineError::TooLong => f.write_str("the line must end after the hash"),
            LineError::SameName(first) => write!(f, "it has the name of line {first}"),
            LineError::SameSecret(first) => write!(f, "it has the secret of line {first}: each account needs its own"),
        }
    }
}

impl std::error::Error for AccountsError {}

/// What a name is, as errors say it.
pub const NAME_EXPECTED: &str =
    "a name of at most 64 bytes: letters and digits, and after the first also - . _ @ and +";

/// What rights are, as errors say it.
pub const RIGHTS_EXPECTED: &str = "a list of read, create, replace and manage, such as read,create";

/// Whether an account may have this name. A client can send no name with a colon (RFC 7617 §2), and control characters
/// would have to be escaped in logs. The other bounds keep names apart that look the same.
pub fn is_valid_name(name: &str) -> bool {
    let may_follow = |letter: char| letter.is_alphanumeric() || "-._@+".contains(letter);
    name.len() <= NAME_BYTES_MAX && name.starts_with(char::is_alphanumeric) && name.chars().all(may_follow)
}

/// The rights in a list such as `read,create`; `None` if it contains anything else.
pub fn parse_rights(list: &str) -> Option<Rights> {
    list.split(',').try_fold(Rights::NONE, |rights, name| {
        let (_, right) = RIGHTS.into_iter().find(|(known, _)| *known == name)?;
        Some(rights.or(right))
    })
}

/// The shortest list of these rights; empty if there are none.
pub fn rights_text(rights: Rights) -> String {
    let is_named = |right: Rights| match right.reads {
        true => rights.reads,
        false => rights.uploads == right.uploads,
    };
    let names: Vec<&str> = RIGHTS.into_iter().filter(|(_, right)| is_named(*right)).map(|(name, _)| name).collect();
    names.join(",")
}

/// A line that says something.
enum Line<'a> {
    Everybody(Rights),
    Account(&'a str, Rights, SecretHash),
}

impl Accounts {
    /// Parses the text of an accounts file. Each line is a name, rights and a hash, with spaces between them. The name `*`
    /// has no hash. Lines that are empty or begin with `#` are left out.
    ///
    /// # Errors
    /// The first line that is malformed, or contradicts an earlier one.
    pub fn parse(text: &[u8]) -> Result<Accounts, AccountsError> {
        let mut everybody = None;
        let mut accounts: Vec<(usize, Account)> = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            let failed = |error| AccountsError::Line(number, error);
            match parse_line(line).map_err(failed)? {
                None => {}
                Some(Line::Everybody(rights)) => match everybody {
                    Some((first, _)) => return Err(failed(LineError::SameName(first))),
                    None => everybody = Some((number, rights)),
                },
                Some(Line::Account(..)) if accounts.len() == ACCOUNTS_MAX => return Err(AccountsError::TooMany),
                Some(Line::Account(name, rights, hash)) => {
                    for (first, other) in &accounts {
                        if *other.name == *name {
                            return Err(failed(LineError::SameName(*first)));
                        }
                        if other.hash == hash {
                            return Err(failed(LineError::SameSecret(*first)));
                        }
                    }
                    accounts.push((number, Account { name: Rc::from(name), rights, hash }));
                }
            }
        }
        if accounts.is_empty() && everybody.is_none() {
            return Err(AccountsError::Empty);
        }
        let everybody = everybody.map_or(Rights::NONE, |(_, rights)| rights);
        Ok(Accounts { everybody, accounts: accounts.into_iter().map(|(_, account)| account).collect() })
    }
}

/// The line of an account, including its line end.
pub fn account_line(name: &str, rights: Rights, hash: SecretHash) -> String {
    format!("{name} {} {}\n", rights_text(rights), hash.to_text())
}

/// What a line says; `None` if it is empty or a comment.
fn parse_line(line: &[u8]) -> Result<Option<Line<'_>>, LineError> {
    let line = str::from_utf8(line.trim_ascii()).map_err(|_| LineError::NotText)?;
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let name = words.next().filter(|name| *name == EVERYBODY || is_valid_name(name)).ok_or(LineError::Name)?;
    let rights = words.next().and_then(parse_rights).ok_or(LineError::Rights)?;
    if name == EVERYBODY {
        return match words.next() {
            None => Ok(Some(Line::Everybody(rights))),
            Some(_) => Err(LineError::HashOfEverybody),
        };
    }
    let hash = words.next().and_then(SecretHash::parse).ok_or(LineError::Hash)?;
    match words.next() {
        None => Ok(Some(Line::Account(name, rights, hash))),
        Some(_) => Err(LineError::TooLong),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn hash(number: u8) -> String {
        SecretHash::of(&[number]).to_text()
    }

    #[test]
    fn comments_empty_lines_and_any_white_space_between_words_are_allowed() {
        let text = format!(
            "# who\n\n  \r\n*\tread \r\n  # more\nalice  read,create\t{}\n\u{e4}.b-c_d@e+1 manage {}",
            hash(1),
            hash(2)
        );
        let accounts = Accounts::parse(text.as_bytes()).unwrap();
        assert_eq!(accounts.everybody(), Rights { reads: true, uploads: UploadPolicy::Off });
        let found: Vec<_> = accounts.accounts.iter().map(|account| (&*account.name, account.rights)).collect();
        let alice = Rights { reads: true, uploads: UploadPolicy::Create };
        let other = Rights { reads: false, uploads: UploadPolicy::Manage };
        assert_eq!(found, [("alice", alice), ("\u{e4}.b-c_d@e+1", other)]);
    }

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let line = account_line("alice", Rights::ALL, SecretHash::of(b"secret"));
        assert_eq!(line, format!("alice read,manage {}\n", SecretHash::of(b"secret").to_text()));
        let accounts = Accounts::parse(line.as_bytes()).unwrap();
        assert_eq!((&*accounts.accounts[0].name, accounts.accounts[0].rights), ("alice", Rights::ALL));
    }

    #[test]
    fn an_error_has_its_line_and_says_what_is_wrong() {
        let hash = hash(1);
        for (line, error) in [
            ("alice", LineError::Rights),
            ("alice read", LineError::Hash),
            ("alice  sha256:00", LineError::Rights),
            ("alice read sha256:00", LineError::Hash),
            (&format!("alice read {} x", self::hash(2)), LineError::TooLong),
            (&format!("alice Read {hash}"), LineError::Rights),
            (&format!("alice read,,create {hash}"), LineError::Rights),
            (&format!("alice read, create {hash}"), LineError::Rights),
            (&format!("alice delete {hash}"), LineError::Rights),
            (&format!("alice {hash} read"), LineError::Rights),
            (&format!("a:b read {hash}"), LineError::Name),
            (&format!("-a read {hash}"), LineError::Name),
            (&format!("a\u{7f} read {hash}"), LineError::Name),
            (&format!("a\u{300} read {hash}"), LineError::Name),
            (&format!("\u{feff}alice read {hash}"), LineError::Name),
            (&format!("** read {hash}"), LineError::Name),
            (&format!("{} read {hash}", "a".repeat(65)), LineError::Name),
            (&format!("* read {hash}"), LineError::HashOfEverybody),
            ("*", LineError::Rights),
            (&format!("bob read {hash}"), LineError::SameSecret(2)),
            (&format!("carol read {}", self::hash(2)), LineError::SameName(2)),
        ] {
            let text = format!("# accounts\ncarol manage {hash}\n{line}\n# end\n");
            assert_eq!(Accounts::parse(text.as_bytes()).unwrap_err(), AccountsError::Line(3, error), "{line}");
        }
        assert_eq!(Accounts::parse(b"* read\n* create").unwrap_err(), AccountsError::Line(2, LineError::SameName(1)));
        assert_eq!(Accounts::parse(b"\n\xff").unwrap_err(), AccountsError::Line(2, LineError::NotText));
        assert_eq!(Accounts::parse(b"# nobody\n").unwrap_err(), AccountsError::Empty);
        assert_eq!(Accounts::parse(b"").unwrap_err(), AccountsError::Empty);
    }

    #[test]
    fn there_is_a_greatest_number_of_accounts() {
        let lines = |count: usize| {
            let hash = |number: usize| SecretHash::of(&number.to_be_bytes()).to_text();
            (0..count).map(|number| format!("a{number} read {}\n", hash(number))).collect::<String>()
        };
        assert_eq!(Accounts::parse(lines(ACCOUNTS_MAX).as_bytes()).unwrap().iter().len(), ACCOUNTS_MAX);
        assert_eq!(Accounts::parse(lines(ACCOUNTS_MAX + 1).as_bytes()).unwrap_err(), AccountsError::TooMany);
    }

    #[test]
    fn rights_are_read_as_they_are_written() {
        for (list, shortest) in [
            ("read", "read"),
            ("create", "create"),
            ("create,read", "read,create"),
            ("create,replace,read", "read,replace"),
            ("manage,create", "manage"),
        ] {
            let rights = parse_rights(list).unwrap();
            assert_eq!(rights_text(rights), shortest);
            assert_eq!(parse_rights(shortest), Some(rights));
        }
        assert_eq!(rights_text(Rights::NONE), "");
        for list in ["", ",", "read,", "none", "READ", "read create"] {
            assert_eq!(parse_rights(list), None, "{list}");
        }
    }
}
