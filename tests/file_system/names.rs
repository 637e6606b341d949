//! Creating, linking, renaming and removing files.

use rustix::io::Errno;
use spindle::storage::{Access, FileKind, FileSystem, Symlinks};

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
    a_file_is_linked_and_renamed_to_another_directory
    a_directory_is_renamed_to_another_directory_and_never_into_itself
    a_directory_is_created_only_under_a_free_name
    a_directory_is_removed_only_if_it_is_empty
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
    assert_eq!(system.link(&root, b"file", &root, b"taken"), Err(Errno::EXIST));
    assert_eq!(system.link(&root, b"file", &root, b"directory"), Err(Errno::EXIST));
    assert_eq!(system.link(&root, b"file", &root, b"file"), Err(Errno::EXIST));
    assert_eq!(system.link(&root, b"absent", &root, b"new"), Err(Errno::NOENT));
    assert_eq!(system.link(&root, b"absent", &root, b"taken"), Err(Errno::NOENT));
    assert_eq!(system.link(&root, b"directory", &root, b"new"), Err(Errno::PERM));
    assert_eq!(system.link(&root, b"file", &root, b"new"), Ok(()));
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
    assert_eq!(system.rename(&root, b"from", &root, b"to"), Ok(()));
    assert_eq!(fixture.names("."), ["link", "to"]);
    assert_eq!(fixture.read("to").unwrap(), b"new");
    let mut space = [0; 8];
    assert_eq!(system.read_at(&old, &mut space, 0), Ok(3));
    assert_eq!(&space[..3], b"old");
    // A link itself is replaced, not its target.
    assert_eq!(system.rename(&root, b"to", &root, b"link"), Ok(()));
    assert_eq!(fixture.names("."), ["link"]);
    assert_eq!(fixture.read("link").unwrap(), b"new");
}

fn a_rename_of_two_names_of_one_file_does_nothing<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("one", "content");
    fixture.act(&Action::HardLink { from: "one".to_owned(), to: "two".to_owned() });
    assert_eq!(system.rename(&root, b"one", &root, b"two"), Ok(()));
    assert_eq!(system.rename(&root, b"one", &root, b"one"), Ok(()));
    assert_eq!(fixture.names("."), ["one", "two"]);
}

fn a_rename_does_not_mix_files_and_directories<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "content");
    fixture.add_directory("empty");
    fixture.add_directory("full");
    fixture.add("full/file", "");
    assert_eq!(system.rename(&root, b"file", &root, b"empty"), Err(Errno::ISDIR));
    assert_eq!(system.rename(&root, b"empty", &root, b"file"), Err(Errno::NOTDIR));
    // XFS returns one of these, other file systems the other. POSIX allows both.
    assert!(matches!(system.rename(&root, b"empty", &root, b"full"), Err(Errno::NOTEMPTY | Errno::EXIST)));
    assert_eq!(system.rename(&root, b"full", &root, b"empty"), Ok(()));
    assert_eq!(fixture.names("empty"), ["file"]);
    assert_eq!(system.unlink(&root, b"empty"), Err(Errno::ISDIR));
}

fn a_rename_with_noreplace_never_replaces<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("from", "new");
    fixture.add("taken", "old");
    if !S::IS_LINUX {
        return assert_eq!(system.rename_noreplace(&root, b"from", &root, b"free"), Err(Errno::NOSYS));
    }
    assert_eq!(system.rename_noreplace(&root, b"from", &root, b"taken"), Err(Errno::EXIST));
    assert_eq!(system.rename_noreplace(&root, b"from", &root, b"from"), Err(Errno::EXIST));
    assert_eq!(system.rename_noreplace(&root, b"absent", &root, b"taken"), Err(Errno::NOENT));
    assert_eq!(system.rename_noreplace(&root, b"from", &root, b"free"), Ok(()));
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
    assert_eq!(system.rename(&root, b"absent", &root, b"new"), Err(Errno::NOENT));
    assert_eq!(system.rename(&root, b"absent", &root, b"taken"), Err(Errno::NOENT));
    assert_eq!(system.link(&root, b"absent", &root, b"new"), Err(Errno::NOENT));
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
    assert_eq!(system.rename(&directory, b"one", &directory, b"two"), Err(Errno::NOENT));
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
    assert_eq!(system.rename(&root, &longest, &root, &longer), Err(Errno::NAMETOOLONG));
    assert_eq!(system.stat_at(&root, &longer, Symlinks::NoFollow).err(), Some(Errno::NAMETOOLONG));
    assert_eq!(system.open_entry(&root, &longer, Access::Read).err(), Some(Errno::NAMETOOLONG));
}

fn a_file_is_linked_and_renamed_to_another_directory<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add_directory("other");
    fixture.add("file", "content");
    fixture.add("other/taken", "theirs");
    let other = system.open_entry(&root, b"other", Access::Traverse).unwrap();
    assert_eq!(system.link(&root, b"file", &other, b"taken"), Err(Errno::EXIST));
    assert_eq!(system.link(&root, b"file", &other, b"linked"), Ok(()));
    assert_eq!(system.rename(&other, b"absent", &root, b"file"), Err(Errno::NOENT));
    assert_eq!(system.rename(&root, b"file", &other, b"taken"), Ok(()));
    assert_eq!(
        (fixture.names("."), fixture.names("other")),
        (vec!["other".to_owned()], vec!["linked".to_owned(), "taken".to_owned()])
    );
    assert_eq!(fixture.read("other/taken").unwrap(), b"content");
    if S::IS_LINUX {
        fixture.add("file", "another");
        assert_eq!(system.rename_noreplace(&root, b"file", &other, b"taken"), Err(Errno::EXIST));
        assert_eq!(system.rename_noreplace(&root, b"file", &other, b"free"), Ok(()));
        assert_eq!(fixture.read("other/free").unwrap(), b"another");
    }
}

fn a_directory_is_renamed_to_another_directory_and_never_into_itself<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add_directory("moved");
    fixture.add_directory("moved/sub");
    fixture.add_directory("other");
    fixture.add("moved/file", "content");
    let moved = system.open_entry(&root, b"moved", Access::ReadDirectory).unwrap();
    let sub = system.open_entry(&moved, b"sub", Access::ReadDirectory).unwrap();
    let other = system.open_entry(&root, b"other", Access::ReadDirectory).unwrap();
    assert_eq!(system.rename(&root, b"moved", &moved, b"name"), Err(Errno::INVAL));
    assert_eq!(system.rename(&root, b"moved", &sub, b"name"), Err(Errno::INVAL));
    assert_eq!(system.rename(&root, b"moved", &other, b"name"), Ok(()));
    assert_eq!(
        (fixture.names("."), fixture.names("other/name")),
        (vec!["other".to_owned()], vec!["file".to_owned(), "sub".to_owned()])
    );
    // An open directory stays open while it moves.
    assert_eq!(fixture.read("other/name/file").unwrap(), b"content");
    assert!(system.create(&moved, b"new").is_ok());
    assert!(fixture.names("other/name").contains(&"new".to_owned()));
    assert_eq!(system.rename(&other, b"name", &sub, b"name"), Err(Errno::INVAL));
}

fn a_directory_is_created_only_under_a_free_name<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "theirs");
    fixture.add_link("dangling", "nothing");
    assert_eq!(system.create_directory(&root, b"new"), Ok(()));
    for name in ["new", "file", "dangling"] {
        assert_eq!(system.create_directory(&root, name.as_bytes()), Err(Errno::EXIST), "{name}");
    }
    assert_eq!(fixture.names("."), ["dangling", "file", "new"]);
    let new = system.open_entry(&root, b"new", Access::ReadDirectory).unwrap();
    assert_eq!(system.stat(&new).unwrap().kind, FileKind::Directory);
    assert_eq!(system.create_directory(&new, b"sub"), Ok(()));
    assert_eq!(fixture.names("new"), ["sub"]);
    assert_eq!(system.create_directory(&root, &[b'n'; 256]), Err(Errno::NAMETOOLONG));
}

fn a_directory_is_removed_only_if_it_is_empty<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "theirs");
    fixture.add_directory("directory");
    fixture.add("directory/file", "theirs");
    fixture.add_link("link", "directory");
    for name in ["file", "link"] {
        assert_eq!(system.remove_directory(&root, name.as_bytes()), Err(Errno::NOTDIR), "{name}");
    }
    assert_eq!(system.remove_directory(&root, b"absent"), Err(Errno::NOENT));
    assert!(matches!(system.remove_directory(&root, b"directory"), Err(Errno::NOTEMPTY | Errno::EXIST)));
    let directory = system.open_entry(&root, b"directory", Access::ReadDirectory).unwrap();
    assert_eq!(system.unlink(&directory, b"file"), Ok(()));
    assert_eq!(system.remove_directory(&root, b"directory"), Ok(()));
    assert_eq!(fixture.names("."), ["file", "link"]);
    assert_eq!(system.create(&directory, b"name").err(), Some(Errno::NOENT));
    assert_eq!(system.create_directory(&directory, b"name"), Err(Errno::NOENT));
}
