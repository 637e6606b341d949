//! Accounts: who may do what, and how requests prove who sends them.
//!
//! # Laws
//!
//! 1. A secret is made by the machine from 128 random bits, so that no guess at it succeeds, and a single SHA-256 of it
//!    may be stored. Nobody chooses one.
//! 2. Each request with credentials is compared with each account, by the hash of its secret and in constant time. So
//!    the time tells neither whether a name exists, nor how much of a hash was right.
//! 3. Secrets and their hashes have types whose debug output is empty. No error quotes a line of the file, because a
//!    misplaced secret may be anywhere in it.
//! 4. Wrong credentials are refused whatever they are used for, so that nobody takes a spelling mistake for a right.

mod basic;
mod file;
mod secret;

use std::rc::Rc;

use constant_time_eq::constant_time_eq_32;

pub use self::basic::{Credentials, CredentialsError};
pub use self::file::{
    AccountsError, LineError, NAME_BYTES_MAX, NAME_EXPECTED, RIGHTS_EXPECTED, account_line, is_valid_name,
    parse_rights, rights_text,
};
pub use self::secret::{Secret, SecretHash};
use super::rights::Rights;

/// The most accounts in a file. Each request with credentials is compared with all of them, which takes some
/// microseconds if there are so many.
pub const ACCOUNTS_MAX: usize = 1000;

/// Where the accounts come from. They are read at the start, and again when the server is told to.
pub trait AccountSource {
    /// Reads the accounts. May wait for the disk.
    ///
    /// # Errors
    /// One line that says why there are none. It does not contain a secret.
    fn read(&mut self) -> Result<Accounts, String>;
}

/// One account.
#[derive(Clone, Debug)]
pub struct Account {
    name: Rc<str>,
    rights: Rights,
    hash: SecretHash,
}

impl Account {
    /// The name.
    pub fn name(&self) -> &Rc<str> {
        &self.name
    }

    /// What its owner may do.
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// The hash of its secret.
    pub fn hash(&self) -> SecretHash {
        self.hash
    }
}

/// The accounts in force.
#[derive(Clone, Debug)]
pub struct Accounts {
    everybody: Rights,
    accounts: Vec<Account>,
}

impl Accounts {
    /// What everybody may do, also without an account.
    pub fn everybody(&self) -> Rights {
        self.everybody
    }

    /// What at least one account may do, or everybody.
    pub fn anybody(&self) -> Rights {
        self.accounts.iter().fold(self.everybody, |rights, account| rights.or(account.rights))
    }

    /// The accounts, in the order of their file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Account> {
        self.accounts.iter()
    }

    /// The account whose name and secret these are.
    pub fn authenticate(&self, credentials: &Credentials) -> Option<&Account> {
        let hash = SecretHash::of(credentials.secret());
        let mut found = None;
        // To the end, and not only up to the first account whose hash is the same.
        for account in &self.accounts {
            if constant_time_eq_32(account.hash.bytes(), hash.bytes()) {
                found = Some(account);
            }
        }
        // Only whoever knows a secret learns anything from the comparison of names.
        found.filter(|account| account.name.as_bytes() == credentials.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::semantics::rights::UploadPolicy;

    fn credentials(name: &str, secret: &str) -> Credentials {
        Credentials::new(name.as_bytes(), secret.as_bytes()).unwrap()
    }

    #[test]
    fn an_account_is_found_by_its_name_and_its_secret_together() {
        let secrets = [1, 2].map(Secret::from_random);
        let hash = |index: usize| secrets[index].hash().to_text();
        let text = format!("* read\nalice read,manage {}\nbob create {}\n", hash(0), hash(1));
        let accounts = Accounts::parse(text.as_bytes()).unwrap();
        let found = |name: &str, secret: &str| accounts.authenticate(&credentials(name, secret)).map(Account::rights);
        let (alice, bob) = (secrets[0].expose(), secrets[1].expose());
        assert_eq!(found("alice", alice), Some(Rights::ALL));
        assert_eq!(found("bob", bob), Some(Rights { reads: false, uploads: UploadPolicy::Create }));
        for (name, secret) in [
            ("alice", bob),
            ("bob", alice),
            ("carol", alice),
            ("", alice),
            ("*", alice),
            ("Alice", alice),
            ("alice ", alice),
            ("alice", ""),
            ("alice", &alice[1..]),
            ("alice", &format!("{alice} ")),
            ("alice", &alice.to_uppercase()),
            ("alice", &hash(0)),
        ] {
            assert!(found(name, secret).is_none(), "{name} {secret}");
        }
        assert_eq!((accounts.everybody().reads, accounts.iter().len()), (true, 2));
        assert_eq!(accounts.anybody(), Rights::ALL);
    }

    #[test]
    fn neither_a_secret_nor_a_hash_is_in_debug_output() {
        let secret = Secret::from_random(u128::MAX);
        let text = format!("alice read {}\n", secret.hash().to_text());
        let accounts = Accounts::parse(text.as_bytes()).unwrap();
        let credentials = credentials("alice", secret.expose());
        let shown = format!("{accounts:?} {secret:?} {:?} {credentials:?}", secret.hash());
        assert!(shown.contains("alice"));
        let hash = secret.hash().to_text();
        let hexadecimal = hash.split(':').nth(1).unwrap();
        for hidden in [secret.expose(), hexadecimal, &format!("{:?}", secret.hash().bytes())] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
