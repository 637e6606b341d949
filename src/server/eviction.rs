//! Eviction: at the connection limit, a new connection replaces an old one that has no response in progress. Draining
//! connections are evicted first, then idle ones between requests, then connections that never sent a byte, then
//! unfinished heads; within each group, the one whose deadline comes first. A client's connection replaces a client's,
//! and an administrator's an administrator's.

use super::Server;
use super::session::Queued;
use super::world::{Transport, World};
use crate::http1::Evictable;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};
use crate::semantics::statistics::LoopStatistics;

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
    /// The session to evict at the connection limit of `endpoint`, if any can be. It stays the first of the candidates.
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

    /// Closes the session that [`eviction_candidate`](Server::eviction_candidate) has returned.
    pub(super) fn evict(&mut self, key: usize) {
        let Some(session) = self.sessions.get(key) else { return };
        let endpoint = session.connection.endpoint();
        if endpoint == Endpoint::Public {
            LoopStatistics::count(&self.statistics.evicted);
        }
        self.candidates.of(endpoint).pop();
        self.remove(key, Outcome::ServerClosed);
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
