//! A simulated disk in memory, for tests of storage and of the whole server. It fills up, fails, is shared with other
//! processes, and loses power. A seed or a script decides all of it. No real clock and no other randomness is used.
//!
//! - `tree` contains the nodes, names and paths that a process sees.
//! - `machine` is the disk and the kernel: descriptors, locks, space, permissions, times.
//! - `calls` implements [`FileSystem`](spindle::storage::FileSystem). Each call is numbered, traced and subject to
//!   faults.
//! - `faults` decides which call has which fault.
//! - `closing` closes files in the background, and checks that nobody waits until the content of a long file is freed.
//! - `memory` is the system's cache of files: which of them can be read without waiting for the disk.
//! - `others` is for tests and other processes.
//! - `power` tracks the changes that are not on the disk yet, and computes the states after a power cut.
//!   `settings::Loss` says what may be lost, and on which systems.
//!
//! tests/file_system tests this disk and the real one against the same contract.

#![allow(dead_code, reason = "several test programs include this, and none uses all of it")]
#![allow(clippy::expect_used, reason = "a test may panic")]

mod calls;
mod closing;
mod faults;
mod machine;
mod memory;
mod others;
mod power;
mod settings;
mod tree;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::rc::Rc;

#[allow(unused_imports, reason = "see above")]
pub(crate) use calls::{DiskEntries, DiskFile};
#[allow(unused_imports, reason = "see above")]
pub(crate) use faults::{Call, Coverage, Effect, Enabled, Event, KINDS, Kind, new_coverage};
#[allow(unused_imports, reason = "see above")]
pub(crate) use memory::{Eviction, READ_NS_LONGEST};
#[allow(unused_imports, reason = "see above")]
pub(crate) use others::Action;
#[allow(unused_imports, reason = "see above")]
pub(crate) use settings::{Loss, Settings};
#[allow(unused_imports, reason = "see above")]
pub(crate) use tree::Permissions;

use faults::Faults;
use machine::Machine;
use power::{Choices, reachable};
use tree::{Body, NodeId, Tree};

/// A disk, and the process that uses it. A clone is the same disk.
#[derive(Clone)]
pub(crate) struct Disk {
    machine: Rc<RefCell<Machine>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    /// An empty disk. The clock counts nanoseconds since 1970.
    pub(crate) fn new(settings: Settings, clock: Rc<Cell<u64>>) -> Disk {
        Disk::with_coverage(settings, clock, new_coverage())
    }

    /// As [`Disk::new`], with counters that other disks share.
    pub(crate) fn with_coverage(settings: Settings, clock: Rc<Cell<u64>>, coverage: Coverage) -> Disk {
        let faults = Faults::new(settings.seed, coverage);
        Disk { machine: Rc::new(RefCell::new(Machine::new(settings, clock, faults))) }
    }

    /// The path of the served directory.
    pub(crate) fn root_path() -> &'static Path {
        Path::new("/served")
    }

    /// Injects a fault of the enabled kinds into `rate` of 65,536 calls. The seed chooses them.
    pub(crate) fn fail(&self, rate: u16, enabled: Enabled) {
        let mut machine = self.machine.borrow_mut();
        (machine.faults.rate, machine.faults.enabled) = (rate, enabled);
    }

    /// Sets what other processes may do when the seed chooses that fault.
    pub(crate) fn others_may(&self, actions: Vec<Action>) {
        self.machine.borrow_mut().faults.actions = actions;
    }

    /// Schedules an event at the `number`th call from now on, counted from 1.
    pub(crate) fn at_call(&self, number: u64, event: Event) {
        let mut machine = self.machine.borrow_mut();
        let number = machine.faults.calls + number;
        machine.faults.script(None, number, event);
    }

    /// Schedules an event at the `number`th call of that kind from now on, counted from 1.
    pub(crate) fn at(&self, call: Call, number: u64, event: Event) {
        let mut machine = self.machine.borrow_mut();
        let number = machine.faults.calls_of(call) + number;
        machine.faults.script(Some(call), number, event);
    }

    /// Whether all scheduled events have happened.
    pub(crate) fn is_script_played(&self) -> bool {
        self.machine.borrow().faults.is_played()
    }

    /// How long files were not in memory that the server had asked for, in all.
    pub(crate) fn missing_ns(&self) -> u64 {
        let machine = self.machine.borrow();
        machine.memory.missing_ns(machine.monotonic_ns())
    }

    /// Whether the system evicts files from its memory.
    pub(crate) fn evicts(&self) -> bool {
        self.machine.borrow().settings.eviction.rate > 0
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.machine.borrow().faults.calls
    }

    /// How often each kind of fault has happened.
    pub(crate) fn coverage(&self) -> Coverage {
        Rc::clone(&self.machine.borrow().faults.coverage)
    }

    /// Starts a trace of the calls: number, name, subject, result.
    pub(crate) fn trace(&self) -> Rc<RefCell<Vec<String>>> {
        let trace = Rc::new(RefCell::new(Vec::new()));
        self.machine.borrow_mut().faults.trace = Some(Rc::clone(&trace));
        trace
    }

    /// Ends the trace.
    pub(crate) fn stop_tracing(&self) {
        self.machine.borrow_mut().faults.trace = None;
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.machine.borrow_mut().settings);
    }

    /// From now on no write succeeds.
    pub(crate) fn become_read_only(&self) {
        self.machine.borrow_mut().is_read_only = true;
    }

    /// Tells the disk by how much the clock was set, now and later.
    pub(crate) fn share_clock_offset(&self, offset_ns: &Rc<Cell<i64>>) {
        self.machine.borrow_mut().clock_offset_ns = Rc::clone(offset_ns);
    }

    /// Cuts the power, or kills the process. From now on each call fails without an effect, also closing files.
    /// [`after_kill`](Disk::after_kill) and the two methods after it give what is then on the disk.
    pub(crate) fn stop(&self) {
        self.machine.borrow_mut().is_dead = true;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.machine.borrow().is_dead
    }

    /// Writes all of the kernel's cached changes to the disk.
    pub(crate) fn write_back(&self) {
        self.machine.borrow_mut().commit_all();
    }

    /// How many changes a power cut could lose.
    pub(crate) fn changes_at_risk(&self) -> usize {
        self.machine.borrow().changes_at_risk()
    }

    /// The same machine after the process was killed. Only open files are lost. The old disk stops.
    pub(crate) fn after_kill(&self) -> Disk {
        self.stop();
        let machine = self.machine.borrow();
        let mut restarted = machine.restarted(machine.tree.clone());
        restarted.log = machine.log.clone();
        restarted.close_everything();
        Disk { machine: Rc::new(RefCell::new(restarted)) }
    }

    /// The same machine after a power cut, in one of the possible states, chosen by the seed. The old disk stops.
    pub(crate) fn after_power_loss(&self) -> Disk {
        self.stop();
        let mut random = fastrand::Rng::with_seed({
            let mut machine = self.machine.borrow_mut();
            machine.faults.random_below(usize::MAX) as u64
        });
        self.after_choices(&mut |possibilities| random.usize(..possibilities.max(1)))
    }

    /// Calls `check` with the machine in each distinct state that a power cut could leave now, and returns their
    /// number; `None` if there are more than `most`, after `most` calls.
    pub(crate) fn after_each_power_loss(&self, most: usize, mut check: impl FnMut(&Disk)) -> Option<usize> {
        self.stop();
        let mut choices = Choices::default();
        let mut seen = HashSet::new();
        // Different choices can lead to the same state.
        for _ in 0..most.saturating_mul(64) {
            let disk = self.after_choices(&mut |possibilities| choices.choose(possibilities));
            if seen.insert(disk.fingerprint()) {
                if seen.len() > most {
                    return None;
                }
                check(&disk);
            }
            if !choices.next_way() {
                return Some(seen.len());
            }
        }
        None
    }

    fn after_choices(&self, choose: &mut dyn FnMut(usize) -> usize) -> Disk {
        let machine = self.machine.borrow();
        let tree = machine.tree_after_power_loss(choose);
        let mut restarted = machine.restarted(tree);
        restarted.boot_id += 1;
        restarted.close_everything();
        restarted.commit_all();
        Disk { machine: Rc::new(RefCell::new(restarted)) }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let machine = self.machine.borrow();
        for node in reachable(&machine.tree) {
            let node = machine.node(node);
            node.modified_ns.hash(&mut hasher);
            match &node.body {
                Body::File(content) => content.bytes.hash(&mut hasher),
                Body::Directory(entries) => {
                    for entry in entries.iter() {
                        (&entry.name, machine.node(entry.node).inode).hash(&mut hasher);
                    }
                }
                Body::Link(target) => target.hash(&mut hasher),
                Body::Fifo | Body::Socket => 0.hash(&mut hasher),
            }
        }
        hasher.finish()
    }
}

impl Machine {
    fn restarted(&self, tree: Tree) -> Machine {
        let seed = self.settings.seed.wrapping_add(self.faults.calls).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut machine =
            Machine::with_tree(self.settings.clone(), Rc::clone(&self.clock), self.faults.restarted(seed), tree);
        (machine.is_read_only, machine.boot_id) = (self.is_read_only, self.boot_id);
        machine.clock_offset_ns = Rc::clone(&self.clock_offset_ns);
        machine
    }

    /// Closes all files, frees those without a name, and counts everything again.
    fn close_everything(&mut self) {
        let reachable: Vec<NodeId> = reachable(&self.tree);
        for node in &mut self.tree.nodes {
            (node.links, node.open, node.locked_by) = (0, 0, None);
        }
        self.count_links(&reachable);
        let mut numbers = HashSet::new();
        self.next_inode = 1 + self.tree.nodes.iter().map(|node| node.inode).max().unwrap_or(1);
        for &node in &reachable {
            if !numbers.insert(self.node(node).inode) {
                // Another file has got its inode number. Both files exist now, so the inode was not freed on the disk.
                self.node_mut(node).inode = self.next_inode;
                self.next_inode += 1;
            }
            let node = self.node_mut(node);
            if let Body::Directory(entries) = &mut node.body {
                // A power cut may have undone its removal.
                entries.removed = false;
            }
            if let Some(content) = node.content_mut() {
                content.safe = content.safe.min(content.bytes.len());
                self.used_bytes += content.bytes.len() as u64;
            }
        }
        for number in (2..self.next_inode).rev().filter(|number| !numbers.contains(number)).take(64) {
            self.free_inodes.push(number);
        }
    }

    fn count_links(&mut self, reachable: &[NodeId]) {
        for &node in reachable {
            let Ok(entries) = self.tree.entries(node) else { continue };
            let children: Vec<NodeId> = entries.iter().map(|entry| entry.node).collect();
            for child in children {
                let child = self.node_mut(child);
                child.links += 1;
                if let Body::Directory(entries) = &mut child.body {
                    // A power cut may have undone its move.
                    entries.parent = node;
                }
            }
        }
    }
}
