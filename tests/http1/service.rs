//! Services for the protocol core to call: a test service, and one that records the requests to any other service.

use std::borrow::Cow;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use spindle::semantics::Now;
use spindle::semantics::conditional::{Preconditions, Validators, Verdict};
use spindle::semantics::fields::FieldName;
use spindle::semantics::method::Method;
use spindle::semantics::request::{Request, Target, Version};
use spindle::semantics::response::{Body, Response, UploadStatus};
use spindle::semantics::service::{CommitGroup, Finished, Interim, Piece, Reply, Service, Sink, Source, SourceFailed};
use spindle::semantics::status::Status;

/// The content that the sink at `/limited` accepts, in bytes.
pub(crate) const LIMITED_BYTES_MAX: usize = 8;

/// Responds by path:
///
/// - `/refuse`: 403, without reading the content. `/nothing`: 204.
/// - `/limited`: a write is accepted up to [`LIMITED_BYTES_MAX`] (413 beyond).
/// - `/byte-by-byte`: a sink that takes one byte at a time. `/limited-byte-by-byte`: the same, with the limit.
/// - `/resumable`: a sink that gets the content that arrived before the connection ended. It sends an interim response
///   after each write.
/// - `/deferred`: the upload is committed later, together with others.
/// - `/arrived`: content that has arrived with the head is taken at once, other content by a sink.
/// - `/source/N`: N bytes from a source. `/huge`: [`HUGE_BYTES`], too much for a case.
/// - `/stream/N`: N bytes of unknown length. `/broken/N`: the same, but the source fails after them. `/slow/N`: the
///   same, but the source is pending before each piece.
/// - `/version`: a resource with validators, for preconditions.
/// - Any other path: the path itself for a read; for a write the content is accepted (201).
#[derive(Default)]
pub(crate) struct TestService;

impl Service for TestService {
    type Source = TestSource;
    type Sink = TestSink;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, TestSource, TestSink> {
        if request.method == Method::Unknown {
            return Reply::Respond(Response::new(Status::NotImplemented));
        }
        let path = request.target.path().unwrap_or(b"*");
        let writes = matches!(request.method, Method::Post | Method::Put);
        if let (b"/arrived", true, Some(content)) = (path, writes, request.arrived) {
            return Reply::RespondToContent(content, Response::new(Status::Created));
        }
        match path {
            b"/refuse" => Reply::Respond(Response::with_reason(Status::Forbidden, "Not here.")),
            b"/version" => Reply::Respond(evaluate_preconditions(request, now)),
            b"/huge" => respond_with(TestSource::of_length(HUGE_BYTES)),
            _ if number_after(path, b"/stream/").is_some() => {
                respond_with(TestSource::of_unknown_length(number_after(path, b"/stream/"), false))
            }
            _ if number_after(path, b"/broken/").is_some() => {
                respond_with(TestSource::of_unknown_length(number_after(path, b"/broken/"), true))
            }
            _ if number_after(path, b"/slow/").is_some() => {
                respond_with(TestSource::slow(number_after(path, b"/slow/").unwrap_or_default()))
            }
            b"/nothing" => Reply::Respond(Response::new(Status::NoContent)),
            b"/limited" if writes => Reply::Receive(TestSink { bytes_left: LIMITED_BYTES_MAX, ..TestSink::ANY }),
            b"/byte-by-byte" if writes => Reply::Receive(TestSink { taken_max: 1, ..TestSink::ANY }),
            b"/limited-byte-by-byte" if writes => {
                Reply::Receive(TestSink { bytes_left: LIMITED_BYTES_MAX, taken_max: 1, ..TestSink::ANY })
            }
            b"/resumable" if writes => Reply::Receive(TestSink { is_resumable: true, ..TestSink::ANY }),
            b"/deferred" if writes => Reply::Receive(TestSink { is_deferred: true, ..TestSink::ANY }),
            _ if writes => Reply::Receive(TestSink::ANY),
            _ if number_after(path, b"/source/").is_some() => {
                respond_with(TestSource::of_length(number_after(path, b"/source/").unwrap_or_default()))
            }
            _ => Reply::Respond(Response {
                content_type: Some("text/plain".into()),
                body: Body::Bytes(Cow::Borrowed(path)),
                ..Response::new(Status::Ok)
            }),
        }
    }

    fn commit<K>(&mut self, group: Vec<(K, ())>, _: &Now) -> Vec<(K, Response<'static, TestSource>)> {
        group.into_iter().map(|(key, ())| (key, Response::new(Status::Created))).collect()
    }
}

/// The number after `prefix`, if a test that reads byte by byte can read so many bytes in a reasonable time.
fn number_after(path: &[u8], prefix: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(path.strip_prefix(prefix)?).ok()?.parse().ok()?;
    (number <= 1_000_000).then_some(number)
}

fn respond_with<'r, K>(source: TestSource) -> Reply<'r, TestSource, K> {
    Reply::Respond(Response { body: Body::Source(source), ..Response::new(Status::Ok) })
}

/// The length of `/huge`.
pub(crate) const HUGE_BYTES: u64 = 100_000_000;

/// The entity tag and modification date of `/version`.
const VERSION: Validators<'static> = Validators { etag: Some("\"a,b\""), last_modified_unix_s: Some(VERSION_UNIX_S) };

/// Sun, 06 Nov 1994 08:00:00 GMT.
const VERSION_UNIX_S: u64 = 784_108_800;

fn evaluate_preconditions<B>(request: &Request<'_>, now: &Now) -> Response<'static, B> {
    let preconditions = Preconditions::of(request, now);
    match preconditions.map_or(Verdict::Proceed, |preconditions| preconditions.evaluate(Some(VERSION))) {
        Verdict::Proceed => Response::new(Status::Ok),
        Verdict::NotModified => Response::new(Status::NotModified),
        Verdict::Failed => Response::new(Status::PreconditionFailed),
    }
}

/// Content in which every byte is the same.
#[derive(Debug)]
pub(crate) struct TestSource {
    left: u64,
    is_length_known: bool,
    /// Whether it fails once everything has been sent.
    is_broken: bool,
    /// Whether each piece is pending the first time that it is requested.
    is_slow: bool,
    /// Whether the current piece has been pending.
    has_waited: bool,
}

impl TestSource {
    fn of_length(left: u64) -> TestSource {
        TestSource { left, is_length_known: true, is_broken: false, is_slow: false, has_waited: false }
    }

    fn of_unknown_length(left: Option<u64>, is_broken: bool) -> TestSource {
        TestSource { left: left.unwrap_or_default(), is_length_known: false, is_broken, ..TestSource::of_length(0) }
    }

    fn slow(left: u64) -> TestSource {
        TestSource { is_slow: true, ..TestSource::of_unknown_length(Some(left), false) }
    }
}

const REPEATED: &[u8] = &[b'r'; 1000];

impl Source for TestSource {
    type File = Infallible;

    fn bytes_left(&self) -> Option<u64> {
        self.is_length_known.then_some(self.left)
    }

    fn piece(&mut self) -> Result<Option<Piece<'_, Infallible>>, SourceFailed> {
        if self.is_slow && !self.has_waited {
            self.has_waited = true;
            return Ok(Some(Piece::Pending));
        }
        let bytes = usize::try_from(self.left).unwrap_or(usize::MAX).min(REPEATED.len());
        match bytes {
            0 if self.is_broken => Err(SourceFailed),
            0 => Ok(None),
            _ => Ok(Some(Piece::Bytes(&REPEATED[..bytes]))),
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.left -= bytes;
        self.has_waited &= bytes == 0;
    }
}

/// Accepts content up to a length.
pub(crate) struct TestSink {
    bytes_left: usize,
    /// How many bytes one write takes.
    taken_max: usize,
    is_resumable: bool,
    is_deferred: bool,
}

impl TestSink {
    const ANY: TestSink =
        TestSink { bytes_left: usize::MAX, taken_max: usize::MAX, is_resumable: false, is_deferred: false };
}

impl Sink for TestSink {
    type Source = TestSource;
    type Commit = ();

    fn write(&mut self, content: &[u8], _: &Now) -> Result<usize, Box<Response<'static, TestSource>>> {
        assert!(!content.is_empty(), "a sink never gets an empty piece");
        let taken = content.len().min(self.taken_max);
        match self.bytes_left.checked_sub(taken) {
            Some(left) => self.bytes_left = left,
            None => return Err(Box::new(Response::with_reason(Status::ContentTooLarge, "Too long."))),
        }
        Ok(taken)
    }

    fn finish(self, _: &Now) -> Finished<TestSource, ()> {
        match self.is_deferred {
            true => Finished::Deferred(()),
            false => Finished::Responded(Response::new(Status::Created)),
        }
    }

    fn interim(&mut self, _: &Now) -> Option<Interim> {
        self.is_resumable.then(|| Interim { location: None, upload: UploadStatus::default() })
    }

    fn is_resumable(&self) -> bool {
        self.is_resumable
    }
}

/// A request that a service received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceivedRequest {
    pub method: &'static str,
    pub target: Vec<u8>,
    pub is_http_10: bool,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The values of the Host lines, looked up by field name.
    pub hosts: Vec<Vec<u8>>,
    /// The content that reached the sink, or that was taken at once.
    pub content: Vec<u8>,
    /// Whether the sink was finished, or the content taken at once.
    pub is_complete: bool,
}

type Log = Rc<RefCell<Vec<ReceivedRequest>>>;

/// Records the requests to `inner`.
pub(crate) struct RecordingService<S> {
    inner: S,
    requests: Log,
}

impl<S> RecordingService<S> {
    pub(crate) fn new(inner: S) -> RecordingService<S> {
        RecordingService { inner, requests: Log::default() }
    }

    /// The requests so far. Unfinished content is left out: how much of it reaches the sink depends on how the bytes were
    /// split.
    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        let mut requests = self.requests.borrow().clone();
        requests.iter_mut().filter(|request| !request.is_complete).for_each(|request| request.content.clear());
        requests
    }

    /// The content of the last request that has reached the sink so far.
    pub(crate) fn last_content(&self) -> Vec<u8> {
        self.requests.borrow().last().map(|request| request.content.clone()).unwrap_or_default()
    }
}

impl<S: Service> Service for RecordingService<S> {
    type Source = S::Source;
    type Sink = RecordingSink<S::Sink>;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, Self::Source, Self::Sink> {
        let index = self.requests.borrow().len();
        self.requests.borrow_mut().push(ReceivedRequest {
            method: request.method.as_str(),
            target: target_bytes(&request.target),
            is_http_10: request.version == Version::Http10,
            fields: request.fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            hosts: request.fields.values(FieldName::Host).map(<[u8]>::to_vec).collect(),
            ..ReceivedRequest::default()
        });
        match self.inner.call(request, now) {
            Reply::Respond(response) => Reply::Respond(response),
            Reply::Receive(inner) => {
                Reply::Receive(RecordingSink { inner, index, requests: Rc::clone(&self.requests) })
            }
            Reply::RespondToContent(content, response) => {
                let recorded = &mut self.requests.borrow_mut()[index];
                (recorded.content, recorded.is_complete) = (content.bytes().to_vec(), true);
                Reply::RespondToContent(content, response)
            }
        }
    }

    fn commit<K>(&mut self, group: CommitGroup<K, Self>, now: &Now) -> Vec<(K, Response<'static, S::Source>)> {
        self.inner.commit(group, now)
    }
}

/// The target as it was sent.
fn target_bytes(target: &Target<'_>) -> Vec<u8> {
    match *target {
        Target::Origin(path_and_query) => path_and_query.as_bytes().to_vec(),
        Target::Authority(bytes) => bytes.to_vec(),
        Target::Absolute { authority, path_and_query } => [b"http://", authority, path_and_query.as_bytes()].concat(),
        Target::Asterisk => b"*".to_vec(),
    }
}

pub(crate) struct RecordingSink<K> {
    inner: K,
    index: usize,
    requests: Log,
}

impl<K: Sink> Sink for RecordingSink<K> {
    type Source = K::Source;
    type Commit = K::Commit;

    fn write(&mut self, content: &[u8], now: &Now) -> Result<usize, Box<Response<'static, K::Source>>> {
        let taken = self.inner.write(content, now)?;
        self.requests.borrow_mut()[self.index].content.extend_from_slice(&content[..taken]);
        Ok(taken)
    }

    fn finish(self, now: &Now) -> Finished<K::Source, K::Commit> {
        self.requests.borrow_mut()[self.index].is_complete = true;
        self.inner.finish(now)
    }

    fn interim(&mut self, now: &Now) -> Option<Interim> {
        self.inner.interim(now)
    }

    fn is_resumable(&self) -> bool {
        self.inner.is_resumable()
    }
}
