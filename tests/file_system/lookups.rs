//! Lookups of paths that stay beneath the root, and of paths that leave it.

use rustix::io::Errno;
use spindle::storage::{Access, FileSystem, Symlinks};

use crate::disk::Action;
use crate::fixture::{Fixture, contract};

contract! {
    links_within_the_root_are_followed
    links_out_of_the_root_are_not_followed
    an_absent_path_is_not_found
    a_loop_of_links_is_refused
    an_open_directory_can_be_used_after_it_was_moved
    a_plain_stat_may_leave_the_root
    a_path_that_is_too_long_is_refused
}

/// The number of attempts of a lookup while the kernel returns `EAGAIN`.
const ATTEMPTS_MAX: u32 = 1000;

/// The content of the file at `path`, or the error of opening it; `None` if the system has no such call.
fn open<S: Fixture>(fixture: &S, path: &str, access: Access) -> Option<Result<Vec<u8>, Errno>> {
    let (system, root) = (fixture.system(), fixture.root());
    // The kernel may return `EAGAIN` if something on the machine is renamed or mounted during the lookup. Other tests do
    // both.
    let mut opened = system.open_beneath(&root, path.as_bytes(), access);
    for _ in 0..ATTEMPTS_MAX {
        if !matches!(opened, Err(Errno::AGAIN)) {
            break;
        }
        opened = system.open_beneath(&root, path.as_bytes(), access);
    }
    if !S::IS_LINUX {
        assert_eq!(opened.err(), Some(Errno::NOSYS));
        return None;
    }
    Some(opened.map(|file| {
        let mut space = [0; 64];
        let bytes = system.read_at(&file, &mut space, 0).unwrap_or(0);
        space[..bytes].to_vec()
    }))
}

fn links_within_the_root_are_followed<S: Fixture>(fixture: &S) {
    fixture.add_directory("a");
    fixture.add_directory("a/b");
    fixture.add("a/b/file", "content");
    fixture.add_link("link", "a/b/file");
    fixture.add_link("a/up", "../link");
    fixture.add_link("a/b/here", ".");
    fixture.add_link("directory", "a//b/");
    for path in ["a/b/file", "link", "a/up", "a/b/here/file", "directory/file", "a/../link", "a/./b/here/here/file"] {
        let Some(opened) = open(fixture, path, Access::Read) else { return };
        assert_eq!(opened.as_deref(), Ok(&b"content"[..]), "{path}");
    }
    for path in ["a/b", "directory", ".", "a/b/here", "a/.."] {
        for access in [Access::ReadDirectory, Access::Traverse, Access::Stat, Access::Read] {
            assert!(open(fixture, path, access).unwrap().is_ok(), "{path}");
        }
    }
}

fn links_out_of_the_root_are_not_followed<S: Fixture>(fixture: &S) {
    fixture.add_directory("a");
    fixture.add_link("out", "../outside/secret");
    fixture.add_link("out-directory", "../outside");
    fixture.add_link("a/far", "../../outside/secret");
    fixture.add_link("absolute", &fixture.absolute("outside/secret"));
    // An absolute link is refused even if its target is inside.
    fixture.add_link("absolute-within", &fixture.absolute("served/a"));
    fixture.add_link("out-and-in", "../served/a");
    for path in ["out", "out-directory/secret", "a/far", "absolute", "absolute-within", "out-and-in", "..", "a/../.."] {
        for access in [Access::Read, Access::Stat, Access::ReadDirectory] {
            let Some(opened) = open(fixture, path, access) else { return };
            assert_eq!(opened, Err(Errno::XDEV), "{path}");
        }
    }
}

fn an_absent_path_is_not_found<S: Fixture>(fixture: &S) {
    fixture.add("file", "");
    fixture.add_link("dangling", "absent");
    for (path, errno) in [
        ("absent", Errno::NOENT),
        ("absent/deeper", Errno::NOENT),
        ("dangling", Errno::NOENT),
        ("", Errno::NOENT),
        ("file/deeper", Errno::NOTDIR),
        ("file/", Errno::NOTDIR),
        ("file/..", Errno::NOTDIR),
    ] {
        let Some(opened) = open(fixture, path, Access::Read) else { return };
        assert_eq!(opened, Err(errno), "{path}");
    }
    assert_eq!(open(fixture, "file", Access::ReadDirectory), Some(Err(Errno::NOTDIR)));
}

fn a_loop_of_links_is_refused<S: Fixture>(fixture: &S) {
    fixture.add_link("one", "two");
    fixture.add_link("two", "one");
    fixture.add("file", "content");
    fixture.add_link("link-0", "file");
    for number in 1..=40 {
        fixture.add_link(&format!("link-{number}"), &format!("link-{}", number - 1));
    }
    for path in ["one", "one/deeper", "link-40"] {
        let Some(opened) = open(fixture, path, Access::Read) else { return };
        assert_eq!(opened, Err(Errno::LOOP), "{path}");
    }
    assert!(open(fixture, "link-39", Access::Read).unwrap().is_ok());
    let (system, root) = (fixture.system(), fixture.root());
    assert_eq!(system.stat_at(&root, b"one", Symlinks::Follow).err(), Some(Errno::LOOP));
}

fn an_open_directory_can_be_used_after_it_was_moved<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add_directory("directory");
    fixture.add("directory/file", "content");
    let directory = system.open_entry(&root, b"directory", Access::Traverse).unwrap();
    fixture.act(&Action::Move { from: "directory".to_owned(), to: "../outside/moved".to_owned() });
    assert!(system.open_entry(&directory, b"file", Access::Read).is_ok());
    assert_eq!(system.create(&directory, b"new").err(), None);
    assert_eq!(fixture.names("../outside/moved"), ["file", "new"]);
    assert_eq!(system.open_entry(&root, b"directory", Access::Traverse).err(), Some(Errno::NOENT));
}

fn a_plain_stat_may_leave_the_root<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add_link("out", "../outside/secret");
    fixture.add_link("absolute", &fixture.absolute("outside/secret"));
    let number = |path: &str| system.stat_at(&root, path.as_bytes(), Symlinks::Follow).map(|stat| stat.inode);
    assert_eq!(number("out"), number("absolute"));
    assert_eq!(number("out"), number("../outside/secret"));
    assert!(number("out").is_ok());
}

fn a_path_that_is_too_long_is_refused<S: Fixture>(fixture: &S) {
    let (system, root) = (fixture.system(), fixture.root());
    fixture.add("file", "content");
    let path = |bytes: usize| [&b"./".repeat(2048)[..bytes - 4], b"file"].concat();
    assert_eq!(path(4095).len(), 4095);
    assert!(system.stat_at(&root, &path(4094), Symlinks::Follow).is_ok());
    assert_eq!(system.stat_at(&root, &path(4096), Symlinks::Follow).err(), Some(Errno::NAMETOOLONG));
}
