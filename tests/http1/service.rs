//! Services for the core to ask: one made for these tests, and one that notes what any other is asked.

use std::borrow::Cow;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use spindle::semantics::Now;
use spindle::semantics::conditional::{Preconditions, Validators, Verdict};
use spindle::semantics::fields::FieldName;
use spindle::semantics::method::Method;
use spindle::semantics::request::{Request, Target, Version};
use spindle::semantics::response::{Body, Response};
use spindle::semantics::service::{Piece, Reply, Service, Sink, Source, SourceFailed};
use spindle::semantics::status::Status;

/// What a sink of [`Probe`] takes at `/limited`, in bytes.
pub(crate) const LIMITED_BYTES_MAX: usize = 8;

/// Answers by path: `/refuse` takes no content (403), `/limited` little (413), `/source/N` is N bytes from a source and
/// `/huge` more of them than a case should read, `/stream/N` N bytes of unknown length, `/broken/N` fails behind them,
/// `/slow/N` has nothing yet before each piece, `/nothing` is 204, `/version` has validators. Any other path echoes
/// itself to a read, and takes the content of a write (201).
#[derive(Default)]
pub(crate) struct Probe;

impl Service for Probe {
    type Source = Repeated;
    type Sink = Taker;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, Repeated, Taker> {
        if request.method == Method::Unknown {
            return Reply::Respond(Response::new(Status::NotImplemented));
        }
        let path = request.target.path().unwrap_or(b"*");
        let writes = matches!(request.method, Method::Post | Method::Put);
        match path {
            b"/refuse" => Reply::Respond(Response::with_reason(Status::Forbidden, "Not here.")),
            b"/version" => Reply::Respond(judge(request, now)),
            b"/huge" => respond_with(Repeated::of_length(HUGE_BYTES)),
            _ if number_behind(path, b"/stream/").is_some() => {
                respond_with(Repeated::of_unknown_length(number_behind(path, b"/stream/"), false))
            }
            _ if number_behind(path, b"/broken/").is_some() => {
                respond_with(Repeated::of_unknown_length(number_behind(path, b"/broken/"), true))
            }
            _ if number_behind(path, b"/slow/").is_some() => {
                respond_with(Repeated::slow(number_behind(path, b"/slow/").unwrap_or_default()))
            }
            b"/nothing" => Reply::Respond(Response::new(Status::NoContent)),
            b"/limited" if writes => Reply::Receive(Taker { bytes_left: LIMITED_BYTES_MAX }),
            _ if writes => Reply::Receive(Taker { bytes_left: usize::MAX }),
            _ if number_behind(path, b"/source/").is_some() => {
                respond_with(Repeated::of_length(number_behind(path, b"/source/").unwrap_or_default()))
            }
            _ => Reply::Respond(Response {
                content_type: Some("text/plain".into()),
                body: Body::Bytes(Cow::Borrowed(path)),
                ..Response::new(Status::Ok)
            }),
        }
    }
}

/// N behind `prefix`, if it is no more than a test can bear that reads byte by byte.
fn number_behind(path: &[u8], prefix: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(path.strip_prefix(prefix)?).ok()?.parse().ok()?;
    (number <= 1_000_000).then_some(number)
}

fn respond_with<'r, K>(source: Repeated) -> Reply<'r, Repeated, K> {
    Reply::Respond(Response { body: Body::Source(source), ..Response::new(Status::Ok) })
}

/// Bytes of `/huge`.
pub(crate) const HUGE_BYTES: u64 = 100_000_000;

/// `/version` has this entity tag and this date of modification.
const VERSION: Validators<'static> = Validators { etag: Some("\"a,b\""), last_modified_unix_s: Some(VERSION_UNIX_S) };

/// Sun, 06 Nov 1994 08:00:00 GMT.
const VERSION_UNIX_S: u64 = 784_108_800;

fn judge<B>(request: &Request<'_>, now: &Now) -> Response<'static, B> {
    let preconditions = Preconditions::of(request, now);
    match preconditions.map_or(Verdict::Proceed, |preconditions| preconditions.evaluate(Some(VERSION))) {
        Verdict::Proceed => Response::new(Status::Ok),
        Verdict::NotModified => Response::new(Status::NotModified),
        Verdict::Failed => Response::new(Status::PreconditionFailed),
    }
}

/// Content of equal bytes.
#[derive(Debug)]
pub(crate) struct Repeated {
    left: u64,
    is_length_known: bool,
    /// Whether it fails when all is sent.
    is_broken: bool,
    /// Whether it has nothing yet each time that it is first asked for a piece, and whether it has said so.
    is_slow: bool,
    has_waited: bool,
}

impl Repeated {
    fn of_length(left: u64) -> Repeated {
        Repeated { left, is_length_known: true, is_broken: false, is_slow: false, has_waited: false }
    }

    fn of_unknown_length(left: Option<u64>, is_broken: bool) -> Repeated {
        Repeated { left: left.unwrap_or_default(), is_length_known: false, is_broken, ..Repeated::of_length(0) }
    }

    fn slow(left: u64) -> Repeated {
        Repeated { is_slow: true, ..Repeated::of_unknown_length(Some(left), false) }
    }
}

const REPEATED: &[u8] = &[b'r'; 1000];

impl Source for Repeated {
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

/// Takes content up to a length.
pub(crate) struct Taker {
    bytes_left: usize,
}

impl Sink for Taker {
    type Source = Repeated;

    fn write(&mut self, content: &[u8]) -> Result<(), Box<Response<'static, Repeated>>> {
        assert!(!content.is_empty(), "a sink is not bothered with nothing");
        match self.bytes_left.checked_sub(content.len()) {
            Some(left) => self.bytes_left = left,
            None => return Err(Box::new(Response::with_reason(Status::ContentTooLarge, "Too long."))),
        }
        Ok(())
    }

    fn finish(self, _: &Now) -> Response<'static, Repeated> {
        Response::new(Status::Created)
    }
}

/// One request as a service saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub method: &'static str,
    pub target: Vec<u8>,
    pub is_version_10: bool,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The values of the Host lines, as the core finds them by their name.
    pub hosts: Vec<Vec<u8>>,
    /// What reached the sink.
    pub content: Vec<u8>,
    /// Whether the sink was told that the content is complete.
    pub is_complete: bool,
}

type Log = Rc<RefCell<Vec<Seen>>>;

/// Asks `inner`, and notes what it is asked.
pub(crate) struct Recorder<S> {
    inner: S,
    seen: Log,
}

impl<S> Recorder<S> {
    pub(crate) fn new(inner: S) -> Recorder<S> {
        Recorder { inner, seen: Log::default() }
    }

    /// The requests. How much of an unfinished content reached the sink depends on the cuts, and is left out.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut seen = self.seen.borrow().clone();
        seen.iter_mut().filter(|seen| !seen.is_complete).for_each(|seen| seen.content.clear());
        seen
    }
}

impl<S: Service> Service for Recorder<S> {
    type Source = S::Source;
    type Sink = RecordingSink<S::Sink>;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, Self::Source, Self::Sink> {
        let index = self.seen.borrow().len();
        self.seen.borrow_mut().push(Seen {
            method: request.method.as_str(),
            target: target_bytes(&request.target),
            is_version_10: request.version == Version::Http10,
            fields: request.fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            hosts: request.fields.values(FieldName::Host).map(<[u8]>::to_vec).collect(),
            ..Seen::default()
        });
        match self.inner.call(request, now) {
            Reply::Respond(response) => Reply::Respond(response),
            Reply::Receive(inner) => Reply::Receive(RecordingSink { inner, index, seen: Rc::clone(&self.seen) }),
        }
    }
}

/// The target as it was sent.
fn target_bytes(target: &Target<'_>) -> Vec<u8> {
    match *target {
        Target::Origin(bytes) | Target::Authority(bytes) => bytes.to_vec(),
        Target::Absolute { authority, path_and_query } => [b"http://", authority, path_and_query].concat(),
        Target::Asterisk => b"*".to_vec(),
    }
}

pub(crate) struct RecordingSink<K> {
    inner: K,
    index: usize,
    seen: Log,
}

impl<K: Sink> Sink for RecordingSink<K> {
    type Source = K::Source;

    fn write(&mut self, content: &[u8]) -> Result<(), Box<Response<'static, K::Source>>> {
        self.inner.write(content)?;
        self.seen.borrow_mut()[self.index].content.extend_from_slice(content);
        Ok(())
    }

    fn finish(self, now: &Now) -> Response<'static, K::Source> {
        self.seen.borrow_mut()[self.index].is_complete = true;
        self.inner.finish(now)
    }
}
