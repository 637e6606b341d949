//! Who holds how many connections, so that at the connection limit the clients that hold most give way.
//!
//! Each group of clients has a list of its connections for each [`Activity`]. Within a list they are ordered: the one
//! whose turn to be closed comes first is the first. So every question of the server, and every change, costs a constant
//! number of steps, or as many as the logarithm of the number of groups. The lists take twelve bytes for each
//! connection, and what a group takes is freed with its last connection.

use std::collections::{BTreeSet, HashMap};

use slab::Slab;

use crate::http1::Activity;
use crate::semantics::client::ClientGroup;

/// No connection, or no list.
const NONE: u32 = u32::MAX;

const ACTIVITIES: u32 = Activity::ALL.len() as u32;

/// A group that holds connections, by its place in [`Shares`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder(u32);

impl Holder {
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

/// The connections that count against a group.
#[derive(Debug, Default)]
pub(super) struct Shares {
    holders: Slab<Held>,
    by_group: HashMap<ClientGroup, Holder>,
    /// The number of connections of each group.
    by_count: BTreeSet<(u32, Holder)>,
    /// By the key of the session.
    links: Vec<Link>,
}

/// What a group holds.
#[derive(Debug)]
struct Held {
    group: ClientGroup,
    count: u32,
    lists: [List; Activity::ALL.len()],
}

/// The first and the last connection of a list.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

impl List {
    const EMPTY: List = List { first: NONE, last: NONE };
}

/// A connection's place in its list.
#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    /// The holder's number times the number of activities, plus the activity's number. [`NONE`] if the connection counts
    /// against nobody.
    list: u32,
}

impl Link {
    const FREE: Link = Link { previous: NONE, next: NONE, list: NONE };
}

impl Shares {
    pub(super) fn holder(&self, group: ClientGroup) -> Option<Holder> {
        self.by_group.get(&group).copied()
    }

    pub(super) fn group(&self, holder: Holder) -> Option<ClientGroup> {
        self.holders.get(holder.0 as usize).map(|held| held.group)
    }

    /// How many connections a group holds.
    pub(super) fn count(&self, holder: Holder) -> usize {
        self.holders.get(holder.0 as usize).map_or(0, |held| held.count as usize)
    }

    /// The group that holds most, and how many connections.
    pub(super) fn greatest(&self) -> Option<(usize, Holder)> {
        self.by_count.last().map(|(count, holder)| (*count as usize, *holder))
    }

    /// The connection with this activity that a group has to give up first.
    pub(super) fn first(&self, holder: Holder, activity: Activity) -> Option<usize> {
        let first = self.holders.get(holder.0 as usize)?.lists[activity as usize].first;
        (first != NONE).then_some(first as usize)
    }

    /// Whom a connection counts against.
    pub(super) fn holder_of(&self, key: usize) -> Option<Holder> {
        let list = self.links.get(key)?.list;
        (list != NONE).then_some(Holder(list / ACTIVITIES))
    }

    /// Counts a connection against a group, which it returns. It must not count against any yet.
    pub(super) fn add(&mut self, key: usize, group: ClientGroup, activity: Activity) -> Holder {
        debug_assert_eq!(self.holder_of(key), None, "a connection counts once");
        let holder = *self.by_group.entry(group).or_insert_with(|| {
            Holder(self.holders.insert(Held { group, count: 0, lists: [List::EMPTY; Activity::ALL.len()] }) as u32)
        });
        self.set_count(holder, self.count(holder) + 1);
        if self.links.len() <= key {
            self.links.resize(key + 1, Link::FREE);
        }
        self.append(key, holder, activity);
        holder
    }

    /// Notes what a connection is doing. If it has done so before, it becomes the last of its list only if it has
    /// `progressed` and its activity is one whose time begins again with each progress.
    pub(super) fn note(&mut self, key: usize, activity: Activity, progressed: bool) {
        let Some(holder) = self.holder_of(key) else { return };
        let link = self.links[key];
        let is_unchanged = link.list % ACTIVITIES == activity as u32;
        if is_unchanged && (link.next == NONE || !progressed || !activity.begins_again()) {
            return;
        }
        self.unlink(key);
        self.append(key, holder, activity);
    }

    /// No longer counts a connection. Returns its group if that was the last one: its number may become another's.
    pub(super) fn remove(&mut self, key: usize) -> Option<Holder> {
        let holder = self.holder_of(key)?;
        self.unlink(key);
        let count = self.count(holder) - 1;
        self.set_count(holder, count);
        (count == 0).then_some(holder)
    }

    /// Gives back memory that was needed only at a peak, if no session has a key of `keys` or more.
    pub(super) fn shrink(&mut self, keys: usize) {
        self.links.truncate(keys);
        self.links.shrink_to_fit();
        self.holders.shrink_to_fit();
        self.by_group.shrink_to_fit();
    }

    /// How many connections all groups hold together.
    pub(super) fn connection_count(&self) -> usize {
        self.by_count.iter().map(|(count, _)| *count as usize).sum()
    }

    /// All groups have numbers below this.
    pub(super) fn number_bound(&self) -> usize {
        self.holders.capacity()
    }

    /// How many groups hold connections.
    pub(super) fn holder_count(&self) -> usize {
        self.holders.len()
    }

    fn set_count(&mut self, holder: Holder, count: usize) {
        let Some(held) = self.holders.get_mut(holder.0 as usize) else { return };
        self.by_count.remove(&(held.count, holder));
        held.count = count as u32;
        if held.count > 0 {
            self.by_count.insert((held.count, holder));
            return;
        }
        let group = held.group;
        self.by_group.remove(&group);
        self.holders.remove(holder.0 as usize);
    }

    fn append(&mut self, key: usize, holder: Holder, activity: Activity) {
        let Some(held) = self.holders.get_mut(holder.0 as usize) else { return };
        let list = &mut held.lists[activity as usize];
        let previous = std::mem::replace(&mut list.last, key as u32);
        match self.links.get_mut(previous as usize) {
            Some(link) => link.next = key as u32,
            None => list.first = key as u32,
        }
        self.links[key] = Link { previous, next: NONE, list: holder.0 * ACTIVITIES + activity as u32 };
    }

    fn unlink(&mut self, key: usize) {
        let Link { previous, next, list } = std::mem::replace(&mut self.links[key], Link::FREE);
        let Some(held) = self.holders.get_mut((list / ACTIVITIES) as usize) else { return };
        let list = &mut held.lists[(list % ACTIVITIES) as usize];
        match self.links.get_mut(previous as usize) {
            Some(link) => link.next = next,
            None => list.first = next,
        }
        match self.links.get_mut(next as usize) {
            Some(link) => link.previous = previous,
            None => list.last = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn group(number: u32) -> ClientGroup {
        ClientGroup::V4(Ipv4Addr::from_bits(number))
    }

    #[test]
    fn the_group_with_most_connections_is_found_while_they_come_and_go() {
        let mut shares = Shares::default();
        let mut random = fastrand::Rng::with_seed(1);
        let mut groups: Vec<Option<u32>> = vec![None; 200];
        for _ in 0..20_000 {
            let key = random.usize(..groups.len());
            match groups[key].take() {
                Some(_) => _ = shares.remove(key),
                None => {
                    // A few groups hold most.
                    let number = random.u32(..20) * random.u32(..2);
                    groups[key] = Some(number);
                    _ = shares.add(key, group(number), Activity::Active);
                }
            }
            let count = |number| groups.iter().filter(|of| **of == Some(number)).count();
            let most = (0..20).map(count).max().filter(|most| *most > 0);
            assert_eq!(shares.greatest().map(|(count, _)| count), most);
            assert_eq!(shares.holder_count(), (0..20).filter(|number| count(*number) > 0).count());
            let number = random.u32(..20);
            assert_eq!(shares.holder(group(number)).map_or(0, |holder| shares.count(holder)), count(number));
        }
    }

    #[test]
    fn connections_are_ordered_by_their_last_progress_or_by_the_start_of_their_activity() {
        let mut shares = Shares::default();
        for key in 0..6 {
            shares.add(key, group(1), Activity::Active);
        }
        let holder = shares.holder(group(1)).unwrap();
        shares.note(0, Activity::Active, true);
        shares.note(1, Activity::Active, false);
        assert_eq!(shares.first(holder, Activity::Active), Some(1), "it has not progressed");
        for key in [3, 1, 2] {
            shares.note(key, Activity::WithinHead, true);
        }
        shares.note(3, Activity::WithinHead, true);
        assert_eq!(shares.first(holder, Activity::WithinHead), Some(3), "further bytes of a head do not count");
        assert_eq!(shares.first(holder, Activity::Active), Some(4));
        let mut order = Vec::new();
        while let Some(key) = Activity::ALL.into_iter().find_map(|activity| shares.first(holder, activity)) {
            order.push(key);
            shares.remove(key);
        }
        assert_eq!(order, [3, 1, 2, 4, 5, 0]);
        assert_eq!((shares.greatest(), shares.holder_count(), shares.holder(group(1))), (None, 0, None));
    }
}
