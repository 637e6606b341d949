//! The service of the simulated world, with a disk that takes time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use spindle::semantics::Now;
use spindle::semantics::method::Method;
use spindle::semantics::request::Request;
use spindle::semantics::response::{Body, Response};
use spindle::semantics::service::{Finished, Piece, Reply, Service, Sink, Source, SourceFailed};
use spindle::semantics::status::Status;

use crate::network::{MICROSECOND, Network};
use crate::world::{ColdFile, TestFile};

/// Responds by path, whose second segment is a number N:
///
/// - `/disk/N`: a few bytes, after the disk has taken N microseconds. `/work/N`: the same, but without reporting that
///   the call may have blocked. `/panic`: panics.
/// - `/file/N`: a file of N bytes. `/broken/N`: a file of a tebibyte with a read error after N bytes. `/trap/N`:
///   content of N bytes that panics when the first piece is requested.
/// - `/cold/N/M`: a file of N bytes that is not in memory, and of which the disk reads a piece ahead in M microseconds.
///   `/stuck/N/M`: the disk reads nothing ahead, and a piece in M microseconds when it must.
/// - `/stream/N`: N bytes of unknown length. `/fails/N`: the same, but the source fails after them. `/stalls/N`:
///   content of unknown length whose source fails at once, after the disk has taken N microseconds.
/// - PUT: accepts content. The disk takes N microseconds for each piece and for the end. `/begin/N`: the disk takes
///   them before the first piece instead. `/panic`: panics on a write. `/panic-end`: panics at the end. `/panic-drop`:
///   panics when the sink is dropped.
///   `/deferred/N`: the upload is committed with others, which takes the disk N microseconds for all of them.
///   `/panic-commit`: the same, and the commit panics. `/lost`: the same, and the commit returns no response.
///   `/save/N`: the disk takes N microseconds only if the content breaks off, to save or to free what has arrived.
/// - Any other path: a few bytes at once.
pub(crate) struct TestService {
    clock: Rc<Cell<u64>>,
    writes: Rc<RefCell<Vec<usize>>>,
    request_count: Rc<Cell<usize>>,
    /// How many uploads each commit had.
    committed: Rc<RefCell<Vec<usize>>>,
    has_blocked: bool,
}

impl TestService {
    /// `writes` receives the lengths of the pieces written to sinks, `request_count` the number of requests,
    /// `committed` the number of uploads of each commit.
    pub(crate) fn new(
        network: &Network,
        writes: &Rc<RefCell<Vec<usize>>>,
        request_count: &Rc<Cell<usize>>,
        committed: &Rc<RefCell<Vec<usize>>>,
    ) -> TestService {
        let (clock, writes, request_count) = (Rc::clone(&network.clock), Rc::clone(writes), Rc::clone(request_count));
        TestService { clock, writes, request_count, committed: Rc::clone(committed), has_blocked: false }
    }

    fn content(&mut self, what: &str, number: u64, second: u64) -> Body<'static, TestSource> {
        let file = |bytes_left, bytes_until_error| {
            Body::Source(TestSource::File(TestFile { bytes_left, bytes_until_error, cold: None }))
        };
        match what {
            "disk" | "work" => {
                self.clock.set(self.clock.get() + number * MICROSECOND);
                self.has_blocked = what == "disk";
                Body::Bytes(b"slow"[..].into())
            }
            "panic" => panic!("the test's response"),
            "file" => file(number, u64::MAX),
            "cold" | "stuck" => {
                let cold = Some(ColdFile::new(&self.clock, second * MICROSECOND, what == "stuck"));
                Body::Source(TestSource::File(TestFile { bytes_left: number, bytes_until_error: u64::MAX, cold }))
            }
            "broken" => file(1 << 40, number),
            "fails" => Body::Source(TestSource::Fails(number)),
            "stalls" => Body::Source(TestSource::Stalls(Rc::clone(&self.clock), number * MICROSECOND)),
            "stream" => Body::Source(TestSource::Stream(number)),
            "trap" => Body::Source(TestSource::Trap(number)),
            _ => Body::Bytes(b"ok"[..].into()),
        }
    }
}

impl Service for TestService {
    type Source = TestSource;
    type Sink = TestSink;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, _: &Now) -> Reply<'r, TestSource, TestSink> {
        self.has_blocked = false;
        self.request_count.set(self.request_count.get() + 1);
        let path = std::str::from_utf8(request.target.path().unwrap_or_default()).unwrap_or_default();
        let mut segments = path.split('/').skip(1);
        let what = segments.next().unwrap_or_default();
        let mut numbers = segments.map(|number| number.parse().unwrap_or(0));
        let (number, second) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if request.method == Method::Put {
            let mut took_ns = number * MICROSECOND;
            if what == "begin" {
                self.clock.set(self.clock.get() + std::mem::take(&mut took_ns));
                self.has_blocked = true;
            }
            let (clock, writes) = (Rc::clone(&self.clock), Rc::clone(&self.writes));
            return Reply::Receive(TestSink { clock, writes, took_ns, panics: what.to_owned() });
        }
        Reply::Respond(Response { body: self.content(what, number, second), ..Response::new(Status::Ok) })
    }

    fn may_have_blocked(&self) -> bool {
        self.has_blocked
    }

    fn commit<K>(&mut self, group: Vec<(K, TestCommit)>, _: &Now) -> Vec<(K, Response<'static, TestSource>)> {
        self.committed.borrow_mut().push(group.len());
        let took_ns = group.iter().map(|(_, commit)| commit.took_ns).max().unwrap_or_default();
        self.clock.set(self.clock.get() + took_ns);
        assert!(group.iter().all(|(_, commit)| commit.what != "panic-commit"), "the test's commit");
        let kept = group.into_iter().filter(|(_, commit)| commit.what != "lost");
        kept.map(|(key, _)| (key, Response::new(Status::Created))).collect()
    }
}

pub(crate) struct TestCommit {
    what: String,
    took_ns: u64,
}

pub(crate) enum TestSource {
    File(TestFile),
    Trap(u64),
    /// The number of bytes before the source fails, or ends.
    Fails(u64),
    Stream(u64),
    /// The source fails after this time on this clock, in nanoseconds.
    Stalls(Rc<Cell<u64>>, u64),
}

impl Source for TestSource {
    type File = TestFile;

    fn bytes_left(&self) -> Option<u64> {
        match self {
            TestSource::File(file) => Some(file.bytes_left),
            TestSource::Trap(bytes) => Some(*bytes),
            TestSource::Fails(_) | TestSource::Stream(_) | TestSource::Stalls(..) => None,
        }
    }

    fn piece(&mut self) -> Result<Option<Piece<'_, TestFile>>, SourceFailed> {
        match self {
            TestSource::File(file) => Ok((file.bytes_left > 0).then_some(Piece::File(file))),
            TestSource::Trap(_) => panic!("the test's content"),
            TestSource::Fails(0) => Err(SourceFailed),
            TestSource::Stalls(clock, took_ns) => {
                clock.set(clock.get() + *took_ns);
                Err(SourceFailed)
            }
            TestSource::Stream(0) => Ok(None),
            TestSource::Fails(bytes) | TestSource::Stream(bytes) => {
                Ok(Some(Piece::Bytes(&[b'x'; 1000][..1000.min(*bytes as usize)])))
            }
        }
    }

    fn advance(&mut self, bytes: u64) {
        match self {
            TestSource::File(file) => {
                file.bytes_left -= bytes;
                file.cold.iter().for_each(|cold| cold.advance(bytes));
                file.bytes_until_error -= bytes;
            }
            TestSource::Fails(left) | TestSource::Stream(left) => *left -= bytes,
            TestSource::Trap(_) | TestSource::Stalls(..) => {}
        }
    }
}

pub(crate) struct TestSink {
    clock: Rc<Cell<u64>>,
    writes: Rc<RefCell<Vec<usize>>>,
    took_ns: u64,
    panics: String,
}

impl Sink for TestSink {
    type Source = TestSource;
    type Commit = TestCommit;

    fn write(&mut self, content: &[u8], _: &Now) -> Result<usize, Box<Response<'static, TestSource>>> {
        assert!(self.panics != "panic", "the test's sink");
        if !matches!(&*self.panics, "deferred" | "panic-commit" | "lost" | "save") {
            self.clock.set(self.clock.get() + self.took_ns);
        }
        self.writes.borrow_mut().push(content.len());
        Ok(content.len())
    }

    fn finish(self, _: &Now) -> Finished<TestSource, TestCommit> {
        assert!(self.panics != "panic-end", "the test's sink at its end");
        if matches!(&*self.panics, "deferred" | "panic-commit" | "lost") {
            return Finished::Deferred(TestCommit { what: self.panics.clone(), took_ns: self.took_ns });
        }
        self.clock.set(self.clock.get() + self.took_ns);
        Finished::Responded(Response::new(Status::Created))
    }
}

impl Drop for TestSink {
    fn drop(&mut self) {
        let is_first_panic = !std::thread::panicking();
        assert!(!is_first_panic || self.panics != "panic-drop", "the dropped sink of the test");
        if self.panics == "save" {
            self.clock.set(self.clock.get() + self.took_ns);
        }
    }
}
