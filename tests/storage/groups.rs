//! Uploads that are committed together: power failures and failed flushes at each call.

use std::cell::Cell;
use std::rc::Rc;

use spindle::storage::{Directory, Published, StorageError, UploadMode, commit_together};

use crate::disk::{Call, Disk, Event, Loss, Settings};
use crate::operations::{BLOCK_BYTES, START_NS, SYSTEMS, System, Trial, path};

/// The most states after one power failure.
const STATES_MAX: usize = 200_000;

/// More calls than any group makes.
const CALLS_MAX: u64 = 300;

const OLD: &[u8] = b"old";

/// An upload of a group.
#[derive(Clone, Copy, Debug)]
struct Member {
    name: &'static str,
    content: &'static [u8],
    mode: UploadMode,
    /// What its condition is.
    condition: bool,
}

const fn replace(name: &'static str, content: &'static [u8]) -> Member {
    Member { name, content, mode: UploadMode::Replace, condition: true }
}

/// The groups. `old` exists in each directory before.
const GROUPS: [&[Member]; 5] = [
    &[replace("new", b"1"), replace("a/old", b"2")],
    &[replace("a/old", b"1"), replace("a/new", b"2")],
    &[replace("new", b"1"), replace("new", b"2")],
    &[replace("old", b"1"), Member { condition: false, ..replace("new", b"2") }],
    &[
        Member { mode: UploadMode::CreateOnly, ..replace("new", b"1") },
        Member { mode: UploadMode::CreateOnly, ..replace("new", b"2") },
    ],
];

type Results = Vec<Result<Published, StorageError>>;

fn disk(system: System, loss: Loss) -> Disk {
    let settings = Settings { loss, block_bytes: BLOCK_BYTES, ..system.1(1) };
    let disk = Disk::new(settings, Rc::new(Cell::new(START_NS)));
    disk.add_directory("a");
    for name in ["old", "a/old"] {
        disk.add_file(name, OLD, i128::from(START_NS) - 10_000_000_000);
    }
    disk
}

/// Commits a group. An upload that cannot begin is not a member.
fn commit(directory: &Directory<Disk>, group: &[Member]) -> Results {
    let mut uploads = Vec::new();
    for member in group {
        let begun = directory.begin_upload(&path(member.name), member.mode, None, true);
        let Ok(mut upload) = begun else { return Vec::new() };
        if upload.write(member.content).is_err() {
            return Vec::new();
        }
        let condition = member.condition;
        uploads.push((upload, move |_: Option<&_>| condition));
    }
    commit_together(uploads, START_NS)
}

/// What may have the name `name` after the group: what it was before, any version that was not confirmed, and the last
/// one that was.
fn allowed(name: &str, group: &[Member], results: &Results) -> Vec<Option<&'static [u8]>> {
    let before = name.ends_with("old").then_some(OLD);
    let mut allowed = vec![before];
    for (index, member) in group.iter().enumerate().filter(|(_, member)| member.name == name) {
        match results.get(index) {
            Some(Ok(_)) => allowed = vec![Some(member.content)],
            Some(Err(StorageError::ConditionFailed | StorageError::AlreadyExists)) => {}
            _ => allowed.push(Some(member.content)),
        }
    }
    allowed
}

fn check(disk: &Disk, group: &[Member], results: &Results, context: &dyn Fn() -> String) {
    for name in ["old", "new", "a/old", "a/new"] {
        let (found, allowed) = (disk.read(name), allowed(name, group, results));
        assert!(allowed.contains(&found.as_deref()), "{name} has {found:?}, not one of {allowed:?}\n{}", context());
    }
}

/// A server that starts afterwards removes every temporary file, and changes nothing else.
fn check_restart(disk: &Disk, group: &[Member], results: &Results, context: &dyn Fn() -> String) {
    disk.stop_tracing();
    let directory = Trial::open(disk).unwrap();
    for name in ["after", "a/after"] {
        let upload = directory.begin_upload(&path(name), UploadMode::Replace, None, false).unwrap();
        upload.commit(START_NS, |_| true).unwrap();
    }
    assert_eq!(disk.temporary_names(), [""; 0], "{}", context());
    check(disk, group, results, context);
}

fn each_group(mut test: impl FnMut(System, &'static [Member])) {
    for system in SYSTEMS {
        for group in GROUPS {
            // Without hard links and RENAME_NOREPLACE, `CreateOnly` always fails.
            let creates = group.iter().all(|member| member.mode == UploadMode::CreateOnly);
            if !(creates && system.0 == "another system without hard links") {
                test(system, group);
            }
        }
    }
}

fn test_power_failures(loss: Loss) {
    let mut states = 0;
    each_group(|system, group| {
        for call in 1..CALLS_MAX {
            let disk = disk(system, loss);
            let trace = disk.trace();
            let directory = Trial::open(&disk).unwrap();
            disk.at_call(call, Event::PowerCut);
            let results = commit(&directory, group);
            let was_cut = disk.is_stopped();
            disk.stop();
            drop(directory);
            let context = || format!("{loss:?} {}, {group:?}, call {call}:\n{}", system.0, trace.borrow().join("\n"));
            states += disk
                .after_each_power_loss(STATES_MAX, |after| {
                    check(after, group, &results, &context);
                    check_restart(after, group, &results, &context);
                })
                .unwrap_or_else(|| panic!("too many states\n{}", context()));
            if !was_cut {
                assert!(results[0].is_ok(), "{:?}{}", results[0], context());
                return;
            }
        }
        panic!("{group:?} does not end");
    });
    println!("{loss:?}: {states} states");
    assert!(states > 500, "{states}");
}

#[test]
fn confirmed_uploads_of_a_group_survive_a_power_failure_if_changes_are_ordered() {
    test_power_failures(Loss::Ordered);
}

#[test]
fn confirmed_uploads_of_a_group_survive_a_power_failure_if_names_are_journalled() {
    test_power_failures(Loss::Journalled);
}

#[test]
fn confirmed_uploads_of_a_group_survive_a_power_failure_if_nothing_is_ordered() {
    test_power_failures(Loss::Unordered);
}

/// A flush that fails for one upload is an error for it, and for others only if it was that of their directory.
#[test]
fn a_failed_flush_fails_its_upload_and_no_other() {
    each_group(|system, group| {
        for (call, flush) in
            [Call::SyncFile, Call::SyncDirectory].into_iter().flat_map(|call| (1..9).map(move |n| (call, n)))
        {
            let disk = disk(system, Loss::Unordered);
            let trace = disk.trace();
            let directory = Trial::open(&disk).unwrap();
            let fault = match call {
                Call::SyncFile => "i/o error at sync of a file",
                _ => "i/o error at sync of a directory",
            };
            disk.at(call, flush, Event::Fault(fault));
            let results = commit(&directory, group);
            let failed = results.iter().filter(|result| matches!(result, Err(StorageError::Io(_)))).count();
            let has_failed = disk.is_script_played();
            disk.stop();
            drop(directory);
            let context = || format!("{}, {group:?}, {call:?} {flush}:\n{}", system.0, trace.borrow().join("\n"));
            let failed_max = if call == Call::SyncFile { 1 } else { group.len() };
            assert_eq!(failed > 0, has_failed, "{results:?}{}", context());
            assert!(failed <= failed_max, "{results:?}{}", context());
            disk.after_each_power_loss(STATES_MAX, |after| check(after, group, &results, &context)).unwrap();
        }
    });
}

/// The point of a group: each step is done for all before the next begins, and each directory is flushed once.
#[test]
fn a_directory_is_flushed_once_for_all_uploads_to_it() {
    let disk = disk(SYSTEMS[0], Loss::None);
    let directory = Trial::open(&disk).unwrap();
    let members: Vec<String> = (0..10).map(|n| format!("{}{n}", if n % 2 == 0 { "" } else { "a/" })).collect();
    let uploads = members.iter().map(|name| {
        let mut upload = directory.begin_upload(&path(name), UploadMode::Replace, None, true).unwrap();
        upload.write(b"content").unwrap();
        (upload, |_: Option<&_>| true)
    });
    let uploads: Vec<_> = uploads.collect();
    let trace = disk.trace();
    assert!(commit_together(uploads, START_NS).iter().all(Result::is_ok));
    let calls: Vec<String> =
        trace.borrow().iter().filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect();
    let kinds = ["SyncFile", "LinkUnnamed", "RenameNoreplace", "SyncDirectory"];
    let mut order: Vec<(&str, usize)> = Vec::new();
    for call in calls.iter().filter(|call| kinds.contains(&call.as_str())) {
        match order.last_mut() {
            Some((last, count)) if last == call => *count += 1,
            _ => order.push((call, 1)),
        }
    }
    assert_eq!(order, [("LinkUnnamed", 10), ("SyncFile", 10), ("RenameNoreplace", 10), ("SyncDirectory", 2)]);
}

/// The version that a reader finds in between is one of the group, and has a time of its own.
#[test]
fn the_uploads_of_a_group_have_increasing_modification_times_in_their_order() {
    for system in SYSTEMS {
        let disk = disk(system, Loss::None);
        let directory = Trial::open(&disk).unwrap();
        let results = commit(&directory, &[replace("new", b"1"), replace("new", b"2"), replace("new", b"3")]);
        let published: Vec<Published> = results.into_iter().map(Result::unwrap).collect();
        assert!(published.windows(2).all(|pair| pair[0].modified_ns < pair[1].modified_ns), "{published:?}");
        assert_eq!(published.iter().map(|published| published.created).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(disk.read("new").as_deref(), Some(&b"3"[..]));
        assert_eq!(directory.metadata(&path("new")).unwrap().modified_ns, i128::from(published[2].modified_ns));
    }
}

/// Each condition is asked about the file that its upload replaces, also if that is one of the same group.
#[test]
fn the_condition_of_an_upload_sees_what_the_group_has_published_before_it() {
    let disk = disk(SYSTEMS[0], Loss::None);
    let directory = Trial::open(&disk).unwrap();
    let uploads = [3_usize, 5].map(|bytes| {
        let mut upload = directory.begin_upload(&path("new"), UploadMode::Replace, None, true).unwrap();
        upload.write(&b"xxxxx"[..bytes]).unwrap();
        let expected = (bytes == 5).then_some(3);
        (upload, move |existing: Option<&spindle::storage::Metadata>| {
            existing.map(|found| found.size_bytes) == expected
        })
    });
    assert!(commit_together(uploads.into_iter().collect(), START_NS).iter().all(Result::is_ok));
}
