//! The run queue: which session is driven next.
//!
//! Groups of clients share the server's time as they share its connections: the group that has used least of it goes
//! first. A client that needs little is therefore served as soon as it is ready, whatever others keep the server busy
//! with and however many connections they hold. Within a group, light sessions go before busy ones, whose last drive
//! used much of its budget. While both wait, they get equal time.
//!
//! A group's time is what the drives of its sessions take, accepting or refusing its connections, and its part of what a
//! commit of uploads takes. It is counted for as long as the group holds connections. A group that had nothing to do does
//! not save it up: when it has something again, it is at most [`ADVANTAGE_NS`] ahead of the others. The same holds for a
//! newcomer. Clients could become newcomers at will, by closing all their connections. So when a group is forgotten, the
//! time from which newcomers begin moves on, by the part that everybody who waits would have had of what the group used.
//! Those who wait are then soon ahead of all newcomers, however many there are.

use std::collections::{BTreeSet, VecDeque};

use super::session::Queued;
use super::shares::Holder;

/// How long a drive may take, in nanoseconds. It is checked after each call that may have waited for the disk, so one
/// such call may exceed it. A turn also drives queued sessions for this long before it polls again, and its last drive may
/// exceed that. So a request that arrives meanwhile waits for about twice this time at most, if its group goes first. A
/// poll costs a microsecond.
pub(super) const DRIVE_NS: u64 = 250_000;

/// How far a group that had no session in the queue may be ahead of those that had, in nanoseconds.
const ADVANTAGE_NS: u64 = 4 * DRIVE_NS;

/// How much of what a group used moves the beginning of newcomers when it is forgotten, in nanoseconds. After a single
/// call that took very long, those who waited for it must not keep newcomers waiting for as long again.
const FORGOTTEN_NS_MAX: u64 = 8 * ADVANTAGE_NS;

/// How much time a group may use, in nanoseconds, before its place in the order is changed. This saves most of the
/// changes.
const QUANTUM_NS: u64 = 50_000;

/// The capacity that each queue keeps, in entries.
const QUEUE_KEPT: usize = 64;

/// A group of clients that gets a share of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunGroup(u32);

/// How many groups there are besides those of holders.
const FIXED_GROUPS: u32 = 2;

impl RunGroup {
    /// All connections of trusted proxies that do not count against a client. Each of them may have many clients, so each
    /// has the share of a group.
    pub(super) const UNNAMED: RunGroup = RunGroup(0);

    /// The administrator.
    pub(super) const ADMIN: RunGroup = RunGroup(1);

    fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<Holder> for RunGroup {
    fn from(holder: Holder) -> RunGroup {
        RunGroup(holder.number().saturating_add(FIXED_GROUPS))
    }
}

/// Queues of session keys.
#[derive(Debug, Default)]
pub(super) struct RunQueue {
    groups: Vec<GroupQueue>,
    /// The groups that have sessions in the queue, by the time that they had used when they got their places.
    order: Order,
    /// The greatest time, in nanoseconds, that a group had used when it was its turn, or what forgotten groups have moved it
    /// to.
    reached_ns: u64,
    len: usize,
}

/// Groups, ordered by the time that they had used when they got their places. The first one is kept apart: usually it is
/// the only one, and then no tree is changed.
#[derive(Debug, Default)]
struct Order {
    first: Option<(u64, RunGroup)>,
    /// All others.
    rest: BTreeSet<(u64, RunGroup)>,
}

impl Order {
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Adds a place that is not taken.
    fn insert(&mut self, place: (u64, RunGroup)) {
        let later = match self.first {
            None => return self.first = Some(place),
            Some(first) if place < first => {
                self.first = Some(place);
                first
            }
            Some(_) => place,
        };
        self.rest.insert(later);
    }

    /// Removes a place. Returns whether it was taken.
    fn remove(&mut self, place: (u64, RunGroup)) -> bool {
        if self.first == Some(place) {
            self.first = self.rest.pop_first();
            return true;
        }
        self.rest.remove(&place)
    }

    /// The first place that is not this group's.
    fn first_other(&self, group: RunGroup) -> Option<(u64, RunGroup)> {
        self.first.filter(|(_, first)| *first != group).or_else(|| self.rest.first().copied())
    }
}

/// A session that was taken from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) key: usize,
    /// Where it was.
    pub(super) queued: Queued,
    /// Since when, in nanoseconds.
    pub(super) since_ns: u64,
}

/// The sessions of a group that are in the queue, each with the time since when.
#[derive(Debug, Default)]
struct GroupQueue {
    ready: VecDeque<(usize, u64)>,
    busy: VecDeque<(usize, u64)>,
    /// The time that the group has used, in nanoseconds.
    used_ns: u64,
    /// The time with which the group is in the order, while it is.
    place_ns: u64,
    /// How much more time light sessions have used than busy ones while both waited, in nanoseconds.
    ready_ahead_ns: u64,
}

impl GroupQueue {
    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.busy.is_empty()
    }

    fn pop(&mut self) -> Option<Next> {
        let busy_is_due = self.ready.is_empty() || self.ready_ahead_ns >= DRIVE_NS;
        if busy_is_due && let Some((key, since_ns)) = self.busy.pop_front() {
            return Some(Next { key, queued: Queued::Busy, since_ns });
        }
        let (key, since_ns) = self.ready.pop_front()?;
        Some(Next { key, queued: Queued::Ready, since_ns })
    }
}

impl RunQueue {
    /// Whether there is no session to drive.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many sessions are queued.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends a session to those of its group. It is there since `now_ns`.
    #[inline]
    pub(super) fn push(&mut self, key: usize, group: RunGroup, is_busy: bool, now_ns: u64) {
        let queue = queue_of(&mut self.groups, group, self.reached_ns);
        if queue.is_empty() {
            queue.place_ns = queue.used_ns;
            self.order.insert((queue.place_ns, group));
        }
        let sessions = if is_busy { &mut queue.busy } else { &mut queue.ready };
        sessions.push_back((key, now_ns));
        self.len += 1;
    }

    /// Takes the session that is to be driven next.
    pub(super) fn pop(&mut self) -> Option<Next> {
        let place @ (place_ns, group) = self.order.first?;
        self.reached_ns = self.reached_ns.max(place_ns);
        let queue = &mut self.groups[group.index()];
        let popped = queue.pop();
        self.len -= usize::from(popped.is_some());
        if queue.is_empty() {
            self.order.remove(place);
        }
        popped
    }

    /// Counts time that the server took for a group, in nanoseconds. If it was a drive of a session, `queued` is where
    /// the session was taken from.
    #[inline]
    pub(super) fn charge(&mut self, group: RunGroup, queued: Queued, took_ns: u64) {
        // A session that is driven when it is accepted has not been queued.
        let queue = queue_of(&mut self.groups, group, self.reached_ns);
        match queued {
            Queued::Ready if !queue.busy.is_empty() => {
                queue.ready_ahead_ns = queue.ready_ahead_ns.saturating_add(took_ns)
            }
            Queued::Busy => queue.ready_ahead_ns = queue.ready_ahead_ns.saturating_sub(took_ns),
            Queued::Ready | Queued::Accepted | Queued::No => {}
        }
        let share_ns = match group {
            // As if each of its connections were a group of its own.
            RunGroup::UNNAMED => took_ns / (queue.ready.len() + queue.busy.len() + 1) as u64,
            _ => took_ns,
        };
        queue.used_ns = queue.used_ns.saturating_add(share_ns);
        if queue.used_ns.saturating_sub(queue.place_ns) >= QUANTUM_NS && self.order.remove((queue.place_ns, group)) {
            queue.place_ns = queue.used_ns;
            self.order.insert((queue.place_ns, group));
        }
    }

    /// Whether no other group with sessions in the queue has used less time.
    pub(super) fn goes_first(&self, group: RunGroup) -> bool {
        let used_ns = self.groups.get(group.index()).map_or(0, |queue| queue.used_ns).max(begin_ns(self.reached_ns));
        let other = self.order.first_other(group);
        other.is_none_or(|(place_ns, _)| used_ns <= place_ns.saturating_add(QUANTUM_NS))
    }

    /// Removes a session. This takes time in proportion to the sessions of its group that are in the queue.
    pub(super) fn forget(&mut self, key: usize, group: RunGroup) {
        let Some(queue) = self.groups.get_mut(group.index()) else { return };
        let before = queue.ready.len() + queue.busy.len();
        queue.ready.retain(|(queued, _)| *queued != key);
        queue.busy.retain(|(queued, _)| *queued != key);
        self.len -= before - (queue.ready.len() + queue.busy.len());
        if queue.is_empty() {
            self.order.remove((queue.place_ns, group));
        }
    }

    /// Forgets what a group has used, and frees its memory. To be called when it has no connection left: its number may
    /// become that of somebody else.
    pub(super) fn forget_group(&mut self, group: RunGroup) {
        if let Some(queue) = self.groups.get_mut(group.index()) {
            let used_ns = std::mem::take(queue).used_ns.saturating_sub(begin_ns(self.reached_ns)).min(FORGOTTEN_NS_MAX);
            self.reached_ns = self.reached_ns.saturating_add(used_ns / (self.order.len() as u64 + 1));
        }
    }

    /// Gives back memory that was needed only at a peak, if no group has a number of `holders` or more.
    pub(super) fn shrink(&mut self, holders: usize) {
        self.groups.truncate(holders.saturating_add(FIXED_GROUPS as usize));
        self.groups.shrink_to_fit();
        for queue in &mut self.groups {
            queue.ready.shrink_to(QUEUE_KEPT);
            queue.busy.shrink_to(QUEUE_KEPT);
        }
    }
}

/// What a newcomer has used when it begins, in nanoseconds.
fn begin_ns(reached_ns: u64) -> u64 {
    reached_ns.saturating_sub(ADVANTAGE_NS)
}

/// The queue of a group. One that is empty begins no further behind than a newcomer.
fn queue_of(groups: &mut Vec<GroupQueue>, group: RunGroup, reached_ns: u64) -> &mut GroupQueue {
    if groups.len() <= group.index() {
        groups.resize_with(group.index() + 1, GroupQueue::default);
    }
    let queue = &mut groups[group.index()];
    if queue.is_empty() {
        queue.used_ns = queue.used_ns.max(begin_ns(reached_ns));
    }
    queue
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: RunGroup = RunGroup(2);
    const OTHER: RunGroup = RunGroup(3);

    /// The key of the next session, and where it was.
    fn popped(queue: &mut RunQueue) -> Option<(usize, Queued)> {
        queue.pop().map(|next| (next.key, next.queued))
    }

    #[test]
    fn places_stay_in_order_while_groups_come_and_go() {
        let mut random = fastrand::Rng::with_seed(1);
        let (mut order, mut expected) = (Order::default(), BTreeSet::new());
        for _ in 0..10_000 {
            let place = (random.u64(..4), RunGroup(random.u32(..4)));
            match random.bool() && !expected.contains(&place) {
                true => {
                    order.insert(place);
                    expected.insert(place);
                }
                false => assert_eq!(order.remove(place), expected.remove(&place)),
            }
            let first_other = expected.iter().find(|(_, group)| *group != place.1);
            assert_eq!((order.first, order.len()), (expected.first().copied(), expected.len()));
            // A group has at most one place in the queue, but several here.
            if expected.iter().filter(|(_, group)| *group == place.1).count() <= 1 {
                assert_eq!(order.first_other(place.1), first_other.copied());
            }
        }
    }

    #[test]
    fn the_group_that_has_used_least_goes_first() {
        let mut queue = RunQueue::default();
        for key in 0..4 {
            queue.push(key, ONE, false, 0);
        }
        queue.push(10, OTHER, true, 0);
        queue.charge(ONE, Queued::Ready, QUANTUM_NS);
        assert!(queue.goes_first(OTHER) && queue.goes_first(ONE), "a quantum does not matter");
        queue.charge(ONE, Queued::Ready, 1);
        assert!(queue.goes_first(OTHER) && !queue.goes_first(ONE));
        assert_eq!(popped(&mut queue), Some((10, Queued::Busy)));
        assert!(queue.goes_first(ONE), "no other is queued");
        queue.push(10, OTHER, true, 0);
        queue.charge(OTHER, Queued::Busy, 3 * QUANTUM_NS);
        assert_eq!(popped(&mut queue), Some((0, Queued::Ready)));
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn light_sessions_of_a_group_go_first_until_they_have_used_a_drive_more_than_busy_ones() {
        let mut queue = RunQueue::default();
        for key in 0..5 {
            queue.push(key, ONE, key < 2, 0);
        }
        let mut order = Vec::new();
        while let Some((key, queued)) = popped(&mut queue) {
            order.push(key);
            queue.charge(ONE, queued, DRIVE_NS / 2);
        }
        assert_eq!(order, [2, 3, 0, 4, 1]);
    }

    #[test]
    fn each_connection_of_a_trusted_proxy_has_the_share_of_a_group() {
        let mut queue = RunQueue::default();
        queue.push(0, ONE, false, 0);
        for key in 1..=3 {
            queue.push(key, RunGroup::UNNAMED, false, 0);
        }
        let mut drives = [0; 4];
        for _ in 0..400 {
            let (key, queued) = popped(&mut queue).unwrap();
            let group = if key == 0 { ONE } else { RunGroup::UNNAMED };
            queue.charge(group, queued, DRIVE_NS);
            queue.push(key, group, false, 0);
            drives[key] += 1;
        }
        assert!(drives.iter().all(|each| (90..=110).contains(each)), "{drives:?}");
    }

    #[test]
    fn a_group_that_was_not_queued_is_not_far_ahead() {
        let mut queue = RunQueue::default();
        for _ in 0..100 {
            queue.push(0, ONE, false, 0);
            queue.pop();
            queue.charge(ONE, Queued::Ready, ADVANTAGE_NS);
        }
        queue.push(0, ONE, false, 0);
        queue.pop();
        let mut used_ns = 0;
        queue.push(0, ONE, false, 0);
        queue.push(1, OTHER, false, 0);
        while popped(&mut queue) == Some((1, Queued::Ready)) {
            queue.charge(OTHER, Queued::Ready, QUANTUM_NS);
            used_ns += QUANTUM_NS;
            queue.push(1, OTHER, false, 0);
        }
        assert!((ADVANTAGE_NS..=ADVANTAGE_NS + 2 * QUANTUM_NS).contains(&used_ns), "{used_ns}");
    }

    #[test]
    fn a_group_whose_number_was_anothers_begins_anew() {
        let mut queue = RunQueue::default();
        queue.push(0, ONE, false, 0);
        queue.push(1, OTHER, false, 0);
        queue.charge(ONE, Queued::Ready, DRIVE_NS);
        queue.forget(0, ONE);
        queue.forget_group(ONE);
        assert_eq!(queue.len(), 1);
        queue.push(2, ONE, false, 0);
        assert!(queue.goes_first(ONE));
        assert_eq!(popped(&mut queue), Some((2, Queued::Ready)));
    }

    #[test]
    fn a_group_that_waits_goes_before_newcomers_after_some_have_been_forgotten() {
        let mut queue = RunQueue::default();
        for _ in 0..10 {
            queue.push(0, ONE, false, 0);
            queue.pop();
            queue.charge(ONE, Queued::Ready, ADVANTAGE_NS);
        }
        queue.push(0, ONE, false, 0);
        let mut newcomers = 0;
        while queue.goes_first(OTHER) {
            queue.charge(OTHER, Queued::Accepted, DRIVE_NS);
            queue.forget_group(OTHER);
            newcomers += 1;
            assert!(newcomers < 100, "it waits for ever");
        }
        queue.push(1, OTHER, false, 0);
        assert_eq!(popped(&mut queue), Some((0, Queued::Ready)));
        assert!(newcomers > 8, "they are ahead at first: {newcomers}");
    }
}
