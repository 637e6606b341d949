//! Clients with accounts: with right, wrong and no credentials, and some that try to use the uploads of others.
//!
//! They check one thing: that nobody does what none of the accounts files in force lets them do, and that nobody is
//! refused what all of them allow.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fastrand::Rng;
use spindle::semantics::rights::{Rights, UploadPolicy};

use crate::simulation::accounts::{CHANGING, ROOT, RunAccounts, secret};
use crate::simulation::clients::responses::{Parsed, Response, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::scenario::{Scenario, one_of};

/// What a 403 says if a right is missing.
pub(super) const DENIED: &[u8] = b"You have no right to do this here.\n";

/// What the credentials of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Right,
    /// The secret of another account.
    Wrong,
    /// Another scheme.
    Other,
}

/// What a request does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Deed {
    Read,
    /// Stores the client's own file.
    Put,
    Delete,
    CreateDirectory,
    /// Begins a resumable upload of the client's own.
    Begin,
    /// Looks at the upload that it has begun, appends to it, or cancels it.
    Use(&'static str),
}

/// A request that has no response yet.
#[derive(Clone, Debug)]
struct Sent {
    name: &'static str,
    credentials: Credentials,
    deed: Deed,
    at_ns: u64,
}

/// The upload that was begun last, and by whom.
struct Upload {
    location: String,
    owner: &'static str,
}

pub(crate) struct AccountHolder {
    accounts: RunAccounts,
    /// The name of its own file.
    file: String,
    is_drop_box: bool,
    /// Whether the file is known to exist, or not to.
    exists: Option<bool>,
    disk_may_fail: bool,
    upload: Option<Upload>,
    requests_left: usize,
    sent: Option<Sent>,
    next_ns: u64,
    read: Vec<u8>,
    is_done: bool,
    violation: Option<String>,
}

impl AccountHolder {
    pub(crate) fn new(accounts: &RunAccounts, scenario: &Scenario, number: usize, requests: usize) -> AccountHolder {
        AccountHolder {
            accounts: accounts.clone(),
            file: format!("/others/{number}"),
            is_drop_box: scenario.is_drop_box,
            exists: Some(false),
            disk_may_fail: scenario.fault_plan.may_fail() || !scenario.fault_plan.crashes.is_empty(),
            upload: None,
            requests_left: requests,
            sent: None,
            next_ns: 0,
            read: Vec::new(),
            is_done: false,
            violation: None,
        }
    }

    fn next(&self, now_ns: u64, random: &mut Rng) -> Sent {
        let name = match random.u8(..8) {
            0 | 1 => "",
            2 => ROOT,
            _ => one_of(random, &CHANGING),
        };
        let credentials = match random.u8(..8) {
            0 if !name.is_empty() => Credentials::Wrong,
            1 => Credentials::Other,
            _ => Credentials::Right,
        };
        let deed = match random.u8(..12) {
            0..=2 => Deed::Read,
            3 | 4 => Deed::Put,
            5 | 6 => Deed::Delete,
            7 => Deed::CreateDirectory,
            8 | 9 => Deed::Begin,
            _ if self.upload.is_some() => Deed::Use(one_of(random, &["HEAD", "PATCH", "DELETE"])),
            _ => Deed::Begin,
        };
        Sent { name, credentials, deed, at_ns: now_ns }
    }

    fn bytes(&self, sent: &Sent) -> String {
        let file = &self.file;
        let upload = self.upload.as_ref().map_or("/", |upload| &upload.location);
        let line = match &sent.deed {
            Deed::Read => format!("GET {file} HTTP/1.1"),
            Deed::Put => format!("PUT {file} HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue"),
            Deed::Delete => format!("DELETE {file} HTTP/1.1"),
            Deed::CreateDirectory => format!("MKCOL {file}/ HTTP/1.1"),
            Deed::Begin => format!("PUT {file}.part HTTP/1.1\r\nContent-Length: 4\r\nUpload-Complete: ?0"),
            Deed::Use("PATCH") => format!(
                "PATCH {upload} HTTP/1.1\r\nContent-Type: application/partial-upload\r\nUpload-Complete: ?0\r\n\
                 Upload-Offset: 4\r\nContent-Length: 0"
            ),
            Deed::Use(method) => format!("{method} {upload} HTTP/1.1"),
        };
        let basic = |name: &str, of: &str| {
            let pair = format!("{name}:{}", secret(of).expose());
            format!("\r\nAuthorization: Basic {}", BASE64_STANDARD.encode(pair))
        };
        let field = match (sent.name, sent.credentials) {
            ("", Credentials::Right | Credentials::Wrong) => String::new(),
            (name, Credentials::Right) => basic(name, name),
            (name, Credentials::Wrong) => basic(name, if name == ROOT { CHANGING[0] } else { ROOT }),
            (_, Credentials::Other) => "\r\nAuthorization: Bearer x".to_owned(),
        };
        let content = if sent.deed == Deed::Begin { "part" } else { "" };
        format!("{line}\r\nHost: a{field}\r\n\r\n{content}")
    }

    fn check(&mut self, sent: &Sent, response: &Response) -> Result<(), String> {
        // The response to HEAD has no content.
        let says_denied = response.content == DENIED || sent.deed == Deed::Use("HEAD");
        let is_denied = response.status == 401 || response.status == 403 && says_denied;
        if sent.credentials != Credentials::Right {
            return if response.status == 401 { Ok(()) } else { Err("wrong credentials were accepted".to_owned()) };
        }
        let possible = self.accounts.rights_since(sent.name, sent.at_ns);
        if self.is_drop_box && sent.deed == Deed::Read {
            let is_missing = possible.contains(&None);
            return match response.status {
                404 => Ok(()),
                401 if is_missing => Ok(()),
                _ => Err("a drop box was read".to_owned()),
            };
        }
        let allows = |rights: &Option<Rights>| {
            rights.is_some_and(|rights| match &sent.deed {
                Deed::Read => rights.reads,
                Deed::Put | Deed::Begin | Deed::Use(_) => rights.uploads >= UploadPolicy::Create,
                Deed::Delete | Deed::CreateDirectory => rights.uploads == UploadPolicy::Manage,
            })
        };
        if is_denied && possible.iter().all(allows) {
            return Err("a right was denied".to_owned());
        }
        if !is_denied && !possible.iter().any(allows) {
            return Err("it was done without the right to".to_owned());
        }
        let replaces = |rights: &Option<Rights>| rights.is_some_and(|rights| rights.uploads >= UploadPolicy::Replace);
        if sent.deed == Deed::Put && response.status == 204 && !possible.iter().any(replaces) {
            return Err("a file was replaced without the right to".to_owned());
        }
        self.note(sent, response, is_denied)
    }

    /// Notes what the response says of the file and of the upload, and checks that a refused change was not made.
    fn note(&mut self, sent: &Sent, response: &Response, is_denied: bool) -> Result<(), String> {
        match (&sent.deed, response.status) {
            (Deed::Read, 200 | 404) if !self.disk_may_fail => {
                let was_found = response.status == 200;
                if self.exists.is_some_and(|exists| exists != was_found) {
                    return Err(format!("the file exists: {was_found}, after {:?}", self.exists));
                }
            }
            (Deed::Put, 201 | 204) => self.exists = Some(true),
            (Deed::Delete, 204 | 404) => self.exists = Some(false),
            (Deed::Put | Deed::Delete | Deed::CreateDirectory, _) if !is_denied => self.exists = None,
            (Deed::Begin, 201) => {
                let location = response.field("location").ok_or("no location")?.to_owned();
                self.upload = Some(Upload { location, owner: sent.name });
            }
            (Deed::Use(_), status) => {
                let owner = self.upload.as_ref().map_or("", |upload| upload.owner);
                let is_theirs = owner.is_empty() || owner == sent.name;
                if !is_theirs && !is_denied && status != 404 && status < 500 {
                    return Err(format!("the upload of {owner:?} was used"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Client for AccountHolder {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        self.read.extend(socket.read(usize::MAX));
        if let Some(sent) = self.sent.clone() {
            match parse(&self.read, sent.deed == Deed::Use("HEAD"), false) {
                Parsed::Partial if socket.has_ended() || socket.is_lost() => self.is_done = true,
                Parsed::Partial => return,
                Parsed::Malformed(reason) => self.violation = Some(reason),
                Parsed::Response(response) if response.status < 200 => {
                    self.read.drain(..response.bytes);
                    if response.status == 100 {
                        socket.send(b"file");
                    }
                    return self.act(socket);
                }
                Parsed::Response(response) => {
                    self.read.drain(..response.bytes);
                    socket.count(&format!("account holder: response {}", response.status));
                    if let Err(about) = self.check(&sent, &response) {
                        let now_ms = socket.now_ns() / MILLISECOND;
                        self.violation = Some(format!("at {now_ms} ms: {about}: {sent:?} {response:?}"));
                    }
                    self.sent = None;
                    self.next_ns = socket.now_ns() + one_of(socket.random(), &[0, MILLISECOND, 3 * SECOND]);
                    self.is_done = response.closes();
                }
            }
        }
        let is_over = socket.has_ended() || socket.is_lost() || self.requests_left == 0;
        if self.is_done || self.violation.is_some() || is_over {
            self.is_done = true;
            return socket.close();
        }
        if socket.now_ns() < self.next_ns {
            return socket.wake_in(self.next_ns - socket.now_ns());
        }
        self.requests_left -= 1;
        let mut random = socket.random().fork();
        let sent = self.next(socket.now_ns(), &mut random);
        socket.send(self.bytes(&sent).as_bytes());
        self.sent = Some(sent);
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        "account holder"
    }
}
