//! Which faults happen at which calls: chosen by a seed, or by a script.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rustix::io::Errno;

use super::others::Action;

macro_rules! calls {
    ($($name:ident)*) => {
        /// The calls of `FileSystem`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Call { $($name),* }

        const ALL: &[Call] = &[$(Call::$name),*];
    };
}

calls! {
    OpenRoot OpenBeneath OpenEntry Stat StatAt CreateUnnamed Create LinkUnnamed
    Link Rename RenameNoreplace CreateDirectory RemoveDirectory Unlink Lock ReadAt ReadWithoutWaiting ReadAhead Write
    Reserve SetModified Truncate SetAttribute Attribute
    SyncFile SyncDirectory CloseErrors Entries ReopenDirectory NextEntry StatDirectory StatEntry
}

/// The number of calls.
const CALLS: usize = ALL.len();

/// The effect of a fault on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The call fails without an effect. A failed fsync loses data nevertheless.
    Fail(Errno),
    /// The call reads or writes only a part.
    Short,
    /// The clock advances by some seconds.
    Slow,
    /// The file system is read-only from then on.
    ReadOnly,
    /// Another process acts before the call.
    Others,
    /// The power fails before the call.
    PowerCut,
}

/// A kind of fault.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) calls: &'static [Call],
    pub(crate) effect: Effect,
}

use Call::{
    Attribute, CloseErrors, Create, CreateDirectory, CreateUnnamed, Link, LinkUnnamed, Lock, NextEntry, OpenBeneath,
    OpenEntry, OpenRoot, ReadAhead, ReadAt, ReadWithoutWaiting, RemoveDirectory, Rename, RenameNoreplace,
    ReopenDirectory, Reserve, SetAttribute, SetModified, Stat, StatAt, StatDirectory, StatEntry, SyncDirectory,
    SyncFile, Truncate, Unlink, Write,
};

const OPENS: &[Call] = &[OpenRoot, OpenBeneath, OpenEntry, CreateUnnamed, Create, ReopenDirectory];
const STATS: &[Call] = &[Stat, StatAt, StatDirectory, StatEntry];
const CHANGES: &[Call] = &[
    CreateUnnamed,
    Create,
    LinkUnnamed,
    Link,
    Rename,
    RenameNoreplace,
    CreateDirectory,
    RemoveDirectory,
    Unlink,
    Write,
    SetModified,
    Truncate,
    SetAttribute,
];

macro_rules! kinds {
    ($($name:literal $calls:expr, $effect:expr;)*) => {
        /// All kinds of faults.
        pub(crate) const KINDS: &[Kind] = &[$(Kind { name: $name, calls: $calls, effect: $effect }),*];
    };
}

kinds! {
    "interrupted" ALL, Effect::Fail(Errno::INTR);
    "slow" ALL, Effect::Slow;
    "another process acts" ALL, Effect::Others;
    "short read" &[ReadAt, ReadWithoutWaiting], Effect::Short;
    "short write" &[Write], Effect::Short;
    "no space at write" &[Write], Effect::Fail(Errno::NOSPC);
    "no quota at write" &[Write], Effect::Fail(Errno::DQUOT);
    "no space at create" &[Create, CreateUnnamed, CreateDirectory], Effect::Fail(Errno::NOSPC);
    "no quota at create" &[Create, CreateUnnamed, CreateDirectory], Effect::Fail(Errno::DQUOT);
    "no space at link" &[Link, LinkUnnamed], Effect::Fail(Errno::NOSPC);
    "no quota at link" &[Link, LinkUnnamed], Effect::Fail(Errno::DQUOT);
    "no space at rename" &[Rename, RenameNoreplace], Effect::Fail(Errno::NOSPC);
    "no quota at rename" &[Rename, RenameNoreplace], Effect::Fail(Errno::DQUOT);
    "no quota at close" &[CloseErrors], Effect::Fail(Errno::DQUOT);
    "no space at sync" &[SyncFile], Effect::Fail(Errno::NOSPC);
    "i/o error at open" OPENS, Effect::Fail(Errno::IO);
    "i/o error at stat" STATS, Effect::Fail(Errno::IO);
    "i/o error at read" &[ReadAt, ReadWithoutWaiting], Effect::Fail(Errno::IO);
    "cannot tell what is in memory" &[ReadWithoutWaiting], Effect::Fail(Errno::OPNOTSUPP);
    "cannot read ahead" &[ReadAhead], Effect::Fail(Errno::NOSYS);
    "i/o error at write" &[Write], Effect::Fail(Errno::IO);
    "no space to reserve" &[Reserve], Effect::Fail(Errno::NOSPC);
    "i/o error at link" &[Link, LinkUnnamed], Effect::Fail(Errno::IO);
    "i/o error at rename" &[Rename, RenameNoreplace], Effect::Fail(Errno::IO);
    "i/o error at unlink" &[Unlink, RemoveDirectory], Effect::Fail(Errno::IO);
    "i/o error at creating a directory" &[CreateDirectory], Effect::Fail(Errno::IO);
    "i/o error at setting the time" &[SetModified], Effect::Fail(Errno::IO);
    "i/o error at truncating" &[Truncate], Effect::Fail(Errno::IO);
    "no space for an attribute" &[SetAttribute], Effect::Fail(Errno::NOSPC);
    "i/o error at an attribute" &[Attribute], Effect::Fail(Errno::IO);
    "i/o error at sync of a file" &[SyncFile], Effect::Fail(Errno::IO);
    "i/o error at sync of a directory" &[SyncDirectory], Effect::Fail(Errno::IO);
    "i/o error at close" &[CloseErrors], Effect::Fail(Errno::IO);
    "i/o error at reading a directory" &[NextEntry], Effect::Fail(Errno::IO);
    "no lock" &[Lock], Effect::Fail(Errno::NOLCK);
    "no descriptor" &[OpenRoot, OpenBeneath, OpenEntry, CreateUnnamed, Create, ReopenDirectory, CloseErrors], Effect::Fail(Errno::MFILE);
    "no descriptor in the system" OPENS, Effect::Fail(Errno::NFILE);
    "tree moved during a lookup" &[OpenBeneath], Effect::Fail(Errno::AGAIN);
    "read-only from now on" CHANGES, Effect::ReadOnly;
    "power fails" ALL, Effect::PowerCut;
}

/// The set of kinds that a seed may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Enabled(pub(crate) u64);

impl Enabled {
    pub(crate) const NONE: Enabled = Enabled(0);

    /// All but power cuts.
    pub(crate) fn all() -> Enabled {
        Enabled((1 << KINDS.len()) - 1).without("power fails")
    }

    pub(crate) fn without(self, name: &str) -> Enabled {
        Enabled(self.0 & !(1 << kind(name)))
    }

    pub(crate) fn with(self, name: &str) -> Enabled {
        Enabled(self.0 | 1 << kind(name))
    }
}

/// The index in [`KINDS`] of the kind with that name.
pub(crate) fn kind(name: &str) -> usize {
    KINDS.iter().position(|kind| kind.name == name).expect("a kind of fault")
}

/// A scripted event at a call.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A fault, by its name.
    Fault(&'static str),
    /// A fault at each matching call from this one on; none at all if this call does not match.
    FaultForEver(&'static str),
    /// An action of another process.
    Act(Action),
    /// The power fails before the call.
    PowerCut,
    /// The power fails so many calls later.
    PowerCutIn(u64),
}

/// How often each kind of fault has happened, on all disks that share the counters.
pub(crate) type Coverage = Rc<RefCell<BTreeMap<&'static str, u64>>>;

/// Counters of all kinds, at 0.
pub(crate) fn new_coverage() -> Coverage {
    Rc::new(RefCell::new(KINDS.iter().map(|kind| (kind.name, 0)).collect()))
}

#[derive(Debug)]
pub(crate) struct Faults {
    random: fastrand::Rng,
    /// How many of 65,536 calls have a fault.
    pub(crate) rate: u16,
    pub(crate) enabled: Enabled,
    for_ever: Vec<usize>,
    script: Vec<(Option<Call>, u64, Event)>,
    /// What other processes may do.
    pub(crate) actions: Vec<Action>,
    pub(crate) coverage: Coverage,
    /// The number of calls so far.
    pub(crate) calls: u64,
    calls_of_kind: [u64; CALLS],
    pub(crate) trace: Option<Rc<RefCell<Vec<String>>>>,
}

/// What happens at a call.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Effect(Effect),
    Act(Action),
}

impl Faults {
    pub(crate) fn new(seed: u64, coverage: Coverage) -> Faults {
        Faults {
            random: fastrand::Rng::with_seed(seed),
            rate: 0,
            enabled: Enabled::NONE,
            for_ever: Vec::new(),
            script: Vec::new(),
            actions: Vec::new(),
            coverage,
            calls: 0,
            calls_of_kind: [0; CALLS],
            trace: None,
        }
    }

    /// The faults of the same machine after a restart: the same rates, without the rest of the script.
    pub(crate) fn restarted(&self, seed: u64) -> Faults {
        Faults {
            random: fastrand::Rng::with_seed(seed),
            for_ever: Vec::new(),
            script: Vec::new(),
            actions: self.actions.clone(),
            coverage: Rc::clone(&self.coverage),
            trace: self.trace.clone(),
            calls_of_kind: self.calls_of_kind,
            ..*self
        }
    }

    pub(crate) fn random_below(&mut self, bound: usize) -> usize {
        self.random.usize(..bound.max(1))
    }

    /// Adds to the script: at the `number`th call in total, or at the `number`th call of that kind.
    pub(crate) fn script(&mut self, call: Option<Call>, number: u64, event: Event) {
        self.script.push((call, number, event));
    }

    /// Whether every scripted event has happened.
    pub(crate) fn is_played(&self) -> bool {
        self.script.is_empty()
    }

    pub(crate) fn calls_of(&self, call: Call) -> u64 {
        self.calls_of_kind[call as usize]
    }

    /// Numbers a call, and returns what happens at it.
    pub(crate) fn next(&mut self, call: Call) -> Vec<Happening> {
        self.calls += 1;
        self.calls_of_kind[call as usize] += 1;
        // This does not allocate while nothing happens.
        let mut happenings = Vec::new();
        if !self.script.is_empty() {
            self.play(call, &mut happenings);
        }
        for place in 0..self.for_ever.len() {
            self.add(self.for_ever[place], call, &mut happenings);
        }
        if self.rate > 0 && self.random.u16(..) < self.rate {
            self.draw(call, &mut happenings);
        }
        happenings
    }

    fn play(&mut self, call: Call, happenings: &mut Vec<Happening>) {
        let (calls, calls_of_kind) = (self.calls, self.calls_of_kind[call as usize]);
        let is_due = |(kind, number, _): &(Option<Call>, u64, Event)| match kind {
            Some(kind) => *kind == call && *number == calls_of_kind,
            None => *number == calls,
        };
        while let Some(place) = self.script.iter().position(is_due) {
            match self.script.remove(place).2 {
                Event::Fault(name) => self.add(kind(name), call, happenings),
                Event::FaultForEver(name) if KINDS[kind(name)].calls.contains(&call) => self.for_ever.push(kind(name)),
                Event::FaultForEver(_) => {}
                Event::Act(action) => happenings.push(Happening::Act(action)),
                Event::PowerCutIn(calls_later) => self.script.push((None, calls + calls_later, Event::PowerCut)),
                Event::PowerCut => happenings.push(Happening::Effect(Effect::PowerCut)),
            }
        }
    }

    fn draw(&mut self, call: Call, happenings: &mut Vec<Happening>) {
        let enabled = self.enabled.0;
        let fits = |place: &usize| enabled >> place & 1 == 1 && KINDS[*place].calls.contains(&call);
        let count = (0..KINDS.len()).filter(fits).count();
        if count > 0 {
            let chosen = self.random.usize(..count);
            if let Some(place) = (0..KINDS.len()).filter(fits).nth(chosen) {
                self.add(place, call, happenings);
            }
        }
    }

    fn add(&mut self, place: usize, call: Call, happenings: &mut Vec<Happening>) {
        let Kind { name, calls, effect } = &KINDS[place];
        if !calls.contains(&call) {
            return;
        }
        match effect {
            Effect::Others if self.actions.is_empty() => return,
            Effect::Others => {
                let chosen = self.random_below(self.actions.len());
                happenings.push(Happening::Act(self.actions[chosen].clone()));
            }
            effect => happenings.push(Happening::Effect(*effect)),
        }
        self.count(name);
    }

    pub(crate) fn count(&self, name: &'static str) {
        *self.coverage.borrow_mut().entry(name).or_default() += 1;
    }
}

/// The name of an error number. `Errno` displays a sentence.
pub(crate) fn error_name(errno: Errno) -> String {
    let names = [
        (Errno::ACCESS, "ACCESS"),
        (Errno::AGAIN, "AGAIN"),
        (Errno::BADF, "BADF"),
        (Errno::DQUOT, "DQUOT"),
        (Errno::EXIST, "EXIST"),
        (Errno::INTR, "INTR"),
        (Errno::IO, "IO"),
        (Errno::ISDIR, "ISDIR"),
        (Errno::LOOP, "LOOP"),
        (Errno::MFILE, "MFILE"),
        (Errno::NOENT, "NOENT"),
        (Errno::NOSPC, "NOSPC"),
        (Errno::NOSYS, "NOSYS"),
        (Errno::NOTDIR, "NOTDIR"),
        (Errno::OPNOTSUPP, "OPNOTSUPP"),
        (Errno::PERM, "PERM"),
        (Errno::ROFS, "ROFS"),
        (Errno::XDEV, "XDEV"),
    ];
    let name = names.iter().find(|(known, _)| *known == errno).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("error {}", errno.raw_os_error()))
}
