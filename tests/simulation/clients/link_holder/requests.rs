//! Chooses the next request of a client with links, and encodes it.

use std::rc::Rc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fastrand::Rng;
use spindle::semantics::link::{Link, LinkRight};

use super::{HeldLink, Holder, folder, happens};
use crate::simulation::accounts::{CHANGING, ROOT, secret};
use crate::simulation::file_model::{VersionId, content};
use crate::simulation::keys::{KEYS, key};
use crate::simulation::network::{NetworkState, SECOND};
use crate::simulation::scenario::one_of;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Reads the file that the folder has.
    Read,
    List,
    /// Gets the page of the folder.
    Page,
    /// Stores a new file.
    Store,
    /// Stores a file under the name of the one that the folder has.
    Replace,
    /// Stores a new file by a form.
    Form,
    Delete,
    CreateDirectory,
    Move,
    /// Begins a resumable upload.
    Begin,
    Inspect,
    Append,
    Cancel,
}

impl Deed {
    pub(super) fn name(self) -> &'static str {
        match self {
            Deed::Read => "read",
            Deed::List => "list",
            Deed::Page => "page",
            Deed::Store => "store",
            Deed::Replace => "replace",
            Deed::Form => "form",
            Deed::Delete => "delete",
            Deed::CreateDirectory => "create a directory",
            Deed::Move => "move",
            Deed::Begin => "begin",
            Deed::Inspect => "inspect",
            Deed::Append => "append",
            Deed::Cancel => "cancel",
        }
    }
}

/// What the target of a request proves.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// A link for this target.
    Link(HeldLink),
    /// A link that was changed, or is for another path.
    Forged(&'static str),
    /// There is no link, but the address of an upload that began under one.
    Nothing,
}

impl Proof {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Proof::Link(_) => "a link",
            Proof::Forged(how) => how,
            Proof::Nothing => "no link",
        }
    }
}

/// A request that has no response yet.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub deed: Deed,
    pub method: &'static str,
    pub proof: Proof,
    pub head: Vec<u8>,
    pub content: Vec<u8>,
    pub expects_continue: bool,
    pub was_continued: bool,
    pub at_ns: u64,
    /// The whole length of what is uploaded, in bytes.
    pub bytes: u64,
    /// What is stored if the request succeeds, and its version; an upload has them from its beginning.
    pub stored: Option<(Rc<[u8]>, VersionId)>,
    /// The signature that no response shows.
    pub signature: String,
}

/// Paths that no link is for which the client has.
const ELSEWHERE: [&str; 5] = ["/small.txt", "/others/", "/others/page", "/", ""];

impl Holder {
    pub(super) fn next(&mut self, inner: &NetworkState, random: &mut Rng) -> Sent {
        self.requests_left -= 1;
        self.requests += 1;
        if self.upload.is_some() && happens(random, 50) {
            return self.use_upload(inner.now_ns(), random);
        }
        let held = self.link(inner, random);
        let creates = matches!(held.link.right, LinkRight::Create { .. });
        let deed = match random.u8(..20) {
            0 => Deed::Delete,
            1 => Deed::CreateDirectory,
            2 => Deed::Move,
            3 => Deed::Page,
            4 | 5 => Deed::List,
            6 => Deed::Replace,
            7 | 8 => Deed::Read,
            9..=12 if creates => Deed::Begin,
            13 | 14 => Deed::Form,
            _ if creates || happens(random, 20) => Deed::Store,
            _ => Deed::Read,
        };
        self.request(inner.now_ns(), &held, deed, random)
    }

    /// A link that the client has, or a new one.
    fn link(&mut self, inner: &NetworkState, random: &mut Rng) -> HeldLink {
        if !self.links.is_empty() && happens(random, 60) {
            return self.links[random.usize(..self.links.len())].clone();
        }
        let right = match random.u8(..5) {
            0 | 1 => LinkRight::Read,
            2 => LinkRight::Create { bytes_max: None },
            _ => LinkRight::Create { bytes_max: Some(one_of(random, &[300, 2_000])) },
        };
        let (mut path, mut segments) = (format!("/{}/", folder(self.number)), 2);
        if right == LinkRight::Read && random.bool() {
            (path, segments) = (path + "given", 3);
        }
        let (_, now_unix_s) = inner.unix_s_since(inner.now_ns());
        let expires_unix_s = now_unix_s + one_of(random, &[0, 1, 2, 4, 30, 100_000, 100_000, 100_000]);
        let link = Link { right, segments, expires_unix_s, id: random.u64(..) };
        // Most links are of a key that many versions of the file have.
        let signer = one_of(random, &[0, 0, 0, 1, 1, 2, KEYS - 1]);
        let text = key(signer).sign(link, path.as_bytes()).to_string();
        let held = HeldLink { text, key: signer, link, signed_path: path };
        self.links.push(held.clone());
        held
    }

    fn request(&mut self, now_ns: u64, held: &HeldLink, deed: Deed, random: &mut Rng) -> Sent {
        let folder = folder(self.number);
        let counter = self.requests;
        let name = match deed {
            Deed::Store | Deed::Begin => format!("{folder}/new-{counter}"),
            // Each spelling of a path is the same path.
            _ if random.bool() => format!("{folder}/%67i./ven").replace("./", ""),
            _ => format!("{folder}/./given"),
        };
        let path = match deed {
            Deed::List => format!("/{folder}/?format=text"),
            Deed::Page | Deed::Form => format!("/{folder}/"),
            Deed::CreateDirectory => format!("/{folder}/directory/"),
            _ => format!("/{name}"),
        };
        let (text, proof, path) = self.prove(held, deed, path, random);
        let bytes = one_of(random, &[4, 200, 200, 1_500]);
        let uploaded = content(8_000_000 + (self.number * 1000 + counter) as u64, bytes);
        let (method, fields, sent_content) = match deed {
            Deed::Read => ("GET", String::new(), Vec::new()),
            Deed::List => ("GET", "\r\nAccept: text/plain".to_owned(), Vec::new()),
            Deed::Page => ("GET", "\r\nAccept: text/html".to_owned(), Vec::new()),
            Deed::Store => ("PUT", String::new(), uploaded.to_vec()),
            Deed::Replace => ("PUT", String::new(), b"other".to_vec()),
            Deed::Form => {
                ("POST", "\r\nContent-Type: multipart/form-data; boundary=b".to_owned(), form(counter, &uploaded))
            }
            Deed::Delete => ("DELETE", String::new(), Vec::new()),
            Deed::CreateDirectory => ("MKCOL", String::new(), Vec::new()),
            Deed::Move => ("MOVE", format!("\r\nDestination: /{folder}/moved"), Vec::new()),
            _ => {
                let fields = format!("\r\nUpload-Complete: ?0\r\nUpload-Length: {bytes}");
                ("PUT", fields, uploaded[..bytes / 2].to_vec())
            }
        };
        let stored = match deed {
            Deed::Form => Some(format!("{folder}/form-{counter}")),
            Deed::Store | Deed::Begin => Some(name),
            _ => None,
        };
        let stored = stored.map(|name| {
            let version = self.model.borrow_mut().sends(&name, Rc::clone(&uploaded), now_ns);
            (uploaded, version)
        });
        let target = format!("/.spindle/link/{text}{path}");
        let signature = held.text[held.text.len() - 64..].to_owned();
        let mut sent = sent((deed, method, &target), &fields, sent_content, now_ns, random);
        (sent.proof, sent.bytes, sent.stored, sent.signature) = (proof, bytes as u64, stored, signature);
        sent
    }

    /// The link and the path as they are sent: both as they are, or one of them changed.
    fn prove(&self, held: &HeldLink, deed: Deed, path: String, random: &mut Rng) -> (String, Proof, String) {
        let text = held.text.clone();
        let is_for_file = !held.signed_path.ends_with('/');
        let is_at_file = matches!(deed, Deed::Read | Deed::Replace | Deed::Delete | Deed::Move);
        if is_for_file && !is_at_file {
            return (text, Proof::Forged("a link for a file"), path);
        }
        match random.u8(..20) {
            0 => (text, Proof::Forged("a link for another path"), one_of(random, &ELSEWHERE).to_owned()),
            1 => {
                let path = path.replacen(&folder(self.number), &(folder(self.number) + "-more"), 1);
                (text, Proof::Forged("a link for another folder"), path)
            }
            2..=4 => {
                let (text, how, path) = changed(held, path, random);
                (text, Proof::Forged(how), path)
            }
            _ => (text, Proof::Link(held.clone()), path),
        }
    }

    /// The next request about the unfinished upload.
    fn use_upload(&mut self, now_ns: u64, random: &mut Rng) -> Sent {
        let Some(upload) = self.upload.clone() else { unreachable!("there is an upload") };
        let resource = &upload.resource;
        let (target, proof) = match random.u8(..10) {
            0 => (resource.clone(), Proof::Nothing),
            1 => (format!("/.spindle/link/{}{resource}", upload.first.text), Proof::Forged("the first link")),
            2 => {
                let (text, how, path) = changed(&upload.own, resource.clone(), random);
                (format!("/.spindle/link/{text}{path}"), Proof::Forged(how))
            }
            3 => {
                let path = format!("/{}/given", folder(self.number));
                (format!("/.spindle/link/{}{path}", upload.own.text), Proof::Forged("the link of an upload"))
            }
            _ => (format!("/.spindle/link/{}{resource}", upload.own.text), Proof::Link(upload.own.clone())),
        };
        let (deed, method) = match random.u8(..6) {
            0 => (Deed::Cancel, "DELETE"),
            1 | 2 => (Deed::Inspect, "HEAD"),
            _ => (Deed::Append, "PATCH"),
        };
        let mut fields = String::new();
        let mut rest = Vec::new();
        if deed == Deed::Append {
            fields = format!(
                "\r\nContent-Type: application/partial-upload\r\nUpload-Complete: ?1\r\nUpload-Offset: {}",
                upload.offset
            );
            rest = upload.content[upload.offset..].to_vec();
        }
        let mut sent = sent((deed, method, &target), &fields, rest, now_ns, random);
        sent.bytes = upload.content.len() as u64;
        (sent.proof, sent.stored) = (proof, Some((upload.content, upload.version)));
        sent.signature = upload.first.text[upload.first.text.len() - 64..].to_owned();
        sent
    }
}

fn sent(
    (deed, method, target): (Deed, &'static str, &str),
    fields: &str,
    content: Vec<u8>,
    at_ns: u64,
    random: &mut Rng,
) -> Sent {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: a{fields}{}", credentials(random));
    if !content.is_empty() {
        head += &format!("\r\nContent-Length: {}", content.len());
    }
    let expects_continue = !content.is_empty() && random.bool();
    head += if expects_continue { "\r\nExpect: 100-continue\r\n\r\n" } else { "\r\n\r\n" };
    Sent {
        deed,
        method,
        proof: Proof::Nothing,
        head: head.into_bytes(),
        bytes: content.len() as u64,
        content,
        expects_continue,
        was_continued: false,
        at_ns,
        stored: None,
        signature: String::new(),
    }
}

/// A link that says more than was signed, with the path for which it would be of use.
fn changed(held: &HeldLink, path: String, random: &mut Rng) -> (String, &'static str, String) {
    let HeldLink { text, link, .. } = held;
    let (head, signature) = text.split_at(text.len() - 64);
    match (random.u8(..5), link.right) {
        (0, _) => {
            let later = head.replacen(&link.expires_unix_s.to_string(), &(link.expires_unix_s + SECOND).to_string(), 1);
            (later + signature, "a later expiry", path)
        }
        (1, LinkRight::Create { bytes_max: Some(max) } | LinkRight::Continue { bytes_max: Some(max) }) => {
            let wider = if random.bool() { String::new() } else { format!("{}.", max * 10) };
            (head.replacen(&format!("{max}."), &wider, 1) + signature, "a greater limit", path)
        }
        (2, LinkRight::Read) => (head.replacen("read.", "create.", 1) + signature, "another right", path),
        (2, LinkRight::Create { bytes_max: None }) => {
            (head.replacen("create.", "read.", 1) + signature, "another right", path)
        }
        (3, LinkRight::Read | LinkRight::Create { .. }) => {
            let fewer = head.replacen(&format!(".{}.", link.segments), &format!(".{}.", link.segments - 1), 1);
            (fewer + signature, "fewer segments", path)
        }
        _ => {
            let last = if signature.ends_with('0') { '1' } else { '0' };
            (format!("{head}{}{last}", &signature[..63]), "another signature", path)
        }
    }
}

/// Credentials that are sent with a link: they neither add to it nor spoil it.
fn credentials(random: &mut Rng) -> String {
    let basic = |name: &str, of: &str| {
        let pair = format!("{name}:{}", secret(of).expose());
        format!("\r\nAuthorization: Basic {}", BASE64_STANDARD.encode(pair))
    };
    match random.u8(..8) {
        0 | 1 => basic(ROOT, ROOT),
        2 => basic(ROOT, CHANGING[0]),
        3 => basic(CHANGING[0], CHANGING[0]),
        4 => "\r\nAuthorization: Bearer x".to_owned(),
        _ => String::new(),
    }
}

/// A form with one file.
fn form(number: usize, content: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Disposition: form-data; name=f; filename=\"form-{number}\"\r\n\r\n");
    [head.as_bytes(), content, b"\r\n--b--\r\n"].concat()
}
