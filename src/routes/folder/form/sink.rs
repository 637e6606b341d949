//! The content of a form: stores each file when its part is complete.

use std::mem;

use super::content;
use super::report::Report;
use crate::routes::FileContent;
use crate::routes::files::{FormFile, FormFiles, INVALID_NAME, Refusal};
use crate::routes::folder::RESERVED;
use crate::routes::folder::query::Format;
use crate::semantics::Now;
use crate::semantics::form_data::{Event, FileName, FormParser, PartHead};
use crate::semantics::response::Response;
use crate::semantics::status::Status;
use crate::storage::{FileSystem, RelativePath};

const NO_FILE: &str = "The form contains no file.";
const NAMES_TOO_LONG: &str = "The names of the files in the form are longer than 128 KiB in all.";

const INCOMPLETE: Refusal =
    Refusal { status: Status::BadRequest, reason: "The form is malformed before the end of this file." };
const NAME_REFUSED: Refusal = Refusal { status: Status::BadRequest, reason: INVALID_NAME };
const NAME_EXTENDED: Refusal = Refusal {
    status: Status::BadRequest,
    reason: "The name is stated only in filename*, which a form must not use (RFC 7578 section 4.2).",
};
const ENCODED: Refusal = Refusal {
    status: Status::UnsupportedMediaType,
    reason: "The server stores content as it is sent, so it must have no Content-Transfer-Encoding.",
};

/// The directory that a form is sent to.
#[derive(Clone)]
pub(super) struct FormTarget {
    /// `None` is the root.
    pub(super) directory: Option<RelativePath>,
    /// How many segments the path of the highest folder has that may be seen.
    pub(super) base_segments: usize,
    /// Whether names that begin with a dot are allowed.
    pub(super) shows_hidden: bool,
    /// Whether nothing can be read that has been uploaded, so that links would lead to a 404.
    pub(super) is_drop_box: bool,
    /// The format of the response.
    pub(super) format: Format,
}

impl FormTarget {
    /// The decoded path of the directory, which is empty for the root.
    pub(super) fn path(&self) -> &[u8] {
        self.directory.as_ref().map_or(b"", RelativePath::as_bytes)
    }
}

/// Receives a form.
pub(in crate::routes) struct FormSink<F: FileSystem> {
    parser: FormParser,
    parts: Parts<F>,
}

/// What has been received of a form.
struct Parts<F: FileSystem> {
    files: FormFiles<F>,
    target: FormTarget,
    part: Part<F>,
    report: Report,
}

/// The current part.
#[allow(clippy::large_enum_variant, reason = "there is one for each form, and it is boxed with the sink")]
enum Part<F: FileSystem> {
    /// There is none, or it is a field that is not a file.
    None,
    /// A file that was refused. Its content is ignored.
    Refused,
    /// A file without a name. Browsers send one without content if the user has not selected a file.
    Unnamed,
    File(Vec<u8>, FormFile<F>),
}

impl<F: FileSystem> FormSink<F> {
    pub(super) fn new(parser: FormParser, files: FormFiles<F>, target: FormTarget) -> FormSink<F> {
        FormSink { parser, parts: Parts { files, target, part: Part::None, report: Report::default() } }
    }

    /// Takes content up to the end of the next file. Publishing a file may wait for the disk, and a piece of content
    /// may contain a thousand small files.
    pub(in crate::routes) fn write(
        &mut self,
        content: &[u8],
        now: &Now,
    ) -> Result<usize, Box<Response<'static, FileContent<F>>>> {
        let mut rest = content;
        loop {
            match self.parser.next(&mut rest) {
                Ok(None) => return Ok(content.len()),
                Ok(Some(Event::Part(head))) => {
                    if let Err(reason) = self.parts.begin(head) {
                        return Err(Box::new(self.parts.fail(reason)));
                    }
                }
                Ok(Some(Event::Content(content))) => self.parts.take_content(content),
                Ok(Some(Event::PartEnd)) => {
                    let ends_file = self.parts.end(now);
                    if ends_file {
                        return Ok(content.len() - rest.len());
                    }
                }
                Err(error) => return Err(Box::new(self.parts.fail(error.reason()))),
            }
        }
    }

    pub(in crate::routes) fn finish(mut self) -> Response<'static, FileContent<F>> {
        match self.parser.finish() {
            Err(error) => self.parts.fail(error.reason()),
            Ok(()) if self.parts.report.is_empty() => self.parts.fail(NO_FILE),
            Ok(()) => self.parts.respond(),
        }
    }
}

impl<F: FileSystem> Parts<F> {
    /// Begins a part.
    ///
    /// # Errors
    /// Why the form is refused, if the report has no room for another name.
    fn begin(&mut self, head: PartHead) -> Result<(), &'static str> {
        let PartHead { file_name, is_plain } = head;
        self.part = match file_name {
            FileName::Stated(name) if !self.report.has_room_for(&name) => return Err(NAMES_TOO_LONG),
            FileName::Absent => Part::None,
            FileName::Stated(name) if name.is_empty() => Part::Unnamed,
            FileName::Extended => self.refused(&[], NAME_EXTENDED),
            FileName::Stated(name) if !is_plain => self.refused(&name, ENCODED),
            FileName::Stated(name) => match self.path_of(&name).and_then(|path| self.files.begin(&path)) {
                Ok(file) => Part::File(name, file),
                Err(refusal) => self.refused(&name, refusal),
            },
        };
        Ok(())
    }

    /// Reports that a file is refused. Returns the part whose content is to be ignored.
    fn refused(&mut self, name: &[u8], refusal: Refusal) -> Part<F> {
        self.report.refused(name, refusal);
        Part::Refused
    }

    /// The path of the file `name` in the directory of the form.
    fn path_of(&self, name: &[u8]) -> Result<RelativePath, Refusal> {
        let FormTarget { directory, shows_hidden, .. } = &self.target;
        let is_reserved = directory.is_none() && name == RESERVED;
        if is_reserved || name.starts_with(b".") && !shows_hidden {
            return Err(NAME_REFUSED);
        }
        let directories = directory.as_ref().map(|directory| directory.as_bytes().split(|byte| *byte == b'/'));
        RelativePath::from_segments(directories.into_iter().flatten().chain([name])).map_err(|_| NAME_REFUSED)
    }

    fn take_content(&mut self, content: &[u8]) {
        self.part = match mem::replace(&mut self.part, Part::None) {
            Part::File(name, mut file) => match self.files.write(&mut file, content) {
                Ok(()) => Part::File(name, file),
                Err(refusal) => self.refused(&name, refusal),
            },
            Part::Unnamed => self.refused(&[], NAME_REFUSED),
            part @ (Part::None | Part::Refused) => part,
        };
    }

    /// Ends a part, and publishes its file. Returns whether there was one.
    fn end(&mut self, now: &Now) -> bool {
        match mem::replace(&mut self.part, Part::None) {
            Part::File(name, file) => match self.files.publish(file, now) {
                Ok(created) => self.report.stored(&name, created),
                Err(refusal) => self.report.refused(&name, refusal),
            },
            Part::Refused => {}
            Part::None | Part::Unnamed => return false,
        }
        true
    }

    /// The response to a form that is malformed or empty.
    fn fail(&mut self, reason: &'static str) -> Response<'static, FileContent<F>> {
        if let Part::File(name, _) = mem::replace(&mut self.part, Part::None) {
            self.report.refused(&name, INCOMPLETE);
        }
        self.report.failed(reason);
        self.respond()
    }

    /// The report leaves the sink, which gets nothing more.
    fn respond(&mut self) -> Response<'static, FileContent<F>> {
        content::respond(mem::take(&mut self.report), self.target.clone())
    }
}
