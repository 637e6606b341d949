//! Accounts: who may do what in a shared folder.

mod decisions;
mod links;
mod pages;
mod put_script;
mod reloads;
mod requests;
mod resumable;
mod start;

use std::fs;
use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use spindle::semantics::accounts::{Secret, account_line, parse_rights};
use tempfile::TempDir;

use crate::harness::{Response, Server, Start};
use crate::support;

/// A server of a new folder, with accounts in a file of its own.
pub(super) struct Guarded {
    pub(super) server: Server,
    scratch: TempDir,
}

/// The secret of the account with this name.
fn secret(name: &str) -> Secret {
    Secret::from_random(name.bytes().fold(7, |random, byte| random * 257 + u128::from(byte)))
}

/// The text of a file with these accounts: `name rights`, and `* rights` for everybody.
fn accounts_text(lines: &[&str]) -> String {
    let line = |line: &&str| match line.split_once(' ').unwrap() {
        ("*", _) => format!("{line}\n"),
        (name, rights) => account_line(name, parse_rights(rights).unwrap(), secret(name).hash()),
    };
    lines.iter().map(line).collect()
}

/// The field with the credentials of the account with this name; of nobody for an empty name.
pub(super) fn credentials(name: &str) -> Vec<String> {
    match name {
        "" => Vec::new(),
        name => vec![basic(name, secret(name).expose())],
    }
}

pub(super) fn basic(name: &str, secret: &str) -> String {
    format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("{name}:{secret}")))
}

impl Guarded {
    /// Starts a server with these accounts and options. Its folder contains `a`, whose content is `a`, and `sub/b`.
    pub(super) fn with(options: &[&str], accounts: &[&str]) -> Guarded {
        let scratch = TempDir::new().unwrap();
        let file = scratch.path().join("accounts");
        fs::write(&file, accounts_text(accounts)).unwrap();
        let given = ["--accounts", file.to_str().unwrap()];
        let server = Start::new().folder().options(given.into_iter().chain(options.iter().copied())).start();
        fs::create_dir(server.directory().join("sub")).unwrap();
        for name in ["a", "sub/b"] {
            server.write_file(name, name.as_bytes());
        }
        Guarded { server, scratch }
    }

    pub(super) fn new(accounts: &[&str]) -> Guarded {
        Guarded::with(&[], accounts)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.scratch.path().join("accounts")
    }

    /// The response to a request by the account with this name, with these further field lines.
    pub(super) fn ask_with(&self, name: &str, method: &str, target: &str, fields: &[&str]) -> Response {
        let credentials = credentials(name);
        let all: Vec<&str> = fields.iter().copied().chain(credentials.iter().map(String::as_str)).collect();
        support::ask(&self.server, method, target, &all)
    }

    pub(super) fn ask(&self, name: &str, method: &str, target: &str) -> Response {
        self.ask_with(name, method, target, &[])
    }

    pub(super) fn status(&self, name: &str, method: &str, target: &str) -> u16 {
        self.ask(name, method, target).status
    }

    pub(super) fn put(&self, name: &str, target: &str) -> u16 {
        self.ask_with(name, "PUT", target, &["Content-Length: 0"]).status
    }
}
