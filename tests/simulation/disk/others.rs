//! How tests and other processes read and change the tree. Permissions do not apply to them.
//!
//! Paths start at the served directory, or with `/` at the top, which contains `/served` and `/outside`.

use rustix::io::Errno;

use super::Disk;
use super::machine::{Machine, OUTSIDE, SERVED};
use super::power::reachable;
use super::tree::{Body, Content, Entries, Entry, Lookup, NodeId, Permissions};

/// An action of another process. If it is impossible, nothing happens.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Renames within a directory.
    Rename {
        directory: String,
        from: String,
        to: String,
    },
    /// Replaces a file by a new one with a rename, as editors do.
    Replace {
        path: String,
        content: Vec<u8>,
    },
    /// Overwrites the content of a file in place.
    Overwrite {
        path: String,
        content: Vec<u8>,
    },
    Truncate {
        path: String,
        bytes: usize,
    },
    /// Creates a file if there is none.
    Create {
        path: String,
        content: Vec<u8>,
    },
    Unlink {
        path: String,
    },
    HardLink {
        from: String,
        to: String,
    },
    /// Creates a symbolic link. It replaces anything but a directory.
    SoftLink {
        target: String,
        path: String,
    },
    MakeDirectory {
        path: String,
    },
    /// Removes a directory with everything in it.
    RemoveTree {
        path: String,
    },
    /// Moves something to another directory, possibly out of the root, unless the name exists there.
    Move {
        from: String,
        to: String,
    },
    Permit {
        path: String,
        permissions: Permissions,
    },
    /// Removes the temporary files in a directory that no process has locked, as the cleanup of another server does.
    CleanUp {
        directory: String,
    },
}

impl Machine {
    fn parent_and_name(&self, path: &str) -> Result<(NodeId, Vec<u8>), Errno> {
        let (parent, name) = match path.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some(parts) => parts,
            None => (".", path),
        };
        let parent = self.look_up(parent)?;
        self.tree.entries(parent)?;
        Ok((parent, name.as_bytes().to_vec()))
    }

    fn look_up(&self, path: &str) -> Result<NodeId, Errno> {
        self.tree.resolve(SERVED, path.as_bytes(), Lookup { follow_last: false, beneath: None })
    }

    /// Adds a new node under a name, and replaces an existing node of that name.
    fn put(&mut self, path: &str, body: Body) -> Result<NodeId, Errno> {
        let (parent, name) = self.parent_and_name(path)?;
        if let Some(existing) = self.tree.entries(parent)?.get(&name)
            && self.tree.entries(existing).is_ok()
        {
            return Err(Errno::ISDIR);
        }
        self.used_bytes += if let Body::File(content) = &body { content.bytes.len() as u64 } else { 0 };
        let node = self.new_node(body);
        self.set_entry(parent, &name, Some(node));
        Ok(node)
    }

    fn set_content(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), Errno> {
        let node = self.look_up(path)?;
        let now_ns = self.rounded(self.clock.get());
        let changed = self.node_mut(node);
        changed.may_be_freed = true;
        let Some(content) = changed.content_mut() else { return Err(Errno::INVAL) };
        let before = content.bytes.len() as u64;
        change(&mut content.bytes);
        // The content counts as written to the disk: data loss of other processes is not tested.
        content.safe = content.bytes.len();
        content.lost.clear();
        let after = content.bytes.len() as u64;
        (changed.modified_ns, changed.changed_ns) = (now_ns, now_ns);
        self.used_bytes = self.used_bytes + after - before;
        self.log.forget_content(node);
        Ok(())
    }

    fn remove_tree(&mut self, directory: NodeId, name: &[u8]) -> Result<(), Errno> {
        let node = self.tree.entries(directory)?.get(name).ok_or(Errno::NOENT)?;
        if let Ok(entries) = self.tree.entries(node) {
            let names: Vec<Box<[u8]>> = entries.iter().map(|entry| entry.name.clone()).collect();
            for name in names {
                self.remove_tree(node, &name)?;
            }
            self.tree.entries_mut(node)?.removed = true;
        }
        self.set_entry(directory, name, None);
        Ok(())
    }

    fn act(&mut self, action: &Action) -> Result<(), Errno> {
        match action {
            Action::Rename { directory, from, to } => {
                let directory = self.look_up(directory)?;
                self.rename(directory, from.as_bytes(), directory, to.as_bytes())
            }
            Action::Replace { path, content } => self.put(path, file(content)).map(|_| ()),
            Action::Overwrite { path, content } => self.set_content(path, |bytes| content.clone_into(bytes)),
            Action::Truncate { path, bytes } => self.set_content(path, |content| content.resize(*bytes, 0)),
            Action::Create { path, .. } if self.look_up(path).is_ok() => Err(Errno::EXIST),
            Action::Create { path, content } => {
                self.put(path, file(content))?;
                self.created_by_others.insert(path.clone());
                Ok(())
            }
            Action::Unlink { path } => {
                self.created_by_others.remove(path);
                let (directory, name) = self.parent_and_name(path)?;
                self.unlink(directory, &name)
            }
            Action::HardLink { from, to } => {
                let node = self.look_up(from)?;
                let (directory, name) = self.parent_and_name(to)?;
                if self.tree.entries(node).is_ok() || self.tree.entries(directory)?.get(&name).is_some() {
                    return Err(Errno::EXIST);
                }
                self.set_entry(directory, &name, Some(node));
                Ok(())
            }
            Action::SoftLink { target, path } => self.put(path, Body::Link(target.as_bytes().into())).map(|_| ()),
            Action::MakeDirectory { path } if self.look_up(path).is_ok() => Err(Errno::EXIST),
            Action::MakeDirectory { path } => self.put(path, Body::Directory(Entries::default())).map(|_| ()),
            Action::RemoveTree { path } => {
                let (directory, name) = self.parent_and_name(path)?;
                self.remove_tree(directory, &name)
            }
            Action::Move { from, to } => self.move_to(from, to),
            Action::Permit { path, permissions } => {
                let node = self.look_up(path)?;
                self.node_mut(node).permissions = *permissions;
                Ok(())
            }
            Action::CleanUp { directory } => self.clean_up(directory),
        }
    }

    fn clean_up(&mut self, directory: &str) -> Result<(), Errno> {
        let directory = self.look_up(directory)?;
        let is_abandoned =
            |entry: &&Entry| entry.name.starts_with(b".spindle-") && self.node(entry.node).locked_by.is_none();
        let names: Vec<_> =
            self.tree.entries(directory)?.iter().filter(is_abandoned).map(|entry| entry.name.clone()).collect();
        names.iter().try_for_each(|name| self.unlink(directory, name))
    }

    fn move_to(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let (old_parent, old_name) = self.parent_and_name(from)?;
        let (new_parent, new_name) = self.parent_and_name(to)?;
        let node = self.tree.entries(old_parent)?.get(&old_name).ok_or(Errno::NOENT)?;
        if self.tree.entries(new_parent)?.get(&new_name).is_some() || self.tree.is_beneath(new_parent, node) {
            return Err(Errno::EXIST);
        }
        self.set_entry(new_parent, &new_name, Some(node));
        self.set_entry(old_parent, &old_name, None);
        Ok(())
    }
}

fn file(content: &[u8]) -> Body {
    Body::File(Content { bytes: content.to_vec(), safe: content.len(), ..Content::default() })
}

/// Creates files before a test. They are on the disk at once. Each method panics if it fails.
impl Disk {
    fn add(&self, path: &str, body: Body) -> NodeId {
        let mut machine = self.machine.borrow_mut();
        let node = machine.put(path, body).expect("the path can be created");
        machine.commit_all();
        node
    }

    pub(crate) fn add_file(&self, path: &str, content: &[u8], modified_ns: i128) {
        let node = self.add(path, file(content));
        let mut machine = self.machine.borrow_mut();
        (machine.node_mut(node).modified_ns, machine.node_mut(node).changed_ns) = (modified_ns, modified_ns);
    }

    pub(crate) fn add_directory(&self, path: &str) {
        self.add(path, Body::Directory(Entries::default()));
    }

    pub(crate) fn add_link(&self, path: &str, target: &str) {
        self.add(path, Body::Link(target.as_bytes().into()));
    }

    pub(crate) fn add_fifo(&self, path: &str) {
        self.add(path, Body::Fifo);
    }

    pub(crate) fn add_socket(&self, path: &str) {
        self.add(path, Body::Socket);
    }

    pub(crate) fn permit(&self, path: &str, permissions: Permissions) {
        assert!(self.act(&Action::Permit { path: path.to_owned(), permissions }), "{path} exists");
    }

    /// Makes another process act. Returns whether it could.
    pub(crate) fn act(&self, action: &Action) -> bool {
        let mut machine = self.machine.borrow_mut();
        machine.closing.others_act = true;
        let result = machine.act(action);
        machine.closing.others_act = false;
        if let Some(trace) = &machine.faults.trace {
            trace.borrow_mut().push(format!("      another process: {action:?} = {result:?}"));
        }
        result.is_ok()
    }

    /// The content of the file at a path; `None` if there is none.
    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        let machine = self.machine.borrow();
        let node = machine.resolve(SERVED, path.as_bytes(), true).ok()?;
        machine.node(node).content().map(|content| content.bytes.clone())
    }

    /// Whether another process has created a file at the path since the start of the machine, and none has removed it.
    pub(crate) fn was_created_by_others(&self, path: &str) -> bool {
        self.machine.borrow().created_by_others.contains(path)
    }

    /// The names in a directory, sorted.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let machine = self.machine.borrow();
        let names = |node| {
            let entries = machine.tree.entries(node).ok()?;
            Some(entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect::<Vec<_>>())
        };
        let mut names = machine.resolve(SERVED, path.as_bytes(), true).ok().and_then(names).unwrap_or_default();
        names.sort();
        names
    }

    /// The path of a directory, and those of all directories below it.
    pub(crate) fn directories(&self, path: &str) -> Vec<String> {
        let mut found = vec![path.to_owned()];
        for name in self.names(path) {
            let below = format!("{path}/{name}");
            if self.read(&below).is_none() {
                found.extend(self.directories(&below));
            }
        }
        found
    }

    /// All paths below a directory with their kinds and contents, as text, to compare trees.
    pub(crate) fn everything(&self, path: &str) -> Vec<String> {
        let machine = self.machine.borrow();
        let mut found = Vec::new();
        let Ok(start) = machine.resolve(SERVED, path.as_bytes(), true) else { panic!("{path:?} does not exist") };
        machine.describe_all(start, "", &mut found);
        found.sort();
        found
    }

    /// The names of temporary files in all directories.
    pub(crate) fn temporary_names(&self) -> Vec<String> {
        let machine = self.machine.borrow();
        let mut hidden = Vec::new();
        for node in reachable(&machine.tree) {
            let entries = machine.tree.entries(node).into_iter().flat_map(Entries::iter);
            let names = entries
                .filter(|entry| [&b".spindle-"[..], b".spindle="].iter().any(|prefix| entry.name.starts_with(prefix)));
            hidden.extend(names.map(|entry| String::from_utf8_lossy(&entry.name).into_owned()));
        }
        hidden.sort();
        hidden
    }

    /// The names of the files for which space is reserved beyond their end.
    pub(crate) fn names_with_reserved_space(&self) -> Vec<String> {
        let machine = self.machine.borrow();
        let mut names = Vec::new();
        for node in reachable(&machine.tree) {
            let entries = machine.tree.entries(node).into_iter().flat_map(Entries::iter);
            let content = |entry: &Entry| machine.node(entry.node).content();
            let has_more =
                |entry: &&Entry| content(entry).is_some_and(|content| content.reserved_end > content.bytes.len());
            names.extend(entries.filter(has_more).map(|entry| String::from_utf8_lossy(&entry.name).into_owned()));
        }
        names
    }

    /// The number of descriptors that the process has open, without those that are being closed in the background.
    pub(crate) fn descriptors(&self) -> usize {
        let machine = self.machine.borrow();
        machine.descriptors - machine.closing.files()
    }

    /// The size of all files, including those without a name.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.machine.borrow().used_bytes
    }

    /// All paths outside of the served directory, as in [`everything`](Disk::everything).
    pub(crate) fn outside(&self) -> Vec<String> {
        let machine = self.machine.borrow();
        let mut found = Vec::new();
        machine.describe_all(OUTSIDE, "", &mut found);
        found.sort();
        found
    }
}

impl Machine {
    fn describe_all(&self, directory: NodeId, path: &str, found: &mut Vec<String>) {
        let entries = self.tree.entries(directory).into_iter().flat_map(Entries::iter);
        for entry in entries {
            // The first space ends the path.
            let name = entry.name.escape_ascii().to_string().replace(' ', "\\x20");
            let path = format!("{path}/{name}");
            let node = self.node(entry.node);
            match &node.body {
                Body::File(content) => {
                    found.push(format!("{path} is {} at {}", content.bytes.escape_ascii(), node.modified_ns));
                }
                Body::Directory(_) => {
                    found.push(format!("{path}/"));
                    self.describe_all(entry.node, &path, found);
                }
                Body::Link(target) => found.push(format!("{path} -> {}", target.escape_ascii())),
                Body::Fifo | Body::Socket => found.push(format!("{path} is special")),
            }
        }
    }
}
