//! Names that several clients create, replace, delete and move at the same time, and the proof that each response was
//! right: `tree.rs` says what each operation does, and `history.rs` searches for an order of the operations that
//! explains all responses and the tree at the end of the run.

pub(crate) mod history;
pub(crate) mod tree;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use self::history::{Entry, Found, OPERATIONS_MAX, search};
use self::tree::{Node, Observed, Operation, Rules, Tree};
use crate::simulation::coverage::Coverage;
use crate::simulation::disk::Disk;
use crate::simulation::file_model::content;
use crate::simulation::link::Link;

/// The directory that contains the names.
pub(crate) const DIRECTORY: &str = "up/managed";

/// What all clients of these names share.
pub(crate) struct ManagedNames {
    pub rules: Rules,
    entries: Vec<Entry>,
    /// The number of each content that was sent.
    numbers: HashMap<Rc<[u8]>, usize>,
    /// For each path the latest strong tag that the server gave, with the content.
    tags: BTreeMap<String, (String, usize)>,
    /// The path under which a file or directory was last stored.
    pub recent: Option<String>,
}

pub(crate) type Shared = Rc<RefCell<ManagedNames>>;

impl ManagedNames {
    pub(crate) fn new(rules: Rules) -> Shared {
        let (entries, numbers, tags, recent) = (Vec::new(), HashMap::new(), BTreeMap::new(), None);
        Rc::new(RefCell::new(ManagedNames { rules, entries, numbers, tags, recent }))
    }

    /// Whether another request may be recorded.
    pub(crate) fn has_room(&self) -> bool {
        self.entries.len() + 8 < OPERATIONS_MAX
    }

    /// A content that no other upload has, and its number.
    pub(crate) fn new_content(&mut self, bytes: usize) -> (usize, Rc<[u8]>) {
        let number = self.numbers.len();
        let content = content(6_000_000 + number as u64, bytes);
        self.numbers.insert(Rc::clone(&content), number);
        (number, content)
    }

    pub(crate) fn number_of(&self, content: &[u8]) -> Option<usize> {
        self.numbers.get(content).copied()
    }

    pub(crate) fn tag_of(&self, path: &str) -> Option<(String, usize)> {
        self.tags.get(path).cloned()
    }

    /// Notes a tag that the server gave for this content. A weak one matches nothing.
    pub(crate) fn tagged(&mut self, path: &str, tag: Option<&str>, content: usize) {
        if let Some(tag) = tag.filter(|tag| tag.starts_with('"')) {
            self.tags.insert(path.to_owned(), (tag.to_owned(), content));
        }
    }

    /// Notes an operation that was sent. `request` is the first one of the same request, if it is not the first itself.
    pub(crate) fn sent(&mut self, operation: Operation, link: usize, sent_ns: u64, request: Option<usize>) -> usize {
        let number = self.entries.len();
        let request = request.unwrap_or(number);
        let (observed, until_ns, was_interrupted) = (None, u64::MAX, false);
        self.entries.push(Entry { operation, link, sent_ns, observed, until_ns, was_interrupted, request });
        number
    }

    pub(crate) fn operation(&self, number: usize) -> &Operation {
        &self.entries[number].operation
    }

    /// Notes the response to an operation.
    pub(crate) fn responded(&mut self, number: usize, observed: Observed, now_ns: u64) {
        let rules = self.rules;
        let entry = &mut self.entries[number];
        entry.until_ns = now_ns;
        match &entry.operation {
            Operation::Put { path, .. } | Operation::CreateDirectory { path } | Operation::Move { to: path, .. }
                if observed.status < 300 =>
            {
                self.recent = Some(path.clone());
            }
            _ => {}
        }
        // Without a flush that can fail, a failed change has changed nothing. An upload may have its name nevertheless.
        let is_change = !matches!(entry.operation, Operation::Put { .. });
        let changed_nothing = is_change && !rules.durable && !rules.moves_in_two_steps;
        match observed.status {
            500.. if changed_nothing => entry.sent_ns = u64::MAX,
            500.. => entry.was_interrupted = true,
            408 => entry.sent_ns = u64::MAX,
            _ => entry.observed = Some(observed),
        }
    }

    /// Checks everything that the clients have seen, and the tree at the end.
    pub(crate) fn check(&self, links: &[Link], disk: &Disk, coverage: &mut Coverage) -> Result<(), String> {
        let last = self.tree_of(disk, DIRECTORY, "")?;
        // After a failed flush nobody knows what a power failure leaves.
        let failed = |entry: &Entry| entry.was_interrupted;
        if self.rules.power_may_fail && self.entries.iter().any(failed) {
            coverage.count("managed", "not checked after a failure");
            return Ok(());
        }
        let mut entries = self.entries.clone();
        let mut was_crashed = false;
        // An operation without any effect takes part in no order.
        entries.retain(|entry| entry.sent_ns != u64::MAX);
        for entry in entries.iter_mut().filter(|entry| entry.until_ns == u64::MAX) {
            let link = &links[entry.link];
            entry.until_ns = link.closed_ns.unwrap_or(u64::MAX);
            entry.was_interrupted = link.was_crashed || self.rules.disk_may_fail;
            was_crashed |= link.was_crashed;
            if link.was_crashed {
                coverage.count("managed", "a change in progress at a crash");
            }
        }
        match search(&entries, &last, &self.rules) {
            Found::Order => Ok(()),
            // What a killed server has not confirmed may be seen after its restart, and then be lost with the power.
            Found::NoOrder(_) if self.rules.power_may_fail_after_kill && was_crashed => {
                coverage.count("managed", "a change of a killed server may be lost with the power");
                Ok(())
            }
            Found::NoOrder(reason) => Err(reason),
            Found::Undecided => {
                coverage.count("managed", "no order found in time");
                Ok(())
            }
        }
    }

    fn tree_of(&self, disk: &Disk, directory: &str, path: &str) -> Result<Tree, String> {
        let mut tree = Tree::new();
        for name in disk.names(directory).into_iter().filter(|name| !name.starts_with('.')) {
            let (in_all, own) = (format!("{directory}/{name}"), format!("{path}{name}"));
            match disk.read(&in_all) {
                Some(content) => {
                    let number = self.number_of(&content);
                    let content =
                        number.ok_or_else(|| format!("{in_all} contains {} bytes that nobody sent", content.len()))?;
                    tree.insert(own, Node::File { content, was_moved: false });
                }
                None => {
                    tree.extend(self.tree_of(disk, &in_all, &format!("{own}/"))?);
                    tree.insert(own, Node::Directory);
                }
            }
        }
        Ok(tree)
    }
}
