//! Open files: content, timestamps, locks.

use rustix::io::Errno;
use spindle::storage::{Access, FileKind, FileSystem, Symlinks};

use crate::disk::Action;
use crate::fixture::{Fixture, START_S, contract};

contract! {
    a_stat_reports_the_kind_and_the_size
    a_modification_time_that_was_set_is_kept
    linking_changes_the_times_of_file_and_directory
    a_file_is_locked_by_one_descriptor_at_a_time
    a_file_that_has_a_name_is_never_closed_later
    reserved_space_does_not_change_the_length
    a_file_can_be_flushed
    what_was_just_written_is_read_without_waiting
    close_errors_leaves_the_file_open
    a_file_only_allows_the_access_for_which_it_was_opened
    a_file_can_become_shorter_and_longer_while_it_is_open
    each_kind_of_file_can_be_opened_for_some_kinds_of_access
}

fn a_stat_reports_the_kind_and_the_size<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "12345");
    fixture.add_directory("directory");
    fixture.add_link("link", "file");
    fixture.add_link("dangling", "absent");
    fixture.add_fifo("fifo");
    for (name, kept, followed) in [
        ("file", FileKind::Regular, Some(FileKind::Regular)),
        ("directory", FileKind::Directory, Some(FileKind::Directory)),
        ("link", FileKind::Symlink, Some(FileKind::Regular)),
        ("dangling", FileKind::Symlink, None),
        ("fifo", FileKind::Other, Some(FileKind::Other)),
    ] {
        let kind = |links| system.stat_at(&root, name.as_bytes(), links).map(|stat| stat.kind);
        assert_eq!(kind(Symlinks::NoFollow), Ok(kept), "{name}");
        assert_eq!(kind(Symlinks::Follow), followed.ok_or(Errno::NOENT), "{name}");
    }
    assert_eq!(system.stat(&root).unwrap().kind, FileKind::Directory);
    assert_eq!(system.stat_at(&root, b"link", Symlinks::Follow), system.stat_at(&root, b"file", Symlinks::NoFollow));
    assert_eq!(system.stat_at(&root, b"file", Symlinks::NoFollow).unwrap().size_bytes, 5);
    assert_eq!(system.stat_at(&root, b"file/deeper", Symlinks::NoFollow).err(), Some(Errno::NOTDIR));
}

fn a_modification_time_that_was_set_is_kept<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let file = system.create(&root, b"file").unwrap();
    assert_eq!(system.write(&file, b"1"), Ok(1));
    let set_ns = START_S * 1_000_000_000 + 123_456_789;
    assert_eq!(system.set_modified(&file, set_ns), Ok(()));
    let modified_ns = set_ns - set_ns % fixture.time_granularity_ns();
    let stat = system.stat(&file).unwrap();
    assert_eq!(stat.modified_ns, modified_ns.into());
    assert_ne!(stat.changed_ns, modified_ns.into());
    assert_eq!(system.rename(&root, b"file", &root, b"renamed"), Ok(()));
    assert_eq!(system.stat(&file).unwrap().modified_ns, modified_ns.into());
    assert_eq!(system.write(&file, b"2"), Ok(1));
    assert_ne!(system.stat(&file).unwrap().modified_ns, modified_ns.into());
}

fn linking_changes_the_times_of_file_and_directory<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let file = system.create(&root, b"file").unwrap();
    assert_eq!(system.set_modified(&file, 1_000_000_000), Ok(()));
    let times = || system.stat(&file).map(|stat| (stat.modified_ns, stat.changed_ns)).unwrap();
    let before = times();
    assert_eq!(system.link(&root, b"file", &root, b"other"), Ok(()));
    assert_eq!(times().0, before.0);
    assert!(times().1 >= before.1);
    let directory = system.stat(&root).unwrap();
    assert_eq!(directory.modified_ns, directory.changed_ns);
}

fn what_was_just_written_is_read_without_waiting<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "12345");
    let file = system.open_entry(&root, b"file", Access::Read).unwrap();
    let mut space = [0; 10];
    match system.read_without_waiting(&file, &mut space, 2) {
        Ok(bytes) => assert_eq!((bytes, &space[..bytes]), (3, &b"345"[..])),
        // On tmpfs, for example.
        Err(errno) => return assert!([Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].contains(&errno), "{errno}"),
    }
    assert_eq!(system.read_without_waiting(&file, &mut space, 5), Ok(0));
    assert_eq!(system.read_ahead(&file, 0, 5), Ok(()));
    assert_eq!(system.read_ahead(&file, 3, 1 << 30), Ok(()));
    assert_eq!(system.read_at(&file, &mut space, 0), Ok(5));
}

/// Whether the lock of a file is free. A process that another test is just starting has a copy of each descriptor until it
/// executes its program.
fn becomes_free<F: FileSystem>(system: &F, file: &F::File) -> bool {
    let is_free = || {
        system.lock(file) == Ok(()) || {
            std::thread::sleep(std::time::Duration::from_millis(1));
            false
        }
    };
    (0..10_000).any(|_| is_free())
}

/// Somebody may wait for its lock, such as the client that continues an upload.
fn a_file_that_has_a_name_is_never_closed_later<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "");
    let open = || system.open_entry(&root, b"file", Access::Lock).unwrap();
    let (one, other) = (open(), open());
    assert_eq!(system.lock(&one), Ok(()));
    system.close_in_background(one);
    assert!(becomes_free(&system, &other));
}

fn a_file_is_locked_by_one_descriptor_at_a_time<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "");
    let open = || system.open_entry(&root, b"file", Access::Lock).unwrap();
    let (one, other) = (open(), open());
    assert_eq!(system.lock(&one), Ok(()));
    assert_eq!(system.lock(&one), Ok(()));
    assert_eq!(system.lock(&other), Err(Errno::WOULDBLOCK));
    // A rename does not release the lock.
    fixture.rename("file", "renamed");
    assert_eq!(system.lock(&other), Err(Errno::WOULDBLOCK));
    drop(one);
    assert!(becomes_free(&system, &other), "the lock is free again after its descriptor was closed");

    let created = system.create(&root, b"created").unwrap();
    assert_eq!(system.lock(&created), Ok(()));
    let found = system.open_entry(&root, b"created", Access::Lock).unwrap();
    assert_eq!(system.lock(&found), Err(Errno::WOULDBLOCK));
    assert_eq!(system.unlink(&root, b"created"), Ok(()));
    assert_eq!(system.lock(&found), Err(Errno::WOULDBLOCK));
}

fn a_file_can_be_flushed<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let file = system.create(&root, b"file").unwrap();
    assert_eq!(system.write(&file, b"content"), Ok(7));
    assert_eq!((system.sync(&file), system.sync(&root)), (Ok(()), Ok(())));
    let found = system.open_entry(&root, b"file", Access::Read).unwrap();
    assert_eq!(system.sync(&found), Ok(()));
    // On systems with `O_PATH`, a directory that was opened to be traversed cannot be flushed.
    let traversed = system.open_root(&fixture.root_path(), Access::Traverse).unwrap();
    assert_eq!(system.sync(&traversed).err(), S::IS_LINUX.then_some(Errno::BADF));
}

fn reserved_space_does_not_change_the_length<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let file = system.create(&root, b"file").unwrap();
    assert_eq!(system.write(&file, b"content"), Ok(7));
    // ext2 cannot reserve space.
    assert!(matches!(system.reserve(&file, 7, 1024 * 1024), Ok(()) | Err(Errno::OPNOTSUPP)));
    assert_eq!(system.stat(&file).unwrap().size_bytes, 7);
    assert_eq!(system.write(&file, b" and more"), Ok(9));
    assert_eq!((system.truncate(&file, 16), system.stat(&file).unwrap().size_bytes), (Ok(()), 16));
    let read = system.open_entry(&root, b"file", Access::Read).unwrap();
    let mut space = [0; 16];
    assert_eq!(system.read_at(&read, &mut space, 0), Ok(16));
    assert_eq!(&space, b"content and more");
}

fn close_errors_leaves_the_file_open<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let file = system.create(&root, b"file").unwrap();
    assert_eq!(system.close_errors(&file), Ok(()));
    assert_eq!(system.write(&file, b"still open"), Ok(10));
    assert!(system.free_bytes(&root).is_some_and(|bytes| bytes > 0));
    assert_eq!(system.lock(&file), Ok(()));
    assert_eq!(system.close_errors(&file), Ok(()));
    // The lock remains although a duplicate of the descriptor was closed.
    let other = system.open_entry(&root, b"file", Access::Lock).unwrap();
    assert_eq!(system.lock(&other), Err(Errno::WOULDBLOCK));
}

fn a_file_only_allows_the_access_for_which_it_was_opened<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    let created = system.create(&root, b"file").unwrap();
    assert_eq!(system.read_at(&created, &mut [0], 0), Err(Errno::BADF));
    let read = system.open_entry(&root, b"file", Access::Read).unwrap();
    assert_eq!(system.write(&read, b"1"), Err(Errno::BADF));
    let stat_only = system.open_entry(&root, b"file", Access::Stat).unwrap();
    assert_eq!(system.read_at(&stat_only, &mut [0], 0).is_err(), S::IS_LINUX);
    assert_eq!(system.lock(&stat_only).err(), S::IS_LINUX.then_some(Errno::BADF));
    assert!(system.stat(&stat_only).is_ok());
    assert_eq!(system.read_at(&root, &mut [0], 0), Err(Errno::ISDIR));
}

fn a_file_can_become_shorter_and_longer_while_it_is_open<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "0123456789");
    let file = system.open_entry(&root, b"file", Access::Read).unwrap();
    fixture.act(&Action::Truncate { path: "file".to_owned(), bytes: 4 });
    assert_eq!(system.stat(&file).unwrap().size_bytes, 4);
    assert_eq!(system.read_at(&file, &mut [0; 8], 2), Ok(2));
    assert_eq!(system.read_at(&file, &mut [0; 8], 4), Ok(0));
    fixture.act(&Action::Overwrite { path: "file".to_owned(), content: b"longer than before".to_vec() });
    assert_eq!(system.read_at(&file, &mut [0; 32], 2), Ok(16));
}

fn each_kind_of_file_can_be_opened_for_some_kinds_of_access<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "");
    fixture.add_directory("directory");
    fixture.add_link("link", "file");
    fixture.add_link("to-directory", "directory");
    fixture.add_fifo("fifo");
    fixture.add_socket("socket");
    let open = |name: &str, access| system.open_entry(&root, name.as_bytes(), access).err();
    for access in [Access::ReadDirectory, Access::Traverse] {
        for name in ["file", "link", "to-directory", "fifo", "socket"] {
            assert_eq!(open(name, access), Some(Errno::NOTDIR), "{name} {access:?}");
        }
        assert_eq!(open("directory", access), None);
    }
    for access in [Access::Read, Access::Lock] {
        assert_eq!(open("link", access), Some(Errno::LOOP));
        assert_eq!(open("to-directory", access), Some(Errno::LOOP));
        assert_eq!(open("socket", access), Some(Errno::NXIO));
    }
    assert_eq!((open("directory", Access::Read), open("directory", Access::Lock)), (None, Some(Errno::ISDIR)));
    assert_eq!((open("fifo", Access::Read), open("fifo", Access::Lock)), (None, Some(Errno::NXIO)));
    for name in ["file", "directory", "fifo"] {
        assert_eq!(open(name, Access::Stat), None);
    }
    // On systems with `O_PATH`, the link itself is opened.
    match system.open_entry(&root, b"link", Access::Stat) {
        Ok(link) => assert_eq!(system.stat(&link).unwrap().kind, FileKind::Symlink),
        Err(errno) => assert!(!S::IS_LINUX && errno == Errno::LOOP, "{errno:?}"),
    }
}
