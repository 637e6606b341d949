//! The system closes files in the background, and frees their content then.
//!
//! If the last close or the removal of the last name frees the content of a long file, everybody waits. That must not happen
//! unless another process has interfered, the file could not be opened, or its file system may report errors at a close.

use std::collections::VecDeque;

use super::machine::Machine;
use super::tree::NodeId;

/// The files that are being closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closing {
    /// Each with the number of the open file.
    queue: VecDeque<(NodeId, u64)>,
    /// Whether one of them is being closed at the moment.
    is_in_background: bool,
    /// Whether another process acts at the moment.
    pub(crate) others_act: bool,
    /// Whether a write has failed for lack of space, and nobody has waited for the files in the queue since.
    must_wait: bool,
}

impl Closing {
    pub(crate) fn files(&self) -> usize {
        self.queue.len()
    }
}

impl Machine {
    /// Closes a file in the background, unless it has a name: then its content is not freed.
    pub(crate) fn close_later(&mut self, node: NodeId, file: u64) {
        match self.node(node).links {
            0 => self.closing.queue.push_back((node, file)),
            _ => self.close(node, file),
        }
    }

    /// Before a call, perhaps closes a file that is in the queue.
    pub(crate) fn close_now_and_then(&mut self) {
        assert!(!self.closing.must_wait, "a write has failed although space is being freed, and nobody waits for it");
        let rate = usize::from(self.settings.closing_rate);
        if rate > 0 && !self.closing.queue.is_empty() && self.faults.random_below(65_536) < rate {
            self.close_next();
        }
    }

    /// Closes all files that are in the queue.
    pub(crate) fn close_all(&mut self) {
        while self.close_next() {}
        self.closing.must_wait = false;
    }

    fn close_next(&mut self) -> bool {
        let Some((node, file)) = self.closing.queue.pop_front() else { return false };
        self.closing.is_in_background = true;
        self.close(node, file);
        self.closing.is_in_background = false;
        self.faults.count("a file is closed in the background");
        true
    }

    /// A write has failed for lack of space.
    pub(crate) fn expect_wait(&mut self) {
        self.closing.must_wait = self.bytes_being_freed() > 0;
    }

    /// The length of the files in the queue.
    pub(crate) fn bytes_being_freed(&self) -> u64 {
        self.closing.queue.iter().map(|(node, _)| self.node(*node).bytes()).sum()
    }

    /// The server has tried to open a file before it loses its name.
    pub(crate) fn note_opening(&mut self, directory: NodeId, name: &[u8], succeeded: bool) {
        if let Ok(Some(node)) = self.tree.child(directory, name) {
            self.node_mut(node).may_be_freed |= !succeeded;
        }
    }

    /// Called when a node is freed.
    pub(crate) fn check_that_nobody_waits(&self, node: NodeId) {
        let (freed, settings) = (self.node(node), &self.settings);
        let is_long = freed.content().is_some() && freed.bytes() >= settings.long_file_bytes;
        let is_allowed = self.closing.is_in_background || freed.may_be_freed || settings.may_fail_at_close;
        assert!(
            !is_long || is_allowed || self.is_dead || self.closing.others_act,
            "everybody waits while the content of a long file is freed, {} bytes",
            freed.bytes()
        );
    }
}
