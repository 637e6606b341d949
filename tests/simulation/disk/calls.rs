//! The disk's implementation of [`FileSystem`].

use std::cell::Cell;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use spindle::storage::{Access, DirectoryEntry, FileKind, FileSystem, Metadata, Symlinks};

use super::Disk;
use super::faults::{Call, Effect, Happening, error_name};
use super::machine::Machine;
use super::tree::{Cursor, Entries, Lookup, NodeId, TOP};

/// The longest that a slow call takes, in seconds.
const SLOW_S_MAX: usize = 30;

/// An open file or directory.
pub(crate) struct DiskFile {
    disk: Disk,
    node: NodeId,
    /// The number of the open file, which owns its lock and its write position.
    number: u64,
    offset: Cell<u64>,
    mode: Mode,
    /// Whether the system closes it in the background.
    is_handed_over: bool,
}

/// What an open file permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
    /// Only to resolve paths from it, and to identify it (O_PATH).
    Path,
}

impl fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}", self.number)
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        if !self.is_handed_over {
            self.disk.machine.borrow_mut().close(self.node, self.number);
        }
    }
}

/// A directory that is being read.
#[derive(Debug)]
pub(crate) struct DiskEntries {
    directory: DiskFile,
    /// The rest of the last system call's entries, and where the next call continues.
    buffer: Vec<(Box<[u8]>, FileKind)>,
    returned: usize,
    cursor: Cursor,
    has_begun: bool,
    has_entry_kinds: bool,
}

impl Disk {
    /// Makes a call: numbers it, injects its faults, and traces it.
    fn call<T>(
        &self,
        call: Call,
        subject: impl Fn() -> String,
        make: impl FnOnce(&mut Machine, Option<usize>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.machine.borrow_mut().close_now_and_then();
        let happenings = self.machine.borrow_mut().faults.next(call);
        let mut failure = None;
        let mut is_short = false;
        for happening in happenings {
            match happening {
                Happening::Act(action) => {
                    self.act(&action);
                }
                Happening::Effect(effect) => self.happen(effect, &mut failure, &mut is_short),
            }
        }
        let mut machine = self.machine.borrow_mut();
        let result = match failure {
            _ if machine.is_dead => Err(Errno::IO),
            Some(errno) => Err(errno),
            None => {
                let most = is_short.then(|| 1 + machine.faults.random_below(16));
                make(&mut machine, most)
            }
        };
        if let Some(trace) = &machine.faults.trace {
            let outcome = match &result {
                Ok(_) => "ok".to_owned(),
                Err(errno) => error_name(*errno),
            };
            trace.borrow_mut().push(format!("{:5} {call:?} {} = {outcome}", machine.faults.calls, subject()));
        }
        result
    }

    fn happen(&self, effect: Effect, failure: &mut Option<Errno>, is_short: &mut bool) {
        let mut machine = self.machine.borrow_mut();
        match effect {
            Effect::Fail(errno) => *failure = failure.or(Some(errno)),
            Effect::Short => *is_short = true,
            Effect::Slow => {
                let seconds = 1 + machine.faults.random_below(SLOW_S_MAX) as u64;
                machine.clock.set(machine.clock.get() + seconds * 1_000_000_000);
            }
            Effect::ReadOnly => machine.is_read_only = true,
            Effect::PowerCut => machine.is_dead = true,
            Effect::Others => {}
        }
    }

    /// Notes it if the system has not said whether the file is in memory.
    fn note_if_it_cannot_tell<T>(&self, file: &DiskFile, result: Result<T, Errno>) -> Result<T, Errno> {
        if result.as_ref().is_err_and(|errno| *errno != Errno::AGAIN) {
            self.machine.borrow_mut().memory.cannot_tell(file.node);
        }
        result
    }

    fn file(&self, (node, number): (NodeId, u64), mode: Mode) -> DiskFile {
        DiskFile { disk: self.clone(), node, number, offset: Cell::new(0), mode, is_handed_over: false }
    }

    fn mode(&self, access: Access) -> Mode {
        match access {
            Access::Lock => Mode::Write,
            Access::Stat | Access::Traverse if self.machine.borrow().settings.opens_unreadable => Mode::Path,
            _ => Mode::Read,
        }
    }

    fn opened(
        &self,
        call: Call,
        subject: impl Fn() -> String,
        access: Access,
        find: impl FnOnce(&Machine) -> Result<NodeId, Errno>,
    ) -> Result<DiskFile, Errno> {
        let opened = self.call(call, subject, |machine, _| {
            machine.has_descriptor()?;
            let node = find(machine)?;
            machine.may_open(node, access)?;
            Ok((node, machine.open(node)))
        })?;
        Ok(self.file(opened, self.mode(access)))
    }
}

/// Reads what is in the file, wherever that is.
fn read(
    machine: &Machine,
    file: &DiskFile,
    space: &mut [u8],
    offset: u64,
    most: Option<usize>,
) -> Result<usize, Errno> {
    let node = machine.node(file.node);
    if file.mode != Mode::Read {
        return Err(Errno::BADF);
    }
    let is_directory = node.kind() == FileKind::Directory;
    let content = node.content().ok_or(if is_directory { Errno::ISDIR } else { Errno::SPIPE })?;
    let rest = usize::try_from(offset).ok().and_then(|offset| content.bytes.get(offset..)).unwrap_or_default();
    let bytes = shortened(rest.len().min(space.len()), most);
    space[..bytes].copy_from_slice(&rest[..bytes]);
    Ok(bytes)
}

fn text(name: &[u8]) -> impl fmt::Display {
    name.escape_ascii()
}

/// How many of `bytes` bytes a call reads or writes.
fn shortened(bytes: usize, most: Option<usize>) -> usize {
    most.map_or(bytes, |most| most.min(bytes.saturating_sub(1)).max(1).min(bytes))
}

impl FileSystem for Disk {
    type File = DiskFile;
    type Entries = DiskEntries;

    fn open_root(&self, path: &Path, access: Access) -> Result<DiskFile, Errno> {
        let bytes = path.as_os_str().as_bytes();
        let find = |machine: &Machine| machine.resolve(TOP, bytes, true);
        self.opened(Call::OpenRoot, || format!("{path:?} {access:?}"), access, find)
    }

    fn open_beneath(&self, root: &DiskFile, path: &[u8], access: Access) -> Result<DiskFile, Errno> {
        let how = Lookup { follow_last: true, beneath: Some(root.node) };
        self.opened(
            Call::OpenBeneath,
            || format!("{} {access:?}", text(path)),
            access,
            |machine| {
                if !machine.settings.open_beneath {
                    return Err(Errno::NOSYS);
                }
                machine.tree.resolve(root.node, path, how)
            },
        )
    }

    fn open_entry(&self, directory: &DiskFile, name: &[u8], access: Access) -> Result<DiskFile, Errno> {
        let opened = self.opened(
            Call::OpenEntry,
            || format!("{} {access:?}", text(name)),
            access,
            |machine| machine.tree.child(directory.node, name)?.ok_or(Errno::NOENT),
        );
        if access == Access::Stat {
            self.machine.borrow_mut().note_opening(directory.node, name, opened.is_ok());
        }
        opened
    }

    fn stat(&self, file: &DiskFile) -> Result<Metadata, Errno> {
        self.call(Call::Stat, || format!("{file:?}"), |machine, _| Ok(machine.node(file.node).stat()))
    }

    fn stat_at(&self, directory: &DiskFile, path: &[u8], links: Symlinks) -> Result<Metadata, Errno> {
        self.call(
            Call::StatAt,
            || format!("{} {links:?}", text(path)),
            |machine, _| {
                let node = machine.resolve(directory.node, path, links == Symlinks::Follow)?;
                Ok(machine.node(node).stat())
            },
        )
    }

    fn create_unnamed(&self, directory: &DiskFile) -> Result<DiskFile, Errno> {
        let opened = self.call(Call::CreateUnnamed, String::new, |machine, _| {
            if !machine.settings.unnamed_files {
                return Err(Errno::OPNOTSUPP);
            }
            machine.has_descriptor()?;
            machine.may_change(directory.node)?;
            let node = machine.create_file();
            machine.node_mut(node).linkable = true;
            Ok((node, machine.open(node)))
        })?;
        Ok(self.file(opened, Mode::Write))
    }

    fn can_link_unnamed(&self, _some_file: &DiskFile) -> bool {
        self.machine.borrow().settings.can_link_unnamed
    }

    fn create(&self, directory: &DiskFile, name: &[u8]) -> Result<DiskFile, Errno> {
        let opened = self.call(
            Call::Create,
            || text(name).to_string(),
            |machine, _| {
                machine.has_descriptor()?;
                machine.may_add(directory.node, name)?;
                let node = machine.create_file();
                machine.set_entry(directory.node, name, Some(node));
                Ok((node, machine.open(node)))
            },
        )?;
        Ok(self.file(opened, Mode::Write))
    }

    fn link_unnamed(&self, file: &DiskFile, directory: &DiskFile, name: &[u8]) -> Result<(), Errno> {
        self.call(
            Call::LinkUnnamed,
            || text(name).to_string(),
            |machine, _| {
                if !machine.settings.unnamed_files {
                    return Err(Errno::OPNOTSUPP);
                }
                machine.may_add(directory.node, name)?;
                let linked = machine.node(file.node);
                if linked.links == 0 && !linked.linkable {
                    return Err(Errno::NOENT);
                }
                machine.node_mut(file.node).linkable = false;
                machine.set_entry(directory.node, name, Some(file.node));
                Ok(())
            },
        )
    }

    fn link(&self, from_directory: &DiskFile, from: &[u8], to_directory: &DiskFile, to: &[u8]) -> Result<(), Errno> {
        self.call(
            Call::Link,
            || format!("{} {}", text(from), text(to)),
            |machine, _| {
                let node = machine.tree.child(from_directory.node, from)?.ok_or(Errno::NOENT)?;
                machine.may_add(to_directory.node, to)?;
                if let Some(errno) = machine.settings.no_links {
                    return Err(errno);
                }
                if machine.node(node).kind() == FileKind::Directory {
                    return Err(Errno::PERM);
                }
                machine.set_entry(to_directory.node, to, Some(node));
                Ok(())
            },
        )
    }

    fn rename(&self, from_directory: &DiskFile, from: &[u8], to_directory: &DiskFile, to: &[u8]) -> Result<(), Errno> {
        self.call(
            Call::Rename,
            || format!("{} {}", text(from), text(to)),
            |machine, _| machine.rename(from_directory.node, from, to_directory.node, to),
        )
    }

    fn rename_noreplace(
        &self,
        from_directory: &DiskFile,
        from: &[u8],
        to_directory: &DiskFile,
        to: &[u8],
    ) -> Result<(), Errno> {
        self.call(
            Call::RenameNoreplace,
            || format!("{} {}", text(from), text(to)),
            |machine, _| {
                if !machine.settings.rename_noreplace {
                    return Err(Errno::NOSYS);
                }
                machine.tree.child(from_directory.node, from)?.ok_or(Errno::NOENT)?;
                machine.may_add(to_directory.node, to)?;
                machine.rename(from_directory.node, from, to_directory.node, to)
            },
        )
    }

    fn create_directory(&self, directory: &DiskFile, name: &[u8]) -> Result<(), Errno> {
        self.call(
            Call::CreateDirectory,
            || text(name).to_string(),
            |machine, _| machine.create_directory(directory.node, name),
        )
    }

    fn remove_directory(&self, directory: &DiskFile, name: &[u8]) -> Result<(), Errno> {
        self.call(
            Call::RemoveDirectory,
            || text(name).to_string(),
            |machine, _| machine.remove_directory(directory.node, name),
        )
    }

    fn unlink(&self, directory: &DiskFile, name: &[u8]) -> Result<(), Errno> {
        self.call(Call::Unlink, || text(name).to_string(), |machine, _| machine.unlink(directory.node, name))
    }

    fn lock(&self, file: &DiskFile) -> Result<(), Errno> {
        self.call(
            Call::Lock,
            || format!("{file:?}"),
            |machine, _| match file.mode {
                Mode::Path => Err(Errno::BADF),
                _ => machine.lock(file.node, file.number),
            },
        )
    }

    fn read_at(&self, file: &DiskFile, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.call(
            Call::ReadAt,
            || format!("{file:?} from {offset}"),
            |machine, most| {
                let now_ns = machine.monotonic_ns();
                machine.memory.read(file.node, now_ns, &machine.faults);
                read(machine, file, space, offset, most)
            },
        )
    }

    fn read_without_waiting(&self, file: &DiskFile, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let result = self.call(
            Call::ReadWithoutWaiting,
            || format!("{file:?} from {offset}"),
            |machine, most| {
                let (eviction, now_ns) = (machine.settings.eviction, machine.monotonic_ns());
                let Machine { memory, faults, .. } = machine;
                if !memory.contains(file.node, eviction, now_ns, faults) {
                    return Err(Errno::AGAIN);
                }
                read(machine, file, space, offset, most)
            },
        );
        self.note_if_it_cannot_tell(file, result)
    }

    fn read_ahead(&self, file: &DiskFile, offset: u64, bytes: u64) -> Result<(), Errno> {
        let result = self.call(
            Call::ReadAhead,
            || format!("{file:?} {bytes} bytes from {offset}"),
            |machine, _| {
                let (eviction, now_ns) = (machine.settings.eviction, machine.monotonic_ns());
                let Machine { memory, faults, .. } = machine;
                memory.read_ahead(file.node, eviction, now_ns, faults);
                Ok(())
            },
        );
        self.note_if_it_cannot_tell(file, result)
    }

    fn write(&self, file: &DiskFile, content: &[u8]) -> Result<usize, Errno> {
        self.call(
            Call::Write,
            || format!("{file:?} {} bytes", content.len()),
            |machine, most| {
                if file.mode != Mode::Write {
                    return Err(Errno::BADF);
                }
                let content = &content[..shortened(content.len(), most)];
                let bytes = machine.write(file.node, file.offset.get(), content)?;
                file.offset.set(file.offset.get() + bytes as u64);
                Ok(bytes)
            },
        )
    }

    fn reserve(&self, file: &DiskFile, offset: u64, bytes: u64) -> Result<(), Errno> {
        let reserved = self.call(
            Call::Reserve,
            || format!("{file:?} {bytes} bytes from {offset}"),
            |machine, _| match file.mode {
                Mode::Write if machine.is_read_only => Err(Errno::ROFS),
                Mode::Write => {
                    machine.reserve(file.node, offset + bytes);
                    Ok(())
                }
                _ => Err(Errno::BADF),
            },
        );
        let mut machine = self.machine.borrow_mut();
        // ext4 and XFS keep what they had reserved when the disk was full.
        if reserved == Err(Errno::NOSPC) && !machine.is_dead {
            machine.reserve(file.node, offset + bytes / 2);
        }
        reserved
    }

    fn set_modified(&self, file: &DiskFile, modified_ns: u64) -> Result<(), Errno> {
        self.call(
            Call::SetModified,
            || format!("{file:?} {modified_ns}"),
            |machine, _| match file.mode {
                Mode::Path => Err(Errno::BADF),
                _ => machine.set_modified(file.node, modified_ns),
            },
        )
    }

    fn truncate(&self, file: &DiskFile, bytes: u64) -> Result<(), Errno> {
        self.call(
            Call::Truncate,
            || format!("{file:?} to {bytes}"),
            |machine, _| {
                if file.mode != Mode::Write {
                    return Err(Errno::BADF);
                }
                machine.truncate(file.node, bytes)?;
                file.offset.set(bytes);
                Ok(())
            },
        )
    }

    fn set_attribute(&self, file: &DiskFile, attribute: &[u8]) -> Result<(), Errno> {
        self.call(
            Call::SetAttribute,
            || format!("{file:?} {} bytes", attribute.len()),
            |machine, _| match file.mode {
                Mode::Path => Err(Errno::BADF),
                _ => machine.set_attribute(file.node, attribute),
            },
        )
    }

    fn attribute(&self, file: &DiskFile, space: &mut [u8]) -> Result<usize, Errno> {
        self.call(
            Call::Attribute,
            || format!("{file:?}"),
            |machine, _| {
                if file.mode == Mode::Path {
                    return Err(Errno::BADF);
                }
                let attribute = machine.node(file.node).attribute.as_deref().ok_or(Errno::NODATA)?;
                space.get_mut(..attribute.len()).ok_or(Errno::RANGE)?.copy_from_slice(attribute);
                Ok(attribute.len())
            },
        )
    }

    fn sync(&self, file: &DiskFile) -> Result<(), Errno> {
        let is_directory = self.machine.borrow().node(file.node).kind() == FileKind::Directory;
        let call = if is_directory { Call::SyncDirectory } else { Call::SyncFile };
        let synced = self.call(
            call,
            || format!("{file:?}"),
            |machine, _| match machine.settings.no_directory_sync {
                _ if file.mode == Mode::Path => Err(Errno::BADF),
                Some(errno) if is_directory => Err(errno),
                _ if machine.is_read_only => Err(Errno::ROFS),
                _ => {
                    machine.sync(file.node);
                    Ok(())
                }
            },
        );
        let mut machine = self.machine.borrow_mut();
        if matches!(synced, Err(Errno::IO | Errno::NOSPC | Errno::DQUOT | Errno::ROFS)) && !machine.is_dead {
            machine.fail_to_sync(file.node);
        }
        synced
    }

    /// In an order that the seed chooses: the real calls overlap, so that the power may fail after any of them.
    fn sync_all(&self, files: &[&DiskFile]) -> Vec<Result<(), Errno>> {
        let mut left: Vec<(usize, &DiskFile)> = files.iter().copied().enumerate().collect();
        let mut flushed = Vec::new();
        while !left.is_empty() {
            let next = self.machine.borrow_mut().faults.random_below(left.len());
            let (index, file) = left.swap_remove(next);
            flushed.push((index, self.sync(file)));
        }
        flushed.sort_by_key(|(index, _)| *index);
        flushed.into_iter().map(|(_, flushed)| flushed).collect()
    }

    fn may_fail_at_close(&self, _directory: &DiskFile) -> bool {
        self.machine.borrow().settings.may_fail_at_close
    }

    fn close_errors(&self, file: &DiskFile) -> Result<(), Errno> {
        self.call(Call::CloseErrors, || format!("{file:?}"), |machine, _| machine.has_descriptor())
    }

    fn long_file_bytes(&self) -> u64 {
        self.machine.borrow().settings.long_file_bytes
    }

    fn close_in_background(&self, mut file: DiskFile) {
        file.is_handed_over = true;
        self.machine.borrow_mut().close_later(file.node, file.number);
    }

    fn bytes_being_freed(&self) -> u64 {
        self.machine.borrow().bytes_being_freed()
    }

    fn wait_until_freed(&self) {
        self.machine.borrow_mut().close_all();
    }

    fn free_bytes(&self, _directory: &DiskFile) -> Option<u64> {
        let machine = self.machine.borrow();
        let free = machine.settings.capacity_bytes.saturating_sub(machine.used_bytes);
        machine.settings.reports_free_bytes.then_some(free)
    }

    fn file_size_max(&self) -> Option<u64> {
        self.machine.borrow().settings.file_size_max
    }

    fn boot_id(&self) -> Option<u64> {
        let machine = self.machine.borrow();
        machine.settings.has_boot_id.then_some(machine.boot_id)
    }

    fn entries(&self, directory: DiskFile) -> Result<DiskEntries, Errno> {
        let has_entry_kinds = self.call(
            Call::Entries,
            || format!("{directory:?}"),
            |machine, _| {
                machine.tree.entries(directory.node)?;
                Ok(machine.settings.has_entry_kinds)
            },
        )?;
        Ok(DiskEntries { directory, buffer: Vec::new(), returned: 0, cursor: None, has_begun: false, has_entry_kinds })
    }

    fn reopen_directory(&self, directory: &DiskFile) -> Result<DiskEntries, Errno> {
        let directory = self.opened(
            Call::ReopenDirectory,
            || format!("{directory:?}"),
            Access::ReadDirectory,
            |_| Ok(directory.node),
        )?;
        let has_entry_kinds = self.machine.borrow().settings.has_entry_kinds;
        Ok(DiskEntries { directory, buffer: Vec::new(), returned: 0, cursor: None, has_begun: false, has_entry_kinds })
    }

    fn next_entry<'e>(&self, entries: &'e mut DiskEntries) -> Option<Result<DirectoryEntry<'e>, Errno>> {
        if entries.returned == entries.buffer.len()
            && let Err(errno) = self.read_more(entries)
        {
            return Some(Err(errno));
        }
        let (name, kind) = entries.buffer.get(entries.returned)?;
        entries.returned += 1;
        Some(Ok(DirectoryEntry { name, kind: entries.has_entry_kinds.then_some(*kind) }))
    }

    fn rewind(&self, entries: &mut DiskEntries) {
        (entries.returned, entries.cursor, entries.has_begun) = (0, None, false);
        entries.buffer.clear();
    }

    fn stat_directory(&self, entries: &DiskEntries) -> Result<Metadata, Errno> {
        self.call(Call::StatDirectory, String::new, |machine, _| Ok(machine.node(entries.directory.node).stat()))
    }

    fn stat_entry(&self, entries: &DiskEntries, name: &[u8]) -> Result<Metadata, Errno> {
        self.call(
            Call::StatEntry,
            || text(name).to_string(),
            |machine, _| {
                let node = machine.resolve(entries.directory.node, name, false)?;
                Ok(machine.node(node).stat())
            },
        )
    }
}

impl Disk {
    /// Reads the next entries of a directory, as `getdents` does. Entries that are removed later are still returned.
    fn read_more(&self, entries: &mut DiskEntries) -> Result<(), Errno> {
        let node = entries.directory.node;
        self.call(
            Call::NextEntry,
            || format!("{:?}", entries.directory.number),
            |machine, _| {
                if entries.directory.mode == Mode::Path {
                    return Err(Errno::BADF);
                }
                let directory = machine.tree.entries(node)?;
                if directory.removed {
                    return Err(Errno::NOENT);
                }
                entries.returned = 0;
                entries.buffer.clear();
                if !entries.has_begun {
                    entries.has_begun = true;
                    entries.buffer.extend([b".".as_slice(), b".."].map(|name| (name.into(), FileKind::Directory)));
                }
                for entry in directory.after(&entries.cursor).iter().take(machine.settings.entries_at_once.max(1)) {
                    entries.buffer.push((entry.name.clone(), machine.node(entry.node).kind()));
                    entries.cursor = Entries::cursor(entry);
                }
                Ok(())
            },
        )
    }
}
