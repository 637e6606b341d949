//! The accounts of a run: a file that changes and is sometimes broken, and which of its versions are in force when.

use std::cell::RefCell;
use std::rc::Rc;

use fastrand::Rng;
use spindle::semantics::accounts::{AccountSource, Accounts, Secret, account_line, rights_text};
use spindle::semantics::rights::{Rights, UploadPolicy};

use crate::simulation::event_queue::Event;
use crate::simulation::network::{Network, NetworkState};
use crate::simulation::reloaded_file::ReloadedFile;
use crate::simulation::scenario::one_of;

/// The accounts whose rights change. Each is missing in some versions.
pub(crate) const CHANGING: [&str; 4] = ["one", "two", "three", "four"];

/// The account that always has all rights. So whoever lacks one could do more with another account.
pub(crate) const ROOT: &str = "root";

/// What a version of the file says: the rights of each account in [`CHANGING`].
type Version = [Option<Rights>; CHANGING.len()];

/// The accounts of a run. Clones share their state.
#[derive(Clone)]
pub(crate) struct RunAccounts(Rc<RefCell<State>>);

struct State {
    everybody: Rights,
    /// What the server offers at most.
    offered: Rights,
    versions: Vec<Version>,
    file: ReloadedFile,
}

/// The secret of an account.
pub(crate) fn secret(name: &str) -> Secret {
    Secret::from_random(name.bytes().fold(1, |random, byte| random * 311 + u128::from(byte)))
}

impl RunAccounts {
    pub(crate) fn new(everybody: Rights, offered: Rights, random: &mut Rng) -> RunAccounts {
        let policies = [UploadPolicy::Off, UploadPolicy::Create, UploadPolicy::Replace, UploadPolicy::Manage];
        let versions = (0..4).map(|_| {
            CHANGING.map(|_| {
                let rights = Rights { reads: random.bool(), uploads: one_of(random, &policies) };
                Some(rights).filter(|rights| *rights != Rights::NONE)
            })
        });
        let versions = versions.collect();
        let state = State { everybody, offered, versions, file: ReloadedFile::new(0) };
        RunAccounts(Rc::new(RefCell::new(state)))
    }

    /// Plans changes of the file, after each of which the server is told to read it.
    pub(crate) fn plan_changes(&self, inner: &mut NetworkState, random: &mut Rng) {
        let changes = random.usize(..6);
        ReloadedFile::plan_changes(changes, 4, Event::Accounts, inner, random);
    }

    /// Changes the file.
    pub(crate) fn write(&self, version: Option<usize>) {
        self.0.borrow_mut().file.write(version);
    }

    /// Mends the file, because a server does not start with a broken one.
    pub(crate) fn mend(&self) {
        self.0.borrow_mut().file.mend();
    }

    /// The rights that the account may have had at any time since then; those of everybody for an empty name. `None` if
    /// there may have been no such account.
    pub(crate) fn rights_since(&self, name: &str, since_ns: u64) -> Vec<Option<Rights>> {
        let state = self.0.borrow();
        let rights = |version: usize| match name {
            "" => Some(state.everybody),
            ROOT => Some(Rights::ALL),
            name => {
                let index = CHANGING.iter().position(|each| *each == name)?;
                state.versions[version][index].map(|own| own.or(state.everybody))
            }
        };
        let found = state.file.since(since_ns).map(rights);
        found.map(|rights| rights.map(|rights| rights.and(state.offered))).collect()
    }

    /// The source that a server of this network reads.
    pub(crate) fn source(&self, network: &Network) -> Box<dyn AccountSource> {
        Box::new(Source { accounts: self.clone(), network: network.clone() })
    }
}

impl State {
    fn text(&self) -> String {
        let Some(version) = self.file.in_file() else { return "* read,manage\nbroken line\n".to_owned() };
        let mut text = account_line(ROOT, Rights::ALL, secret(ROOT).hash());
        for (name, rights) in CHANGING.iter().zip(&self.versions[version]) {
            text += &rights.map_or(String::new(), |rights| account_line(name, rights, secret(name).hash()));
        }
        if self.everybody != Rights::NONE {
            text += &format!("* {}\n", rights_text(self.everybody));
        }
        text
    }
}

struct Source {
    accounts: RunAccounts,
    network: Network,
}

impl AccountSource for Source {
    fn read(&mut self) -> Result<Accounts, String> {
        let mut state = self.accounts.0.borrow_mut();
        let accounts = Accounts::parse(state.text().as_bytes()).map_err(|error| format!("accounts: {error}"))?;
        state.file.was_read(self.network.inner.borrow().now_ns())?;
        Ok(accounts)
    }
}
