//! What is done to storage, and what must be true of the disk after it, however it went.

use std::cell::Cell;
use std::rc::Rc;

use spindle::storage::{Directory, Metadata, Published, RelativePath, StorageError, UploadMode};

use crate::disk::{Disk, Loss, Settings};

/// The time on the simulated disk, in nanoseconds since 1970.
pub(crate) const START_NS: u64 = 1_700_000_000_000_000_000;

/// Contents are a few blocks long, so that each can be lost without the others.
pub(crate) const BLOCK_BYTES: usize = 4;

pub(crate) const OLD: &[u8] = b"the old one";
const BYSTANDER: &[u8] = b"nobody asks for this";
pub(crate) const ABANDONED: &str = ".spindle-00000000000000aa";

/// One way to make a disk.
pub(crate) type System = (&'static str, fn(u64) -> Settings);

/// Every kind of system that storage runs on.
pub(crate) const SYSTEMS: [System; 4] = [
    ("Linux", Settings::linux),
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
    /// An upload to a name that is free.
    New,
    /// An upload in the place of a file.
    Replace,
    /// One that only creates, where the name is free, and where it is not.
    CreateOnly,
    CreateOnlyExisting,
    /// One that asks for the version that is there, and one that asks for another.
    IfMatch,
    IfMatchAnother,
    /// One that replaces, on condition that there is nothing: where the name is free, and where it is not.
    IfNothing,
    IfNothingExisting,
    /// One that is given up.
    Abort,
    /// One beside what a crash has left.
    Scan,
    /// Two versions, one after the other.
    Twice,
}

pub(crate) const OPERATIONS: [Operation; 11] = [
    Operation::New,
    Operation::Replace,
    Operation::CreateOnly,
    Operation::CreateOnlyExisting,
    Operation::IfMatch,
    Operation::IfMatchAnother,
    Operation::IfNothing,
    Operation::IfNothingExisting,
    Operation::Abort,
    Operation::Scan,
    Operation::Twice,
];

impl Operation {
    /// Whether something has the name before.
    pub(crate) fn begins_with_old(self) -> bool {
        use Operation::{Abort, CreateOnlyExisting, IfMatch, IfMatchAnother, IfNothingExisting, Replace, Scan};
        matches!(self, Replace | CreateOnlyExisting | IfMatch | IfMatchAnother | IfNothingExisting | Abort | Scan)
    }

    fn publish(self) -> UploadMode {
        match self {
            Operation::CreateOnly | Operation::CreateOnlyExisting => UploadMode::CreateOnly,
            _ => UploadMode::Replace,
        }
    }

    /// What it uploads, version by version.
    pub(crate) fn versions(self) -> &'static [&'static [u8]] {
        match self {
            Operation::Twice => &[b"version one", b"the second version"],
            _ => &[b"the new content"],
        }
    }

    /// Whether it publishes anything where nothing goes wrong.
    pub(crate) fn publishes(self) -> bool {
        use Operation::{Abort, CreateOnlyExisting, IfMatchAnother, IfNothingExisting};
        !matches!(self, CreateOnlyExisting | IfMatchAnother | IfNothingExisting | Abort)
    }

    fn condition(self, old: Option<Metadata>) -> impl Fn(Option<&Metadata>) -> bool {
        move |existing| match self {
            Operation::IfMatch => existing == old.as_ref(),
            Operation::IfMatchAnother => existing.is_some_and(|existing| existing.size_bytes == 1),
            Operation::IfNothing | Operation::IfNothingExisting => existing.is_none(),
            _ => true,
        }
    }
}

thread_local! {
    /// How many states of the disk a test has looked at.
    static STATES: Cell<u64> = const { Cell::new(0) };
}

/// A world in which an operation is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    pub(crate) system: System,
    pub(crate) loss: Loss,
    pub(crate) operation: Operation,
    pub(crate) durable: bool,
    /// The directory in which it is done.
    pub(crate) directory: &'static str,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How many of the versions were acknowledged.
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
        if self.operation == Operation::Scan {
            disk.add_file(&format!("{}/{ABANDONED}", self.directory), b"half of", 0);
        }
        disk
    }

    pub(crate) fn open(disk: &Disk) -> Result<Directory<Disk>, std::io::Error> {
        Directory::open_in(disk.clone(), Disk::root_path(), 7)
    }

    /// Does it. Everything that it has opened is closed after it.
    pub(crate) fn run(&self, directory: &Directory<Disk>) -> Outcome {
        let mut outcome = Outcome::default();
        for (place, version) in self.operation.versions().iter().enumerate() {
            match self.upload(directory, version, START_NS + place as u64) {
                Ok(Some(_)) => outcome.acknowledged = place + 1,
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
        let publish = self.operation.publish();
        let mut upload = directory.begin_upload(&path, publish, Some(content.len() as u64), self.durable)?;
        let (start, end) = content.split_at(content.len() / 2);
        upload.write(start)?;
        upload.write(end)?;
        match self.operation {
            Operation::Abort => Ok(None),
            operation => upload.commit(now_ns, operation.condition(old)).map(Some),
        }
    }

    /// What may be found under the name after the operation, or a part of it.
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

    /// Starts the server again and uploads to the directory: nothing hidden is left of what was before, and the name has what
    /// it had.
    pub(crate) fn check_restart(&self, disk: &Disk, context: &dyn Fn() -> String) {
        disk.fail(0, crate::disk::Enabled::NONE);
        disk.stop_tracing();
        let before = disk.read(&self.name());
        let directory = Self::open(disk).unwrap();
        let path = path(&format!("{}/after", self.directory));
        let mut upload = directory.begin_upload(&path, UploadMode::Replace, None, false).expect("it works again");
        upload.write(b"after").unwrap();
        upload.commit(START_NS, |_| true).expect("it works again");
        assert_eq!(disk.temporary_names(), [""; 0], "{}", context());
        assert_eq!(disk.read(&self.name()), before, "{}", context());
        assert_eq!(disk.descriptors(), 1, "{}", context());
    }
}
