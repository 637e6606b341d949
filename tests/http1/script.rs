//! Cases: the bytes that a client sends, and assertions about the result.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError;
use spindle::routes::Routes;

use crate::driver::{NOW_TEXT, ReadMode, Transcript, run};
use crate::response_reader::{ParsedResponse, parse_responses};
use crate::service::{ReceivedRequest, TestService};

/// Sent after a case, to check that the server finds the end of the case's last request.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n";

/// Streams of up to this length are split at every byte; longer ones at some.
const EVERY_SPLIT_BYTES_MAX: usize = 400;

/// Streams of up to this length are sent byte by byte in every combination; longer ones in one.
const EVERY_COMBINATION_BYTES_MAX: usize = 10_000;

/// Which service responds.
#[derive(Clone, Copy, Debug)]
enum ServiceKind {
    TestService,
    Routes,
}

/// The bytes that a client sends, the service that responds, and the server's settings.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    bytes: Vec<u8>,
    service: ServiceKind,
    settings: Settings,
}

/// The result of a case, the same however its bytes are split.
#[derive(Clone, Debug)]
pub(crate) struct CaseResult {
    /// The final responses.
    pub responses: Vec<ParsedResponse>,
    /// The requests that the service received.
    pub requests: Vec<ReceivedRequest>,
    /// Whether the server has half-closed the connection.
    pub eof_sent: bool,
}

impl CaseResult {
    /// The only response.
    #[track_caller]
    pub(crate) fn response(&self) -> &ParsedResponse {
        assert_eq!(self.responses.len(), 1, "{self:?}");
        &self.responses[0]
    }

    /// The content of the only request.
    #[track_caller]
    pub(crate) fn content(&self) -> &[u8] {
        assert_eq!(self.requests.len(), 1, "{self:?}");
        assert!(self.requests[0].is_complete, "{self:?}");
        &self.requests[0].content
    }

    fn statuses(&self) -> Vec<u16> {
        self.responses.iter().map(|response| response.status).collect()
    }
}

/// A case for [`TestService`].
pub(crate) fn script(bytes: impl AsRef<[u8]>) -> Script {
    Script { bytes: bytes.as_ref().to_vec(), service: ServiceKind::TestService, settings: Settings::default() }
}

/// A case for the server's own routes, without a directory.
pub(crate) fn routes_script(bytes: impl AsRef<[u8]>) -> Script {
    Script { service: ServiceKind::Routes, ..script(bytes) }
}

/// The responses to `bytes` have these statuses, and the connection stays open.
#[track_caller]
pub(crate) fn assert_stays_open(bytes: impl AsRef<[u8]>, statuses: &[u16]) -> CaseResult {
    script(bytes).assert_stays_open(statuses)
}

/// The responses to `bytes` have these statuses, and the last one closes the connection.
#[track_caller]
pub(crate) fn assert_closes(bytes: impl AsRef<[u8]>, statuses: &[u16]) -> CaseResult {
    script(bytes).assert_closes(statuses)
}

/// `bytes` cause this protocol error, and the service receives no request.
#[track_caller]
pub(crate) fn assert_rejected(bytes: impl AsRef<[u8]>, error: ProtocolError) {
    let result = script(bytes).assert_rejected(error);
    assert_eq!(result.requests, [], "the service received a request");
}

/// `bytes` are neither a protocol error nor a complete request. If the client half-closes after them, the response
/// reports the protocol error `at_end`.
#[track_caller]
pub(crate) fn assert_incomplete(bytes: impl AsRef<[u8]>, at_end: ProtocolError) {
    script(bytes).assert_incomplete(at_end);
}

/// A GET of `target` with these field lines after Host.
pub(crate) fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

/// A POST to `/` with these field lines after Host, followed by `content`.
pub(crate) fn post(lines: &str, content: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n{content}")
}

impl Script {
    pub(crate) fn strict(mut self) -> Script {
        self.settings.strict = true;
        self
    }

    pub(crate) fn without_date(mut self) -> Script {
        self.settings.send_date = false;
        self
    }

    #[track_caller]
    pub(crate) fn assert_stays_open(&self, statuses: &[u16]) -> CaseResult {
        let result = self.run_all();
        assert_eq!(result.statuses(), statuses, "{} → {result:?}", self.bytes.escape_ascii());
        assert!(!result.eof_sent, "the server closed the connection: {result:?}");
        result
    }

    #[track_caller]
    pub(crate) fn assert_closes(&self, statuses: &[u16]) -> CaseResult {
        let result = self.run_all();
        assert_eq!(result.statuses(), statuses, "{} → {result:?}", self.bytes.escape_ascii());
        assert!(result.eof_sent, "the connection stayed open: {result:?}");
        result
    }

    #[track_caller]
    pub(crate) fn assert_rejected(&self, error: ProtocolError) -> CaseResult {
        let result = self.run_all();
        let last = result.responses.last().unwrap_or_else(|| panic!("no response: {}", self.bytes.escape_ascii()));
        assert_eq!(
            (last.status, last.text().trim_end()),
            (error.status().code(), error.reason()),
            "{} → {last:?}",
            self.bytes.escape_ascii()
        );
        assert_eq!(last.field("Content-Type"), Some("text/plain"));
        assert!(result.eof_sent, "a protocol error closes the connection: {result:?}");
        result
    }

    /// The result if all bytes arrive at once.
    pub(crate) fn run_once(&self) -> CaseResult {
        let (transcript, _) = self.run(&self.bytes, &[], ReadMode::Immediate, false);
        self.read(&transcript)
    }

    #[track_caller]
    pub(crate) fn assert_incomplete(&self, at_end: ProtocolError) {
        for splits in self.splits() {
            let (transcript, mut driver) = self.run(&self.bytes, &splits, ReadMode::Immediate, false);
            let before = parse_responses(&transcript.output, &methods(&transcript));
            assert!(before.iter().all(ParsedResponse::is_interim), "the server responds too early: {before:?}");
            assert!(!transcript.eof_sent);
            let transcript = driver.half_close();
            let responses = parse_responses(&transcript.output, &methods(&transcript));
            let last = responses.last().expect("a response");
            assert_eq!((last.status, last.text().trim_end()), (at_end.status().code(), at_end.reason()));
            assert!(last.says_close() && transcript.eof_sent);
        }
    }

    /// Runs the case in all variants, and asserts that they have the same result.
    #[track_caller]
    fn run_all(&self) -> CaseResult {
        let (first, mut driver) = self.run(&self.bytes, &[], ReadMode::Immediate, false);
        let result = self.read(&first);
        let end = driver.half_close();
        assert_eq!(end.output, first.output, "the server sends bytes after the client's half-close");
        assert!(end.eof_sent, "the server does not close after the client's half-close");
        let mut longer = self.bytes.clone();
        longer.extend_from_slice(NEXT);
        for splits in self.splits() {
            for read_mode in [ReadMode::Immediate, ReadMode::ByteByByte, ReadMode::Deferred] {
                // How the client reads hardly affects where a split matters: not every combination is run.
                let is_short = self.bytes.len() <= EVERY_COMBINATION_BYTES_MAX;
                if read_mode != ReadMode::Immediate && (splits.len() == 1 || !is_short && !splits.is_empty()) {
                    continue;
                }
                let (transcript, _) = self.run(&self.bytes, &splits, read_mode, false);
                self.compare(&result, &transcript, format_args!("{read_mode:?}, split at {splits:?}"));
            }
            if splits.len() > EVERY_COMBINATION_BYTES_MAX {
                continue;
            }
            let (transcript, _) = self.run(&longer, &splits, ReadMode::Immediate, false);
            self.compare_with_next(
                &result,
                &transcript,
                format_args!("followed by another request, split at {splits:?}"),
            );
        }
        let (mut transcript, _) = self.run(&self.bytes, &[], ReadMode::Immediate, true);
        assert!(transcript.eof_sent, "the server does not close a half-closed connection");
        transcript.eof_sent = result.eof_sent;
        self.compare(&result, &transcript, format_args!("half-closed"));
        result
    }

    fn splits(&self) -> Vec<Vec<usize>> {
        let length = self.bytes.len();
        let stride = if length <= EVERY_SPLIT_BYTES_MAX { 1 } else { length / 40 };
        let mut splits: Vec<Vec<usize>> = (1..length).step_by(stride).map(|at| vec![at]).collect();
        if length > EVERY_SPLIT_BYTES_MAX {
            splits.extend((length - 5..length).map(|at| vec![at]));
        }
        splits.push(vec![]);
        splits.push((1..length).collect());
        splits
    }

    fn run(
        &self,
        bytes: &[u8],
        splits: &[usize],
        read_mode: ReadMode,
        half_closed: bool,
    ) -> (Transcript, Box<dyn ConnectionRun>) {
        match self.service {
            ServiceKind::TestService => {
                let (transcript, driver) =
                    run(TestService, self.settings.clone(), bytes, splits, read_mode, half_closed);
                (transcript, Box::new(driver))
            }
            ServiceKind::Routes => {
                let (transcript, driver) =
                    run(<Routes>::new(None), self.settings.clone(), bytes, splits, read_mode, half_closed);
                (transcript, Box::new(driver))
            }
        }
    }

    #[track_caller]
    fn read(&self, transcript: &Transcript) -> CaseResult {
        let responses = parse_responses(&transcript.output, &methods(transcript));
        let responses: Vec<ParsedResponse> = responses.into_iter().filter(|response| !response.is_interim()).collect();
        let says_close = responses.last().is_some_and(ParsedResponse::says_close);
        assert_eq!(
            says_close, transcript.eof_sent,
            "`Connection: close` is in the last response and no other: {responses:?}"
        );
        for response in &responses {
            assert_eq!(response.field("Date"), self.settings.send_date.then_some(NOW_TEXT), "{response:?}");
        }
        CaseResult { responses, requests: transcript.requests.clone(), eof_sent: transcript.eof_sent }
    }

    #[track_caller]
    fn compare(&self, result: &CaseResult, transcript: &Transcript, how: std::fmt::Arguments<'_>) {
        let responses = parse_responses(&transcript.output, &methods(transcript));
        let finals: Vec<&ParsedResponse> = responses.iter().filter(|response| !response.is_interim()).collect();
        let script = self.bytes[..self.bytes.len().min(300)].escape_ascii();
        assert_eq!(finals, result.responses.iter().collect::<Vec<_>>(), "{how}: {script}");
        assert_eq!(transcript.requests, result.requests, "{how}: {script}");
        assert_eq!(transcript.eof_sent, result.eof_sent, "{how}: {script}");
    }

    #[track_caller]
    fn compare_with_next(&self, result: &CaseResult, transcript: &Transcript, how: std::fmt::Arguments<'_>) {
        if result.eof_sent {
            return self.compare(result, transcript, how);
        }
        let mut transcript = transcript.clone();
        let next = transcript.requests.pop().unwrap_or_default();
        assert_eq!((next.method, &next.target[..]), ("GET", &b"/next"[..]), "{how}: the next request is misread");
        let last = transcript.output.windows(9).rposition(|window| window == b"HTTP/1.1 ").expect("a response");
        let expected: &[u8] = match self.service {
            ServiceKind::TestService => b"HTTP/1.1 200",
            ServiceKind::Routes => b"HTTP/1.1 404",
        };
        assert!(transcript.output[last..].starts_with(expected), "{how}: the next request gets no response");
        transcript.output.truncate(last);
        self.compare(result, &transcript, how);
    }
}

fn methods(transcript: &Transcript) -> Vec<&'static str> {
    transcript.requests.iter().map(|request| request.method).collect()
}

/// A connection after a run.
trait ConnectionRun {
    /// The client half-closes. Returns the transcript from the start.
    fn half_close(&mut self) -> Transcript;
}

impl<S: spindle::semantics::service::Service> ConnectionRun for crate::driver::Driver<S> {
    fn half_close(&mut self) -> Transcript {
        crate::driver::Driver::half_close(self);
        assert!(self.connection.is_closed(), "the connection stays open after both sides have half-closed");
        self.transcript()
    }
}
