//! The service that the server runs: the routes for everybody, and the administrator's resources on listeners of their
//! own.

use std::rc::Rc;

use crate::routes::{FileCommit, FileContent, FileSink, Routes};
use crate::semantics::Now;
use crate::semantics::fields::Fields;
use crate::semantics::request::{Endpoint, Request};
use crate::semantics::response::Response;
use crate::semantics::service::{Finished, Interim, Reply, Service, Sink};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, Native};
use crate::telemetry::admin::Admin;
use crate::telemetry::metrics::Metrics;

/// The routes and the administrator's resources.
pub struct RootService<F: FileSystem = Native> {
    routes: Routes<F>,
    /// `None` if no listener serves them.
    admin: Option<Admin>,
    metrics: Rc<Metrics>,
    /// Whether the last call was the administrator's: those never wait for the disk.
    was_admin: bool,
}

impl<F: FileSystem> RootService<F> {
    /// Serves `routes`, and `admin` to connections of [`Endpoint::Admin`]. Uploads are counted in `metrics`.
    pub fn new(routes: Routes<F>, admin: Option<Admin>, metrics: Rc<Metrics>) -> RootService<F> {
        RootService { routes, admin, metrics, was_admin: false }
    }
}

impl<F: FileSystem> Service for RootService<F> {
    type Source = FileContent<F>;
    type Sink = CountedSink<F>;

    /// Not inlined: see `process_content` in `http1/connection/receive_content.rs`.
    #[inline(never)]
    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, FileContent<F>, CountedSink<F>> {
        self.was_admin = request.endpoint == Endpoint::Admin;
        if self.was_admin {
            return Reply::Respond(match &self.admin {
                Some(admin) => admin.respond(request, &self.routes.statistics(), now),
                None => Response::new(Status::NotFound),
            });
        }
        match self.routes.call(request, now) {
            Reply::Respond(response) => Reply::Respond(response),
            Reply::Receive(sink) => Reply::Receive(CountedSink::new(sink, &self.metrics)),
            Reply::RespondToContent(content, response) => {
                Reply::RespondToContent(content, UploadCount::begin(&self.metrics).of_response(response))
            }
        }
    }

    fn may_have_blocked(&self) -> bool {
        !self.was_admin && self.routes.may_have_blocked()
    }

    fn account(&self) -> Option<&Rc<str>> {
        if self.was_admin { None } else { self.routes.account() }
    }

    fn reload(&mut self) -> Vec<String> {
        self.routes.reload()
    }

    fn deadline_ns(&self) -> Option<u64> {
        self.routes.deadline_ns()
    }

    fn deadline_passed(&mut self, now: &Now) {
        self.routes.deadline_passed(now);
    }

    fn commit<K>(
        &mut self,
        group: Vec<(K, CountedCommit<F>)>,
        now: &Now,
    ) -> Vec<(K, Response<'static, FileContent<F>>)> {
        let group = group.into_iter().map(|(key, CountedCommit { commit, count })| ((key, count), commit)).collect();
        let responses = self.routes.commit(group, now).into_iter();
        responses.map(|((key, count), response)| (key, count.of_response(response))).collect()
    }
}

/// A sink that counts its upload.
pub struct CountedSink<F: FileSystem = Native> {
    sink: FileSink<F>,
    count: UploadCount,
}

/// An upload that is counted as being in progress until this is dropped.
struct UploadCount(Rc<Metrics>);

impl UploadCount {
    fn begin(metrics: &Rc<Metrics>) -> UploadCount {
        metrics.upload_begun();
        UploadCount(Rc::clone(metrics))
    }

    /// Ends the upload with this response.
    fn of_response<B>(self, response: Response<'static, B>) -> Response<'static, B> {
        if response.status.is_successful() {
            self.0.upload_accepted();
        }
        response
    }
}

impl Drop for UploadCount {
    fn drop(&mut self) {
        self.0.upload_ended();
    }
}

impl<F: FileSystem> CountedSink<F> {
    fn new(sink: FileSink<F>, metrics: &Rc<Metrics>) -> CountedSink<F> {
        CountedSink { sink, count: UploadCount::begin(metrics) }
    }
}

impl<F: FileSystem> Sink for CountedSink<F> {
    type Source = FileContent<F>;
    type Commit = CountedCommit<F>;

    fn write(&mut self, content: &[u8], now: &Now) -> Result<usize, Box<Response<'static, FileContent<F>>>> {
        self.sink.write(content, now)
    }

    fn interim(&mut self, now: &Now) -> Option<Interim> {
        self.sink.interim(now)
    }

    fn wants_trailers(&self) -> bool {
        self.sink.wants_trailers()
    }

    fn take_trailers(&mut self, trailers: &Fields<'_>) {
        self.sink.take_trailers(trailers);
    }

    fn is_resumable(&self) -> bool {
        self.sink.is_resumable()
    }

    fn finish(self, now: &Now) -> Finished<FileContent<F>, CountedCommit<F>> {
        let CountedSink { sink, count } = self;
        match sink.finish(now) {
            Finished::Responded(response) => Finished::Responded(count.of_response(response)),
            Finished::Deferred(commit) => Finished::Deferred(CountedCommit { commit, count }),
        }
    }
}

/// A commit that counts its upload.
pub struct CountedCommit<F: FileSystem = Native> {
    commit: FileCommit<F>,
    count: UploadCount,
}
