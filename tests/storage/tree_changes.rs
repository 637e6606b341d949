//! Removing, moving and creating directories, with each fault at each call and with a power failure at each call: a change
//! is made completely or not at all, and a confirmed one survives.

use std::cell::Cell;
use std::rc::Rc;

use spindle::storage::{ChangeError, Directory, EntryPath, StorageError, UploadMode};

use crate::disk::{Disk, Effect, Event, KINDS, Kind, Loss, Settings};
use crate::operations::{START_NS, SYSTEMS, System, path};

/// More calls than any change makes.
const CALLS_MAX: u64 = 200;

/// The most states after one power failure.
const STATES_MAX: usize = 20_000;

/// A change, and the paths that it removes and adds.
struct Change {
    name: &'static str,
    make: fn(&Directory<Disk>) -> Result<(), ChangeError>,
    removed: &'static [&'static str],
    added: &'static [&'static str],
}

const BEFORE: [&str; 8] =
    ["/a/", "/a/file is moved", "/b/", "/b/empty/", "/b/old is old", "/c/", "/c/file is c", "/c/sub/"];

const CHANGES: [Change; 7] = [
    Change {
        name: "remove a file",
        make: |directory| directory.remove(&entry("b/old"), true, |_| true),
        removed: &["/b/old is old"],
        added: &[],
    },
    Change {
        name: "remove a directory",
        make: |directory| directory.remove(&entry("b/empty"), true, |_| true),
        removed: &["/b/empty/"],
        added: &[],
    },
    Change {
        name: "create a directory",
        make: |directory| directory.create_directory(&path("a/new"), true, |_| true),
        removed: &[],
        added: &["/a/new/"],
    },
    Change {
        name: "move a file to a free name",
        make: |directory| directory.rename(&entry("a/file"), &entry("b/new"), true, true, |_| true).map(|_| ()),
        removed: &["/a/file is moved"],
        added: &["/b/new is moved"],
    },
    Change {
        name: "move a file over another",
        make: |directory| directory.rename(&entry("a/file"), &entry("b/old"), true, true, |_| true).map(|_| ()),
        removed: &["/a/file is moved", "/b/old is old"],
        added: &["/b/old is moved"],
    },
    Change {
        name: "move a directory",
        make: |directory| directory.rename(&entry("c"), &entry("b/c"), false, true, |_| true).map(|_| ()),
        removed: &["/c/", "/c/file is c", "/c/sub/"],
        added: &["/b/c/", "/b/c/file is c", "/b/c/sub/"],
    },
    Change {
        name: "upload to new directories",
        make: upload,
        removed: &[],
        added: &["/a/new/", "/a/new/deep/", "/a/new/deep/file is new"],
    },
];

fn entry(text: &str) -> EntryPath {
    EntryPath { path: path(text), is_directory: false }
}

fn upload(directory: &Directory<Disk>) -> Result<(), ChangeError> {
    directory.create_missing_directories();
    let mut upload = directory.begin_upload(&path("a/new/deep/file"), UploadMode::Replace, None, true)?;
    upload.write(b"new")?;
    upload.commit(START_NS, |_| true)?;
    Ok(())
}

fn disk(system: System, loss: Loss) -> Disk {
    let disk = Disk::new(Settings { loss, ..system.1(1) }, Rc::new(Cell::new(START_NS)));
    for directory in ["a", "b", "b/empty", "c", "c/sub"] {
        disk.add_directory(directory);
    }
    for (path, content) in [("a/file", "moved"), ("b/old", "old"), ("c/file", "c")] {
        disk.add_file(path, content.as_bytes(), 0);
    }
    disk
}

/// The tree without times and temporary files.
fn tree(disk: &Disk) -> Vec<String> {
    let lines = disk.everything(".").into_iter().map(|line| line.split(" at ").next().unwrap_or_default().to_owned());
    lines.filter(|line| !line.contains("/.spindle-")).collect()
}

impl Change {
    /// The tree after the change.
    fn after(&self) -> Vec<String> {
        let mut after: Vec<String> =
            BEFORE.iter().filter(|line| !self.removed.contains(line)).map(|line| (*line).to_owned()).collect();
        after.extend(self.added.iter().map(|line| (*line).to_owned()));
        after.sort();
        after
    }

    /// Whether a tree has the content of each file of the old tree somewhere, unless the change removes it.
    fn keeps_content(&self, tree: &[String]) -> bool {
        BEFORE.iter().filter_map(|line| line.split_once(" is ")).all(|(path, content)| {
            let may_go = self.removed.iter().any(|line| line.starts_with(path))
                && !self.added.iter().any(|line| line.ends_with(content));
            may_go || tree.iter().any(|line| line.ends_with(&format!(" is {content}")))
        })
    }
}

/// Injects one fault at one call. Returns whether the fault applies to that call; `None` if the change makes fewer calls.
fn test_fault(change: &Change, system: System, kind: &Kind, call: u64) -> Option<bool> {
    let disk = disk(system, Loss::None);
    let directory = Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
    let trace = disk.trace();
    let context =
        || format!("\n{}, {}, {} at call {call}:\n{}", change.name, system.0, kind.name, trace.borrow().join("\n"));
    disk.at_call(call, Event::Fault(kind.name));
    let result = (change.make)(&directory);
    if !disk.is_script_played() {
        return None;
    }
    if disk.coverage().borrow()[kind.name] == 0 {
        return Some(false);
    }
    let (found, after) = (tree(&disk), change.after());
    match &result {
        Ok(()) => assert_eq!(found, after, "{}", context()),
        // Of a disk that becomes read-only between two steps, nothing can be taken back. After the change, it is flushed.
        Err(_) if kind.effect == Effect::ReadOnly => assert!(change.keeps_content(&found), "{found:?}{}", context()),
        Err(_) => assert!(found == BEFORE || found == after, "{found:?}{}", context()),
    }
    if let Err(error) = &result {
        let is_flush = matches!(
            kind.name,
            "i/o error at sync of a directory" | "i/o error at sync of a file" | "no space at sync"
        );
        let is_stat = kind.name == "i/o error at stat";
        let is_open = kind.calls.contains(&crate::disk::Call::OpenEntry);
        let may_be_made = is_flush || is_stat || is_open || kind.effect == Effect::ReadOnly;
        assert!(may_be_made || found == BEFORE, "{error:?} {found:?}{}", context());
        assert!(!matches!(error, ChangeError::Storage(StorageError::NotFound)), "{error:?}{}", context());
    }
    assert_eq!(disk.descriptors(), 1, "{}", context());
    Some(true)
}

#[test]
fn no_fault_leaves_a_change_half_made() {
    let mut injected = 0;
    for system in SYSTEMS {
        for change in &CHANGES {
            for kind in KINDS.iter().filter(|kind| !matches!(kind.effect, Effect::PowerCut | Effect::Others)) {
                injected += (1..CALLS_MAX)
                    .map_while(|call| test_fault(change, system, kind, call))
                    .filter(|&applies| applies)
                    .count();
            }
        }
    }
    println!("{injected} faults");
    assert!(injected > 500, "{injected}");
}

/// Cuts the power at each call of a change. Returns the number of states that were checked.
fn fail_at_each_call(change: &Change, system: System, loss: Loss) -> usize {
    let mut states = 0;
    for call in 1..CALLS_MAX {
        let disk = disk(system, loss);
        let directory = Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
        let trace = disk.trace();
        disk.at_call(call, Event::PowerCut);
        let result = (change.make)(&directory);
        let was_cut = disk.is_stopped();
        let context = || {
            format!(
                "\n{}, {}, {loss:?}, power cut at call {call}:\n{}",
                change.name,
                system.0,
                trace.borrow().join("\n")
            )
        };
        assert!(was_cut || result.is_ok(), "{result:?}{}", context());
        disk.stop();
        drop(directory);
        let count = disk.after_each_power_loss(STATES_MAX, |after| {
            let found = tree(after);
            match result {
                Ok(()) => assert_eq!(found, change.after(), "{}", context()),
                // A file system without a journal may lose the name of a file that is being moved.
                Err(_) => assert!(loss == Loss::Unordered || change.keeps_content(&found), "{found:?}{}", context()),
            }
        });
        states += count.unwrap_or_else(|| panic!("more than {STATES_MAX} states{}", context()));
        if !was_cut {
            return states;
        }
    }
    panic!("{} does not end", change.name);
}

#[test]
fn confirmed_changes_survive_a_power_failure() {
    let mut states = 0;
    for (system, loss) in SYSTEMS.into_iter().flat_map(|system| {
        [Loss::Ordered, Loss::Journalled, Loss::Unordered].into_iter().map(move |loss| (system, loss))
    }) {
        for change in &CHANGES {
            states += fail_at_each_call(change, system, loss);
        }
    }
    println!("{states} states");
    assert!(states > 500, "{states}");
}

#[test]
fn a_refused_move_of_a_directory_into_itself_leaves_nothing_after_a_power_failure() {
    for system in SYSTEMS {
        let disk = disk(system, Loss::Unordered);
        let directory = Directory::open_in(disk.clone(), Disk::root_path(), 1).expect("the root exists");
        let moved = directory.rename(&entry("c"), &entry("c/sub/new"), true, true, |_| true);
        assert!(matches!(moved, Err(ChangeError::IntoItself)), "{moved:?}");
        drop(directory);
        disk.after_each_power_loss(STATES_MAX, |after| assert_eq!(tree(after), BEFORE));
    }
}
