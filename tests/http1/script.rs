//! Cases: what a peer sends, and what must come of it.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError;
use spindle::routes::Routes;

use crate::driver::{NOW_TEXT, Observed, Reading, run};
use crate::response_reader::{Answer, read_all};
use crate::service::{Probe, Seen};

/// A request that follows a case, to see where the server believes that the case ends.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n";

/// Streams up to this length are cut at every byte; longer ones at some.
const EVERY_CUT_BYTES_MAX: usize = 400;

/// Streams up to this length come byte by byte in every combination; longer ones in one.
const EVERY_WAY_BYTES_MAX: usize = 10_000;

/// Which service is asked.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Probe,
    Routes,
}

/// The bytes that a peer sends, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    bytes: Vec<u8>,
    asked: Asked,
    settings: Settings,
}

/// What came of a case, the same in every cut.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// The final answers.
    pub answers: Vec<Answer>,
    /// The requests, as the service saw them.
    pub seen: Vec<Seen>,
    pub ended: bool,
}

impl Told {
    /// The only answer.
    #[track_caller]
    pub(crate) fn answer(&self) -> &Answer {
        assert_eq!(self.answers.len(), 1, "{self:?}");
        &self.answers[0]
    }

    /// The content of the only request.
    #[track_caller]
    pub(crate) fn content(&self) -> &[u8] {
        assert_eq!(self.seen.len(), 1, "{self:?}");
        assert!(self.seen[0].is_complete, "{self:?}");
        &self.seen[0].content
    }

    fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(|answer| answer.status).collect()
    }
}

/// A case for the service of these tests.
pub(crate) fn script(bytes: impl AsRef<[u8]>) -> Script {
    Script { bytes: bytes.as_ref().to_vec(), asked: Asked::Probe, settings: Settings::default() }
}

/// A case for the real routes, without a directory.
pub(crate) fn routed(bytes: impl AsRef<[u8]>) -> Script {
    Script { asked: Asked::Routes, ..script(bytes) }
}

/// All of `bytes` is answered with these statuses, and the connection stays open.
#[track_caller]
pub(crate) fn assert_stays_open(bytes: impl AsRef<[u8]>, statuses: &[u16]) -> Told {
    script(bytes).assert_stays_open(statuses)
}

/// `bytes` are answered with these statuses, the last of which ends the connection.
#[track_caller]
pub(crate) fn assert_closes(bytes: impl AsRef<[u8]>, statuses: &[u16]) -> Told {
    script(bytes).assert_closes(statuses)
}

/// `bytes` break the protocol in this way, and no service sees the request.
#[track_caller]
pub(crate) fn assert_rejected(bytes: impl AsRef<[u8]>, error: ProtocolError) {
    let told = script(bytes).assert_rejected(error);
    assert_eq!(told.seen, [], "a service was asked");
}

/// `bytes` are no protocol error yet, and no request either. If the peer ends there, the answer is this protocol error.
#[track_caller]
pub(crate) fn assert_incomplete(bytes: impl AsRef<[u8]>, at_end: ProtocolError) {
    script(bytes).assert_incomplete(at_end);
}

/// A GET of `target` with these field lines, Host left out.
pub(crate) fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

/// A POST to `/` with these field lines, and what follows the head.
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
    pub(crate) fn assert_stays_open(&self, statuses: &[u16]) -> Told {
        let told = self.play();
        assert_eq!(told.statuses(), statuses, "{} → {told:?}", self.bytes.escape_ascii());
        assert!(!told.ended, "the connection ended: {told:?}");
        told
    }

    #[track_caller]
    pub(crate) fn assert_closes(&self, statuses: &[u16]) -> Told {
        let told = self.play();
        assert_eq!(told.statuses(), statuses, "{} → {told:?}", self.bytes.escape_ascii());
        assert!(told.ended, "the connection stayed open: {told:?}");
        told
    }

    #[track_caller]
    pub(crate) fn assert_rejected(&self, error: ProtocolError) -> Told {
        let told = self.play();
        let last = told.answers.last().unwrap_or_else(|| panic!("no answer: {}", self.bytes.escape_ascii()));
        assert_eq!(
            (last.status, last.text().trim_end()),
            (error.status().code(), error.reason()),
            "{} → {last:?}",
            self.bytes.escape_ascii()
        );
        assert_eq!(last.field("Content-Type"), Some("text/plain"));
        assert!(told.ended, "an error ends the connection: {told:?}");
        told
    }

    /// What is answered if all comes at once.
    pub(crate) fn play_once(&self) -> Told {
        let (outcome, _) = self.run(&self.bytes, &[], Reading::Everything, false);
        self.read(&outcome)
    }

    #[track_caller]
    pub(crate) fn assert_incomplete(&self, at_end: ProtocolError) {
        for cuts in self.cuts() {
            let (outcome, mut driver) = self.run(&self.bytes, &cuts, Reading::Everything, false);
            let before = read_all(&outcome.output, &methods(&outcome));
            assert!(before.iter().all(Answer::is_interim), "an answer too early: {before:?}");
            assert!(!outcome.ended);
            let outcome = driver.end();
            let answers = read_all(&outcome.output, &methods(&outcome));
            let last = answers.last().expect("an answer");
            assert_eq!((last.status, last.text().trim_end()), (at_end.status().code(), at_end.reason()));
            assert!(last.says_close() && outcome.ended);
        }
    }

    /// Plays the case in all its ways, and demands one outcome of them.
    #[track_caller]
    fn play(&self) -> Told {
        let (first, mut driver) = self.run(&self.bytes, &[], Reading::Everything, false);
        let told = self.read(&first);
        let end = driver.end();
        assert_eq!(end.output, first.output, "the peer's end is answered with bytes");
        assert!(end.ended, "the peer's end is not answered with one");
        let mut longer = self.bytes.clone();
        longer.extend_from_slice(NEXT);
        for cuts in self.cuts() {
            for reading in [Reading::Everything, Reading::ByteByByte, Reading::Late] {
                // The way of reading matters little to where a cut falls.
                let is_short = self.bytes.len() <= EVERY_WAY_BYTES_MAX;
                if reading != Reading::Everything && (cuts.len() == 1 || !is_short && !cuts.is_empty()) {
                    continue;
                }
                let (outcome, _) = self.run(&self.bytes, &cuts, reading, false);
                self.compare(&told, &outcome, format_args!("{reading:?}, cut at {cuts:?}"));
            }
            if cuts.len() > EVERY_WAY_BYTES_MAX {
                continue;
            }
            let (outcome, _) = self.run(&longer, &cuts, Reading::Everything, false);
            self.compare_with_next(&told, &outcome, format_args!("with more behind it, cut at {cuts:?}"));
        }
        let (mut outcome, _) = self.run(&self.bytes, &[], Reading::Everything, true);
        assert!(outcome.ended, "a half-closed peer is not told the end");
        outcome.ended = told.ended;
        self.compare(&told, &outcome, format_args!("half-closed"));
        told
    }

    fn cuts(&self) -> Vec<Vec<usize>> {
        let length = self.bytes.len();
        let stride = if length <= EVERY_CUT_BYTES_MAX { 1 } else { length / 40 };
        let mut cuts: Vec<Vec<usize>> = (1..length).step_by(stride).map(|at| vec![at]).collect();
        if length > EVERY_CUT_BYTES_MAX {
            cuts.extend((length - 5..length).map(|at| vec![at]));
        }
        cuts.push(vec![]);
        cuts.push((1..length).collect());
        cuts
    }

    fn run(&self, bytes: &[u8], cuts: &[usize], reading: Reading, half_closed: bool) -> (Observed, Box<dyn Playing>) {
        match self.asked {
            Asked::Probe => {
                let (outcome, driver) = run(Probe, self.settings, bytes, cuts, reading, half_closed);
                (outcome, Box::new(driver))
            }
            Asked::Routes => {
                let (outcome, driver) = run(<Routes>::new(None), self.settings, bytes, cuts, reading, half_closed);
                (outcome, Box::new(driver))
            }
        }
    }

    #[track_caller]
    fn read(&self, outcome: &Observed) -> Told {
        let answers = read_all(&outcome.output, &methods(outcome));
        let answers: Vec<Answer> = answers.into_iter().filter(|answer| !answer.is_interim()).collect();
        let says_close = answers.last().is_some_and(Answer::says_close);
        assert_eq!(says_close, outcome.ended, "the last answer announces the end, and no other does: {answers:?}");
        for answer in &answers {
            assert_eq!(answer.field("Date"), self.settings.send_date.then_some(NOW_TEXT), "{answer:?}");
        }
        Told { answers, seen: outcome.seen.clone(), ended: outcome.ended }
    }

    #[track_caller]
    fn compare(&self, told: &Told, outcome: &Observed, how: std::fmt::Arguments<'_>) {
        let answers = read_all(&outcome.output, &methods(outcome));
        let finals: Vec<&Answer> = answers.iter().filter(|answer| !answer.is_interim()).collect();
        let script = self.bytes[..self.bytes.len().min(300)].escape_ascii();
        assert_eq!(finals, told.answers.iter().collect::<Vec<_>>(), "{how}: {script}");
        assert_eq!(outcome.seen, told.seen, "{how}: {script}");
        assert_eq!(outcome.ended, told.ended, "{how}: {script}");
    }

    #[track_caller]
    fn compare_with_next(&self, told: &Told, outcome: &Observed, how: std::fmt::Arguments<'_>) {
        if told.ended {
            return self.compare(told, outcome, how);
        }
        let mut outcome = outcome.clone();
        let next = outcome.seen.pop().unwrap_or_default();
        assert_eq!((next.method, &next.target[..]), ("GET", &b"/next"[..]), "{how}: the next request is misread");
        let last = outcome.output.windows(9).rposition(|window| window == b"HTTP/1.1 ").expect("an answer");
        let expected: &[u8] = match self.asked {
            Asked::Probe => b"HTTP/1.1 200",
            Asked::Routes => b"HTTP/1.1 404",
        };
        assert!(outcome.output[last..].starts_with(expected), "{how}: the next request is not answered");
        outcome.output.truncate(last);
        self.compare(told, &outcome, how);
    }
}

fn methods(outcome: &Observed) -> Vec<&'static str> {
    outcome.seen.iter().map(|seen| seen.method).collect()
}

/// A run that can go on.
trait Playing {
    /// The peer ends; returns what came of it all.
    fn end(&mut self) -> Observed;
}

impl<S: spindle::semantics::service::Service> Playing for crate::driver::Driver<S> {
    fn end(&mut self) -> Observed {
        self.receive_end();
        assert!(self.connection.is_closed(), "the connection outlives both ends");
        self.outcome()
    }
}
