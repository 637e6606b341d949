//! The state of the disk and of the kernel above it, and the steps of the calls. Steps fail only for the reasons of a
//! real system.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use rustix::io::Errno;
use spindle::storage::{Access, FileKind};

use super::closing::Closing;
use super::faults::Faults;
use super::memory::Memory;
use super::power::{Change, Log, Record};
use super::settings::{Loss, Settings};
use super::tree::{Body, Content, Entries, Lookup, Node, NodeId, Permissions, TOP, Tree};

/// The served directory, and one beside it.
pub(crate) const SERVED: NodeId = 1;
pub(crate) const OUTSIDE: NodeId = 2;

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) settings: Settings,
    pub(crate) tree: Tree,
    pub(crate) log: Log,
    pub(crate) faults: Faults,
    pub(crate) clock: Rc<Cell<u64>>,
    /// By how much the clock was set.
    pub(crate) clock_offset_ns: Rc<Cell<i64>>,
    /// The number of open descriptors.
    pub(crate) descriptors: usize,
    /// Set by a power cut or a kill. From then on no call has an effect.
    pub(crate) is_dead: bool,
    pub(crate) is_read_only: bool,
    /// Another one after each power cut.
    pub(crate) boot_id: u64,
    pub(crate) used_bytes: u64,
    pub(crate) memory: Memory,
    pub(crate) closing: Closing,
    /// The paths of files that other processes have created and not removed.
    pub(crate) created_by_others: BTreeSet<String>,
    pub(crate) next_inode: u64,
    pub(crate) free_inodes: Vec<u64>,
    next_file: u64,
    /// Nodes that no process can reach, but that a power cut may bring back.
    removed: Vec<NodeId>,
    spare: Vec<NodeId>,
}

impl Machine {
    pub(crate) fn new(settings: Settings, clock: Rc<Cell<u64>>, faults: Faults) -> Machine {
        let mut machine = Machine::with_tree(settings, clock, faults, Tree::default());
        for parent in [TOP, TOP, TOP] {
            machine.new_node(Body::Directory(Entries::of(parent)));
        }
        for (name, node) in [(&b"served"[..], SERVED), (b"outside", OUTSIDE)] {
            machine.set_entry(TOP, name, Some(node));
        }
        machine.commit_all();
        machine
    }

    pub(crate) fn with_tree(settings: Settings, clock: Rc<Cell<u64>>, faults: Faults, tree: Tree) -> Machine {
        Machine {
            settings,
            tree,
            log: Log::default(),
            faults,
            clock,
            clock_offset_ns: Rc::default(),
            descriptors: 0,
            is_dead: false,
            is_read_only: false,
            boot_id: 1,
            used_bytes: 0,
            memory: Memory::default(),
            closing: Closing::default(),
            created_by_others: BTreeSet::new(),
            next_inode: 2,
            free_inodes: Vec::new(),
            next_file: 0,
            removed: Vec::new(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn node(&self, node: NodeId) -> &Node {
        &self.tree.nodes[node]
    }

    pub(crate) fn node_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.tree.nodes[node]
    }

    /// The time that no setting of the clock changes.
    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.clock.get().wrapping_add_signed(-self.clock_offset_ns.get())
    }

    /// The time that the file system records for a change.
    fn now_ns(&self) -> i128 {
        let now_ns = self.clock.get() - self.clock.get() % self.settings.tick_ns.max(1);
        self.rounded(now_ns)
    }

    pub(crate) fn rounded(&self, time_ns: u64) -> i128 {
        i128::from(time_ns - time_ns % self.settings.time_granularity_ns.max(1))
    }

    pub(crate) fn new_node(&mut self, body: Body) -> NodeId {
        let reused = self.free_inodes.pop().filter(|_| self.settings.reuses_inodes);
        let inode = reused.unwrap_or(self.next_inode);
        self.next_inode = self.next_inode.max(inode + 1);
        let now_ns = self.now_ns();
        let node = Node {
            body,
            inode,
            links: 0,
            open: 0,
            linkable: false,
            modified_ns: now_ns,
            changed_ns: now_ns,
            permissions: Permissions::ALL,
            attribute: None,
            locked_by: None,
            may_be_freed: false,
        };
        match self.spare.pop() {
            Some(spare) => {
                self.tree.nodes[spare] = node;
                spare
            }
            None => {
                self.tree.nodes.push(node);
                self.tree.nodes.len() - 1
            }
        }
    }

    /// Sets an entry of a directory, and updates the link counts.
    pub(crate) fn set_entry(&mut self, directory: NodeId, name: &[u8], node: Option<NodeId>) {
        let now_ns = self.now_ns();
        let Ok(entries) = self.tree.entries_mut(directory) else { return };
        let before = entries.get(name);
        entries.set(name, node);
        let change = Change::Entry { directory, name: name.into(), before, after: node };
        self.logged(change);
        let parent = self.node_mut(directory);
        (parent.modified_ns, parent.changed_ns) = (now_ns, now_ns);
        if before == node {
            return;
        }
        for node in [before, node].into_iter().flatten() {
            self.node_mut(node).may_be_freed |= self.closing.others_act;
        }
        if let Some(node) = node {
            self.recorded(node, |node| {
                node.links += 1;
                node.changed_ns = now_ns;
            });
            if let Body::Directory(entries) = &mut self.node_mut(node).body {
                entries.parent = directory;
            }
        }
        if let Some(before) = before {
            self.recorded(before, |node| {
                node.links -= 1;
                node.changed_ns = now_ns;
            });
            self.release(before);
        }
    }

    /// Changes an inode.
    pub(crate) fn recorded(&mut self, node: NodeId, change: impl FnOnce(&mut Node)) {
        let before = Record::of(self.node(node));
        change(self.node_mut(node));
        let after = Record::of(self.node(node));
        self.logged(Change::Record { node, before, after });
    }

    fn logged(&mut self, change: Change) {
        if self.settings.loss != Loss::None {
            self.log.push(self.faults.calls, change);
            if self.log.is_long() {
                self.commit_all();
            }
        }
    }

    /// Frees a node without names and open descriptors.
    pub(crate) fn release(&mut self, node: NodeId) {
        let Node { links, open, inode, .. } = *self.node(node);
        if links > 0 || open > 0 {
            return;
        }
        self.check_that_nobody_waits(node);
        self.used_bytes -= self.node(node).content().map_or(0, |content| content.bytes.len() as u64);
        self.free_inodes.push(inode);
        self.removed.push(node);
        self.forget_removed();
    }

    /// Writes all changes to the disk.
    pub(crate) fn commit_all(&mut self) {
        self.log.clear();
        for node in self.log.take_unsafe() {
            if let Some(content) = self.node_mut(node).content_mut() {
                content.safe = content.bytes.len();
            }
        }
        self.forget_removed();
    }

    pub(crate) fn forget_removed(&mut self) {
        if !self.log.is_empty() {
            return;
        }
        let now_ns = self.monotonic_ns();
        for node in self.removed.drain(..) {
            self.tree.nodes[node].body = Body::Fifo;
            self.memory.forget(node, now_ns);
            self.spare.push(node);
        }
    }

    /// Opens a node: counts the descriptor, and numbers the open file.
    pub(crate) fn open(&mut self, node: NodeId) -> u64 {
        self.descriptors += 1;
        self.node_mut(node).open += 1;
        self.next_file += 1;
        self.next_file
    }

    pub(crate) fn close(&mut self, node: NodeId, file: u64) {
        self.descriptors -= 1;
        let closed = self.node_mut(node);
        closed.open -= 1;
        closed.locked_by = closed.locked_by.filter(|&holder| holder != file);
        self.release(node);
    }

    pub(crate) fn has_descriptor(&self) -> Result<(), Errno> {
        if self.descriptors < self.settings.descriptors_max { Ok(()) } else { Err(Errno::MFILE) }
    }

    /// Whether a node may be opened, by a call that follows no further link.
    pub(crate) fn may_open(&self, node: NodeId, access: Access) -> Result<(), Errno> {
        let (node, without_reading) = (self.node(node), self.settings.opens_unreadable);
        let kind = node.kind();
        match access {
            Access::ReadDirectory | Access::Traverse if kind != FileKind::Directory => Err(Errno::NOTDIR),
            Access::Stat | Access::Traverse if without_reading => Ok(()),
            _ if kind == FileKind::Symlink => Err(Errno::LOOP),
            Access::Lock if kind == FileKind::Directory => Err(Errno::ISDIR),
            Access::Lock if !node.permissions.writable => Err(Errno::ACCESS),
            Access::Lock if self.is_read_only && kind == FileKind::Regular => Err(Errno::ROFS),
            Access::Lock if kind == FileKind::Other => Err(Errno::NXIO),
            Access::Lock => Ok(()),
            _ if !node.permissions.readable => Err(Errno::ACCESS),
            _ if matches!(node.body, Body::Socket) => Err(Errno::NXIO),
            _ => Ok(()),
        }
    }

    /// Whether entries of the directory may be changed.
    pub(crate) fn may_change(&self, directory: NodeId) -> Result<&Entries, Errno> {
        let entries = self.tree.entries(directory)?;
        let Permissions { writable, searchable, .. } = self.node(directory).permissions;
        if entries.removed {
            return Err(Errno::NOENT);
        }
        if self.is_read_only {
            return Err(Errno::ROFS);
        }
        if writable && searchable { Ok(entries) } else { Err(Errno::ACCESS) }
    }

    /// Whether a new entry may have that name.
    pub(crate) fn may_add(&self, directory: NodeId, name: &[u8]) -> Result<(), Errno> {
        match self.tree.child(directory, name)? {
            Some(_) => Err(Errno::EXIST),
            None => self.may_change(directory).map(|_| ()),
        }
    }

    pub(crate) fn create_file(&mut self) -> NodeId {
        self.new_node(Body::File(Content::default()))
    }

    pub(crate) fn create_directory(&mut self, directory: NodeId, name: &[u8]) -> Result<(), Errno> {
        self.may_add(directory, name)?;
        let node = self.new_node(Body::Directory(Entries::of(directory)));
        self.set_entry(directory, name, Some(node));
        Ok(())
    }

    pub(crate) fn remove_directory(&mut self, directory: NodeId, name: &[u8]) -> Result<(), Errno> {
        let node = self.tree.child(directory, name)?.ok_or(Errno::NOENT)?;
        self.may_change(directory)?;
        let entries = self.tree.entries_mut(node)?;
        if !entries.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        entries.removed = true;
        self.set_entry(directory, name, None);
        Ok(())
    }

    /// Renames, for the server or another process.
    pub(crate) fn rename(
        &mut self,
        from_directory: NodeId,
        from: &[u8],
        to_directory: NodeId,
        to: &[u8],
    ) -> Result<(), Errno> {
        let node = self.tree.child(from_directory, from)?.ok_or(Errno::NOENT)?;
        let existing = self.tree.child(to_directory, to)?;
        self.may_change(from_directory)?;
        self.may_change(to_directory)?;
        if self.node(node).kind() == FileKind::Directory && self.tree.is_beneath(to_directory, node) {
            return Err(Errno::INVAL);
        }
        if existing == Some(node) {
            return Ok(());
        }
        if let Some(existing) = existing {
            let moved_is_directory = self.node(node).kind() == FileKind::Directory;
            match (moved_is_directory, &self.node(existing).body) {
                (true, Body::Directory(entries)) if !entries.is_empty() => return Err(Errno::NOTEMPTY),
                (true, Body::Directory(_)) => {}
                (true, _) => return Err(Errno::NOTDIR),
                (false, Body::Directory(_)) => return Err(Errno::ISDIR),
                (false, _) => {}
            }
            if moved_is_directory && let Ok(entries) = self.tree.entries_mut(existing) {
                entries.removed = true;
            }
        }
        // The new name comes first: a node that loses its last name is freed.
        self.set_entry(to_directory, to, Some(node));
        self.set_entry(from_directory, from, None);
        Ok(())
    }

    pub(crate) fn unlink(&mut self, directory: NodeId, name: &[u8]) -> Result<(), Errno> {
        let node = self.tree.child(directory, name)?.ok_or(Errno::NOENT)?;
        self.may_change(directory)?;
        if self.node(node).kind() == FileKind::Directory {
            return Err(Errno::ISDIR);
        }
        self.set_entry(directory, name, None);
        Ok(())
    }

    /// Writes at the write position of the open file. Returns how many bytes fit.
    pub(crate) fn write(&mut self, node: NodeId, offset: u64, content: &[u8]) -> Result<usize, Errno> {
        if self.is_read_only {
            return Err(Errno::ROFS);
        }
        let now_ns = self.now_ns();
        let (capacity, quota) = (self.settings.capacity_bytes, self.settings.quota_bytes);
        let room = capacity.min(quota).saturating_sub(self.used_bytes);
        let bytes = content.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if bytes == 0 && !content.is_empty() {
            self.expect_wait();
            return Err(if quota < capacity { Errno::DQUOT } else { Errno::NOSPC });
        }
        if let Some(most) = self.settings.file_size_max {
            assert!(offset + bytes as u64 <= most, "a signal ends the process: it has written more than it may");
        }
        let before = self.node(node).bytes();
        self.recorded(node, |node| {
            (node.modified_ns, node.changed_ns) = (now_ns, now_ns);
            if let Some(file) = node.content_mut() {
                let (start, end) = (offset as usize, offset as usize + bytes);
                file.bytes.resize(file.bytes.len().max(end), 0);
                file.bytes[start..end].copy_from_slice(&content[..bytes]);
                file.safe = file.safe.min(start);
            }
        });
        self.used_bytes += self.node(node).bytes() - before;
        self.log.note_unsafe(node);
        Ok(bytes)
    }

    /// Reserves the space up to `end`. It does not count as used.
    pub(crate) fn reserve(&mut self, node: NodeId, end: u64) {
        if let Some(file) = self.node_mut(node).content_mut() {
            file.reserved_end = file.reserved_end.max(end as usize);
        }
    }

    /// Cuts a file, or fills it up with zeros. Space that was reserved beyond the new end is freed.
    pub(crate) fn truncate(&mut self, node: NodeId, bytes: u64) -> Result<(), Errno> {
        if self.is_read_only {
            return Err(Errno::ROFS);
        }
        let now_ns = self.now_ns();
        let before = self.node(node).bytes();
        self.recorded(node, |node| {
            (node.modified_ns, node.changed_ns) = (now_ns, now_ns);
            if let Some(file) = node.content_mut() {
                file.bytes.resize(bytes as usize, 0);
                file.safe = file.safe.min(bytes as usize);
                file.reserved_end = 0;
            }
        });
        self.used_bytes = self.used_bytes + self.node(node).bytes() - before;
        Ok(())
    }

    pub(crate) fn set_attribute(&mut self, node: NodeId, attribute: &[u8]) -> Result<(), Errno> {
        if self.is_read_only {
            return Err(Errno::ROFS);
        }
        if !self.settings.keeps_attributes {
            return Err(Errno::NOTSUP);
        }
        let now_ns = self.now_ns();
        self.recorded(node, |node| node.changed_ns = now_ns);
        self.node_mut(node).attribute = Some(attribute.into());
        Ok(())
    }

    pub(crate) fn set_modified(&mut self, node: NodeId, modified_ns: u64) -> Result<(), Errno> {
        if self.is_read_only {
            return Err(Errno::ROFS);
        }
        let (modified_ns, changed_ns) = (self.rounded(modified_ns), self.now_ns());
        self.recorded(node, |node| (node.modified_ns, node.changed_ns) = (modified_ns, changed_ns));
        Ok(())
    }

    pub(crate) fn lock(&mut self, node: NodeId, file: u64) -> Result<(), Errno> {
        if let Some(errno) = self.settings.no_locks {
            return Err(errno);
        }
        match self.node(node).locked_by {
            Some(holder) if holder != file => Err(Errno::WOULDBLOCK),
            _ => {
                self.node_mut(node).locked_by = Some(file);
                Ok(())
            }
        }
    }

    pub(crate) fn resolve(&self, start: NodeId, path: &[u8], follow_last: bool) -> Result<NodeId, Errno> {
        self.tree.resolve(start, path, Lookup { follow_last, beneath: None })
    }
}
