//! The recipients of content: a file, a part of a resumable upload, or a form.

use super::FileContent;
use super::files::{FileCommit, FileUpload, ResumableSink};
use super::folder::FormSink;
use crate::semantics::Now;
use crate::semantics::fields::Fields;
use crate::semantics::response::Response;
use crate::semantics::service::{Finished, Interim, Sink};
use crate::storage::{FileSystem, Native};

/// An upload in progress. Boxed, so that a reply without one stays small.
pub struct FileSink<F: FileSystem = Native>(Kind<F>);

enum Kind<F: FileSystem> {
    File(Box<FileUpload<F>>),
    Resumable(Box<ResumableSink<F>>),
    Form(Box<FormSink<F>>),
}

impl<F: FileSystem> FileSink<F> {
    pub(super) fn file(upload: FileUpload<F>) -> FileSink<F> {
        FileSink(Kind::File(Box::new(upload)))
    }

    pub(super) fn resumable(sink: ResumableSink<F>) -> FileSink<F> {
        FileSink(Kind::Resumable(Box::new(sink)))
    }

    pub(super) fn form(sink: FormSink<F>) -> FileSink<F> {
        FileSink(Kind::Form(Box::new(sink)))
    }
}

impl<F: FileSystem> Sink for FileSink<F> {
    type Source = FileContent<F>;
    type Commit = FileCommit<F>;

    fn write(&mut self, content: &[u8], now: &Now) -> Result<usize, Box<Response<'static, FileContent<F>>>> {
        match &mut self.0 {
            Kind::File(upload) => upload.write(content).map(|()| content.len()),
            Kind::Resumable(sink) => sink.write(content).map(|()| content.len()),
            Kind::Form(sink) => sink.write(content, now),
        }
    }

    fn interim(&mut self, now: &Now) -> Option<Interim> {
        match &mut self.0 {
            Kind::Resumable(sink) => sink.interim(now),
            Kind::File(_) | Kind::Form(_) => None,
        }
    }

    fn wants_trailers(&self) -> bool {
        matches!(&self.0, Kind::File(upload) if upload.wants_trailers())
    }

    fn take_trailers(&mut self, trailers: &Fields<'_>) {
        if let Kind::File(upload) = &mut self.0 {
            upload.take_trailers(trailers);
        }
    }

    fn is_resumable(&self) -> bool {
        matches!(self.0, Kind::Resumable(_))
    }

    fn finish(self, now: &Now) -> Finished<FileContent<F>, FileCommit<F>> {
        match self.0 {
            Kind::File(upload) => upload.finish(now),
            Kind::Resumable(sink) => Finished::Responded(sink.finish(now)),
            Kind::Form(sink) => Finished::Responded(sink.finish()),
        }
    }
}
