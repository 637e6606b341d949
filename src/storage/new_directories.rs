//! The directories that an upload needs and that do not exist. They are created in the step that publishes it.

use std::rc::Rc;

use rustix::io::Errno;

use super::commit::flush_each_directory;
use super::directory::Root;
use super::file_system::FileSystem;
use super::path_resolution::open_directory;
use super::retry::retry_on_intr;
use super::{RelativePath, StorageError};

/// The number of attempts to open a directory that exists when it is to be created, and does not exist when it is to be
/// opened.
const ATTEMPTS_MAX: u32 = 16;

/// An open directory above a file: the directory of the file, or the nearest one that exists.
#[derive(Debug)]
pub(super) struct Ancestor<F: FileSystem> {
    pub(super) directory: Rc<F::File>,
    /// How many bytes of the file's path lead to the directory; 0 for the root.
    pub(super) path_bytes: usize,
}

impl<F: FileSystem> Ancestor<F> {
    /// Opens the directory of `path`, or, if directories may be created, the nearest one above it that exists. With
    /// `must_flush` it is an error if the directory cannot be opened in a way that allows to flush it.
    ///
    /// # Errors
    /// [`StorageError::ParentMissing`] also if something that is not a directory is in the way.
    pub(super) fn open(root: &Root<F>, path: &RelativePath, must_flush: bool) -> Result<Self, StorageError> {
        for ancestor in path.ancestors() {
            match root.open_directory_at(ancestor, must_flush) {
                Err(StorageError::ParentMissing) if root.creates_directories() => {}
                Err(error) => return Err(error),
                Ok(directory) => {
                    let opened = Ancestor { directory, path_bytes: ancestor.len() };
                    if let Some(name) = opened.first_missing(path)
                        && root.stat_entry(&opened.directory, name).map_err(StorageError::from_parent)?.is_some()
                    {
                        // The path leads through a file, or through a link that is not followed.
                        return Err(StorageError::ParentMissing);
                    }
                    return Ok(opened);
                }
            }
        }
        Err(StorageError::ParentMissing)
    }

    /// What leads from the directory to the file at `path`.
    pub(super) fn relative<'p>(&self, path: &'p RelativePath) -> &'p [u8] {
        let rest = path.as_bytes().get(self.path_bytes..).unwrap_or_default();
        rest.strip_prefix(b"/").unwrap_or(rest)
    }

    /// What leads to the directory in `path`; empty for the root.
    pub(super) fn path<'p>(&self, path: &'p RelativePath) -> &'p [u8] {
        path.as_bytes().get(..self.path_bytes).unwrap_or_default()
    }

    /// Whether it is the directory of the file itself.
    pub(super) fn is_parent(&self, path: &RelativePath) -> bool {
        self.first_missing(path).is_none()
    }

    fn first_missing<'p>(&self, path: &'p RelativePath) -> Option<&'p [u8]> {
        let relative = self.relative(path);
        memchr::memchr(b'/', relative).and_then(|slash| relative.get(..slash))
    }
}

/// Directories that were created for an upload. Dropping it removes them again, unless they are [kept](Self::keep).
#[derive(Debug)]
pub(super) struct NewDirectories<F: FileSystem> {
    root: Rc<Root<F>>,
    /// The new names, each with its directory.
    created: Vec<(Rc<F::File>, Vec<u8>)>,
}

impl<F: FileSystem> NewDirectories<F> {
    /// Creates the directories between `ancestor` and the file at `path`, and opens the last one. Those that others have
    /// created meanwhile are used, but a link is not followed. If the upload is durable, they are flushed.
    pub(super) fn create(
        root: &Rc<Root<F>>,
        ancestor: &Ancestor<F>,
        path: &RelativePath,
        durable: bool,
    ) -> Result<(Self, Rc<F::File>), StorageError> {
        let mut new = NewDirectories { root: Rc::clone(root), created: Vec::new() };
        let mut parent = Rc::clone(&ancestor.directory);
        let mut entered = vec![Rc::clone(&parent)];
        let relative = ancestor.relative(path);
        let directories = relative.strip_suffix(path.name()).unwrap_or_default();
        for name in directories.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            parent = new.create_one(&parent, name, durable)?;
            entered.push(Rc::clone(&parent));
        }
        if durable {
            // All at the end, and at the same time: one commit of the journal contains every new directory, and the disk
            // empties its cache once for all of them. One flush after the other would keep everybody waiting, for sixty
            // of them in a deep path. The order does not matter, since the upload is confirmed after the last one.
            flush_each_directory(root, &entered)?;
        }
        Ok((new, parent))
    }

    fn create_one(&mut self, parent: &Rc<F::File>, name: &[u8], durable: bool) -> Result<Rc<F::File>, StorageError> {
        let file_system = self.root.file_system();
        for _ in 0..ATTEMPTS_MAX {
            match retry_on_intr(|| file_system.create_directory(parent, name)) {
                Ok(()) => self.created.push((Rc::clone(parent), name.to_vec())),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(StorageError::from_publication(errno)),
            }
            let open = |access| retry_on_intr(|| file_system.open_entry(parent, name, access));
            match open_directory(open, durable) {
                Ok((directory, _)) => return Ok(Rc::new(directory)),
                // Another process has removed it.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(StorageError::from_parent(errno)),
            }
        }
        Err(StorageError::Busy)
    }

    /// Leaves the directories where they are.
    pub(super) fn keep(mut self) {
        self.created.clear();
    }
}

impl<F: FileSystem> Drop for NewDirectories<F> {
    fn drop(&mut self) {
        for (parent, name) in self.created.drain(..).rev() {
            // This fails if another process has put something there, which then stays.
            let _ = retry_on_intr(|| self.root.file_system().remove_directory(&parent, &name));
        }
    }
}
