//! The disk faults and crashes of a run: calls that take seconds, calls that fail, power cuts and kills. After a crash
//! the server is restarted with what the disk then contains.

use fastrand::Rng;

use crate::simulation::clients::external;
use crate::simulation::disk::{self, Call, Disk, Enabled, Event, Eviction, READ_NS_LONGEST};
use crate::simulation::network::MILLISECOND;
use crate::simulation::scenario::one_of;

/// A crash of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The machine loses power.
    PowerCut { at: CrashPoint },
    /// The process is killed. What it has written stays.
    Kill { at: CrashPoint },
}

/// When a crash happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashPoint {
    /// At the disk call with this number.
    Call(u64),
    /// So many calls after the call of that kind with this number; 0 for at that call. Few calls in a run change the tree,
    /// and a number alone rarely meets them.
    Change { call: Call, number: u64, calls_later: u64 },
}

impl CrashPoint {
    fn new(random: &mut Rng) -> CrashPoint {
        if random.u8(..3) > 0 {
            let most = one_of(random, &[30, 300, 1500]);
            return CrashPoint::Call(random.u64(1..most));
        }
        CrashPoint::Change {
            call: one_of(random, &[Call::Rename, Call::Rename, Call::RenameNoreplace, Call::Link, Call::Unlink]),
            number: random.u64(1..=6),
            calls_later: one_of(random, &[0, 0, 1, 2, 5, 15]),
        }
    }
}

/// The faults of a run's disk.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan {
    /// How many of 65,536 calls take seconds.
    pub slow: u16,
    /// How many of 65,536 calls fail in some way.
    pub failing: u16,
    /// Before how many of 65,536 calls another process changes something.
    pub external: u16,
    /// The crashes of the run, one after another.
    pub crashes: Vec<Crash>,
}

/// A rate in 65,536 at which nearly each call takes seconds.
const SLOW_ALWAYS: u16 = 60_000;

impl FaultPlan {
    /// Whether nearly each call takes seconds. Then there are no other faults.
    pub(crate) fn is_slow_always(&self) -> bool {
        self.slow == SLOW_ALWAYS
    }

    pub(crate) fn new(random: &mut Rng) -> FaultPlan {
        let is_slow_always = random.u8(..64) == 0;
        if is_slow_always {
            return FaultPlan { crashes: Vec::new(), slow: SLOW_ALWAYS, failing: 0, external: 0 };
        }
        let count = one_of(random, &[0, 0, 0, 1, 2]);
        let crashes = (0..count).map(|_| match random.bool() {
            true => Crash::PowerCut { at: CrashPoint::new(random) },
            false => Crash::Kill { at: CrashPoint::new(random) },
        });
        FaultPlan {
            crashes: crashes.collect(),
            slow: one_of(random, &[0, 0, 0, 300]),
            failing: one_of(random, &[0, 0, 0, 200, 3000]),
            external: one_of(random, &[0, 0, 3000]),
        }
    }

    /// Chooses a system with some kind of file system.
    pub(crate) fn system(&self, random: &mut Rng) -> disk::Settings {
        let seed = random.u64(..);
        let settings = match random.u8(..8) {
            0..=3 => disk::Settings::linux(seed),
            4..=6 => disk::Settings::portable(seed),
            _ => disk::Settings::without_links(seed),
        };
        disk::Settings {
            loss: one_of(random, &[disk::Loss::Ordered, disk::Loss::Journalled, disk::Loss::Unordered]),
            time_granularity_ns: one_of(random, &[1, 1, 1_000_000, 1_000_000_000]),
            reuses_inodes: random.bool(),
            has_entry_kinds: random.u8(..4) > 0,
            reports_free_bytes: random.bool(),
            keeps_attributes: random.bool(),
            may_fail_at_close: settings.may_fail_at_close || random.u8(..4) == 0,
            // Between two calls that take seconds, what was in memory may be evicted.
            // Longer than any file with the state of an upload.
            long_file_bytes: if seed.is_multiple_of(2) { 10_000 } else { u64::MAX },
            closing_rate: [0, 1_000, 20_000][(seed / 2 % 3) as usize],
            eviction: if self.slow > 0 { Eviction::default() } else { eviction(seed) },
            ..settings
        }
    }

    /// Whether a response may report that the disk failed.
    pub(crate) fn may_fail(&self) -> bool {
        self.failing > 0
    }

    /// Applies the plan to the disk, until the next crash if there is one.
    pub(crate) fn apply(&self, disk: &Disk, crash: Option<Crash>) {
        disk.others_may(external::actions());
        // After a disk has become read-only, every upload in the rest of the run fails.
        let failing = Enabled::all().without("another process acts").without("read-only from now on");
        let failing = if disk.evicts() { failing.without("slow") } else { failing };
        match self {
            FaultPlan { failing: 1.., .. } => disk.fail(self.failing, failing),
            FaultPlan { external: 1.., .. } => disk.fail(self.external, Enabled::NONE.with("another process acts")),
            _ => disk.fail(self.slow, Enabled::NONE.with("slow")),
        }
        if self.external > 0 && self.failing == 0 {
            disk.at(Call::RenameNoreplace, external::MOVE_THAT_COMES_TOO_LATE, Event::Act(external::takes_name()));
        }
        match crash {
            Some(Crash::PowerCut { at: CrashPoint::Call(number) } | Crash::Kill { at: CrashPoint::Call(number) }) => {
                disk.at_call(number, Event::PowerCut);
            }
            Some(
                Crash::PowerCut { at: CrashPoint::Change { call, number, calls_later } }
                | Crash::Kill { at: CrashPoint::Change { call, number, calls_later } },
            ) => disk.at(call, number, Event::PowerCutIn(calls_later)),
            None => {}
        }
    }
}

impl Crash {
    /// The disk with which the server is restarted.
    pub(crate) fn restart_disk(self, disk: &Disk) -> Disk {
        match self {
            Crash::PowerCut { .. } => disk.after_power_loss(),
            Crash::Kill { .. } => disk.after_kill(),
        }
    }
}

/// What the system evicts from its memory, which is nothing in half of the runs.
fn eviction(seed: u64) -> Eviction {
    let random = &mut Rng::with_seed(seed);
    Eviction {
        rate: one_of(random, &[0, 0, 3_000, 30_000]),
        read_ns_max: one_of(random, &[MILLISECOND, 20 * MILLISECOND, READ_NS_LONGEST]),
        stuck: one_of(random, &[0, 0, 64]),
    }
}
