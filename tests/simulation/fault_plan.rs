//! Trouble with the disk, all from the seed: calls that take seconds, calls that fail, and the loss of power or of the
//! process, after which the server starts again on what is left.

use fastrand::Rng;

use crate::simulation::clients::external;
use crate::simulation::disk::{self, Disk, Enabled, Event};
use crate::simulation::scenario::one_of;

/// How the server ends in the middle of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The machine loses power at the disk call with this number.
    PowerCut { at_call: u64 },
    /// The process is killed there. What it has written stays.
    Kill { at_call: u64 },
}

/// What befalls a run's disk.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan {
    /// How many of 65,536 calls take seconds.
    pub slow: u16,
    /// How many of 65,536 calls go wrong in another way.
    pub failing: u16,
    /// How many of 65,536 calls find that another process has done something meanwhile.
    pub others: u16,
    /// How the lives of the server end but the last one.
    pub crashes: Vec<Crash>,
}

/// Of 65,536 calls, so that nearly each takes seconds.
const SLOW_ALWAYS: u16 = 60_000;

impl FaultPlan {
    /// Whether nearly every call takes seconds, and nothing else goes wrong.
    pub(crate) fn is_slow_always(&self) -> bool {
        self.slow == SLOW_ALWAYS
    }

    pub(crate) fn new(random: &mut Rng) -> FaultPlan {
        let is_slow_always = random.u8(..64) == 0;
        if is_slow_always {
            return FaultPlan { crashes: Vec::new(), slow: SLOW_ALWAYS, failing: 0, others: 0 };
        }
        let at_call = |random: &mut Rng| {
            let most = one_of(random, &[30, 300, 1500]);
            random.u64(1..most)
        };
        let count = one_of(random, &[0, 0, 0, 1, 2]);
        let crashes = (0..count).map(|_| match random.bool() {
            true => Crash::PowerCut { at_call: at_call(random) },
            false => Crash::Kill { at_call: at_call(random) },
        });
        FaultPlan {
            crashes: crashes.collect(),
            slow: one_of(random, &[0, 0, 0, 300]),
            failing: one_of(random, &[0, 0, 0, 200, 3000]),
            others: one_of(random, &[0, 0, 3000]),
        }
    }

    /// Whether an answer may be that the disk failed.
    pub(crate) fn may_fail(&self) -> bool {
        self.failing > 0
    }

    /// Lets it befall the disk of the server's next life. `stop` is how that ends.
    pub(crate) fn apply(&self, disk: &Disk, stop: Option<Crash>) {
        disk.others_may(external::actions());
        // One that is read-only from now on says nothing new for the rest of the run.
        let failing = Enabled::all().without("another process acts").without("read-only from now on");
        match self {
            FaultPlan { failing: 1.., .. } => disk.fail(self.failing, failing),
            FaultPlan { others: 1.., .. } => disk.fail(self.others, Enabled::NONE.with("another process acts")),
            _ => disk.fail(self.slow, Enabled::NONE.with("slow")),
        }
        match stop {
            Some(Crash::PowerCut { at_call } | Crash::Kill { at_call }) => disk.at_call(at_call, Event::PowerCut),
            None => {}
        }
    }
}

impl Crash {
    /// The disk that the server finds when it starts again.
    pub(crate) fn restart_disk(self, disk: &Disk) -> Disk {
        match self {
            Crash::PowerCut { .. } => disk.after_power_loss(),
            Crash::Kill { .. } => disk.after_kill(),
        }
    }
}

/// A system with a file system of some kind. Where the power may fail, a durable one is asked for.
pub(crate) fn system(random: &mut Rng) -> disk::Settings {
    let seed = random.u64(..);
    let settings = match random.u8(..8) {
        0..=3 => disk::Settings::linux(seed),
        4..=6 => disk::Settings::portable(seed),
        _ => disk::Settings::without_links(seed),
    };
    disk::Settings {
        loss: one_of(random, &[disk::Loss::Ordered, disk::Loss::Journalled, disk::Loss::Cruel]),
        time_granularity_ns: one_of(random, &[1, 1, 1_000_000, 1_000_000_000]),
        reuses_inodes: random.bool(),
        tells_kinds: random.u8(..4) > 0,
        reports_free_bytes: random.bool(),
        keeps_attributes: random.bool(),
        ..settings
    }
}
