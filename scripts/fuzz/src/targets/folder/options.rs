//! The options of the server, which are the first line of an input.

use std::net::{IpAddr, Ipv4Addr};

use base64::prelude::{BASE64_STANDARD, Engine};
use spindle::routes::FolderKind;
use spindle::semantics::accounts::Secret;
use spindle::semantics::client::Client;
use spindle::semantics::proxies::{Network, Proxies};
use spindle::semantics::rights::{Rights, UploadPolicy};

use super::disk::{Loss, Settings};
use super::links::{self, Granted};

/// The options. Each letter of the line sets one, and any other byte is ignored:
///
/// `c` `r` `m` set `--uploads` to create, replace or manage. `b` is a drop box, `s` a site, and `d` the challenge's
/// `/files/`. `h` shows hidden names. `q` limits uploads to 100 bytes, and `n` unfinished ones to 2. `f` is `--fsync`.
/// `a` reads accounts: everybody may read, and alice may do everything. `e` reads accounts by which everybody may do
/// nothing, and bob may create. `k` accepts signed links, and without `c`, `r` and `m` nobody may upload without one. `x`
/// expects a PROXY protocol header, and `w` trusts Forwarded. `p` is a system with only what POSIX guarantees, and `l` a
/// file system without links.
#[derive(Debug)]
pub(super) struct Options {
    /// Which uploads are offered to anybody at most.
    pub(super) policy: UploadPolicy,
    /// `None` for the challenge's routes.
    pub(super) kind: Option<FolderKind>,
    pub(super) shows_hidden: bool,
    pub(super) upload_bytes_max: Option<u64>,
    pub(super) pending_max: usize,
    pub(super) durable: bool,
    /// What everybody may do by the accounts; `None` if there are none.
    everybody: Option<Rights>,
    pub(super) accepts_links: bool,
    /// Which uploads are allowed without a link, if there are no accounts.
    pub(super) policy_for_everybody: UploadPolicy,
    expects_proxy_header: bool,
    trusts_forwarded: bool,
    is_portable: bool,
    has_no_links: bool,
}

impl Options {
    /// Splits an input into the options and the rest.
    pub(super) fn split(input: &[u8]) -> (Options, &[u8]) {
        let (line, rest) = match input.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&input[..end], &input[end + 1..]),
            None => (&b""[..], input),
        };
        let has = |letter: u8| line.contains(&letter);
        let policy = match (has(b'm'), has(b'r'), has(b'c') || has(b'b')) {
            (true, _, _) => UploadPolicy::Manage,
            (_, true, _) => UploadPolicy::Replace,
            (_, _, true) => UploadPolicy::Create,
            _ => UploadPolicy::Off,
        };
        let kind = match (has(b'd'), has(b's'), has(b'b')) {
            (true, _, _) => None,
            (_, true, _) => Some(FolderKind::Site),
            (_, _, true) => Some(FolderKind::DropBox),
            _ => Some(FolderKind::Listed),
        };
        let policy = if kind == Some(FolderKind::Site) { UploadPolicy::Off } else { policy };
        let accepts_links = has(b'k') && kind.is_some();
        let is_for_links_alone = accepts_links && policy == UploadPolicy::Off && kind != Some(FolderKind::Site);
        let options = Options {
            policy: if is_for_links_alone { UploadPolicy::Replace } else { policy },
            kind,
            shows_hidden: has(b'h') || kind.is_none(),
            upload_bytes_max: has(b'q').then_some(100),
            pending_max: if has(b'n') { 2 } else { 1000 },
            durable: has(b'f'),
            everybody: match (has(b'a'), has(b'e')) {
                (_, true) => Some(Rights::NONE),
                (true, _) => Some(Rights { reads: true, uploads: UploadPolicy::Off }),
                _ => None,
            },
            accepts_links,
            policy_for_everybody: policy,
            expects_proxy_header: has(b'x'),
            trusts_forwarded: has(b'w'),
            is_portable: has(b'p'),
            has_no_links: has(b'l'),
        };
        (options, rest)
    }

    /// The text of the accounts file.
    pub(super) fn accounts(&self) -> Option<String> {
        let hash = |number| Secret::from_random(number).hash().to_text();
        let everybody = self.everybody?;
        let own = if everybody.reads { "* read\nalice manage" } else { "bob create" };
        Some(format!("{own} {}\n", hash(1)))
    }

    /// What is offered to anybody at most.
    fn offered(&self) -> Rights {
        Rights { reads: self.kind != Some(FolderKind::DropBox), uploads: self.policy }
    }

    /// The most that may be done anywhere by requests that were sent in these bytes, without a link.
    pub(super) fn rights_without_links(&self, received: &[u8]) -> Rights {
        let offered = self.offered();
        let is_credible = |name: &str| {
            let secret = Secret::from_random(1);
            let credentials = BASE64_STANDARD.encode(format!("{name}:{}", secret.expose()));
            memchr::memmem::find(received, credentials.as_bytes()).is_some()
        };
        match self.everybody {
            None => offered.and(Rights { uploads: self.policy_for_everybody, ..Rights::ALL }),
            Some(everybody) if everybody.reads && is_credible("alice") => offered,
            Some(everybody) if !everybody.reads && is_credible("bob") => {
                offered.and(Rights { reads: false, uploads: UploadPolicy::Create })
            }
            Some(everybody) => offered.and(everybody),
        }
    }

    /// What the links allow that were sent in these bytes.
    pub(super) fn granted_by_links(&self, received: &[u8]) -> Vec<Granted> {
        if !self.accepts_links {
            return Vec::new();
        }
        let bounded = |link: Granted| Granted { rights: link.rights.and(self.offered()), ..link };
        links::granted(received).into_iter().map(bounded).collect()
    }

    /// The most that may be done somewhere by requests that were sent in these bytes.
    pub(super) fn rights(&self, received: &[u8]) -> Rights {
        let links = self.granted_by_links(received);
        links.iter().fold(self.rights_without_links(received), |rights, link| rights.or(link.rights))
    }

    pub(super) fn client(&self) -> Client {
        Client::at(Ipv4Addr::LOCALHOST.into(), 50_000)
    }

    pub(super) fn proxies(&self) -> Proxies {
        let local = || vec![Network::Ip(IpAddr::from(Ipv4Addr::LOCALHOST).into())];
        Proxies {
            protocol: if self.expects_proxy_header { local() } else { Vec::new() },
            trusted: if self.trusts_forwarded { local() } else { Vec::new() },
        }
    }

    pub(super) fn disk_settings(&self) -> Settings {
        let settings = match (self.is_portable, self.has_no_links) {
            (true, _) => Settings::portable(1),
            (_, true) => Settings::without_links(1),
            _ => Settings::linux(1),
        };
        Settings { loss: Loss::None, ..settings }
    }
}
