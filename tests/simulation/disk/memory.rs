//! The system's cache of files: which of them are in memory, and what the disk is reading ahead.
//!
//! A file is in memory as a whole or not at all. It is until the system evicts it, which happens when somebody asks about
//! it, and only if nobody has used it a moment before. From then on a call that reads it must not be made before the disk
//! has read it ahead: that would keep every client waiting. The exceptions are a file that the disk does not read ahead,
//! once the server has waited for long enough, and a file about which the system has returned an error.

use std::collections::BTreeMap;

use super::faults::Faults;
use super::tree::NodeId;

/// How long a file is not evicted that was used.
const USED_NS: u64 = 100_000_000;

/// How long the server waits for a file that is not read ahead. Each time in a row it may wait a quarter of that.
const WAIT_NS: u64 = 10_000_000_000;

/// By how much the loop's clock may lag when a wait begins. It is read after some drives, not before each.
const CLOCK_LAG_NS: u64 = 100_000_000;

/// The longest time that the simulation's disks take to read a file ahead.
pub(crate) const READ_NS_LONGEST: u64 = 1_000_000_000;

/// After this time a wait is not in a row with the last one.
const ROW_NS: u64 = 300_000_000_000;

/// What the system evicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Eviction {
    /// How many of 65,536 questions about an unused file find that it was evicted.
    pub(crate) rate: u16,
    /// The longest that reading one ahead takes, in nanoseconds.
    pub(crate) read_ns_max: u64,
    /// How many of 256 evicted files are never read ahead.
    pub(crate) stuck: u8,
}

/// A file that was used or asked about.
#[derive(Clone, Copy, Debug, Default)]
struct Cached {
    used_ns: u64,
    evicted: Option<Evicted>,
    /// Whether reading it may wait for the disk, because the system has not said whether it is in memory.
    is_exempt: bool,
}

#[derive(Clone, Copy, Debug)]
struct Evicted {
    since_ns: u64,
    is_stuck: bool,
    /// When the disk has read it.
    ready_ns: Option<u64>,
}

/// The files that are not simply in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    files: BTreeMap<NodeId, Cached>,
    /// How many files in a row were read that had not been read ahead, and when the last one was.
    read_in_vain: u32,
    read_in_vain_ns: u64,
    /// How long at least one file was not in memory that somebody had asked about, and since when one has been.
    missing_ns: u64,
    missing_since_ns: Option<u64>,
}

impl Memory {
    /// How long files were missing by now, in all; not 0 if one has been found missing just now.
    pub(crate) fn missing_ns(&self, now_ns: u64) -> u64 {
        self.missing_ns + self.missing_since_ns.map_or(0, |since_ns| now_ns - since_ns + 1)
    }

    /// A new file has the number of one that was removed.
    pub(crate) fn forget(&mut self, node: NodeId, now_ns: u64) {
        self.files.remove(&node);
        self.note_missing(now_ns);
    }

    /// Whether the file is in memory.
    pub(crate) fn contains(&mut self, node: NodeId, eviction: Eviction, now_ns: u64, faults: &mut Faults) -> bool {
        if eviction.rate == 0 {
            return true;
        }
        let file = self.files.entry(node).or_default();
        let is_unused = file.evicted.is_none() && now_ns > file.used_ns + USED_NS;
        if is_unused && faults.random_below(65_536) < usize::from(eviction.rate) {
            let is_stuck = faults.random_below(256) < usize::from(eviction.stuck);
            file.evicted = Some(Evicted { since_ns: now_ns, is_stuck, ready_ns: None });
            faults.count("a file is evicted");
        }
        let is_contained =
            file.evicted.is_none_or(|evicted| evicted.ready_ns.is_some_and(|ready_ns| ready_ns <= now_ns));
        if is_contained {
            *file = Cached { used_ns: now_ns, evicted: None, ..*file };
        }
        self.note_missing(now_ns);
        is_contained
    }

    /// The server asks the disk to read the file.
    pub(crate) fn read_ahead(&mut self, node: NodeId, eviction: Eviction, now_ns: u64, faults: &mut Faults) {
        let evicted = self.files.get_mut(&node).and_then(|file| file.evicted.as_mut());
        if let Some(evicted) = evicted.filter(|evicted| !evicted.is_stuck && evicted.ready_ns.is_none()) {
            evicted.ready_ns = Some(now_ns + faults.random_below(eviction.read_ns_max as usize) as u64);
            faults.count("a file is read ahead");
        }
    }

    /// The server reads the file, wherever it is.
    pub(crate) fn read(&mut self, node: NodeId, now_ns: u64, faults: &Faults) {
        let Some(file) = self.files.get_mut(&node) else { return };
        if let Some(Evicted { since_ns, is_stuck, ready_ns }) = file.evicted
            && ready_ns.is_none_or(|ready_ns| ready_ns > now_ns)
            && !file.is_exempt
        {
            let waited_ns = now_ns - since_ns;
            if now_ns > self.read_in_vain_ns + ROW_NS {
                self.read_in_vain = 0;
            }
            let must_wait_ns = WAIT_NS >> (2 * self.read_in_vain).min(63);
            // After several waits in vain the server waits for less than a slow disk takes.
            let may_be_slow = must_wait_ns < READ_NS_LONGEST;
            assert!(
                is_stuck || may_be_slow,
                "a file is read that is not in memory, {waited_ns} ns after it was asked for"
            );
            let is_long_enough = waited_ns + CLOCK_LAG_NS >= must_wait_ns;
            assert!(is_long_enough, "a file that is not in memory is read after {waited_ns} ns");
            self.read_in_vain += 1;
            self.read_in_vain_ns = now_ns;
            faults.count("a file is read that was not read ahead");
        }
        *file = Cached { used_ns: now_ns, evicted: None, ..*file };
        self.note_missing(now_ns);
    }

    /// The system has returned an error to a question about the file, or would not read it ahead.
    pub(crate) fn cannot_tell(&mut self, node: NodeId) {
        self.files.entry(node).or_default().is_exempt = true;
    }

    fn note_missing(&mut self, now_ns: u64) {
        if self.files.values().any(|file| file.evicted.is_some()) {
            self.missing_since_ns.get_or_insert(now_ns);
        } else if let Some(since_ns) = self.missing_since_ns.take() {
            self.missing_ns += now_ns - since_ns + 1;
        }
    }
}
