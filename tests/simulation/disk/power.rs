//! What is not on the disk yet, what an fsync makes safe, and what is there after the power has failed.
//!
//! The tree holds everything as processes see it. The log holds each change that the disk may lack, with what was there
//! before, so that a state after a loss is made by taking changes back.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{Machine, OUTSIDE, SERVED};
use super::settings::Loss;
use super::tree::{Body, Content, Node, NodeId, TOP, Tree};

/// Behind so many changes the kernel has written everything by itself.
const LOG_MAX: usize = 4096;

/// What an inode holds on the disk besides the content.
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
    /// The changes of one call reach a journal together.
    call: u64,
    change: Change,
    /// An fsync that should have written it has failed: no later one does.
    is_stuck: bool,
}

/// The changes that the disk may lack, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    changes: Vec<Logged>,
    /// Files with content that is not on the disk.
    unsafe_nodes: BTreeSet<NodeId>,
}

impl Log {
    pub(crate) fn push(&mut self, call: u64, change: Change) {
        // Many writes to a file in a row count as one.
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

    /// Writes the inode, or the entries, of a node. What an earlier fsync has failed to write is written only if it has been
    /// changed again.
    fn write_all_of(&mut self, node: NodeId) {
        let is_written = |logged: &&Logged| !logged.is_stuck && is_of(&logged.change, node);
        let written: Vec<Change> = self.changes.iter().filter(is_written).map(|logged| logged.change.clone()).collect();
        self.changes.retain(|logged| !written.iter().any(|change| is_same_place(change, &logged.change)));
    }

    /// No later change of the node is needed to know what the disk has.
    pub(crate) fn forget_content(&mut self, node: NodeId) {
        self.unsafe_nodes.remove(&node);
        self.changes.retain(|logged| !matches!(logged.change, Change::Record { node: other, .. } if other == node));
    }
}

impl Machine {
    /// What a successful fsync writes.
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
            Loss::Cruel => {
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

    /// What a failed fsync does: what it should have written counts as written, and is not.
    pub(crate) fn fail_to_sync(&mut self, node: NodeId) {
        self.log.unsafe_nodes.remove(&node);
        if let Some(content) = self.node_mut(node).content_mut() {
            let lost = content.safe..content.bytes.len();
            content.safe = lost.end;
            if !lost.is_empty() {
                content.lost.push(lost);
            }
        }
        let (is_file, is_cruel) = (self.node(node).content().is_some(), self.settings.loss == Loss::Cruel);
        for logged in &mut self.log.changes {
            // A journal that cannot be written holds up everything.
            logged.is_stuck |= if is_cruel { is_of(&logged.change, node) } else { !is_file };
        }
    }

    /// How many changes the disk may lack.
    pub(crate) fn changes_at_risk(&self) -> usize {
        self.log.changes.len() + self.log.unsafe_nodes.len()
    }

    /// What is on the disk when the power comes back. Where there is a choice among `n` possibilities, `choose(n)` makes it.
    pub(crate) fn tree_after_power_loss(&self, choose: &mut dyn FnMut(usize) -> usize) -> Tree {
        let mut tree = self.tree.clone();
        match self.settings.loss {
            Loss::None => {}
            Loss::Ordered | Loss::Journalled => self.lose_the_end(&mut tree, choose),
            Loss::Cruel => self.lose_anything(&mut tree, choose),
        }
        for node in reachable(&tree) {
            if let Body::File(content) = &mut tree.nodes[node].body {
                if matches!(self.settings.loss, Loss::Journalled | Loss::Cruel) {
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

    /// Takes back the last changes.
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

    /// Takes each entry and each inode back to any state that it had since it was last written.
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
                    // See `Loss::Cruel`: a file is not freed while an entry may still lead to it.
                    let is_freed = after.links == 0 && states.iter().any(|state| state.links > 0);
                    if !is_freed && !states.contains(after) {
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
            // A later change may have reached the disk although this one could not.
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

/// What the check of the file system does at the start with entries that lead to an inode without names.
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

/// Content behind what is safe may be there or not, block by block.
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

/// All nodes that have a name, in the order of their first names.
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

/// Goes through all the ways in which a number of choices can be made, one after the other.
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

    /// Begins anew with the next way; `false` when all have been gone.
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
