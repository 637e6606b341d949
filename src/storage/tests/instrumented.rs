//! A real file system that records its calls, and makes them fail as a test wants.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::*;
#[cfg(target_os = "linux")]
use crate::storage::Linux;
use crate::storage::{Access, DirectoryEntry, FileKind, FileSystem, Metadata, Portable, Symlinks};

/// The implementation that makes the calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum System {
    #[cfg(target_os = "linux")]
    Linux,
    Portable,
}

#[derive(Clone, Debug)]
pub(super) struct Instrumented {
    pub(super) system: System,
    record: Rc<RefCell<Record>>,
}

#[derive(Debug, Default)]
struct Record {
    calls: Vec<&'static str>,
    reserved: Vec<(u64, u64)>,
    read_ahead: Vec<(u64, u64)>,
    faults: Vec<Fault>,
    action: Option<Action>,
    never_fails_at_close: bool,
    closing: Vec<OwnedFd>,
}

/// What another process does just before a call.
struct Action {
    call: &'static str,
    run: Box<dyn FnOnce()>,
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "before {}", self.call)
    }
}

/// Which calls fail, and with which error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// The name of the calls; `None` for all.
    pub(super) call: Option<&'static str>,
    /// How many of them succeed first.
    pub(super) after: usize,
    /// How many fail then.
    pub(super) times: usize,
    pub(super) errno: Errno,
}

impl Instrumented {
    pub(super) fn new(system: System) -> Instrumented {
        Instrumented { system, record: Rc::default() }
    }

    /// Adds a fault for the following calls.
    pub(super) fn fail(&self, fault: Fault) {
        self.record.borrow_mut().faults.push(fault);
    }

    /// Lets all following calls succeed.
    pub(super) fn forget_faults(&self) {
        self.record.borrow_mut().faults.clear();
    }

    /// Has another process act just before the next call of this name.
    pub(super) fn before(&self, call: &'static str, run: impl FnOnce() + 'static) {
        self.record.borrow_mut().action = Some(Action { call, run: Box::new(run) });
    }

    /// Makes it a file system whose files can be closed without an error, which is not its default.
    pub(super) fn never_fail_at_close(&self) {
        self.record.borrow_mut().never_fails_at_close = true;
    }

    /// Closes the files that are to be closed in the background. Returns the lengths of those that lost their last name.
    pub(super) fn close_all(&self) -> Vec<u64> {
        let closing = std::mem::take(&mut self.record.borrow_mut().closing);
        let stats = closing.iter().map(|file| rustix::fs::fstat(file).unwrap());
        stats.filter(|stat| stat.st_nlink == 0).map(|stat| stat.st_size as u64).collect()
    }

    /// The names of the calls since this was last called.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.record.borrow_mut().calls)
    }

    /// The offset and the length of each reservation that was attempted.
    pub(super) fn reserved(&self) -> Vec<(u64, u64)> {
        self.record.borrow().reserved.clone()
    }

    /// The offset and the length of what was read ahead since this was last called.
    pub(super) fn read_ahead(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.record.borrow_mut().read_ahead)
    }

    fn record(&self, call: &'static str) -> Result<(), Errno> {
        let action = self.record.borrow_mut().action.take_if(|action| action.call == call);
        if let Some(action) = action {
            (action.run)();
        }
        let mut record = self.record.borrow_mut();
        record.calls.push(call);
        for fault in &mut record.faults {
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

/// Makes the call.
macro_rules! call_system {
    ($self:ident.$call:ident($($argument:expr),*)) => {
        match $self.system {
            #[cfg(target_os = "linux")]
            System::Linux => Linux.$call($($argument),*),
            System::Portable => Portable.$call($($argument),*),
        }
    };
}

/// Records the call and makes it, unless it must fail.
macro_rules! recorded {
    ($self:ident.$call:ident($($argument:expr),*)) => {{
        $self.record(stringify!($call))?;
        call_system!($self.$call($($argument),*))
    }};
}

impl FileSystem for Instrumented {
    type File = OwnedFd;
    type Entries = <Portable as FileSystem>::Entries;

    fn open_root(&self, path: &Path, access: Access) -> Result<OwnedFd, Errno> {
        recorded!(self.open_root(path, access))
    }

    fn open_beneath(&self, root: &OwnedFd, path: &[u8], access: Access) -> Result<OwnedFd, Errno> {
        recorded!(self.open_beneath(root, path, access))
    }

    fn open_entry(&self, directory: &OwnedFd, name: &[u8], access: Access) -> Result<OwnedFd, Errno> {
        recorded!(self.open_entry(directory, name, access))
    }

    fn stat(&self, file: &OwnedFd) -> Result<Metadata, Errno> {
        recorded!(self.stat(file))
    }

    fn stat_at(&self, directory: &OwnedFd, path: &[u8], symlinks: Symlinks) -> Result<Metadata, Errno> {
        recorded!(self.stat_at(directory, path, symlinks))
    }

    fn create_unnamed(&self, directory: &OwnedFd) -> Result<OwnedFd, Errno> {
        recorded!(self.create_unnamed(directory))
    }

    fn can_link_unnamed(&self, some_file: &OwnedFd) -> bool {
        call_system!(self.can_link_unnamed(some_file))
    }

    fn create(&self, directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        recorded!(self.create(directory, name))
    }

    fn link_unnamed(&self, file: &OwnedFd, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        recorded!(self.link_unnamed(file, directory, name))
    }

    fn link(&self, from_directory: &OwnedFd, from: &[u8], to_directory: &OwnedFd, to: &[u8]) -> Result<(), Errno> {
        recorded!(self.link(from_directory, from, to_directory, to))
    }

    fn rename(&self, from_directory: &OwnedFd, from: &[u8], to_directory: &OwnedFd, to: &[u8]) -> Result<(), Errno> {
        recorded!(self.rename(from_directory, from, to_directory, to))
    }

    fn rename_noreplace(
        &self,
        from_directory: &OwnedFd,
        from: &[u8],
        to_directory: &OwnedFd,
        to: &[u8],
    ) -> Result<(), Errno> {
        recorded!(self.rename_noreplace(from_directory, from, to_directory, to))
    }

    fn create_directory(&self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        recorded!(self.create_directory(directory, name))
    }

    fn remove_directory(&self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        recorded!(self.remove_directory(directory, name))
    }

    fn unlink(&self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        recorded!(self.unlink(directory, name))
    }

    fn lock(&self, file: &OwnedFd) -> Result<(), Errno> {
        recorded!(self.lock(file))
    }

    fn read_at(&self, file: &OwnedFd, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        recorded!(self.read_at(file, space, offset))
    }

    fn read_without_waiting(&self, file: &OwnedFd, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        // Everything is in memory. What the system would say depends on where the temporary directory is.
        self.record("read_without_waiting")?;
        call_system!(self.read_at(file, space, offset))
    }

    fn read_ahead(&self, _file: &OwnedFd, offset: u64, bytes: u64) -> Result<(), Errno> {
        self.record("read_ahead")?;
        self.record.borrow_mut().read_ahead.push((offset, bytes));
        Ok(())
    }

    fn write(&self, file: &OwnedFd, content: &[u8]) -> Result<usize, Errno> {
        recorded!(self.write(file, content))
    }

    fn reserve(&self, file: &OwnedFd, offset: u64, bytes: u64) -> Result<(), Errno> {
        self.record.borrow_mut().reserved.push((offset, bytes));
        recorded!(self.reserve(file, offset, bytes))
    }

    fn set_modified(&self, file: &OwnedFd, modified_ns: u64) -> Result<(), Errno> {
        recorded!(self.set_modified(file, modified_ns))
    }

    fn truncate(&self, file: &OwnedFd, bytes: u64) -> Result<(), Errno> {
        recorded!(self.truncate(file, bytes))
    }

    fn set_attribute(&self, file: &OwnedFd, attribute: &[u8]) -> Result<(), Errno> {
        recorded!(self.set_attribute(file, attribute))
    }

    fn attribute(&self, file: &OwnedFd, space: &mut [u8]) -> Result<usize, Errno> {
        recorded!(self.attribute(file, space))
    }

    fn sync(&self, file: &OwnedFd) -> Result<(), Errno> {
        let kind = call_system!(self.stat(file))?.kind;
        self.record(if kind == FileKind::Directory { "sync_directory" } else { "sync_file" })?;
        call_system!(self.sync(file))
    }

    fn sync_all(&self, files: &[&OwnedFd]) -> Vec<Result<(), Errno>> {
        match self.record("sync_all") {
            Ok(()) => files.iter().map(|file| self.sync(file)).collect(),
            Err(errno) => vec![Err(errno); files.len()],
        }
    }

    fn may_fail_at_close(&self, _: &OwnedFd) -> bool {
        !self.record.borrow().never_fails_at_close
    }

    fn close_errors(&self, file: &OwnedFd) -> Result<(), Errno> {
        recorded!(self.close_errors(file))
    }

    fn close_in_background(&self, file: OwnedFd) {
        self.record.borrow_mut().closing.push(file);
    }

    fn free_bytes(&self, directory: &OwnedFd) -> Option<u64> {
        self.record("free_bytes").ok()?;
        call_system!(self.free_bytes(directory))
    }

    fn file_size_max(&self) -> Option<u64> {
        call_system!(self.file_size_max())
    }

    fn boot_id(&self) -> Option<u64> {
        call_system!(self.boot_id())
    }

    fn entries(&self, directory: OwnedFd) -> Result<Self::Entries, Errno> {
        recorded!(self.entries(directory))
    }

    fn reopen_directory(&self, directory: &OwnedFd) -> Result<Self::Entries, Errno> {
        recorded!(self.reopen_directory(directory))
    }

    fn next_entry<'e>(&self, entries: &'e mut Self::Entries) -> Option<Result<DirectoryEntry<'e>, Errno>> {
        match self.record("next_entry") {
            Ok(()) => call_system!(self.next_entry(entries)),
            Err(errno) => Some(Err(errno)),
        }
    }

    fn rewind(&self, entries: &mut Self::Entries) {
        call_system!(self.rewind(entries));
    }

    fn stat_directory(&self, entries: &Self::Entries) -> Result<Metadata, Errno> {
        recorded!(self.stat_directory(entries))
    }

    fn stat_entry(&self, entries: &Self::Entries, name: &[u8]) -> Result<Metadata, Errno> {
        recorded!(self.stat_entry(entries, name))
    }
}
