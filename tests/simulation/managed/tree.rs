//! What each operation on the tree does: which responses it may get, and what the tree is then. This is README,
//! "Manage files", as a function without a disk, a network or other clients.

use std::collections::BTreeMap;

use spindle::semantics::rights::UploadPolicy;

/// A file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Node {
    Directory,
    File {
        /// The number of its content. Each upload has a content of its own.
        content: usize,
        /// Whether it was moved, which may have changed its entity tag.
        was_moved: bool,
    },
}

impl Node {
    /// The number of a file's content.
    pub(crate) fn content(&self) -> Option<usize> {
        match self {
            Node::Directory => None,
            Node::File { content, .. } => Some(*content),
        }
    }
}

/// All files and directories, by their paths.
pub(crate) type Tree = BTreeMap<String, Node>;

/// The condition of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Nothing,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match` with a tag that the server gave for this content.
    Content(usize),
}

/// A request that reads or changes the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Get {
        path: String,
    },
    Put {
        path: String,
        content: usize,
        bytes: usize,
        condition: Condition,
        in_form: bool,
    },
    /// `as_directory`: the target ends in a slash. `only`: `If-Match` with a tag of this content.
    Delete {
        path: String,
        as_directory: bool,
        only: Option<usize>,
    },
    CreateDirectory {
        path: String,
    },
    /// `as_directory`: the destination ends in a slash. `replaces`: Overwrite is not `F`.
    Move {
        from: String,
        to: String,
        as_directory: bool,
        replaces: bool,
        only: Option<usize>,
    },
}

/// A response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub status: u16,
    /// The number of the content, for 200.
    pub content: Option<usize>,
}

/// What the responses depend on besides the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub policy: UploadPolicy,
    /// The status of changes that the policy does not allow.
    pub refusal_of_changes: u16,
    /// Whether a shared folder is served, where uploads create directories, and directories are redirected to.
    pub is_folder: bool,
    /// Whether nothing can be read.
    pub is_drop_box: bool,
    pub upload_bytes_max: Option<u64>,
    /// Whether a tag may become weak, so that it matches nothing.
    pub tags_may_weaken: bool,
    /// Whether a directory may contain temporary files of a server that was killed, or that could not remove them.
    pub temporary_files_may_be_left: bool,
    /// Whether a file is moved by giving it the new name and then removing the old one.
    pub moves_in_two_steps: bool,
    /// Whether the disk may lose both names if the power fails during a move. See `settings::Loss::Unordered`.
    pub power_may_lose_names: bool,
    /// Whether changes are on the disk when they are confirmed.
    pub durable: bool,
    pub disk_may_fail: bool,
    pub power_may_fail: bool,
    /// Whether the power may fail after the server was killed.
    pub power_may_fail_after_kill: bool,
}

/// The possible responses to an operation, and the tree after it.
#[derive(Default)]
struct Possible {
    /// The status of success, the content that is read, and the tree.
    success: Option<(u16, Option<usize>, Tree)>,
    /// The statuses of refusals, which change nothing.
    refusals: Vec<u16>,
}

impl Possible {
    fn refused(status: u16) -> Possible {
        Possible { success: None, refusals: vec![status] }
    }

    fn changed(status: u16, tree: Tree) -> Possible {
        Possible { success: Some((status, None, tree)), refusals: Vec::new() }
    }

    fn or_refused(mut self, is_possible: bool, status: u16) -> Possible {
        if is_possible {
            self.refusals.push(status);
        }
        self
    }
}

impl Operation {
    /// The trees after the operation, if it gets this response in this tree; none if it cannot.
    pub(crate) fn after(&self, tree: &Tree, observed: Observed, rules: &Rules) -> Option<Tree> {
        let possible = self.possible(tree, rules);
        match possible.success {
            Some((status, content, after)) if (status, content) == (observed.status, observed.content) => Some(after),
            _ => possible.refusals.contains(&observed.status).then(|| tree.clone()),
        }
    }

    /// The trees that the operation may leave if nobody knows its response. `was_interrupted`: the server was stopped, or
    /// the disk failed, so that it may have done a part. It may also have done nothing.
    pub(crate) fn unknown(&self, tree: &Tree, was_interrupted: bool, rules: &Rules) -> Vec<Tree> {
        let mut trees: Vec<Tree> = Vec::new();
        let Some((_, _, after)) = self.possible(tree, rules).success else { return trees };
        if was_interrupted {
            self.parts(tree, &after, rules, &mut trees);
        }
        trees.push(after);
        trees.retain(|after| after != tree);
        trees
    }

    /// What an operation that was interrupted may have done if it did not do everything.
    fn parts(&self, before: &Tree, after: &Tree, rules: &Rules, trees: &mut Vec<Tree>) {
        match self {
            Operation::Move { from, to, .. } => {
                if rules.moves_in_two_steps && !before.contains_key(to) {
                    let mut both = before.clone();
                    both.insert(to.clone(), after[to]);
                    trees.push(both);
                }
                if rules.power_may_lose_names {
                    trees.push(without(before, from));
                    trees.push(without(&without(before, from), to));
                    trees.push(without(before, to));
                    // Both names lead to the file, or to the directory with all that it contains.
                    trees.push(before.iter().chain(after).map(|(path, node)| (path.clone(), *node)).collect());
                }
            }
            Operation::Put { path, .. } => {
                if let Some(parent) = parent(path).filter(|parent| !before.contains_key(*parent)) {
                    let mut only_directory = before.clone();
                    only_directory.insert(parent.to_owned(), Node::Directory);
                    trees.push(only_directory);
                }
                if rules.power_may_lose_names {
                    trees.push(without(before, path));
                }
            }
            Operation::Get { .. } | Operation::Delete { .. } | Operation::CreateDirectory { .. } => {}
        }
    }

    fn possible(&self, tree: &Tree, rules: &Rules) -> Possible {
        match self {
            Operation::Delete { .. } | Operation::CreateDirectory { .. } | Operation::Move { .. }
                if rules.policy != UploadPolicy::Manage =>
            {
                Possible::refused(rules.refusal_of_changes)
            }
            Operation::Get { .. } if rules.is_drop_box => Possible::refused(404),
            Operation::Get { path } => match tree.get(path) {
                Some(Node::File { content, .. }) => {
                    Possible { success: Some((200, Some(*content), tree.clone())), refusals: Vec::new() }
                }
                Some(Node::Directory) if rules.is_folder => Possible::refused(301),
                Some(Node::Directory) | None => Possible::refused(404),
            },
            Operation::Put { path, content, bytes, condition, in_form } => {
                let is_too_long = rules.upload_bytes_max.is_some_and(|bytes_max| *bytes as u64 > bytes_max);
                // The length of a file in a form is not known before its name is checked.
                let may_replace = rules.policy != UploadPolicy::Create;
                let is_free = tree.get(path).is_none_or(|node| may_replace && *node != Node::Directory);
                if is_too_long && (is_free || !in_form) {
                    return Possible::refused(413);
                }
                put(tree, path, *content, *condition, rules)
            }
            Operation::Delete { path, as_directory, only } => delete(tree, path, *as_directory, *only, rules),
            Operation::CreateDirectory { path } => match tree.contains_key(path) {
                _ if !has_parent(tree, path) => Possible::refused(409),
                true => Possible::refused(405),
                false => Possible::changed(201, with(tree, path, Node::Directory)),
            },
            Operation::Move { from, to, as_directory, replaces, only } => {
                rename(tree, from, to, (*as_directory, *replaces, *only), rules)
            }
        }
    }
}

fn put(tree: &Tree, path: &str, content: usize, condition: Condition, rules: &Rules) -> Possible {
    let directory = parent(path);
    if directory.is_some_and(|directory| match tree.get(directory) {
        Some(Node::Directory) => false,
        Some(Node::File { .. }) => true,
        None => !rules.is_folder,
    }) {
        return Possible::refused(404);
    }
    let mut after = with(tree, path, Node::File { content, was_moved: false });
    after.extend(directory.map(|directory| (directory.to_owned(), Node::Directory)));
    let stored = match (tree.get(path), condition) {
        (Some(Node::Directory), Condition::Nothing) => Possible::refused(409),
        (Some(Node::Directory), _) => Possible::refused(409).or_refused(true, 412),
        // Preconditions count only where the response would be a success without them.
        (Some(_), _) if rules.policy == UploadPolicy::Create => Possible::refused(409),
        (None, Condition::Content(_)) | (Some(Node::File { .. }), Condition::Absent) => Possible::refused(412),
        (None, _) => Possible::changed(201, after),
        (Some(node), Condition::Content(only)) => only_if(*node, Some(only), rules, || Possible::changed(204, after)),
        (Some(_), _) => Possible::changed(204, after),
    };
    // Another directory may have taken the place of the one in which the upload began.
    stored.or_refused(directory.is_some(), 404)
}

fn delete(tree: &Tree, path: &str, as_directory: bool, only: Option<usize>, rules: &Rules) -> Possible {
    match tree.get(path) {
        None => Possible::refused(404),
        Some(Node::File { .. }) if as_directory => Possible::refused(404),
        Some(node) => only_if(*node, only, rules, || {
            let is_directory = *node == Node::Directory;
            if is_directory && !is_empty(tree, path) {
                return Possible::refused(409);
            }
            let left = is_directory && rules.temporary_files_may_be_left;
            Possible::changed(204, without(tree, path)).or_refused(left, 409)
        }),
    }
}

fn rename(
    tree: &Tree,
    from: &str,
    to: &str,
    (as_directory, replaces, only): (bool, bool, Option<usize>),
    rules: &Rules,
) -> Possible {
    let Some(moved) = tree.get(from) else { return Possible::refused(404) };
    if from == to {
        return Possible::refused(403);
    }
    if !has_parent(tree, to) {
        return Possible::refused(409);
    }
    let is_directory = *moved == Node::Directory;
    if as_directory && !is_directory {
        return Possible::refused(409);
    }
    let existing = tree.get(to);
    if existing.is_some() && !replaces {
        return Possible::refused(412);
    }
    // A move in two steps that was interrupted leaves both names to the file.
    if existing.is_some_and(|existing| !is_directory && existing.content() == moved.content()) {
        return Possible::refused(403);
    }
    if existing.is_some_and(|existing| (*existing == Node::Directory) != is_directory) {
        return Possible::refused(409);
    }
    only_if(*moved, only, rules, || {
        if is_directory && (is_beneath(to, from) || existing.is_some() && !is_empty(tree, to)) {
            return Possible::refused(409);
        }
        let left = is_directory && existing.is_some() && rules.temporary_files_may_be_left;
        let status = if existing.is_some() { 204 } else { 201 };
        Possible::changed(status, moved_tree(tree, from, to)).or_refused(left, 409)
    })
}

fn moved_tree(tree: &Tree, from: &str, to: &str) -> Tree {
    let at = |path: &str, node: &Node| match (path == from, node) {
        (true, Node::File { content, .. }) => (to.to_owned(), Node::File { content: *content, was_moved: true }),
        (true, Node::Directory) => (to.to_owned(), Node::Directory),
        _ if is_beneath(path, from) => (format!("{to}{}", &path[from.len()..]), *node),
        _ => (path.to_owned(), *node),
    };
    without(tree, to).iter().map(|(path, node)| at(path, node)).collect()
}

/// The response if `If-Match` has a tag that the server gave for the content `only`, and `possible` without it. A directory
/// has no tag.
fn only_if(node: Node, only: Option<usize>, rules: &Rules, possible: impl FnOnce() -> Possible) -> Possible {
    match (only, node) {
        (None, _) => possible(),
        (Some(only), Node::File { content, was_moved }) if content == only => {
            possible().or_refused(was_moved || rules.tags_may_weaken, 412)
        }
        (Some(_), _) => Possible::refused(412),
    }
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

fn has_parent(tree: &Tree, path: &str) -> bool {
    parent(path).is_none_or(|parent| tree.get(parent) == Some(&Node::Directory))
}

/// Whether `path` is below the directory.
fn is_beneath(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn is_empty(tree: &Tree, directory: &str) -> bool {
    !tree.keys().any(|path| is_beneath(path, directory))
}

fn with(tree: &Tree, path: &str, node: Node) -> Tree {
    let mut tree = tree.clone();
    tree.insert(path.to_owned(), node);
    tree
}

/// The tree without a file or directory and everything in it.
fn without(tree: &Tree, path: &str) -> Tree {
    let is_kept = |other: &String| other != path && !is_beneath(other, path);
    tree.iter().filter(|(other, _)| is_kept(other)).map(|(path, node)| (path.clone(), *node)).collect()
}
