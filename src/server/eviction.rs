//! Eviction: which connection is closed to make room for a new one, and which connections are refused instead. A client's
//! connection replaces a client's, and an administrator's an administrator's.
//!
//! # Fair shares
//!
//! At the connection limit, a new connection counts for its client's
//! [group](crate::semantics::client::ClientGroup), of which an IPv4 address is one:
//!
//! 1. If some group holds at least two connections more than the client's, the group that holds most gives one up, idle
//!    or not. So the client never gets more than the other one keeps, and nobody can push out somebody who holds no more
//!    than he does.
//! 2. Otherwise, if the client's group holds connections, an idle one of them is closed, or else one of a group that
//!    holds more. If all of them are active, the new connection is refused. It cannot wait in the backlog, because
//!    those of other clients wait behind it.
//! 3. Otherwise every group holds a single connection. Any idle one is closed. If all of them are active, the new
//!    connection waits in the backlog.
//!
//! A connection is idle if no response or upload is in progress, and some time has passed since the last one. A group
//! gives up connections in the order of [`Activity`]: those that drain, those between requests, those that never sent a
//! byte, unfinished heads, each of them by time. Active ones come last, and among them the one without progress for
//! longest. So an upload that makes progress is lost last.
//!
//! Connections of trusted proxies count against nobody: each of them has many clients. They are closed only by rule 3.
//!
//! `--connections-per-address` is a limit for each group, also while the server is not full. Beyond it, a new connection
//! replaces an idle one of its group, or is refused.

use std::fmt;

use log::debug;

use super::Server;
use super::session::Queued;
use super::shares::Holder;
use super::world::{Transport, World};
use crate::http1::{Activity, Evictable};
use crate::semantics::exchange_record::Outcome;
use crate::semantics::proxies::Sender;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};
use crate::semantics::statistics::LoopStatistics;

/// Where a new connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// There is room.
    Free,
    /// In the place of the session with this key.
    Of(usize, Eviction),
}

/// Why a connection is closed to make room for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// The server is full, and the connection is idle.
    Idle,
    /// The server is full, and the connection's group holds most.
    Share,
    /// The connection's group holds as many as it may, and the connection is idle.
    Limit,
}

impl fmt::Display for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Eviction::Idle => "at the connection limit: an idle connection",
            Eviction::Share => "at the connection limit: a connection of the address that holds most",
            Eviction::Limit => "at the limit on connections of an address: an idle connection",
        })
    }
}

/// Why a new connection has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server is full, and nobody holds more than the new connection's group would.
    Share,
    /// The group holds as many as it may.
    Limit,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Share => "the server is full, and no address holds more connections",
            Refusal::Limit => "the address holds as many connections as it may",
        })
    }
}

/// The least time between two searches for candidates, in nanoseconds. A search looks at every session, so one per turn
/// would cost more the more connections are open.
pub(super) const SEARCH_PAUSE_NS: u64 = 10_000_000;

/// The sessions that could be evicted at the time of the last search. The first to evict is at the end.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    keys: Vec<(Evictable, usize)>,
    /// The earliest time of the next search.
    search_ns: u64,
}

impl Candidates {
    /// Whether to search: there are no candidates left, and the last search is long enough ago.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        self.keys.is_empty() && self.search_ns <= now_ns
    }

    /// Replaces the candidates.
    pub(super) fn fill(&mut self, candidates: impl Iterator<Item = (Evictable, usize)>, now_ns: u64) {
        self.search_ns = now_ns.saturating_add(SEARCH_PAUSE_NS);
        self.keys.clear();
        self.keys.extend(candidates);
        self.keys.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// The first candidate to evict. The session may have become active or been closed since the search, so the caller
    /// must check it again.
    pub(super) fn first(&self) -> Option<(Evictable, usize)> {
        self.keys.last().copied()
    }

    /// Removes the first candidate.
    pub(super) fn pop(&mut self) -> Option<(Evictable, usize)> {
        self.keys.pop()
    }

    /// Discards the candidates and their memory, once no connection is waiting to be accepted.
    pub(super) fn clear(&mut self) {
        self.keys = Vec::new();
    }
}

/// The candidates of each endpoint.
#[derive(Debug, Default)]
pub(super) struct CandidatesByEndpoint {
    public: Candidates,
    admin: Candidates,
}

impl CandidatesByEndpoint {
    pub(super) fn of(&mut self, endpoint: Endpoint) -> &mut Candidates {
        match endpoint {
            Endpoint::Public => &mut self.public,
            Endpoint::Admin => &mut self.admin,
        }
    }

    /// The earliest time of the next search, on the monotonic clock.
    pub(super) fn search_ns(&self, endpoint: Endpoint) -> u64 {
        match endpoint {
            Endpoint::Public => self.public.search_ns,
            Endpoint::Admin => self.admin.search_ns,
        }
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// The place of a new connection.
    pub(super) fn place_for(&mut self, sender: Sender, endpoint: Endpoint) -> Result<Place, Refusal> {
        let holder = match sender {
            Sender::Group(group) => self.shares.holder(group),
            Sender::TrustedProxy | Sender::Unnamed => None,
        };
        let held = holder.map_or(0, |holder| self.shares.count(holder));
        if let Some(holder) = holder.filter(|_| self.connections_per_group_max.is_some_and(|max| held >= max)) {
            let evicted = self.idle_of(holder).ok_or(Refusal::Limit)?;
            return Ok(Place::Of(evicted, Eviction::Limit));
        }
        if self.has_room(endpoint) {
            return Ok(Place::Free);
        }
        let greatest = self.shares.greatest().filter(|_| endpoint == Endpoint::Public);
        if let Some((_, greediest)) = greatest.filter(|(count, _)| *count > held + 1) {
            let evicted = self.first_of(greediest).ok_or(Refusal::Share)?;
            return Ok(Place::Of(evicted, Eviction::Share));
        }
        let evicted = match holder {
            Some(holder) => {
                let others = greatest.filter(|(count, _)| *count > held);
                self.idle_of(holder).or_else(|| others.and_then(|(_, other)| self.idle_of(other)))
            }
            None => self.eviction_candidate(endpoint),
        };
        evicted.map(|key| Place::Of(key, Eviction::Idle)).ok_or(Refusal::Share)
    }

    /// Whether a group holds so many connections that a client without any would get the place of one. During a graceful
    /// shutdown connections end soon, and those in the backlog wait for that.
    pub(super) fn has_unequal_shares(&self) -> bool {
        !self.shutdown.has_begun() && self.shares.greatest().is_some_and(|(count, _)| count > 1)
    }

    /// The idle connection that a group has to give up first.
    fn idle_of(&self, holder: Holder) -> Option<usize> {
        let mut firsts = Activity::ALL.into_iter().filter_map(|activity| self.shares.first(holder, activity));
        firsts.find(|key| {
            self.sessions.get(*key).is_some_and(|session| {
                // A queued session may have received a request.
                session.queued == Queued::No && session.connection.evictable(&self.cx.now).is_some()
            })
        })
    }

    /// The connection that a group has to give up first, idle or not.
    fn first_of(&self, holder: Holder) -> Option<usize> {
        let mut firsts = Activity::ALL.into_iter().filter_map(|activity| self.shares.first(holder, activity));
        self.idle_of(holder).or_else(|| firsts.next())
    }

    /// Counts a connection against the client that its proxy has named, and closes it if that client holds too many.
    pub(super) fn count_named_client(&mut self, key: usize) {
        let Some(client) = self.cx.shared.named_client.take() else { return };
        let sender = self.cx.shared.settings.proxies.named_sender(&client);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.sender_is_trusted = sender == Sender::TrustedProxy;
        let Sender::Group(group) = sender else { return };
        let holder = self.shares.add(key, group, session.activity);
        session.run_group = holder.into();
        if self.connections_per_group_max.is_some_and(|max| self.shares.count(holder) > max) {
            let evicted = self.idle_of(holder).unwrap_or(key);
            self.evict(evicted, Eviction::Limit);
        }
    }

    /// The session to evict at the connection limit of `endpoint` for a client that holds none, if any can be. It stays
    /// the first of the candidates.
    pub(super) fn eviction_candidate(&mut self, endpoint: Endpoint) -> Option<usize> {
        let now = self.cx.now;
        let candidates = self.candidates.of(endpoint);
        if candidates.is_due(now.monotonic_ns) {
            let idle = self.sessions.iter().filter(|(_, session)| session.queued == Queued::No);
            let idle = idle.filter(|(_, session)| session.connection.endpoint() == endpoint);
            let found = idle.filter_map(|(key, session)| Some((session.connection.evictable(&now)?, key)));
            candidates.fill(found, now.monotonic_ns);
        }
        // Ends: each iteration returns or removes a candidate.
        while let Some((evictable, key)) = candidates.first() {
            let is_unchanged = self.sessions.get(key).is_some_and(|session| {
                session.queued == Queued::No && session.connection.evictable(&now) == Some(evictable)
            });
            if is_unchanged {
                return Some(key);
            }
            candidates.pop();
        }
        None
    }

    /// Closes a session to make room for another.
    pub(super) fn evict(&mut self, key: usize, reason: Eviction) {
        let Some(session) = self.sessions.get(key) else { return };
        let (number, endpoint) = (session.connection.number(), session.connection.endpoint());
        let group = self.shares.holder_of(key).and_then(|holder| self.shares.group(holder));
        match group {
            Some(group) => debug!("{reason} is closed to make room for a new one: connection {number} from {group}"),
            None => debug!("{reason} is closed to make room for a new one: connection {number}"),
        }
        if endpoint == Endpoint::Public {
            LoopStatistics::count(match reason {
                Eviction::Idle => &self.statistics.evicted_idle,
                Eviction::Share => &self.statistics.evicted_by_share,
                Eviction::Limit => &self.statistics.evicted_by_limit,
            });
        }
        // Closing may save an upload to the disk. That is time of its client's group, which held too many connections, and
        // not of the one that gets the place.
        let run_group = session.run_group;
        self.cx.now = self.world.now();
        let begun_ns = self.cx.now.monotonic_ns;
        self.remove(key, Outcome::ServerClosed);
        // What a group without connections has used is forgotten: its number may become that of somebody else.
        if group.is_some_and(|group| self.shares.holder(group).is_some()) {
            self.queue.charge(run_group, Queued::No, self.cx.now.monotonic_ns.saturating_sub(begun_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draining_sessions_come_first_and_within_a_group_the_earliest_deadline() {
        let mut candidates = Candidates::default();
        assert!(candidates.is_due(0));
        let found = [
            (Evictable::WithinHead { at_ns: 1 }, 0),
            (Evictable::Silent { at_ns: 2 }, 1),
            (Evictable::BetweenRequests { at_ns: 9 }, 2),
            (Evictable::BetweenRequests { at_ns: 8 }, 3),
            (Evictable::Drained { at_ns: 99 }, 4),
        ];
        candidates.fill(found.into_iter(), 5);
        let order: Vec<usize> = std::iter::from_fn(|| candidates.pop()).map(|(_, key)| key).collect();
        assert_eq!(order, [4, 3, 2, 1, 0]);
        assert!(!candidates.is_due(5 + SEARCH_PAUSE_NS - 1) && candidates.is_due(5 + SEARCH_PAUSE_NS));
    }
}
