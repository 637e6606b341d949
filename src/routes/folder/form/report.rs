//! What has become of the files of a form.
//!
//! A client may leave its response unread, and until then the report is in memory. So it is kept as short as it can be:
//! the names one after the other, and bounded in all. [`content`](super::content) makes text of it while it is sent.

use crate::routes::files::Refusal;
use crate::semantics::status::Status;

/// How much of a name is reported, in bytes. No file has a longer one.
const NAME_BYTES_MAX: usize = u8::MAX as usize;

/// The longest names of all files of a form, in bytes, as far as they are reported. A thousand files may have names of 131
/// bytes each.
pub const FORM_NAMES_BYTES_MAX: usize = 128 * 1024;

/// The report about a form.
#[derive(Default)]
pub(super) struct Report {
    /// The names of all files, without anything between them.
    names: Vec<u8>,
    files: Vec<File>,
    /// Why the form itself is refused. The files that precede the error are stored.
    error: Option<&'static str>,
}

/// A file, whose name follows that of the file before.
struct File {
    name_bytes: u8,
    outcome: Outcome,
}

/// What has become of a file.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Created,
    Replaced,
    Refused(Refusal),
}

impl Outcome {
    /// The status of the response to a PUT of the file.
    pub(super) fn status(self) -> Status {
        match self {
            Outcome::Created => Status::Created,
            Outcome::Replaced => Status::NoContent,
            Outcome::Refused(refusal) => refusal.status,
        }
    }
}

/// How many files of a report have been read.
#[derive(Clone, Copy, Default)]
pub(super) struct Position {
    files: usize,
    /// The length of their names.
    names_bytes: usize,
}

impl Position {
    /// Whether none has been read.
    pub(super) fn is_start(self) -> bool {
        self.files == 0
    }
}

impl Report {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn file_count(&self) -> usize {
        self.files.len()
    }

    pub(super) fn stored_count(&self) -> usize {
        self.files.iter().filter(|file| !matches!(file.outcome, Outcome::Refused(_))).count()
    }

    pub(super) fn error(&self) -> Option<&'static str> {
        self.error
    }

    /// Whether a file of this name can be reported. If not, the form must be refused before the file is stored.
    pub(super) fn has_room_for(&self, name: &[u8]) -> bool {
        self.names.len() + reported(name).len() <= FORM_NAMES_BYTES_MAX
    }

    pub(super) fn stored(&mut self, name: &[u8], created: bool) {
        self.add(name, if created { Outcome::Created } else { Outcome::Replaced });
    }

    pub(super) fn refused(&mut self, name: &[u8], refusal: Refusal) {
        self.add(name, Outcome::Refused(refusal));
    }

    fn add(&mut self, name: &[u8], outcome: Outcome) {
        let name = reported(name);
        self.names.extend_from_slice(name);
        // The cast is exact: this is how long a reported name may be.
        self.files.push(File { name_bytes: name.len() as u8, outcome });
    }

    pub(super) fn failed(&mut self, reason: &'static str) {
        self.error = Some(reason);
    }

    /// 201 if all files were stored, 400 if the form itself is refused, otherwise the status of the first refusal.
    pub(super) fn status(&self) -> Status {
        let refused = self.files.iter().map(|file| file.outcome.status()).find(|status| status.code() >= 400);
        match self.error {
            Some(_) => Status::BadRequest,
            None => refused.unwrap_or(Status::Created),
        }
    }

    /// The file at `position`, which is moved to the next one: its name, and what has become of it. `None` after the last.
    pub(super) fn next(&self, position: &mut Position) -> Option<(&[u8], Outcome)> {
        let file = self.files.get(position.files)?;
        let name_end = position.names_bytes + usize::from(file.name_bytes);
        let name = self.names.get(position.names_bytes..name_end)?;
        *position = Position { files: position.files + 1, names_bytes: name_end };
        Some((name, file.outcome))
    }

    /// Gives back the memory that further files would have taken.
    pub(super) fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.files.shrink_to_fit();
    }
}

/// The part of a name that is reported.
fn reported(name: &[u8]) -> &[u8] {
    &name[..name.len().min(NAME_BYTES_MAX)]
}
