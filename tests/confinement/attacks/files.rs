//! Reading and changing files: Landlock decides which, since the server itself opens, links and renames files.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use spindle::system::confinement::FolderUse;

use super::Refused::{Each, Landlock, Seccomp};
use super::{Attack, attack, errno, number};
use crate::scene::Scene;

pub(super) const ATTACKS: &[Attack] = &[
    attack("reads /etc/passwd by its path", Landlock, |_| read(Path::new("/etc/passwd"))),
    attack("reads /etc/passwd by /proc/self/root", Landlock, |_| read(Path::new("/proc/self/root/etc/passwd"))),
    attack("reads a file by .. from a descriptor", Landlock, |scene| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        content(rustix::fs::openat(&scene.folder, "../secret", flags, Mode::empty()).map_err(errno)?.into())
    }),
    attack("reads a file by a link in the folder", Landlock, |scene| read(&scene.inside("link"))),
    attack("reads a file by a hard link to it", Landlock, |scene| {
        fs::hard_link(scene.outside("secret"), scene.inside("hard")).or_else(|_| link_at(scene)).map_err(number)?;
        read(&scene.inside("hard"))
    }),
    attack("reads a file with openat2", Landlock, |scene| {
        let (flags, mode, resolve) = (OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::empty());
        content(rustix::fs::openat2(CWD, scene.outside("secret"), flags, mode, resolve).map_err(errno)?.into())
    }),
    attack("reads a file with io_uring", Each, |scene| {
        content(unsafe_calls::open_with_io_uring(&c_path(&scene.outside("secret")))?.into())
    }),
    attack("reads a file by its handle", Each, |scene| {
        let mount = c_path(&scene.inside("."));
        content(unsafe_calls::open_by_handle(&c_path(&scene.outside("secret")), &mount)?.into())
    }),
    attack("reads the memory of its parent", Landlock, |scene| {
        read(Path::new(&format!("/proc/{}/environ", scene.parent)))
    }),
    attack("lists a directory outside", Landlock, |scene| fs::read_dir(&scene.scratch).map(drop).map_err(number)),
    attack("reads an old log", Landlock, |scene| read(&scene.outside("log/access.log.1"))),
    attack("deletes an old log", Landlock, |scene| {
        let path = scene.outside("log/access.log.1");
        rustix::fs::unlinkat(CWD, path, AtFlags::empty()).map_err(errno)
    }),
    attack("creates a file outside", Landlock, |scene| File::create(scene.outside("new")).map(drop).map_err(number)),
    attack("writes to a file outside", Landlock, |scene| {
        File::options().append(true).open(scene.outside("secret")).map(drop).map_err(number)
    }),
    attack("truncates a file outside", Each, |scene| {
        nix::unistd::truncate(&scene.outside("secret"), 0).map_err(|errno| errno as i32)
    }),
    attack("deletes a file outside", Landlock, |scene| {
        rustix::fs::unlinkat(CWD, scene.outside("secret"), AtFlags::empty()).map_err(errno)
    }),
    attack("moves a file into the folder", Landlock, |scene| {
        rustix::fs::renameat(CWD, scene.outside("secret"), CWD, scene.inside("moved")).map_err(errno)
    }),
    attack("creates a directory outside", Landlock, |scene| {
        rustix::fs::mkdirat(CWD, scene.outside("new"), Mode::RWXU).map_err(errno)
    }),
    attack("changes the permissions of a file outside", Seccomp, |scene| {
        fs::set_permissions(scene.outside("secret"), fs::Permissions::from_mode(0o777)).map_err(number)
    }),
    attack("changes the time of a file outside", Seccomp, |scene| {
        let then = Timespec { tv_sec: 1, tv_nsec: 0 };
        let times = Timestamps { last_access: then, last_modification: then };
        rustix::fs::utimensat(CWD, scene.outside("secret"), &times, AtFlags::empty()).map_err(errno)
    }),
    attack("creates a link in the folder", Each, |scene| symlink("/etc/passwd", scene.inside("new")).map_err(number)),
    attack("creates a named pipe in the folder", Each, |scene| {
        nix::unistd::mkfifo(&scene.inside("new"), nix::sys::stat::Mode::S_IRWXU).map_err(|errno| errno as i32)
    }),
    Attack {
        name: "writes to a folder that is only read",
        refused: Landlock,
        usage: FolderUse::Read,
        perform: |scene| File::options().append(true).open(scene.inside("file")).map(drop).map_err(number),
    },
    Attack {
        name: "deletes from a folder that is only read",
        refused: Landlock,
        usage: FolderUse::Read,
        perform: |scene| rustix::fs::unlinkat(&scene.folder, "file", AtFlags::empty()).map_err(errno),
    },
];

fn read(path: &Path) -> Result<(), i32> {
    content(File::open(path).map_err(number)?)
}

/// Whether the file has any content that can be read.
fn content(mut file: File) -> Result<(), i32> {
    let bytes = file.read(&mut [0; 16]).map_err(number)?;
    assert!(bytes > 0, "the attacker expects something to read");
    Ok(())
}

/// The server links files with `linkat`, which the standard library may not use.
fn link_at(scene: &Scene) -> std::io::Result<()> {
    let (from, to) = (scene.outside("secret"), scene.folder.as_fd());
    Ok(rustix::fs::linkat(CWD, from, to, "hard", AtFlags::empty())?)
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without a null byte")
}
