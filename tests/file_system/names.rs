//! Creating, linking, renaming and removing files.

use rustix::io::Errno;
use spindle::storage::{Access, FileSystem, Symlinks};

use crate::disk::Action;
use crate::fixture::{Fixture, contract};

contract! {
    creating_never_replaces
    an_unnamed_file_gets_names_and_never_replaces
    an_unnamed_file_whose_last_name_was_removed_gets_no_other
    a_hard_link_never_replaces
    a_rename_replaces_a_file
    a_rename_of_two_names_of_one_file_does_nothing
    a_rename_does_not_mix_files_and_directories
    a_rename_with_noreplace_never_replaces
    a_removed_file_can_be_read_while_it_is_open
    an_absent_file_cannot_be_renamed_linked_or_removed
    nothing_can_be_created_in_a_removed_directory
    a_name_that_is_too_long_is_refused
}

fn creating_never_replaces<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "theirs");
    fixture.add_directory("directory");
    fixture.add_link("dangling", "nothing");
    for name in ["file", "directory", "dangling"] {
        assert_eq!(system.create(&root, name.as_bytes()).err(), Some(Errno::EXIST), "{name}");
    }
    let created = system.create(&root, b"new").unwrap();
    assert_eq!(fixture.read("new").unwrap(), b"");
    assert_eq!(system.write(&created, b"one "), Ok(4));
    assert_eq!(system.write(&created, b"two"), Ok(3));
    assert_eq!(fixture.read("new").unwrap(), b"one two");
    assert_eq!(fixture.read("nothing"), None);
    assert_eq!(fixture.read("file").unwrap(), b"theirs");
}

fn an_unnamed_file_gets_names_and_never_replaces<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("taken", "theirs");
    let file = match system.create_unnamed(&root) {
        Ok(file) => file,
        Err(errno) => return assert!(!S::IS_LINUX && errno == Errno::OPNOTSUPP, "{errno:?}"),
    };
    assert!(system.can_link_unnamed(&root));
    assert_eq!(system.write(&file, b"content"), Ok(7));
    assert_eq!(fixture.names("."), ["taken"]);
    assert_eq!(system.link_unnamed(&file, &root, b"taken"), Err(Errno::EXIST));
    assert_eq!(system.link_unnamed(&file, &root, b"one"), Ok(()));
    assert_eq!(system.link_unnamed(&file, &root, b"one"), Err(Errno::EXIST));
    assert_eq!(system.link_unnamed(&file, &root, b"two"), Ok(()));
    assert_eq!(fixture.names("."), ["one", "taken", "two"]);
    assert_eq!(
        (fixture.read("one").unwrap(), fixture.read("taken").unwrap()),
        (b"content".to_vec(), b"theirs".to_vec())
    );
    let number = |name: &[u8]| system.stat_at(&root, name, Symlinks::NoFollow).unwrap().inode;
    assert_eq!(number(b"one"), number(b"two"));
    assert_eq!(number(b"one"), system.stat(&file).unwrap().inode);
}

fn an_unnamed_file_whose_last_name_was_removed_gets_no_other<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let Ok(file) = system.create_unnamed(&root) else { return assert!(!S::IS_LINUX) };
    assert_eq!(system.link_unnamed(&file, &root, b"one"), Ok(()));
    assert_eq!(system.unlink(&root, b"one"), Ok(()));
    assert_eq!(system.link_unnamed(&file, &root, b"two"), Err(Errno::NOENT));
    assert!(fixture.names(".").is_empty());
}

fn a_hard_link_never_replaces<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "content");
    fixture.add("taken", "theirs");
    fixture.add_directory("directory");
    assert_eq!(system.link(&root, b"file", b"taken"), Err(Errno::EXIST));
    assert_eq!(system.link(&root, b"file", b"directory"), Err(Errno::EXIST));
    assert_eq!(system.link(&root, b"file", b"file"), Err(Errno::EXIST));
    assert_eq!(system.link(&root, b"absent", b"new"), Err(Errno::NOENT));
    assert_eq!(system.link(&root, b"absent", b"taken"), Err(Errno::NOENT));
    assert_eq!(system.link(&root, b"directory", b"new"), Err(Errno::PERM));
    assert_eq!(system.link(&root, b"file", b"new"), Ok(()));
    assert_eq!(system.unlink(&root, b"file"), Ok(()));
    assert_eq!(
        (fixture.read("new").unwrap(), fixture.read("taken").unwrap()),
        (b"content".to_vec(), b"theirs".to_vec())
    );
}

fn a_rename_replaces_a_file<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("from", "new");
    fixture.add("to", "old");
    fixture.add_link("link", "to");
    let old = system.open_entry(&root, b"to", Access::Read).unwrap();
    assert_eq!(system.rename(&root, b"from", b"to"), Ok(()));
    assert_eq!(fixture.names("."), ["link", "to"]);
    assert_eq!(fixture.read("to").unwrap(), b"new");
    let mut space = [0; 8];
    assert_eq!(system.read_at(&old, &mut space, 0), Ok(3));
    assert_eq!(&space[..3], b"old");
    // A link itself is replaced, not its target.
    assert_eq!(system.rename(&root, b"to", b"link"), Ok(()));
    assert_eq!(fixture.names("."), ["link"]);
    assert_eq!(fixture.read("link").unwrap(), b"new");
}

fn a_rename_of_two_names_of_one_file_does_nothing<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("one", "content");
    fixture.act(&Action::HardLink { from: "one".to_owned(), to: "two".to_owned() });
    assert_eq!(system.rename(&root, b"one", b"two"), Ok(()));
    assert_eq!(system.rename(&root, b"one", b"one"), Ok(()));
    assert_eq!(fixture.names("."), ["one", "two"]);
}

fn a_rename_does_not_mix_files_and_directories<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "content");
    fixture.add_directory("empty");
    fixture.add_directory("full");
    fixture.add("full/file", "");
    assert_eq!(system.rename(&root, b"file", b"empty"), Err(Errno::ISDIR));
    assert_eq!(system.rename(&root, b"empty", b"file"), Err(Errno::NOTDIR));
    // XFS returns one of these, other file systems the other. POSIX allows both.
    assert!(matches!(system.rename(&root, b"empty", b"full"), Err(Errno::NOTEMPTY | Errno::EXIST)));
    assert_eq!(system.rename(&root, b"full", b"empty"), Ok(()));
    assert_eq!(fixture.names("empty"), ["file"]);
    assert_eq!(system.unlink(&root, b"empty"), Err(Errno::ISDIR));
}

fn a_rename_with_noreplace_never_replaces<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("from", "new");
    fixture.add("taken", "old");
    if !S::IS_LINUX {
        return assert_eq!(system.rename_noreplace(&root, b"from", b"free"), Err(Errno::NOSYS));
    }
    assert_eq!(system.rename_noreplace(&root, b"from", b"taken"), Err(Errno::EXIST));
    assert_eq!(system.rename_noreplace(&root, b"from", b"from"), Err(Errno::EXIST));
    assert_eq!(system.rename_noreplace(&root, b"absent", b"taken"), Err(Errno::NOENT));
    assert_eq!(system.rename_noreplace(&root, b"from", b"free"), Ok(()));
    assert_eq!(fixture.names("."), ["free", "taken"]);
    assert_eq!(fixture.read("taken").unwrap(), b"old");
}

fn a_removed_file_can_be_read_while_it_is_open<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "content");
    let file = system.open_entry(&root, b"file", Access::Read).unwrap();
    let before = system.stat(&file).unwrap();
    assert_eq!(system.unlink(&root, b"file"), Ok(()));
    assert_eq!(system.unlink(&root, b"file"), Err(Errno::NOENT));
    fixture.add("file", "another");
    let mut space = [0; 3];
    assert_eq!(system.read_at(&file, &mut space, 4), Ok(3));
    assert_eq!(&space, b"ent");
    assert_eq!(system.read_at(&file, &mut space, 7), Ok(0));
    assert_eq!(system.read_at(&file, &mut space, u32::MAX.into()), Ok(0));
    let after = system.stat(&file).unwrap();
    assert_eq!((before.inode, before.size_bytes), (after.inode, after.size_bytes));
    assert_ne!(system.stat_at(&root, b"file", Symlinks::NoFollow).unwrap().inode, before.inode);
}

fn an_absent_file_cannot_be_renamed_linked_or_removed<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("taken", "");
    assert_eq!(system.rename(&root, b"absent", b"new"), Err(Errno::NOENT));
    assert_eq!(system.rename(&root, b"absent", b"taken"), Err(Errno::NOENT));
    assert_eq!(system.link(&root, b"absent", b"new"), Err(Errno::NOENT));
    assert_eq!(system.unlink(&root, b"absent"), Err(Errno::NOENT));
    assert_eq!(system.stat_at(&root, b"absent", Symlinks::NoFollow).err(), Some(Errno::NOENT));
    assert_eq!(fixture.names("."), ["taken"]);
}

fn nothing_can_be_created_in_a_removed_directory<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add_directory("directory");
    let directory = system.open_entry(&root, b"directory", Access::ReadDirectory).unwrap();
    let unnamed = system.create_unnamed(&directory);
    fixture.remove_directory("directory");
    assert_eq!(system.create(&directory, b"name").err(), Some(Errno::NOENT));
    assert_eq!(system.rename(&directory, b"one", b"two"), Err(Errno::NOENT));
    if let Ok(unnamed) = unnamed {
        assert_eq!(system.link_unnamed(&unnamed, &directory, b"name"), Err(Errno::NOENT));
        match system.create_unnamed(&directory) {
            // XFS, Btrfs and tmpfs still create an unnamed file, but it cannot get a name.
            Ok(another) => assert_eq!(system.link_unnamed(&another, &directory, b"name"), Err(Errno::NOENT)),
            Err(errno) => assert!(matches!(errno, Errno::NOENT | Errno::PERM), "{errno:?}"),
        }
    }
    assert_eq!(system.stat_at(&directory, b"name", Symlinks::NoFollow).err(), Some(Errno::NOENT));
    assert!(system.stat(&directory).is_ok());
    assert_eq!(system.sync(&directory), Ok(()));
}

fn a_name_that_is_too_long_is_refused<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let (longest, longer) = ([b'n'; 255], [b'n'; 256]);
    assert!(system.create(&root, &longest).is_ok());
    assert_eq!(system.create(&root, &longer).err(), Some(Errno::NAMETOOLONG));
    assert_eq!(system.rename(&root, &longest, &longer), Err(Errno::NAMETOOLONG));
    assert_eq!(system.stat_at(&root, &longer, Symlinks::NoFollow).err(), Some(Errno::NAMETOOLONG));
    assert_eq!(system.open_entry(&root, &longer, Access::Read).err(), Some(Errno::NAMETOOLONG));
}
