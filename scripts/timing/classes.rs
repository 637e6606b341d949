//! The two classes of inputs of each measurement. All inputs of a measurement have the same length.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use spindle::routes::{FileRoutes, FolderKind, FolderRoutes, FolderSettings, Links, Routes, UploadSettings};
use spindle::semantics::accounts::{AccountSource, Accounts, Secret, account_line};
use spindle::semantics::allowed_hosts::AllowedHosts;
use spindle::semantics::link::{KeySource, Link, LinkKeys, LinkRight, SECRET_BYTES, key_line};
use spindle::semantics::rights::{Rights, UploadPolicy};
use spindle::storage::Directory;

pub(crate) const HASH: [&str; 2] = ["first byte of hash", "last byte of hash wrong"];
pub(crate) const NAME: [&str; 2] = ["known name", "unknown name"];
pub(crate) const SIGNATURE: [&str; 2] = ["first byte", "last byte of signature wrong"];
pub(crate) const TARGET: [&str; 2] = ["existing file", "missing file"];

/// When the requests arrive, in seconds since 1970.
pub(crate) const NOW_UNIX_S: u64 = 4_102_444_800;

/// The path of the links, which exists.
pub(crate) const LINKED_PATH: &[u8] = b"/exists";

/// How many inputs each class has. Several, so that no single one decides; few, so that all are in the cache.
const INPUTS: usize = 16;

const EXISTING: &str = "exists";
const MISSING: &str = "absent";

/// The inputs of two classes.
pub(crate) struct Inputs([Vec<Vec<u8>>; 2]);

impl Inputs {
    /// The inputs that `of` makes of a class and a number.
    fn new(of: impl Fn(usize, usize) -> Vec<u8>) -> Inputs {
        Inputs([0, 1].map(|class| (0..INPUTS).map(|number| of(class, number)).collect()))
    }

    /// The length of each input.
    pub(crate) fn bytes(&self) -> usize {
        self.0[0][0].len()
    }

    /// An input of this class.
    pub(crate) fn any_of(&self, class: usize, random: &mut fastrand::Rng) -> &[u8] {
        &self.0[class][random.usize(..INPUTS)]
    }
}

/// What is expected, with one wrong byte: the first or the last.
pub(crate) fn bytes_with_a_wrong_one(expected: &[u8]) -> Inputs {
    Inputs::new(|class, number| {
        let mut bytes = expected.to_vec();
        let wrong = if class == 0 { 0 } else { bytes.len() - 1 };
        bytes[wrong] ^= number as u8 + 1;
        bytes
    })
}

/// Links that would be right with another first or last byte of their signature.
pub(crate) fn nearly_right_links(keys: &LinkKeys) -> Inputs {
    Inputs::new(|class, number| nearly_right_link(keys, class, number).into_bytes())
}

fn nearly_right_link(keys: &LinkKeys, class: usize, number: usize) -> String {
    let link = Link { right: LinkRight::Read, segments: 1, expires_unix_s: u64::MAX, id: number as u64 };
    let text = keys.sign(link, LINKED_PATH).to_string();
    let (head, signature) = text.rsplit_once('.').unwrap_or_default();
    format!("{head}.{}", with_wrong_byte(signature, class))
}

/// Changes the first or the last byte of the hexadecimal digits. Digits stay digits, and letters stay letters: reading
/// them takes different times, which tells clients only what they have sent.
fn with_wrong_byte(digits: &str, class: usize) -> String {
    let wrong = if class == 0 { 0 } else { digits.len() - 1 };
    let change = |(index, digit): (usize, char)| match digit.to_digit(16) {
        Some(value) if index == wrong => char::from_digit(value ^ 1, 16).unwrap_or(digit),
        _ => digit,
    };
    digits.chars().enumerate().map(change).collect()
}

/// A shared folder with one file, with accounts, and with links.
pub(crate) struct Folder {
    directory: PathBuf,
    /// The secrets that clients give.
    secrets: [Vec<Secret>; 2],
}

impl Folder {
    pub(crate) fn new(directory: &Path) -> io::Result<Folder> {
        fs::write(directory.join(EXISTING), "a file")?;
        let mut random = fastrand::Rng::with_seed(2);
        let secrets = [0, 1].map(|_| (0..INPUTS).map(|_| Secret::from_random(random.u128(..))).collect());
        Ok(Folder { directory: directory.to_owned(), secrets })
    }

    /// The lines of accounts. The hash of each is that of one secret with a wrong byte, the first or the last: nobody could
    /// find secrets with such hashes.
    fn lines(&self) -> String {
        let line = |number: usize, class: usize| {
            let line = account_line(&name("known", class, number), Rights::ALL, self.secrets[class][number].hash());
            let (head, hash) = line.trim_end().rsplit_once(':').unwrap_or_default();
            format!("{head}:{}\n", with_wrong_byte(hash, class))
        };
        (0..INPUTS).flat_map(|number| [line(number, 0), line(number, 1)]).collect()
    }

    pub(crate) fn accounts(&self) -> Result<Accounts, String> {
        Accounts::parse(self.lines().as_bytes()).map_err(|error| error.to_string())
    }

    pub(crate) fn keys(&self) -> Result<LinkKeys, String> {
        LinkKeys::parse(key_line(&[7; SECRET_BYTES]).as_bytes()).map_err(|error| error.to_string())
    }

    fn folder_routes(&self, kind: FolderKind) -> Result<Routes, String> {
        let directory = Directory::open(&self.directory, 1).map_err(|error| error.to_string())?;
        let policy = UploadPolicy::Manage;
        let uploads = UploadSettings { policy, bytes_max: None, durable: false, age_s_max: 60, pending_max: 1 };
        let files = FileRoutes::new(directory, uploads, 16, 1, Box::new(|| None));
        let settings = FolderSettings { name: b"folder".to_vec(), shows_hidden: false, kind, hosts: AllowedHosts::Any };
        Ok(Routes::shared_folder(FolderRoutes::new(files, settings)))
    }

    /// The routes of the folder with its accounts and links. Without an account nobody may do anything.
    pub(crate) fn routes(&self) -> Result<Routes, String> {
        let links = Links::new(Box::new(Once(self.keys()?)))?;
        let routes = self.folder_routes(FolderKind::Listed)?.with_links(links, UploadPolicy::Off);
        routes.with_accounts(Box::new(Once(self.accounts()?)))
    }

    /// The routes of a drop box without accounts.
    pub(crate) fn drop_box(&self) -> Result<Routes, String> {
        self.folder_routes(FolderKind::DropBox)
    }

    /// Values of Authorization whose hash is right but for its first or its last byte.
    pub(crate) fn nearly_right_secrets(&self) -> Inputs {
        Inputs::new(|class, number| {
            credentials(&name("known", class, number), self.secrets[class][number].expose()).into_bytes()
        })
    }

    /// Values of Authorization with a wrong secret, and the name of an account or of none.
    pub(crate) fn names(&self) -> Inputs {
        let mut random = fastrand::Rng::with_seed(3);
        let secrets: Vec<Secret> = (0..2 * INPUTS).map(|_| Secret::from_random(random.u128(..))).collect();
        Inputs::new(|class, number| {
            let name = name(if class == 0 { "known" } else { "other" }, 0, number);
            credentials(&name, secrets[2 * number + class].expose()).into_bytes()
        })
    }

    /// Requests for the existing and for the missing file, without credentials.
    pub(crate) fn targets(&self) -> Inputs {
        Inputs::new(|class, _| get(&format!("/{}", [EXISTING, MISSING][class]), None))
    }

    /// The classes and inputs of each measurement of whole exchanges, and the status of their responses.
    pub(crate) fn requests(&self) -> Vec<([&'static str; 2], Inputs, u16)> {
        let of = |values: &Inputs, target: &'static str| {
            Inputs::new(|class, number| get(target, Some(&String::from_utf8_lossy(&values.0[class][number]))))
        };
        let keys = self.keys().ok();
        let link = |class: usize, number: usize| {
            keys.as_ref().map_or_else(String::new, |keys| nearly_right_link(keys, class, number))
        };
        let linked = |class: usize, number: usize, target: &str| {
            get(&format!("/.spindle/link/{}/{target}", link(class, number)), None)
        };
        let wrong = self.names();
        vec![
            (HASH, of(&self.nearly_right_secrets(), "/exists"), 401),
            (NAME, of(&wrong, "/exists"), 401),
            (TARGET, self.targets(), 401),
            (
                ["existing", "missing file, wrong secret"],
                Inputs::new(|class, number| {
                    let value = String::from_utf8_lossy(&wrong.0[0][number]).into_owned();
                    get(&format!("/{}", [EXISTING, MISSING][class]), Some(&value))
                }),
                401,
            ),
            (SIGNATURE, Inputs::new(|class, number| linked(class, number, EXISTING)), 403),
            (
                ["existing", "missing file, wrong signature"],
                Inputs::new(|class, number| linked(0, number, [EXISTING, MISSING][class])),
                403,
            ),
        ]
    }
}

/// A name of an account: all have the same length.
fn name(kind: &str, class: usize, number: usize) -> String {
    format!("{kind}{class}{number:02}")
}

fn credentials(name: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{secret}")))
}

fn get(target: &str, authorization: Option<&str>) -> Vec<u8> {
    let field = authorization.map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n").into_bytes()
}

/// Accounts or keys that are read once.
struct Once<T>(T);

impl AccountSource for Once<Accounts> {
    fn read(&mut self) -> Result<Accounts, String> {
        Ok(self.0.clone())
    }
}

impl KeySource for Once<LinkKeys> {
    fn read(&mut self) -> Result<LinkKeys, String> {
        Ok(self.0.clone())
    }
}
