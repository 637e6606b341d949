//! The states of the simulated disk after a power failure, in each of the loss models.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use rustix::io::Errno;
use spindle::storage::{Access, FileSystem};

use crate::disk::{Call, Disk, Event, Loss, Settings};
use crate::fixture::START_S;

type File = <Disk as FileSystem>::File;

fn disk(loss: Loss) -> (Disk, File) {
    let settings = Settings { loss, block_bytes: 4, ..Settings::linux(1) };
    let disk = Disk::new(settings, Rc::new(Cell::new(START_S * 1_000_000_000)));
    disk.add_file("old", b"old", 0);
    let root = disk.open_root(Disk::root_path(), Access::ReadDirectory).unwrap();
    (disk, root)
}

/// All states after a power failure that follows `act`: the contents of the files `old` and `new`.
fn states(loss: Loss, act: impl Fn(&Disk, &File) -> Result<(), Errno>) -> BTreeSet<[Option<String>; 2]> {
    let (disk, root) = disk(loss);
    act(&disk, &root).unwrap();
    let mut states = BTreeSet::new();
    let count = disk.after_each_power_loss(10_000, |after| {
        let read = |name| after.read(name).map(|content| content.escape_ascii().to_string());
        states.insert(["old", "new"].map(read));
    });
    assert!(count.is_some_and(|count| count >= states.len()));
    states
}

fn write(disk: &Disk, root: &File) -> Result<File, Errno> {
    let file = disk.create(root, b"temporary")?;
    assert_eq!(disk.write(&file, b"content"), Ok(7));
    Ok(file)
}

fn state(old: Option<&str>, new: Option<&str>) -> [Option<String>; 2] {
    [old, new].map(|content| content.map(str::to_owned))
}

#[test]
fn each_loss_model_allows_all_states_of_the_previous_one_and_more() {
    let act = |disk: &Disk, root: &File| {
        let _file = write(disk, root)?;
        disk.rename(root, b"temporary", root, b"new")?;
        disk.unlink(root, b"old")
    };
    let [none, ordered, journalled, unordered] =
        [Loss::None, Loss::Ordered, Loss::Journalled, Loss::Unordered].map(|loss| states(loss, act));
    assert_eq!(none, BTreeSet::from([state(None, Some("content"))]));
    assert!(none.is_subset(&ordered) && none.len() < ordered.len());
    assert!(ordered.is_subset(&journalled) && ordered.len() < journalled.len());
    assert!(journalled.is_subset(&unordered) && journalled.len() < unordered.len());
    // If all changes are ordered, no file is torn. If only names are journalled, files may be torn. Only if nothing is
    // ordered both files may be missing.
    assert!(ordered.iter().all(|[_, new]| new.as_deref().is_none_or(|new| new == "content")));
    for torn in ["", "cont\\x00\\x00\\x00", "\\x00\\x00\\x00\\x00ent", "????ent"] {
        assert!(journalled.contains(&state(Some("old"), Some(torn))), "{torn} {journalled:?}");
    }
    let both_missing = state(None, None);
    assert!(!journalled.contains(&both_missing) && unordered.contains(&both_missing));
}

#[test]
fn a_file_that_is_flushed_in_the_right_order_survives() {
    for loss in [Loss::Ordered, Loss::Journalled, Loss::Unordered] {
        let found = states(loss, |disk, root| {
            let file = write(disk, root)?;
            disk.sync(&file)?;
            disk.rename(root, b"temporary", root, b"new")?;
            disk.sync(root)
        });
        assert_eq!(found, BTreeSet::from([state(Some("old"), Some("content"))]), "{loss:?}");
    }
}

/// This was seen on ext2: the link count of the file on the disk was 0, so the file system check removed its name.
#[test]
fn a_file_that_was_flushed_without_a_name_may_be_lost_if_nothing_is_ordered() {
    for (loss, is_flushed_again, is_safe) in [
        (Loss::Ordered, false, true),
        (Loss::Journalled, false, true),
        (Loss::Unordered, false, false),
        (Loss::Unordered, true, true),
    ] {
        let found = states(loss, |disk, root| {
            let file = disk.create_unnamed(root)?;
            assert_eq!(disk.write(&file, b"content"), Ok(7));
            disk.sync(&file)?;
            disk.link_unnamed(&file, root, b"new")?;
            if is_flushed_again {
                disk.sync(&file)?;
            }
            disk.sync(root)
        });
        assert!(found.contains(&state(Some("old"), Some("content"))));
        assert_eq!(found.len(), if is_safe { 1 } else { 2 }, "{loss:?} {found:?}");
    }
}

/// Linux behaves like this: after the first error the pages count as clean, so the next fsync writes nothing.
#[test]
fn a_later_flush_does_not_write_what_a_failed_one_lost() {
    for loss in [Loss::Ordered, Loss::Journalled, Loss::Unordered] {
        let found = states(loss, |disk, root| {
            let file = write(disk, root)?;
            disk.at(Call::SyncFile, 1, Event::Fault("i/o error at sync of a file"));
            assert_eq!(disk.sync(&file), Err(Errno::IO));
            assert_eq!(disk.read("temporary").unwrap(), b"content");
            disk.sync(&file)?;
            disk.rename(root, b"temporary", root, b"new")?;
            disk.sync(root)
        });
        assert!(!found.contains(&state(Some("old"), Some("content"))), "{loss:?} {found:?}");
    }
}

#[test]
fn a_killed_process_only_loses_files_without_a_name() {
    let (disk, root) = disk(Loss::Unordered);
    let file = write(&disk, &root).unwrap();
    let unnamed = disk.create_unnamed(&root).unwrap();
    assert_eq!(disk.write(&unnamed, b"nowhere"), Ok(7));
    assert_eq!(disk.lock(&file), Ok(()));
    let after = disk.after_kill();
    assert_eq!(disk.write(&file, b"more"), Err(Errno::IO));
    assert_eq!(after.names("."), ["old", "temporary"]);
    assert_eq!(
        (after.read("temporary").unwrap(), after.used_bytes(), after.descriptors()),
        (b"content".to_vec(), 10, 0)
    );
    let root = after.open_root(Disk::root_path(), Access::ReadDirectory).unwrap();
    let found = after.open_entry(&root, b"temporary", Access::Lock).unwrap();
    assert_eq!(after.lock(&found), Ok(()));
}

/// The paths of the tree after each power failure that follows `act`. The directory `full` and the file in it existed.
fn trees(loss: Loss, act: impl Fn(&Disk, &File) -> Result<(), Errno>) -> BTreeSet<Vec<String>> {
    let (disk, root) = disk(loss);
    disk.add_directory("full");
    disk.add_file("full/file", b"content", 0);
    act(&disk, &root).unwrap();
    let mut trees = BTreeSet::new();
    let count = disk.after_each_power_loss(10_000, |after| {
        let paths =
            after.everything(".").into_iter().map(|line| line.split(" is ").next().unwrap_or_default().to_owned());
        trees.insert(paths.collect());
    });
    assert!(count.is_some());
    trees
}

fn tree(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

#[test]
fn a_new_directory_survives_if_it_and_its_parent_are_flushed() {
    let (with, without) = (tree(&["/full/", "/full/file", "/new/", "/old"]), tree(&["/full/", "/full/file", "/old"]));
    for (loss, flushes_new, is_safe) in [
        (Loss::Ordered, false, true),
        (Loss::Journalled, false, true),
        (Loss::Unordered, false, false),
        (Loss::Unordered, true, true),
    ] {
        let found = trees(loss, |disk, root| {
            disk.create_directory(root, b"new")?;
            if flushes_new {
                disk.sync(&disk.open_entry(root, b"new", Access::ReadDirectory)?)?;
            }
            disk.sync(root)
        });
        let expected = if is_safe { vec![with.clone()] } else { vec![without.clone(), with.clone()] };
        assert_eq!(found, expected.into_iter().collect(), "{loss:?}");
        let unflushed = trees(loss, |disk, root| disk.create_directory(root, b"new"));
        assert_eq!(unflushed, BTreeSet::from([with.clone(), without.clone()]), "{loss:?}");
    }
}

#[test]
fn a_directory_that_was_moved_or_removed_without_a_flush_may_be_where_it_was() {
    let before = tree(&["/empty/", "/full/", "/full/file", "/old"]);
    for loss in [Loss::Ordered, Loss::Journalled, Loss::Unordered] {
        let act = |is_flushed: bool| {
            trees(loss, move |disk, root| {
                disk.create_directory(root, b"empty")?;
                disk.sync(&disk.open_entry(root, b"empty", Access::ReadDirectory)?)?;
                disk.sync(root)?;
                disk.rename(root, b"full", root, b"moved")?;
                disk.remove_directory(root, b"empty")?;
                if is_flushed { disk.sync(root) } else { Ok(()) }
            })
        };
        assert!(act(false).contains(&before), "{loss:?}");
        assert_eq!(act(true), BTreeSet::from([tree(&["/moved/", "/moved/file", "/old"])]), "{loss:?}");
    }
}

/// A directory that a power failure brings back can be used again, and `..` leads to its parent.
#[test]
fn a_directory_whose_removal_was_lost_is_usable() {
    let (disk, root) = disk(Loss::Ordered);
    disk.add_directory("a");
    disk.add_directory("b");
    let a = disk.open_entry(&root, b"a", Access::ReadDirectory).unwrap();
    disk.rename(&root, b"b", &a, b"b").unwrap();
    disk.remove_directory(&a, b"b").unwrap();
    let mut were_undone = 0;
    disk.after_each_power_loss(10, |after| {
        let root = after.open_root(Disk::root_path(), Access::ReadDirectory).unwrap();
        if let Ok(b) = after.open_entry(&root, b"b", Access::ReadDirectory) {
            assert!(after.create(&b, b"new").is_ok());
            assert_eq!(after.names("b/.."), ["a", "b", "old"]);
            were_undone += 1;
        }
    });
    assert_eq!(were_undone, 1);
}
