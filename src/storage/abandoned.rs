//! The content of uploads that broke off. To free a gigabyte keeps ext4 or tmpfs busy for a third to half a second, in which
//! everybody would wait. So long content is freed a piece at a time, between other work.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::file_system::FileSystem;
use super::retry::retry_on_intr;

/// How much is freed at a time, in bytes: less than half a millisecond of work.
const FREED_BYTES: u64 = 1024 * 1024;

/// Content up to this length is freed at once, in bytes.
const AT_ONCE_BYTES: u64 = 4 * FREED_BYTES;

/// Files without a name, to which nobody writes any more, and how many bytes each still has.
#[derive(Debug)]
pub(super) struct Abandoned<F: FileSystem> {
    files: RefCell<Vec<(Rc<F::File>, u64)>>,
    /// The most files, since each has a descriptor, and no connection any more. Further ones are freed at once.
    files_max: Cell<usize>,
}

impl<F: FileSystem> Default for Abandoned<F> {
    fn default() -> Self {
        Abandoned { files: RefCell::default(), files_max: Cell::new(0) }
    }
}

impl<F: FileSystem> Abandoned<F> {
    pub(super) fn set_files_max(&self, files_max: usize) {
        self.files_max.set(files_max);
    }

    /// Keeps the file open until its content has been freed, if that is long. The file must have no name, or lose its last
    /// one now, and nobody else may have it open.
    pub(super) fn add(&self, file: &Rc<F::File>, bytes: u64) {
        let mut files = self.files.borrow_mut();
        if bytes > AT_ONCE_BYTES && files.len() < self.files_max.get() {
            files.push((Rc::clone(file), bytes));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.borrow().is_empty()
    }

    /// Frees a piece of the content that was abandoned last. If the system cannot do that, frees all of it.
    pub(super) fn free_piece(&self, file_system: &F) {
        let Some((file, bytes)) = self.files.borrow_mut().pop() else { return };
        let left = bytes.saturating_sub(FREED_BYTES);
        if left > 0 && retry_on_intr(|| file_system.truncate(&file, left)).is_ok() {
            self.files.borrow_mut().push((file, left));
        }
    }

    /// How much is left to be freed, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.files.borrow().iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// Frees everything, because somebody needs the space.
    pub(super) fn free_all(&self) {
        self.files.borrow_mut().clear();
    }
}
