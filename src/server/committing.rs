//! Uploads that are complete, and that the service completes together. A flush of the disk takes as long for many
//! uploads as for one, so those whose content ends in the same turn share it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use log::error;

use super::Server;
use super::session::Session;
use super::world::{Transport, World};
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::{CommitGroup, CommitOf, Service, Source};

/// The most uploads of a group. It bounds how long the others wait for the disk at a time.
pub(super) const GROUP_UPLOADS_MAX: usize = 64;

/// A connection that waits for the response to its upload. Its key alone does not identify it, since another connection
/// gets the key once this one has been removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    key: usize,
    number: u64,
}

/// The uploads of this turn whose content is complete. They are not in their connections, so that an upload is completed
/// even if its connection is lost.
pub(super) struct Group<S: Service>(CommitGroup<Waiting, S>);

impl<S: Service> Default for Group<S> {
    fn default() -> Group<S> {
        Group(Vec::new())
    }
}

impl<S: Service> Group<S> {
    /// Adds an upload of the connection with this key and number.
    pub(super) fn add(&mut self, key: usize, number: u64, commit: CommitOf<S>) {
        self.0.push((Waiting { key, number }, commit));
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= GROUP_UPLOADS_MAX
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// Has the service complete the uploads of the group, and queues their responses, which the next turn sends. To be
    /// called before the turn ends, and whenever the group is full: a client does not wait for a later turn.
    pub(super) fn commit_group(&mut self) {
        if self.cx.group.0.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.cx.group.0);
        let waiting: Vec<Waiting> = group.iter().map(|(waiting, _)| *waiting).collect();
        self.cx.now = self.world.now();
        let cx = &mut self.cx;
        // Unwind-safe: the uploads are gone after a panic, and the service is in the state in which a panic of a call
        // would leave it.
        let responses = catch_unwind(AssertUnwindSafe(|| cx.service.commit(group, &cx.now))).unwrap_or_else(|_| {
            error!("{} uploads may be incomplete because of the panic above", waiting.len());
            Vec::new()
        });
        self.cx.disk_call_ended(&mut self.world);
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
}
