//! The operations of all clients on the same names, and the search for an order that explains their responses.
//!
//! The server may have applied an operation at any time between its request and its response. If it was confirmed, it
//! took effect once; if it was refused, it had none; if its response is unknown, it took effect once or never. The
//! responses and the tree at the end are right if there is one order of the operations in which each gets its response
//! (they are *linearizable*). Otherwise the server lost a file, stored a part of one, or replaced one that it must not
//! replace.

use std::collections::HashSet;

use super::tree::{Observed, Operation, Rules, Tree};
use crate::simulation::network::MILLISECOND;

/// More steps than a search needs.
const STEPS_MAX: usize = 200_000;

/// The most operations that are recorded, since the search notes in 128 bits which were applied.
pub(crate) const OPERATIONS_MAX: usize = 120;

/// An operation that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub operation: Operation,
    /// The connection of the request.
    pub link: usize,
    pub sent_ns: u64,
    /// Its response, unless that says that the server failed.
    pub observed: Option<Observed>,
    /// When the response was received, or when the operation can no longer have been applied.
    pub until_ns: u64,
    /// Whether it may have been applied in part.
    pub was_interrupted: bool,
    /// The number of the first operation of the same request. A form contains several, which are applied in order.
    pub request: usize,
}

/// The result of a search.
#[derive(Debug)]
pub(crate) enum Found {
    Order,
    NoOrder(String),
    /// The search took too many steps.
    Undecided,
}

/// Whether an order of the operations explains their responses and leaves the tree `last`.
pub(crate) fn search(entries: &[Entry], last: &Tree, rules: &Rules) -> Found {
    let mut search = Search { entries, last, rules, seen: HashSet::new(), most: 0, tree: Tree::new() };
    match search.from(0, Tree::new()) {
        _ if search.seen.len() >= STEPS_MAX => Found::Undecided,
        true => Found::Order,
        false => Found::NoOrder(search.describe()),
    }
}

struct Search<'a> {
    entries: &'a [Entry],
    last: &'a Tree,
    rules: &'a Rules,
    /// The operations that were applied, as bits, with the tree after them.
    seen: HashSet<(u128, Tree)>,
    /// The most operations that could be ordered, and the tree after them, for the report.
    most: u128,
    tree: Tree,
}

impl Search<'_> {
    /// Whether the operations that are not `done` can be ordered, beginning with this tree.
    fn from(&mut self, done: u128, tree: Tree) -> bool {
        if self.seen.len() >= STEPS_MAX || !self.seen.insert((done, tree.clone())) {
            return false;
        }
        if done.count_ones() >= self.most.count_ones() {
            (self.most, self.tree) = (done, tree.clone());
        }
        let is_left = |number: usize| done & 1 << number == 0;
        let left = self.entries.iter().enumerate().filter(|(number, _)| is_left(*number));
        // Nothing that was sent after this time can come next.
        let first_until_ns =
            left.clone().filter(|(_, entry)| entry.observed.is_some()).map(|(_, entry)| entry.until_ns).min();
        if first_until_ns.is_none() && is_same(&tree, self.last) {
            return true;
        }
        let last_sent_ns = self.entries.iter().enumerate().filter(|(number, _)| !is_left(*number));
        let last_sent_ns = last_sent_ns.map(|(_, entry)| entry.sent_ns).max().unwrap_or(0);
        let may_be_next = |number: usize, entry: &Entry| {
            // One whose response is unknown may have been refused.
            let is_in_order = |(other, before): (usize, &Entry)| {
                before.request != entry.request
                    || if other < number { !is_left(other) || before.observed.is_none() } else { is_left(other) }
            };
            self.entries.iter().enumerate().all(is_in_order)
                && first_until_ns.is_none_or(|until_ns| entry.sent_ns <= until_ns)
                && last_sent_ns <= entry.until_ns
        };
        let next: Vec<usize> =
            left.filter(|(number, entry)| may_be_next(*number, entry)).map(|(number, _)| number).collect();
        if let Some(first) = next.iter().copied().find(|number| self.changes_nothing(*number, done, &tree)) {
            return self.from(done | 1 << first, tree);
        }
        next.into_iter().any(|number| {
            let Entry { operation, observed, was_interrupted, .. } = &self.entries[number];
            let trees = match observed {
                Some(observed) => operation.after(&tree, *observed, self.rules).into_iter().collect(),
                None => operation.unknown(&tree, *was_interrupted, self.rules),
            };
            trees.into_iter().any(|tree| self.from(done | 1 << number, tree))
        })
    }

    /// Whether the operation gets its response now and changes nothing, so that no other order need be tried: no other
    /// operation must come before it.
    fn changes_nothing(&self, number: usize, done: u128, tree: &Tree) -> bool {
        let entry = &self.entries[number];
        let Some(observed) = entry.observed else { return false };
        let must_precede = |(other, before): (usize, &Entry)| {
            let is_first_in_request = before.request == entry.request && other < number;
            let is_over = before.until_ns < entry.sent_ns;
            done & 1 << other == 0 && before.observed.is_none() && (is_over || is_first_in_request)
        };
        !self.entries.iter().enumerate().any(must_precede)
            && entry.operation.after(tree, observed, self.rules).is_some_and(|after| after == *tree)
    }

    fn describe(&self) -> String {
        let mut text = format!("no order of the operations explains {:?}:", self.last);
        for (number, entry) in self.entries.iter().enumerate() {
            let Entry { operation, link, sent_ns, until_ns, observed, .. } = entry;
            let mark = if self.most & 1 << number == 0 { "" } else { "+" };
            let (sent_ms, until_ms) = (sent_ns / MILLISECOND, until_ns / MILLISECOND);
            let got = observed.map(|observed| observed.status);
            text += &format!("; {mark}{number}: client {link}, {sent_ms} to {until_ms} ms: {operation:?}: {got:?}");
        }
        text + &format!("; those marked lead to {:?}", self.tree)
    }
}

/// Whether both trees have the same directories and contents.
fn is_same(one: &Tree, other: &Tree) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && one.1.content() == other.1.content())
}
