//! The operations that the tests perform, and what the disk must contain afterwards.

use std::cell::Cell;
use std::rc::Rc;

use spindle::storage::{Directory, Metadata, Published, RelativePath, StorageError, UploadMode};

use crate::disk::{Disk, Loss, Settings};

/// The time on the simulated disk, in nanoseconds since 1970.
pub(crate) const START_NS: u64 = 1_700_000_000_000_000_000;

/// Contents are a few blocks long, so that a power failure can lose one block and keep the others.
pub(crate) const BLOCK_BYTES: usize = 4;

pub(crate) const OLD: &[u8] = b"the old one";
const BYSTANDER: &[u8] = b"not part of any test";
pub(crate) const ABANDONED: &str = ".spindle-00000000000000aa";

/// The name of a system and its settings.
pub(crate) type System = (&'static str, fn(u64) -> Settings);

/// All kinds of systems.
pub(crate) const SYSTEMS: [System; 5] = [
    ("Linux", Settings::linux),
    ("Linux with errors at close", |seed| Settings { may_fail_at_close: true, ..Settings::linux(seed) }),
    ("another system", Settings::portable),
    ("Linux without hard links", Settings::without_links),
    ("another system without hard links", |seed| Settings {
        no_links: Some(rustix::io::Errno::OPNOTSUPP),
        ..Settings::portable(seed)
    }),
];

/// An operation on one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An upload of a new file.
    New,
    /// An upload that replaces a file.
    Replace,
    /// A [`UploadMode::CreateOnly`] upload of a new file.
    CreateOnly,
    /// A [`UploadMode::CreateOnly`] upload to an existing name.
    CreateOnlyExisting,
    /// An upload on condition that the file has its current version.
    IfMatch,
    /// An upload on condition that the file has another version.
    IfMatchAnother,
    /// An upload of a new file, on condition that it does not exist.
    IfAbsent,
    /// An upload to an existing name, on condition that it does not exist.
    IfAbsentExisting,
    /// An upload that is dropped before its commit.
    Abort,
    /// An upload that replaces a file, in a directory with a temporary file that a crash left.
    CleanUp,
    /// Uploads of two versions, one after the other.
    Twice,
    /// A new file that is stored in one call.
    Store,
    /// A file that is stored in one call, and that replaces another.
    StoreOver,
    /// A new file that is stored in one call with [`UploadMode::CreateOnly`].
    StoreOnly,
    /// A file that is stored in one call with [`UploadMode::CreateOnly`], to an existing name.
    StoreOnlyExisting,
}

pub(crate) const OPERATIONS: [Operation; 15] = [
    Operation::New,
    Operation::Replace,
    Operation::CreateOnly,
    Operation::CreateOnlyExisting,
    Operation::IfMatch,
    Operation::IfMatchAnother,
    Operation::IfAbsent,
    Operation::IfAbsentExisting,
    Operation::Abort,
    Operation::CleanUp,
    Operation::Twice,
    Operation::Store,
    Operation::StoreOver,
    Operation::StoreOnly,
    Operation::StoreOnlyExisting,
];

impl Operation {
    /// Whether the file exists before the operation.
    pub(crate) fn begins_with_old(self) -> bool {
        use Operation::{Abort, CleanUp, CreateOnlyExisting, IfAbsentExisting, IfMatch, IfMatchAnother, Replace};
        matches!(self, Replace | CreateOnlyExisting | IfMatch | IfMatchAnother | IfAbsentExisting | Abort | CleanUp)
            || matches!(self, Operation::StoreOver | Operation::StoreOnlyExisting)
    }

    /// Whether its content is stored in one call, which is never durable.
    pub(crate) fn stores(self) -> bool {
        use Operation::{Store, StoreOnly, StoreOnlyExisting, StoreOver};
        matches!(self, Store | StoreOver | StoreOnly | StoreOnlyExisting)
    }

    /// Whether it creates a file, and must not replace one.
    pub(crate) fn only_creates(self) -> bool {
        matches!(self, Operation::CreateOnly | Operation::StoreOnly)
    }

    /// Whether it is refused because the file exists, and may not be replaced.
    pub(crate) fn is_conflict(self) -> bool {
        matches!(self, Operation::CreateOnlyExisting | Operation::StoreOnlyExisting)
    }

    fn mode(self) -> UploadMode {
        if self.only_creates() || self.is_conflict() { UploadMode::CreateOnly } else { UploadMode::Replace }
    }

    /// The contents that it uploads.
    pub(crate) fn versions(self) -> &'static [&'static [u8]] {
        match self {
            Operation::Twice => &[b"version one", b"the second version"],
            _ => &[b"the new content"],
        }
    }

    /// Whether it publishes something, if there is no fault.
    pub(crate) fn publishes(self) -> bool {
        use Operation::{Abort, IfAbsentExisting, IfMatchAnother};
        !self.is_conflict() && !matches!(self, IfMatchAnother | IfAbsentExisting | Abort)
    }

    fn condition(self, old: Option<Metadata>) -> impl Fn(Option<&Metadata>) -> bool {
        move |existing| match self {
            Operation::IfMatch => existing == old.as_ref(),
            Operation::IfMatchAnother => existing.is_some_and(|existing| existing.size_bytes == 1),
            Operation::IfAbsent | Operation::IfAbsentExisting => existing.is_none(),
            _ => true,
        }
    }
}

thread_local! {
    /// The number of states of the disk that a test has checked.
    static STATES: Cell<u64> = const { Cell::new(0) };
}

/// An operation, and the disk on which it is performed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    pub(crate) system: System,
    pub(crate) loss: Loss,
    pub(crate) operation: Operation,
    pub(crate) durable: bool,
    /// The directory of the file.
    pub(crate) directory: &'static str,
}

/// The result of an operation.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The number of versions that were acknowledged.
    pub(crate) acknowledged: usize,
    pub(crate) error: Option<StorageError>,
}

pub(crate) fn path(text: &str) -> RelativePath {
    RelativePath::from_segments(text.split('/').filter(|segment| *segment != ".")).unwrap()
}

impl Trial {
    pub(crate) fn name(&self) -> String {
        format!("{}/name", self.directory)
    }

    /// The disk before the operation.
    pub(crate) fn disk(&self) -> Disk {
        let settings = Settings { loss: self.loss, block_bytes: BLOCK_BYTES, ..self.system.1(1) };
        let disk = Disk::new(settings, Rc::new(Cell::new(START_NS)));
        disk.add_file("/outside/secret", b"secret", 0);
        disk.add_directory("a");
        disk.add_file(&format!("{}/bystander", self.directory), BYSTANDER, 0);
        if self.operation.begins_with_old() {
            disk.add_file(&self.name(), OLD, i128::from(START_NS) - 10_000_000_000);
        }
        if self.operation == Operation::CleanUp {
            disk.add_file(&format!("{}/{ABANDONED}", self.directory), b"half of", 0);
        }
        disk
    }

    pub(crate) fn open(disk: &Disk) -> Result<Directory<Disk>, std::io::Error> {
        Directory::open_in(disk.clone(), Disk::root_path(), 7)
    }

    /// Performs the operation, and closes everything that it has opened.
    pub(crate) fn run(&self, directory: &Directory<Disk>) -> Outcome {
        let mut outcome = Outcome::default();
        for (number, version) in self.operation.versions().iter().enumerate() {
            match self.upload(directory, version, START_NS + number as u64) {
                Ok(Some(_)) => outcome.acknowledged = number + 1,
                Ok(None) => {}
                Err(error) => outcome.error = Some(error),
            }
        }
        outcome
    }

    fn upload(
        &self,
        directory: &Directory<Disk>,
        content: &[u8],
        now_ns: u64,
    ) -> Result<Option<Published>, StorageError> {
        let path = path(&self.name());
        let old = match self.operation {
            Operation::IfMatch => Some(directory.metadata(&path)?),
            _ => None,
        };
        let mode = self.operation.mode();
        if self.operation.stores() {
            return directory.store(&path, mode, content, now_ns).map(Some);
        }
        let mut upload = directory.begin_upload(&path, mode, Some(content.len() as u64), self.durable)?;
        let (start, end) = content.split_at(content.len() / 2);
        upload.write(start)?;
        upload.write(end)?;
        match self.operation {
            Operation::Abort => Ok(None),
            operation => upload.commit(now_ns, operation.condition(old)).map(Some),
        }
    }

    /// Checks the content of the disk after the operation, or after a part of it.
    pub(crate) fn check_content(&self, disk: &Disk, acknowledged: usize, context: &dyn Fn() -> String) {
        STATES.set(STATES.get() + 1);
        let found = disk.read(&self.name());
        let versions = self.operation.versions();
        let is_version = |content: &[u8]| versions[acknowledged.max(1) - 1..].contains(&content);
        let is_right = match &found {
            Some(content) if acknowledged == 0 && self.operation.begins_with_old() && content == OLD => true,
            Some(content) => self.operation.publishes() && is_version(content),
            None => acknowledged == 0 && !self.operation.begins_with_old(),
        };
        let shown = found.as_ref().map(|content| content.escape_ascii().to_string());
        let (name, states) = (self.name(), STATES.get());
        assert!(is_right, "{name} has {shown:?} after {acknowledged} were acknowledged, state {states}{}", context());
        let bystander = disk.read(&format!("{}/bystander", self.directory));
        assert_eq!(bystander.as_deref(), Some(BYSTANDER), "{}", context());
        assert_eq!(disk.outside(), ["/secret is secret at 0"], "{}", context());
        let names = disk.names(self.directory);
        let is_known = |name: &String| ["bystander", "name", "a"].contains(&&**name) || name.starts_with(".spindle-");
        assert!(names.iter().all(is_known), "{names:?}{}", context());
    }

    /// Restarts the server and uploads another file to the directory. This must remove all temporary files, and must
    /// not change the first file.
    pub(crate) fn check_restart(&self, disk: &Disk, context: &dyn Fn() -> String) {
        disk.fail(0, crate::disk::Enabled::NONE);
        disk.stop_tracing();
        let before = disk.read(&self.name());
        let directory = Self::open(disk).unwrap();
        let path = path(&format!("{}/after", self.directory));
        let mut upload =
            directory.begin_upload(&path, UploadMode::Replace, None, false).expect("uploads succeed after a restart");
        upload.write(b"after").unwrap();
        upload.commit(START_NS, |_| true).expect("uploads succeed after a restart");
        assert_eq!(disk.temporary_names(), [""; 0], "{}", context());
        assert_eq!(disk.read(&self.name()), before, "{}", context());
        assert_eq!(disk.descriptors(), 1, "{}", context());
    }
}
