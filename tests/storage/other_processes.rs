//! Other processes change files, links and directories between any two calls.

use spindle::storage::{Directory, StorageError, SymlinkedDirectories, UploadMode};

use crate::disk::Settings;
use crate::disk::{Action, Disk, Event, Loss};
use crate::operations::{START_NS, SYSTEMS, System, path};

const CALLS_MAX: u64 = 200;
const FOREIGN: &[u8] = b"what another process wrote";
/// No file inside the root has this length.
const SECRET: &[u8] = &[b's'; 1234];

fn disk(system: System) -> Disk {
    let settings = Settings { loss: Loss::None, ..system.1(1) };
    let disk = Disk::new(settings, std::rc::Rc::new(std::cell::Cell::new(START_NS)));
    for name in ["secret", "name"] {
        disk.add_file(&format!("/outside/{name}"), SECRET, 0);
    }
    disk.add_directory("a");
    disk.add_directory("a/b");
    disk.add_file("a/b/name", b"old", 0);
    disk
}

fn link(path: &str, target: &str) -> Action {
    Action::SoftLink { path: path.to_owned(), target: target.to_owned() }
}

fn moved(from: &str, to: &str) -> Action {
    Action::Move { from: from.to_owned(), to: to.to_owned() }
}

fn directory(path: &str) -> Action {
    Action::MakeDirectory { path: path.to_owned() }
}

fn unlink(path: &str) -> Action {
    Action::Unlink { path: path.to_owned() }
}

fn removed(path: &str) -> Action {
    Action::RemoveTree { path: path.to_owned() }
}

/// The actions of another process, all of which happen between two calls.
fn swaps() -> Vec<Vec<Action>> {
    vec![
        vec![moved("a", "kept"), link("a", "../outside")],
        vec![moved("a/b", "kept"), link("a/b", "../../outside")],
        vec![moved("a/b", "kept"), link("a/b", "/outside")],
        vec![moved("a", "kept"), directory("a"), link("a/b", "../../outside")],
        vec![link("a/b/name", "../../../outside/secret")],
        vec![link("a/b/name", "/outside/secret")],
        vec![link("a/b/name", "../../kept/name"), moved("a", "b"), link("kept", "../outside")],
        vec![unlink("a/b/name"), directory("a/b/name")],
        vec![removed("a"), link("a", "../outside")],
        vec![removed("a"), directory("a"), directory("a/b")],
        vec![moved("a/b", "b"), moved("a", "b/a"), link("a", "b")],
    ]
}

/// Actions of another process on the same file.
fn concurrent_writes() -> Vec<Vec<Action>> {
    let replace = Action::Replace { path: "a/b/name".to_owned(), content: FOREIGN.to_vec() };
    let create = Action::Create { path: "a/b/name".to_owned(), content: FOREIGN.to_vec() };
    // Another name for the file that exists at that moment.
    let witness = Action::HardLink { from: "a/b/name".to_owned(), to: "witness".to_owned() };
    vec![vec![create.clone(), witness], vec![replace], vec![unlink("a/b/name")], vec![unlink("a/b/name"), create]]
}

fn upload(directory: &Directory<Disk>, mode: UploadMode, only_if_absent: bool) -> Result<bool, StorageError> {
    let mut upload = directory.begin_upload(&path("a/b/name"), mode, None, true)?;
    upload.write(b"ours")?;
    upload.commit(START_NS, |existing| !only_if_absent || existing.is_none()).map(|published| published.created)
}

fn store(directory: &Directory<Disk>, mode: UploadMode) -> Result<bool, StorageError> {
    directory.store(&path("a/b/name"), mode, b"ours", START_NS).map(|published| published.created)
}

/// Calls everything that reads. Panics if it finds a file outside the root.
fn read(directory: &Directory<Disk>) {
    let path = path("a/b/name");
    let lengths = [
        directory.open_file(&path).ok().map(|opened| opened.metadata.size_bytes),
        directory.metadata(&path).ok().map(|metadata| metadata.size_bytes),
    ];
    for length in lengths.into_iter().flatten() {
        assert_ne!(length, SECRET.len() as u64, "a file outside the root was opened");
    }
    for linked in [SymlinkedDirectories::Include, SymlinkedDirectories::Exclude] {
        let Ok(mut listing) = directory.list(Some(&crate::operations::path("a/b")), linked) else { continue };
        for _ in 0..20 {
            match listing.next() {
                None => break,
                Some(Ok(Some(entry))) => {
                    assert_ne!(entry.size_bytes, SECRET.len() as u64, "a file outside the root is listed")
                }
                Some(_) => {}
            }
        }
    }
}

/// Runs `act` once for each call that it makes, and performs `actions` before that call. Returns the number of runs.
fn between_any_calls(actions: &[Action], act: impl Fn(&Directory<Disk>), check: impl Fn(&Disk, &str)) -> u64 {
    let mut runs = 0;
    for system in SYSTEMS {
        for call in 1..CALLS_MAX {
            let disk = disk(system);
            let trace = disk.trace();
            let directory = Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
            for action in actions {
                disk.at_call(call, Event::Act(action.clone()));
            }
            act(&directory);
            if !disk.is_script_played() {
                break;
            }
            runs += 1;
            let context = format!("\n{actions:?} on {} before call {call}:\n{}", system.0, trace.borrow().join("\n"));
            assert_eq!(disk.descriptors(), 1, "{context}");
            check(&disk, &context);
        }
    }
    runs
}

#[test]
fn nothing_outside_the_root_is_accessed_while_links_and_directories_are_swapped() {
    let mut runs = 0;
    for actions in swaps() {
        let outside = disk(SYSTEMS[0]).outside();
        let check = |disk: &Disk, context: &str| {
            assert_eq!(disk.outside(), outside, "{context}");
            assert_eq!(disk.temporary_names(), [""; 0], "{context}");
        };
        for mode in [UploadMode::Replace, UploadMode::CreateOnly] {
            runs += between_any_calls(&actions, |directory| drop(upload(directory, mode, false)), check);
            runs += between_any_calls(&actions, |directory| drop(store(directory, mode)), check);
        }
        runs += between_any_calls(&actions, read, check);
    }
    println!("{runs} swaps");
    assert!(runs > 1000, "{runs}");
}

/// An upload in progress stays in its directory if that is moved out of the root. No call can prevent that. Nothing else
/// outside the root changes.
#[test]
fn only_a_directory_that_is_moved_out_changes_outside_the_root() {
    let outside = disk(SYSTEMS[0]).outside();
    for actions in [vec![moved("a", "/outside/a")], vec![moved("a", "/outside/a"), link("a", "../outside")]] {
        let check = |disk: &Disk, context: &str| {
            let mut found = disk.outside();
            found.retain(|line| !line.starts_with("/a/"));
            assert_eq!(found, outside, "{context}");
            assert_eq!(disk.temporary_names(), [""; 0], "{context}");
        };
        between_any_calls(&actions, |directory| drop(upload(directory, UploadMode::Replace, false)), check);
        between_any_calls(&actions, |directory| drop(store(directory, UploadMode::Replace)), check);
    }
}

#[test]
fn creating_never_replaces_a_file_of_another_process() {
    let mut runs = 0;
    // The file does not exist at first.
    let create_only: &dyn Fn(&Directory<Disk>) = &|directory| drop(upload(directory, UploadMode::CreateOnly, false));
    let if_absent: &dyn Fn(&Directory<Disk>) = &|directory| drop(upload(directory, UploadMode::Replace, true));
    let store_only: &dyn Fn(&Directory<Disk>) = &|directory| drop(store(directory, UploadMode::CreateOnly));
    for (act, only_if_absent) in [(create_only, false), (if_absent, true), (store_only, false)] {
        for actions in concurrent_writes() {
            for system in SYSTEMS {
                // Without hard links and RENAME_NOREPLACE, `CreateOnly` creates nothing.
                for call in 1..CALLS_MAX {
                    let disk = disk(system);
                    assert!(disk.act(&unlink("a/b/name")));
                    let trace = disk.trace();
                    let directory = Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
                    for action in &actions {
                        disk.at_call(call, Event::Act(action.clone()));
                    }
                    act(&directory);
                    if !disk.is_script_played() {
                        break;
                    }
                    runs += 1;
                    if disk.read("witness").as_deref() == Some(FOREIGN) {
                        let context = format!("{} before call {call}:\n{}", system.0, trace.borrow().join("\n"));
                        let uses_plain_rename = system.0 == "another system without hard links" && only_if_absent;
                        let is_kept = disk.read("a/b/name").as_deref() == Some(FOREIGN);
                        assert!(is_kept || uses_plain_rename, "replaced on {context}");
                    }
                }
            }
        }
    }
    println!("{runs} concurrent writes");
    assert!(runs > 200, "{runs}");
}

/// Two servers share a directory. The second scans it for temporary files during an upload to the first.
#[test]
fn an_upload_in_progress_is_not_removed_by_another_server() {
    for system in SYSTEMS {
        let disk = disk(system);
        let open = || Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
        let (one, other) = (open(), open());
        let mut in_progress = one.begin_upload(&path("a/b/name"), UploadMode::Replace, None, false).unwrap();
        in_progress.write(b"half, ").unwrap();
        let mut another = other.begin_upload(&path("a/b/other"), UploadMode::Replace, None, false).unwrap();
        another.write(b"whole").unwrap();
        another.commit(START_NS, |_| true).unwrap();
        in_progress.write(b"and the rest").unwrap();
        in_progress.commit(START_NS, |_| true).unwrap();
        assert_eq!(disk.read("a/b/name").unwrap(), b"half, and the rest", "{}", system.0);
        assert_eq!(disk.read("a/b/other").unwrap(), b"whole", "{}", system.0);
        assert_eq!(disk.temporary_names(), [""; 0], "{}", system.0);
    }
}

/// To replace a file, content that is stored in one call has a temporary name that is not locked.
#[test]
fn what_another_server_cleans_up_meanwhile_is_stored_all_the_same() {
    let mut removed = 0;
    for system in SYSTEMS {
        for call in 1..CALLS_MAX {
            let disk = disk(system);
            let trace = disk.trace();
            let directory = Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
            disk.at_call(call, Event::Act(Action::CleanUp { directory: "a/b".to_owned() }));
            let stored = store(&directory, UploadMode::Replace);
            if !disk.is_script_played() {
                break;
            }
            let trace = trace.borrow();
            let context = format!("{} before call {call}:\n{}", system.0, trace.join("\n"));
            assert!(matches!(stored, Ok(false)), "{stored:?} on {context}");
            assert_eq!(disk.read("a/b/name").as_deref(), Some(&b"ours"[..]), "{context}");
            assert_eq!(disk.temporary_names(), [""; 0], "{context}");
            removed += usize::from(trace.iter().any(|line| line.contains("Rename ") && line.contains("NOENT")));
        }
    }
    assert_eq!(removed, 3, "before the write, before the time is set, and before the rename");
}
