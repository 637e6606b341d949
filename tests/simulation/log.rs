//! Captures the server's log. Errors fail the run, and the state changes of connections are counted.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::simulation::coverage::Coverage;
use crate::simulation::proxies;

/// The states of a connection, as the debug log names them. The first two are those in which connections begin, the second
/// if it comes from a proxy.
const ACTIVITIES: [&str; 9] = [
    "accepted",
    "waiting for the proxy's header",
    "waiting for a request",
    "reading the head",
    "reading the content",
    "storing the content",
    "writing the response",
    "draining",
    "closed",
];

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    static KEEPS_ALL: Cell<bool> = const { Cell::new(false) };
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The seed that runs on this thread.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// The states in which earlier responses may still have to be sent.
const SENDING: &[&str] = &["reading the head", "reading the content", "storing the content", "writing the response"];

/// In which states each timer may fire.
const TIMERS: [(&str, &[&str]); 7] = [
    ("the head timer has fired", &["waiting for the proxy's header", "reading the head"]),
    ("the idle timer has fired", &["accepted", "waiting for a request"]),
    ("the content rate timer has fired", &["reading the content"]),
    ("the write stall timer has fired", SENDING),
    ("the drain timer has fired", &["draining"]),
    ("the disk timer has fired", SENDING),
    ("the rate timer has fired", ACTIVITIES.split_at(8).0),
];

/// What was seen in the log of a run.
#[derive(Default)]
struct Seen {
    /// A buffer for one line.
    line: String,
    /// The state of each connection, as an index into `ACTIVITIES`.
    activities: Vec<usize>,
    /// A timer that fired in a state that does not wait for it.
    wrong_timer: Option<String>,
    /// How often each state followed each other.
    changes: [[u64; ACTIVITIES.len()]; ACTIVITIES.len()],
    coverage: Coverage,
}

impl Seen {
    fn note(&mut self) {
        let rest = self.line.strip_prefix("connection ").and_then(|rest| rest.split_once(": "));
        let Some((number, text)) = rest.and_then(|(number, text)| Some((number.parse::<usize>().ok()?, text))) else {
            return self.coverage.count("log", without_numbers(&self.line));
        };
        if self.activities.len() <= number {
            self.activities.resize(number + 1, 0);
        }
        match ACTIVITIES.iter().position(|activity| *activity == text) {
            Some(next) => {
                let before = std::mem::replace(&mut self.activities[number], next);
                self.changes[before][next] += 1;
            }
            None if text.ends_with("timer has fired") => {
                let activity = ACTIVITIES[self.activities[number]];
                let is_right = TIMERS.iter().any(|(timer, during)| *timer == text && during.contains(&activity));
                if !is_right {
                    self.wrong_timer = Some(format!("{}, while {activity}", self.line));
                }
                self.coverage.count("timer", text);
            }
            None => {
                // After a restart the server numbers its connections from 0 again.
                if let Some(client) = text.strip_prefix("accepted from ") {
                    self.activities[number] = usize::from(proxies::is_proxy(client));
                }
                self.coverage.count("log", without_numbers(text));
            }
        }
    }
}

/// The line up to its first number or colon.
fn without_numbers(line: &str) -> &str {
    let end = line.find(|character: char| character.is_ascii_digit() || character == ':').unwrap_or(line.len());
    line[..end].trim_end()
}

struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("spindle")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        SEEN.with_borrow_mut(|seen| {
            seen.line.clear();
            // Writing to a string cannot fail.
            let _ = write!(seen.line, "{}", record.args());
            if record.level() == Level::Error || KEEPS_ALL.get() {
                LINES.with_borrow_mut(|lines| lines.push((record.level(), seen.line.clone())));
            }
            seen.note();
        });
    }

    fn flush(&self) {}
}

/// Starts to capture the log and the panics of this thread for a run. Errors are always kept; other lines are kept only if
/// `keeps_all` is set.
pub(crate) fn begin(seed: u64, keeps_all: bool) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // Fails only if a logger was set before, and none was.
        let _ = log::set_logger(&Capture);
        log::set_max_level(LevelFilter::Debug);
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match SEED.get() {
            None => usual(panic),
            Some(seed) => PANICS.with_borrow_mut(|panics| {
                // A second panic may abort the process before the run reports the first.
                if !panics.is_empty() {
                    eprintln!("seed {seed} panics again: {}; {panic}", panics.join("; "));
                }
                panics.push(panic.to_string());
            }),
        }));
    });
    SEED.set(Some(seed));
    KEEPS_ALL.set(keeps_all);
    drop((take_lines(), take_panics(), SEEN.take()));
}

/// Ends the run, and returns what was counted.
pub(crate) fn end() -> Coverage {
    SEED.set(None);
    let Seen { changes, mut coverage, .. } = SEEN.take();
    for (before, followers) in changes.iter().enumerate() {
        for (next, count) in followers.iter().enumerate().filter(|(_, count)| **count > 0) {
            coverage.count_times("change", &format!("{} → {}", ACTIVITIES[before], ACTIVITIES[next]), *count);
        }
    }
    coverage
}

/// A timer that fired in a state that does not wait for it, since the last call.
pub(crate) fn take_wrong_timer() -> Option<String> {
    SEEN.with_borrow_mut(|seen| seen.wrong_timer.take())
}

/// The lines that this thread logged since the last call.
pub(crate) fn take_lines() -> Vec<(Level, String)> {
    LINES.take()
}

/// The panic messages of this thread since the last call.
pub(crate) fn take_panics() -> Vec<String> {
    PANICS.take()
}

/// Discards the captured lines and panic messages of this thread.
pub(crate) fn forget() {
    drop((take_lines(), take_panics()));
}
