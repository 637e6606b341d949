//! Uploads that are complete, and that the service completes together. A flush of the disk takes as long for many
//! uploads as for one, so those whose content ends at about the same time share it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use log::error;

use super::Server;
use super::session::{Queued, Session};
use super::world::{Transport, World};
use crate::semantics::Now;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::{CommitGroup, CommitOf, Service, Source};

/// The most uploads of a group. It bounds how long the others wait for the disk at a time.
pub const GROUP_UPLOADS_MAX: usize = 64;

/// How long the first upload of a group waits for others, in nanoseconds: less than a disk takes for a flush.
const GROUP_WAIT_NS: u64 = 2_000_000;

/// A connection that waits for the response to its upload. Its key alone does not identify it, since another connection
/// gets the key once this one has been removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    key: usize,
    number: u64,
}

/// Uploads whose content is complete. They are not in their connections, so that an upload is completed even if its
/// connection is lost.
pub(super) struct Group<S: Service> {
    uploads: CommitGroup<Waiting, S>,
    /// When the first one was added, on the monotonic clock.
    begun_ns: u64,
}

impl<S: Service> Default for Group<S> {
    fn default() -> Group<S> {
        Group { uploads: Vec::new(), begun_ns: 0 }
    }
}

impl<S: Service> Group<S> {
    /// Adds an upload of the connection with this key and number.
    pub(super) fn add(&mut self, key: usize, number: u64, commit: CommitOf<S>, now: &Now) {
        if self.uploads.is_empty() {
            self.begun_ns = now.monotonic_ns;
        }
        self.uploads.push((Waiting { key, number }, commit));
    }

    pub(super) fn is_full(&self) -> bool {
        self.uploads.len() >= GROUP_UPLOADS_MAX
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// Completes the uploads of the group if no session is queued whose upload may join it, or if its first upload has
    /// waited long enough.
    pub(super) fn commit_group_if_due(&mut self) {
        if self.cx.group.uploads.is_empty() {
            return;
        }
        let waited_ns = self.cx.now.monotonic_ns.saturating_sub(self.cx.group.begun_ns);
        if self.queue.is_empty() || waited_ns >= GROUP_WAIT_NS {
            self.commit_group();
        }
    }

    /// Has the service complete the uploads of the group, and queues their sessions, whose next drives send the responses.
    pub(super) fn commit_group(&mut self) {
        if self.cx.group.uploads.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.cx.group.uploads);
        let waiting: Vec<Waiting> = group.iter().map(|(waiting, _)| *waiting).collect();
        self.cx.now = self.world.now();
        let begun_ns = self.cx.now.monotonic_ns;
        let cx = &mut self.cx;
        // Unwind-safe: the uploads are gone after a panic, and the service is in the state in which a panic of a call
        // would leave it.
        let responses = catch_unwind(AssertUnwindSafe(|| cx.service.commit(group, &cx.now))).unwrap_or_else(|_| {
            error!("{} uploads may be incomplete because of the panic above", waiting.len());
            Vec::new()
        });
        self.cx.disk_call_ended(&mut self.world);
        self.charge_commit(&waiting, self.cx.now.monotonic_ns.saturating_sub(begun_ns));
        for (Waiting { key, number }, response) in responses {
            let session = self.sessions.get_mut(key).filter(|session| session.connection.number() == number);
            let Some(session) = session else { continue };
            let (shared, now) = (&mut self.cx.shared, &self.cx.now);
            let queued = catch_unwind(AssertUnwindSafe(|| session.connection.committed(response, shared, now)));
            if queued.is_err() {
                error!("a connection was closed because of the panic above");
                self.remove(key, Outcome::CutOff);
                continue;
            }
            self.arm_deadline(key);
            self.enqueue(key);
        }
        for Waiting { key, number } in waiting {
            // No timer ends its wait.
            let is_left = |session: &Session<W::Transport, S>| {
                session.connection.number() == number && session.connection.is_committing()
            };
            if self.sessions.get(key).is_some_and(is_left) {
                self.remove(key, Outcome::CutOff);
            }
        }
    }

    /// Counts the time that a commit took, in equal parts for the groups of clients whose uploads it completed. A
    /// connection that has been lost has no group any more.
    fn charge_commit(&mut self, waiting: &[Waiting], took_ns: u64) {
        // No drive took that time.
        self.meter.restart(self.cx.now.monotonic_ns);
        let each_ns = took_ns / (waiting.len() as u64).max(1);
        for Waiting { key, number } in waiting {
            if let Some(session) = self.sessions.get(*key).filter(|session| session.connection.number() == *number) {
                self.queue.charge(session.run_group, Queued::No, each_ns);
            }
        }
    }
}
