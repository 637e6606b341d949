//! The keys of signed links of a run: a file that changes and is sometimes broken, which of its versions are in force
//! when, and what may become of a link at a time.

use std::cell::RefCell;
use std::rc::Rc;

use fastrand::Rng;
use spindle::semantics::link::{KeySource, Link, LinkKeys, SECRET_BYTES, SignedLink, key_line};

use crate::simulation::event_queue::Event;
use crate::simulation::network::{Network, NetworkState};
use crate::simulation::reloaded_file::ReloadedFile;
use crate::simulation::scenario::one_of;

/// How many keys there are. The last one is in no version of the file.
pub(crate) const KEYS: usize = 4;

/// The keys of each version, in their order: the first one signs. A key comes, is accepted beside a new one, and goes.
const VERSIONS: [&[usize]; 5] = [&[0], &[1, 0], &[1], &[2, 1, 0], &[0, 2]];

/// The keys of a run. Clones share their state.
#[derive(Clone)]
pub(crate) struct RunKeys(Rc<RefCell<ReloadedFile>>);

/// What the server may find of a link, if it judges it at any time of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgements {
    /// That its signature is by no key.
    pub invalid: bool,
    /// That it has expired.
    pub expired: bool,
    pub granted: bool,
}

fn line(key: usize) -> String {
    key_line(&[key as u8 + 1; SECRET_BYTES])
}

/// The one key with this number.
pub(crate) fn key(number: usize) -> LinkKeys {
    LinkKeys::parse(line(number).as_bytes()).expect("a key")
}

/// The key that has signed this link for this path; `None` if it is no link, or none has.
pub(crate) fn signer_of(text: &str, signed_path: &str) -> Option<(usize, Link)> {
    let link = *SignedLink::parse(text.as_bytes())?.unverified();
    let signs = |number: &usize| key(*number).sign(link, signed_path.as_bytes()).to_string() == text;
    (0..KEYS).find(signs).map(|number| (number, link))
}

impl RunKeys {
    pub(crate) fn new(random: &mut Rng) -> RunKeys {
        RunKeys(Rc::new(RefCell::new(ReloadedFile::new(random.usize(..VERSIONS.len())))))
    }

    /// Plans changes of the file, after each of which the server is told to read it.
    pub(crate) fn plan_changes(inner: &mut NetworkState, random: &mut Rng) {
        let changes = one_of(random, &[0, 0, 2, 5]);
        ReloadedFile::plan_changes(changes, VERSIONS.len(), Event::Keys, inner, random);
    }

    /// Changes the file.
    pub(crate) fn write(&self, version: Option<usize>) {
        self.0.borrow_mut().write(version);
    }

    /// Mends the file, because a server does not start with a broken one.
    pub(crate) fn mend(&self) {
        self.0.borrow_mut().mend();
    }

    /// The versions that may have been in force at any time since then.
    fn since(&self, since_ns: u64) -> Vec<&'static [usize]> {
        self.0.borrow().since(since_ns).map(|version| VERSIONS[version]).collect()
    }

    /// Whether this key may have signed a link that the server has issued since then.
    pub(crate) fn may_sign(&self, key: usize, since_ns: u64) -> bool {
        self.since(since_ns).iter().any(|keys| keys.first() == Some(&key))
    }

    /// What may become of a link of this key in a request that was sent then and has its response now.
    pub(crate) fn judge(&self, inner: &NetworkState, key: usize, expires_unix_s: u64, sent_ns: u64) -> Judgements {
        let versions = self.since(sent_ns);
        let (first_unix_s, last_unix_s) = inner.unix_s_since(sent_ns);
        let may_be_signed = versions.iter().any(|keys| keys.contains(&key));
        Judgements {
            invalid: !versions.iter().all(|keys| keys.contains(&key)),
            expired: may_be_signed && last_unix_s >= expires_unix_s,
            granted: may_be_signed && first_unix_s < expires_unix_s,
        }
    }

    /// The source that a server of this network reads.
    pub(crate) fn source(&self, network: &Network) -> Box<dyn KeySource> {
        Box::new(Source { keys: self.clone(), network: network.clone() })
    }
}

struct Source {
    keys: RunKeys,
    network: Network,
}

impl KeySource for Source {
    fn read(&mut self) -> Result<LinkKeys, String> {
        let mut file = self.keys.0.borrow_mut();
        let text: String = match file.in_file() {
            Some(version) => VERSIONS[version].iter().map(|key| line(*key)).collect(),
            None => line(0) + "broken line\n",
        };
        let keys = LinkKeys::parse(text.as_bytes()).map_err(|error| format!("keys: {error}"))?;
        file.was_read(self.network.inner.borrow().now_ns())?;
        Ok(keys)
    }
}

/// Whether a text contains what may be a signature: no log may.
pub(crate) fn shows_signature(text: &str) -> bool {
    let mut digits = 0;
    text.bytes().any(|byte| {
        digits = if byte.is_ascii_hexdigit() { digits + 1 } else { 0 };
        digits == 64
    })
}
