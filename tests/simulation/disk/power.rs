//! The changes that are not on the disk yet, the effect of an fsync, and the states after a power cut.
//!
//! The tree is what processes see. The log contains each change that may not be on the disk, with the previous state. A
//! state after a power cut is made by undoing changes.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{Machine, OUTSIDE, SERVED};
use super::settings::Loss;
use super::tree::{Body, Content, Node, NodeId, TOP, Tree};

/// After so many changes the kernel writes everything by itself.
const LOG_MAX: usize = 4096;

/// The contents of an inode on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    links: u32,
    bytes: usize,
    modified_ns: i128,
    changed_ns: i128,
}

impl Record {
    pub(crate) fn of(node: &Node) -> Record {
        let bytes = node.content().map_or(0, |content| content.bytes.len());
        Record { links: node.links, bytes, modified_ns: node.modified_ns, changed_ns: node.changed_ns }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Entry { directory: NodeId, name: Box<[u8]>, before: Option<NodeId>, after: Option<NodeId> },
    Record { node: NodeId, before: Record, after: Record },
}

#[derive(Clone, Debug)]
struct Logged {
    /// The changes of one call are one transaction of a journal.
    call: u64,
    change: Change,
    /// An fsync that should have written it has failed. No later fsync writes it.
    is_stuck: bool,
}

/// The changes that may not be on the disk, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    changes: Vec<Logged>,
    /// Files with content that is not on the disk.
    unsafe_nodes: BTreeSet<NodeId>,
}

impl Log {
    pub(crate) fn push(&mut self, call: u64, change: Change) {
        // Consecutive writes to a file count as one.
        if let (
            Some(Logged { change: Change::Record { node, after, .. }, is_stuck: false, .. }),
            Change::Record { node: same, after: new, .. },
        ) = (self.changes.last_mut(), &change)
            && node == same
            && after.links == new.links
            && new.bytes > after.bytes
        {
            *after = *new;
            return;
        }
        self.changes.push(Logged { call, change, is_stuck: false });
    }

    pub(crate) fn note_unsafe(&mut self, node: NodeId) {
        self.unsafe_nodes.insert(node);
    }

    pub(crate) fn take_unsafe(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.unsafe_nodes)
    }

    pub(crate) fn is_long(&self) -> bool {
        self.changes.len() >= LOG_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.changes.clear();
    }

    /// Writes the inode, or the entries, of a node. A change that an earlier fsync has failed to write is written only if
    /// the node was changed again.
    fn write_all_of(&mut self, node: NodeId) {
        let is_written = |logged: &&Logged| !logged.is_stuck && is_of(&logged.change, node);
        let written: Vec<Change> = self.changes.iter().filter(is_written).map(|logged| logged.change.clone()).collect();
        self.changes.retain(|logged| !written.iter().any(|change| is_same_place(change, &logged.change)));
    }

    /// No later change of the node is needed to know the state of the disk.
    pub(crate) fn forget_content(&mut self, node: NodeId) {
        self.unsafe_nodes.remove(&node);
        self.changes.retain(|logged| !matches!(logged.change, Change::Record { node: other, .. } if other == node));
    }
}

impl Machine {
    /// The effect of a successful fsync.
    pub(crate) fn sync(&mut self, node: NodeId) {
        match self.settings.loss {
            Loss::None => return,
            Loss::Ordered => {
                self.log.changes.retain(|logged| logged.is_stuck);
                for node in self.log.take_unsafe() {
                    self.content_is_safe(node);
                }
            }
            Loss::Journalled => {
                self.log.changes.retain(|logged| logged.is_stuck);
                self.log.unsafe_nodes.remove(&node);
                self.content_is_safe(node);
            }
            Loss::Unordered => {
                self.log.write_all_of(node);
                self.log.unsafe_nodes.remove(&node);
                self.content_is_safe(node);
            }
        }
        self.forget_removed();
    }

    fn content_is_safe(&mut self, node: NodeId) {
        if let Some(content) = self.node_mut(node).content_mut() {
            content.safe = content.bytes.len();
        }
    }

    /// The effect of a failed fsync: the kernel marks the changes as written, but they are not on the disk.
    pub(crate) fn fail_to_sync(&mut self, node: NodeId) {
        self.log.unsafe_nodes.remove(&node);
        if let Some(content) = self.node_mut(node).content_mut() {
            let lost = content.safe..content.bytes.len();
            content.safe = lost.end;
            if !lost.is_empty() {
                content.lost.push(lost);
            }
        }
        let (is_file, is_unordered) = (self.node(node).content().is_some(), self.settings.loss == Loss::Unordered);
        for logged in &mut self.log.changes {
            // A journal that cannot be written blocks all changes.
            logged.is_stuck |= if is_unordered { is_of(&logged.change, node) } else { !is_file };
        }
    }

    /// How many changes may not be on the disk.
    pub(crate) fn changes_at_risk(&self) -> usize {
        self.log.changes.len() + self.log.unsafe_nodes.len()
    }

    /// The tree after a power cut. `choose(n)` chooses one of `n` possibilities.
    pub(crate) fn tree_after_power_loss(&self, choose: &mut dyn FnMut(usize) -> usize) -> Tree {
        let mut tree = self.tree.clone();
        match self.settings.loss {
            Loss::None => {}
            Loss::Ordered | Loss::Journalled => self.lose_the_end(&mut tree, choose),
            Loss::Unordered => self.lose_anything(&mut tree, choose),
        }
        for node in reachable(&tree) {
            if let Body::File(content) = &mut tree.nodes[node].body {
                if matches!(self.settings.loss, Loss::Journalled | Loss::Unordered) {
                    lose_blocks(content, self.settings.block_bytes.max(1), choose);
                }
                for lost in std::mem::take(&mut content.lost) {
                    let end = lost.end.min(content.bytes.len());
                    content.bytes[lost.start.min(end)..end].fill(0);
                }
            }
        }
        tree
    }

    /// Undoes the last changes.
    fn lose_the_end(&self, tree: &mut Tree, choose: &mut dyn FnMut(usize) -> usize) {
        for is_stuck in [false, true] {
            let changes: Vec<&Logged> = self.log.changes.iter().filter(|logged| logged.is_stuck == is_stuck).collect();
            let mut calls: Vec<u64> = changes.iter().map(|logged| logged.call).collect();
            calls.dedup();
            let lost = choose(calls.len() + 1);
            let first_lost = calls.len().checked_sub(lost).and_then(|first| calls.get(first));
            let Some(&first_lost) = first_lost else { continue };
            for logged in changes.iter().rev().filter(|logged| logged.call >= first_lost) {
                take_back(tree, &logged.change);
            }
        }
    }

    /// Undoes the changes of each entry and each inode independently.
    fn lose_anything(&self, tree: &mut Tree, choose: &mut dyn FnMut(usize) -> usize) {
        let mut entries: BTreeMap<(NodeId, &[u8]), Vec<Option<NodeId>>> = BTreeMap::new();
        let mut records: BTreeMap<NodeId, Vec<Record>> = BTreeMap::new();
        for logged in &self.log.changes {
            match &logged.change {
                Change::Entry { directory, name, before, after } => {
                    let states = entries.entry((*directory, name)).or_insert_with(|| vec![*before]);
                    if !states.contains(after) {
                        states.push(*after);
                    }
                }
                Change::Record { node, before, after } => {
                    let states = records.entry(*node).or_insert_with(|| vec![*before]);
                    // Without hard links a file is not freed independently of its entry.
                    let is_freed = after.links == 0 && states.iter().any(|state| state.links > 0);
                    let is_possible = self.settings.no_links.is_none() || !is_freed;
                    if is_possible && !states.contains(after) {
                        states.push(*after);
                    }
                }
            }
        }
        for ((directory, name), states) in entries {
            let entry = states[choose(states.len())];
            if let Ok(entries) = tree.entries_mut(directory) {
                entries.set(name, entry);
            }
        }
        let mut orphans = Vec::new();
        for node in reachable(tree) {
            let Some(states) = records.get(&node) else { continue };
            let record = states[choose(states.len())];
            restore(&mut tree.nodes[node], record);
            if record.links == 0 {
                orphans.push(node);
            }
        }
        remove_entries_of(tree, &orphans);
    }
}

fn is_of(change: &Change, node: NodeId) -> bool {
    match change {
        Change::Entry { directory, .. } => *directory == node,
        Change::Record { node: other, .. } => *other == node,
    }
}

fn is_same_place(one: &Change, other: &Change) -> bool {
    match (one, other) {
        (Change::Entry { directory, name, .. }, Change::Entry { directory: in_other, name: other, .. }) => {
            directory == in_other && name == other
        }
        (Change::Record { node, .. }, Change::Record { node: other, .. }) => node == other,
        _ => false,
    }
}

fn take_back(tree: &mut Tree, change: &Change) {
    match change {
        Change::Entry { directory, name, before, after } => {
            // A later change may be on the disk although this one is not.
            if let Ok(entries) = tree.entries_mut(*directory)
                && entries.get(name) == *after
            {
                entries.set(name, *before);
            }
        }
        Change::Record { node, before, .. } => restore(&mut tree.nodes[*node], *before),
    }
}

fn restore(node: &mut Node, record: Record) {
    (node.modified_ns, node.changed_ns) = (record.modified_ns, record.changed_ns);
    if let Some(content) = node.content_mut() {
        content.bytes.truncate(record.bytes);
    }
}

/// The file system check at the start removes entries of inodes without names.
fn remove_entries_of(tree: &mut Tree, orphans: &[NodeId]) {
    if orphans.is_empty() {
        return;
    }
    for node in &mut tree.nodes {
        if let Body::Directory(entries) = &mut node.body {
            let names: Vec<Box<[u8]>> =
                entries.iter().filter(|entry| orphans.contains(&entry.node)).map(|entry| entry.name.clone()).collect();
            for name in names {
                entries.set(&name, None);
            }
        }
    }
}

/// Each block of unwritten content may be on the disk or not.
fn lose_blocks(content: &mut Content, block_bytes: usize, choose: &mut dyn FnMut(usize) -> usize) {
    const GROUPS_MAX: usize = 3;
    let (safe, end) = (content.safe.min(content.bytes.len()), content.bytes.len());
    if safe == end {
        return;
    }
    let blocks = (end - safe).div_ceil(block_bytes);
    let groups = blocks.min(GROUPS_MAX);
    let missing_byte = match choose(4) {
        0 => return,
        1 => return content.bytes.truncate(safe),
        2 => 0,
        _ => b'?',
    };
    let present = choose((1 << groups) - 1);
    for group in (0..groups).filter(|group| present >> group & 1 == 0) {
        let place = |group: usize| (safe + group * blocks / groups * block_bytes).min(end);
        content.bytes[place(group)..place(group + 1)].fill(missing_byte);
    }
}

/// All nodes with a name, in the order of their first names.
pub(crate) fn reachable(tree: &Tree) -> Vec<NodeId> {
    let mut found = vec![TOP, SERVED, OUTSIDE];
    let mut seen: BTreeSet<NodeId> = found.iter().copied().collect();
    let mut next = 0;
    while let Some(&node) = found.get(next) {
        next += 1;
        if let Body::Directory(entries) = &tree.nodes[node].body {
            for entry in entries.iter() {
                if seen.insert(entry.node) {
                    found.push(entry.node);
                }
            }
        }
    }
    found
}

/// Enumerates all ways to make a number of choices.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    made: Vec<(usize, usize)>,
    place: usize,
    is_over: bool,
}

impl Choices {
    /// Makes the next choice among `possibilities`.
    pub(crate) fn choose(&mut self, possibilities: usize) -> usize {
        if self.place == self.made.len() {
            self.made.push((0, possibilities.max(1)));
        }
        self.place += 1;
        self.made[self.place - 1].0
    }

    /// Starts again with the next way; `false` after the last.
    pub(crate) fn next_way(&mut self) -> bool {
        self.place = 0;
        while let Some((choice, possibilities)) = self.made.last_mut() {
            *choice += 1;
            if choice < possibilities {
                return true;
            }
            self.made.pop();
        }
        self.is_over = true;
        false
    }
}
