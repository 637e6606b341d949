//! The files, directories and links that a process sees, without faults and losses.

use std::ops::Range;

use rustix::io::Errno;
use spindle::storage::{FileKind, Metadata};

/// An index into the table of nodes. Unlike an inode number it is not reused while anything refers to it.
pub(crate) type NodeId = usize;

/// The directory where absolute paths start.
pub(crate) const TOP: NodeId = 0;

const SEGMENT_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 4095;
/// As in Linux.
const LINKS_FOLLOWED_MAX: usize = 40;

/// What a process without privileges may do with a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permissions {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Whether the entries of a directory can be reached.
    pub(crate) searchable: bool,
}

impl Permissions {
    pub(crate) const ALL: Permissions = Permissions { readable: true, writable: true, searchable: true };
}

/// The content of a regular file, and how much of it is on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// Up to here the content is on the disk.
    pub(crate) safe: usize,
    /// The end of the space that is reserved for the file, which may be beyond its end; 0 if none is.
    pub(crate) reserved_end: usize,
    /// Ranges that a failed fsync has marked clean although they are not on the disk.
    pub(crate) lost: Vec<Range<usize>>,
}

/// A directory entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    hash: u32,
    pub(crate) name: Box<[u8]>,
    pub(crate) node: NodeId,
}

/// The entries of a directory in reading order: by a hash of their names, as on ext4.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    list: Vec<Entry>,
    pub(crate) parent: NodeId,
    pub(crate) removed: bool,
}

/// The position of a reader of a directory.
pub(crate) type Cursor = Option<(u32, Box<[u8]>)>;

impl Entries {
    /// No entries, for a directory in `parent`.
    pub(crate) fn of(parent: NodeId) -> Entries {
        Entries { parent, ..Entries::default() }
    }

    fn index_of(&self, name: &[u8]) -> Result<usize, usize> {
        let hash = name_hash(name);
        self.list.binary_search_by(|entry| entry.hash.cmp(&hash).then_with(|| (*entry.name).cmp(name)))
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<NodeId> {
        self.index_of(name).ok().map(|place| self.list[place].node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.list.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn set(&mut self, name: &[u8], node: Option<NodeId>) {
        match (self.index_of(name), node) {
            (Ok(place), Some(node)) => self.list[place].node = node,
            (Ok(place), None) => drop(self.list.remove(place)),
            (Err(place), Some(node)) => {
                self.list.insert(place, Entry { hash: name_hash(name), name: name.into(), node });
            }
            (Err(_), None) => {}
        }
    }

    /// The entries after a cursor. The cursor stays valid when entries are added or removed.
    pub(crate) fn after(&self, cursor: &Cursor) -> &[Entry] {
        let Some((hash, name)) = cursor else { return &self.list };
        let first = self.list.partition_point(|entry| (entry.hash, &entry.name) <= (*hash, name));
        &self.list[first..]
    }

    pub(crate) fn cursor(entry: &Entry) -> Cursor {
        Some((entry.hash, entry.name.clone()))
    }
}

fn name_hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    File(Content),
    Directory(Entries),
    Link(Box<[u8]>),
    Fifo,
    Socket,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) inode: u64,
    /// The number of its names.
    pub(crate) links: u32,
    /// The number of its open descriptors.
    pub(crate) open: u32,
    /// Whether it is an unnamed file that never had a name and can still be given one.
    pub(crate) linkable: bool,
    pub(crate) modified_ns: i128,
    pub(crate) changed_ns: i128,
    pub(crate) permissions: Permissions,
    /// The extended attribute. A power cut never loses it: it is only trusted for the version that it names.
    pub(crate) attribute: Option<Box<[u8]>>,
    /// The number of the open file that has the lock.
    pub(crate) locked_by: Option<u64>,
    /// Whether its content may be freed while everybody waits, because another process has interfered, or because the server
    /// could not open the file.
    pub(crate) may_be_freed: bool,
}

impl Node {
    pub(crate) fn kind(&self) -> FileKind {
        match self.body {
            Body::File(_) => FileKind::Regular,
            Body::Directory(_) => FileKind::Directory,
            Body::Link(_) => FileKind::Symlink,
            Body::Fifo | Body::Socket => FileKind::Other,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match &self.body {
            Body::File(content) => content.bytes.len() as u64,
            Body::Directory(entries) => 4096.max(entries.list.len() as u64 * 32),
            Body::Link(target) => target.len() as u64,
            Body::Fifo | Body::Socket => 0,
        }
    }

    pub(crate) fn stat(&self) -> Metadata {
        Metadata {
            kind: self.kind(),
            device: 1,
            inode: self.inode,
            size_bytes: self.bytes(),
            modified_ns: self.modified_ns,
            changed_ns: self.changed_ns,
        }
    }

    pub(crate) fn content(&self) -> Option<&Content> {
        match &self.body {
            Body::File(content) => Some(content),
            _ => None,
        }
    }

    pub(crate) fn content_mut(&mut self) -> Option<&mut Content> {
        match &mut self.body {
            Body::File(content) => Some(content),
            _ => None,
        }
    }
}

/// All nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
}

/// How a path is resolved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    /// Whether a link at the end is followed.
    pub(crate) follow_last: bool,
    /// The directory that no step may leave.
    pub(crate) beneath: Option<NodeId>,
}

impl Tree {
    pub(crate) fn entries(&self, directory: NodeId) -> Result<&Entries, Errno> {
        match &self.nodes[directory].body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    pub(crate) fn entries_mut(&mut self, directory: NodeId) -> Result<&mut Entries, Errno> {
        match &mut self.nodes[directory].body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// Looks up one name.
    pub(crate) fn child(&self, directory: NodeId, name: &[u8]) -> Result<Option<NodeId>, Errno> {
        let entries = self.entries(directory)?;
        if !self.nodes[directory].permissions.searchable {
            return Err(Errno::ACCESS);
        }
        if name.len() > SEGMENT_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        match name {
            b"" => Err(Errno::NOENT),
            b"." => Ok(Some(directory)),
            b".." => Ok(Some(entries.parent)),
            _ => Ok(entries.get(name)),
        }
    }

    /// Resolves a path as `openat2` and `fstatat` do.
    pub(crate) fn resolve(&self, start: NodeId, path: &[u8], how: Lookup) -> Result<NodeId, Errno> {
        let mut start = start;
        let mut rewritten: Option<Vec<u8>> = None;
        for _ in 0..=LINKS_FOLLOWED_MAX {
            let path = rewritten.as_deref().unwrap_or(path);
            match self.walk(start, path, how)? {
                Step::Arrived(node) => return Ok(node),
                Step::Link { from, path } => (start, rewritten) = (from, Some(path)),
            }
        }
        Err(Errno::LOOP)
    }

    /// Walks to the end of a path or to the first link that must be followed.
    fn walk(&self, start: NodeId, path: &[u8], how: Lookup) -> Result<Step, Errno> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let mut here = start;
        if path.starts_with(b"/") {
            if how.beneath.is_some() {
                return Err(Errno::XDEV);
            }
            here = TOP;
        }
        let mut rest = path;
        loop {
            let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
            let must_be_directory = slashes > 0;
            rest = &rest[slashes..];
            if rest.is_empty() {
                return if must_be_directory {
                    self.entries(here).map(|_| Step::Arrived(here))
                } else {
                    Ok(Step::Arrived(here))
                };
            }
            let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let (segment, after) = rest.split_at(end);
            if segment == b".." && how.beneath == Some(here) {
                return Err(Errno::XDEV);
            }
            let child = self.child(here, segment)?.ok_or(Errno::NOENT)?;
            if let Body::Link(target) = &self.nodes[child].body
                && (how.follow_last || !after.is_empty())
            {
                return Ok(Step::Link { from: here, path: [target, after].concat() });
            }
            (here, rest) = (child, after);
        }
    }

    /// Whether the node is in this directory or anywhere below it.
    pub(crate) fn is_beneath(&self, node: NodeId, directory: NodeId) -> bool {
        let mut here = node;
        for _ in 0..self.nodes.len() {
            if here == directory {
                return true;
            }
            match self.entries(here) {
                Ok(entries) if here != TOP => here = entries.parent,
                _ => return false,
            }
        }
        false
    }
}

enum Step {
    Arrived(NodeId),
    Link { from: NodeId, path: Vec<u8> },
}
