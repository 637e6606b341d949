//! Reading directories.

use std::collections::BTreeMap;

use rustix::io::Errno;
use spindle::storage::{Access, FileKind, FileSystem};

use crate::fixture::{Fixture, contract};

contract! {
    a_directory_lists_its_entries
    a_directory_can_be_read_twice_at_the_same_time
    a_rewound_directory_lists_new_entries
    an_entry_that_stays_is_listed_once_while_others_are_added_and_removed
    a_removed_directory_has_no_entries
    a_file_has_no_entries
}

fn read<F: FileSystem>(system: &F, entries: &mut F::Entries) -> BTreeMap<String, Option<FileKind>> {
    let mut found = BTreeMap::new();
    while let Some(entry) = system.next_entry(entries) {
        let entry = entry.unwrap();
        let name = String::from_utf8(entry.name.to_vec()).unwrap();
        if name != "." && name != ".." {
            assert!(found.insert(name, entry.kind).is_none(), "an entry is listed twice");
        }
    }
    found
}

fn a_directory_lists_its_entries<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "12");
    fixture.add_directory("directory");
    fixture.add_link("link", "file");
    fixture.add_fifo("fifo");
    let stat = system.stat(&root).unwrap();
    // The root is opened again, since Btrfs lists the entries that existed when the directory was opened.
    let mut entries = system.entries(fixture.root()).unwrap();
    let found = read(&system, &mut entries);
    let expected = [
        ("directory", FileKind::Directory),
        ("fifo", FileKind::Other),
        ("file", FileKind::Regular),
        ("link", FileKind::Symlink),
    ];
    assert_eq!(found.len(), expected.len());
    for (name, kind) in expected {
        assert!(found[name].is_none_or(|found| found == kind), "{name}");
        assert_eq!(system.stat_entry(&entries, name.as_bytes()).unwrap().kind, kind);
    }
    assert_eq!(system.stat_entry(&entries, b"file").unwrap().size_bytes, 2);
    assert_eq!(system.stat_entry(&entries, b"absent").err(), Some(Errno::NOENT));
    assert_eq!(system.stat_directory(&entries), Ok(stat));
}

fn a_directory_can_be_read_twice_at_the_same_time<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    for number in 0..200 {
        fixture.add(&format!("file-{number}"), "");
    }
    let mut first = system.reopen_directory(&root).unwrap();
    assert!(system.next_entry(&mut first).is_some());
    let mut second = system.reopen_directory(&root).unwrap();
    assert_eq!(read(&system, &mut second).len(), 200);
    assert!(system.next_entry(&mut second).is_none());
    system.rewind(&mut second);
    assert_eq!(read(&system, &mut second).len(), 200);
    assert!(read(&system, &mut first).len() >= 199);
    assert!(system.create(&root, b"the root is still open").is_ok());
}

fn a_rewound_directory_lists_new_entries<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let mut entries = system.entries(root).unwrap();
    for number in 0..3 {
        fixture.add(&format!("file-{number}"), "");
        system.rewind(&mut entries);
        assert_eq!(read(&system, &mut entries).len(), number + 1);
    }
}

fn an_entry_that_stays_is_listed_once_while_others_are_added_and_removed<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    for number in 0..300 {
        fixture.add(&format!("stays-{number}"), "");
        fixture.add(&format!("removed-{number}"), "");
    }
    let mut entries = system.reopen_directory(&root).unwrap();
    let (mut stayed, mut number) = (0, 0);
    while let Some(entry) = system.next_entry(&mut entries) {
        stayed += usize::from(entry.unwrap().name.starts_with(b"stays"));
        if number < 300 {
            assert_eq!(system.unlink(&root, format!("removed-{number}").as_bytes()), Ok(()));
            assert!(system.create(&root, format!("added-{number}").as_bytes()).is_ok());
        }
        number += 1;
        assert!(number < 2000, "the listing does not end");
    }
    assert_eq!(stayed, 300);
}

fn a_removed_directory_has_no_entries<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add_directory("directory");
    let directory = system.open_entry(&root, b"directory", Access::ReadDirectory).unwrap();
    fixture.remove_directory("directory");
    let mut entries = system.entries(directory).unwrap();
    let first = system.next_entry(&mut entries).map(|entry| entry.map(|_| ()));
    assert!(matches!(first, None | Some(Err(Errno::NOENT))), "{first:?}");
}

fn a_file_has_no_entries<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "");
    let file = system.open_entry(&root, b"file", Access::Read).unwrap();
    let entries = system.entries(file);
    let first = entries.map(|mut entries| system.next_entry(&mut entries).map(|entry| entry.map(|_| ())));
    assert!(matches!(first, Err(Errno::NOTDIR) | Ok(Some(Err(Errno::NOTDIR)))), "{first:?}");
}
