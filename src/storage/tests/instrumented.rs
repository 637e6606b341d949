//! A real file system whose calls are recorded, and fail where a test wants them to.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::*;
#[cfg(target_os = "linux")]
use crate::storage::Linux;
use crate::storage::{Access, DirectoryEntry, FileKind, FileSystem, Metadata, Portable, Symlinks};

/// The system beneath.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum System {
    #[cfg(target_os = "linux")]
    Linux,
    Portable,
}

#[derive(Clone, Debug)]
pub(super) struct Instrumented {
    pub(super) system: System,
    seen: Rc<RefCell<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: Vec<&'static str>,
    faults: Vec<Fault>,
}

/// Which calls fail, and with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// Calls of this name; all where there is none.
    pub(super) call: Option<&'static str>,
    /// So many of them succeed before.
    pub(super) after: usize,
    /// So many fail.
    pub(super) times: usize,
    pub(super) errno: Errno,
}

impl Instrumented {
    pub(super) fn new(system: System) -> Instrumented {
        Instrumented { system, seen: Rc::default() }
    }

    /// From now on, calls fail as `fault` says.
    pub(super) fn fail(&self, fault: Fault) {
        self.seen.borrow_mut().faults.push(fault);
    }

    /// The names of the calls since this was last asked.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.seen.borrow_mut().calls)
    }

    fn see(&self, call: &'static str) -> Result<(), Errno> {
        let mut seen = self.seen.borrow_mut();
        seen.calls.push(call);
        for fault in &mut seen.faults {
            if fault.call.is_some_and(|name| name != call) || fault.times == 0 {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
            } else {
                fault.times -= 1;
                return Err(fault.errno);
            }
        }
        Ok(())
    }
}

/// The call on the system beneath.
macro_rules! beneath {
    ($self:ident.$call:ident($($argument:expr),*)) => {
        match $self.system {
            #[cfg(target_os = "linux")]
            System::Linux => Linux.$call($($argument),*),
            System::Portable => Portable.$call($($argument),*),
        }
    };
}

/// The call on the system beneath, unless it is to fail.
macro_rules! instrumented {
    ($self:ident.$call:ident($($argument:expr),*)) => {{
        $self.see(stringify!($call))?;
        beneath!($self.$call($($argument),*))
    }};
}

impl FileSystem for Instrumented {
    type File = OwnedFd;
    type Entries = <Portable as FileSystem>::Entries;

    fn open_root(&self, path: &Path, access: Access) -> Result<OwnedFd, Errno> {
        instrumented!(self.open_root(path, access))
    }

    fn open_beneath(&self, root: &OwnedFd, path: &[u8], access: Access) -> Result<OwnedFd, Errno> {
        instrumented!(self.open_beneath(root, path, access))
    }

    fn open_entry(&self, directory: &OwnedFd, name: &[u8], access: Access) -> Result<OwnedFd, Errno> {
        instrumented!(self.open_entry(directory, name, access))
    }

    fn stat(&self, file: &OwnedFd) -> Result<Metadata, Errno> {
        instrumented!(self.stat(file))
    }

    fn stat_at(&self, directory: &OwnedFd, path: &[u8], links: Symlinks) -> Result<Metadata, Errno> {
        instrumented!(self.stat_at(directory, path, links))
    }

    fn create_unnamed(&self, directory: &OwnedFd) -> Result<OwnedFd, Errno> {
        instrumented!(self.create_unnamed(directory))
    }

    fn can_link_unnamed(&self, some_file: &OwnedFd) -> bool {
        beneath!(self.can_link_unnamed(some_file))
    }

    fn create(&self, directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        instrumented!(self.create(directory, name))
    }

    fn link_unnamed(&self, file: &OwnedFd, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        instrumented!(self.link_unnamed(file, directory, name))
    }

    fn link(&self, directory: &OwnedFd, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        instrumented!(self.link(directory, from, to))
    }

    fn rename(&self, directory: &OwnedFd, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        instrumented!(self.rename(directory, from, to))
    }

    fn rename_noreplace(&self, directory: &OwnedFd, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        instrumented!(self.rename_noreplace(directory, from, to))
    }

    fn unlink(&self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        instrumented!(self.unlink(directory, name))
    }

    fn lock(&self, file: &OwnedFd) -> Result<(), Errno> {
        instrumented!(self.lock(file))
    }

    fn read_at(&self, file: &OwnedFd, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        instrumented!(self.read_at(file, space, offset))
    }

    fn write(&self, file: &OwnedFd, content: &[u8]) -> Result<usize, Errno> {
        instrumented!(self.write(file, content))
    }

    fn set_modified(&self, file: &OwnedFd, modified_ns: u64) -> Result<(), Errno> {
        instrumented!(self.set_modified(file, modified_ns))
    }

    fn sync(&self, file: &OwnedFd) -> Result<(), Errno> {
        let kind = beneath!(self.stat(file))?.kind;
        self.see(if kind == FileKind::Directory { "sync_directory" } else { "sync_file" })?;
        beneath!(self.sync(file))
    }

    fn close_errors(&self, file: &OwnedFd) -> Result<(), Errno> {
        instrumented!(self.close_errors(file))
    }

    fn free_bytes(&self, directory: &OwnedFd) -> Option<u64> {
        beneath!(self.free_bytes(directory))
    }

    fn file_size_max(&self) -> Option<u64> {
        beneath!(self.file_size_max())
    }

    fn entries(&self, directory: OwnedFd) -> Result<Self::Entries, Errno> {
        instrumented!(self.entries(directory))
    }

    fn reopen_directory(&self, directory: &OwnedFd) -> Result<Self::Entries, Errno> {
        instrumented!(self.reopen_directory(directory))
    }

    fn next_entry<'e>(&self, entries: &'e mut Self::Entries) -> Option<Result<DirectoryEntry<'e>, Errno>> {
        match self.see("next_entry") {
            Ok(()) => beneath!(self.next_entry(entries)),
            Err(errno) => Some(Err(errno)),
        }
    }

    fn rewind(&self, entries: &mut Self::Entries) {
        beneath!(self.rewind(entries));
    }

    fn stat_directory(&self, entries: &Self::Entries) -> Result<Metadata, Errno> {
        instrumented!(self.stat_directory(entries))
    }

    fn stat_entry(&self, entries: &Self::Entries, name: &[u8]) -> Result<Metadata, Errno> {
        instrumented!(self.stat_entry(entries, name))
    }
}
