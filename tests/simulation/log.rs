//! What the server logs: its errors are found out by it, and what its connections do is counted by it.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::simulation::coverage::Coverage;

/// What a connection may be doing, in the words of the debug log.
const ACTIVITIES: [&str; 7] = [
    "accepted",
    "waiting for a request",
    "reading the head",
    "reading the content",
    "writing the response",
    "draining",
    "closed",
];

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    static KEEPS_ALL: Cell<bool> = const { Cell::new(false) };
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The seed that runs on this thread, if one does.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// What each timer may find a connection doing when it fires.
const TIMERS: [(&str, &[&str]); 5] = [
    ("the head timer has fired", &["reading the head"]),
    ("the idle timer has fired", &["accepted", "waiting for a request"]),
    ("the content rate timer has fired", &["reading the content"]),
    ("the write stall timer has fired", &["reading the head", "reading the content", "writing the response"]),
    ("the drain timer has fired", &["draining"]),
];

/// What the log has told in a run.
#[derive(Default)]
struct Seen {
    /// Room for a line.
    line: String,
    /// What each connection does, as a place in the list of activities.
    activities: Vec<usize>,
    /// A timer that has fired although the connection did not wait for it.
    wrong_timer: Option<String>,
    /// How often one activity has followed another.
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
                // After a restart the numbers begin again.
                if text.starts_with("accepted from ") {
                    self.activities[number] = 0;
                }
                self.coverage.count("log", without_numbers(text));
            }
        }
    }
}

/// A line up to its first number or cause.
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
            // Writing to a string does not fail.
            let _ = write!(seen.line, "{}", record.args());
            if record.level() == Level::Error || KEEPS_ALL.get() {
                LINES.with_borrow_mut(|lines| lines.push((record.level(), seen.line.clone())));
            }
            seen.note();
        });
    }

    fn flush(&self) {}
}

/// Begins to capture what is logged on this thread, and what panics say, for a run. Errors are kept, and everything else
/// only where somebody reads it.
pub(crate) fn begin(seed: u64, keeps_all: bool) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // It fails only where a logger is set already, and there is none.
        let _ = log::set_logger(&Capture);
        log::set_max_level(LevelFilter::Debug);
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match SEED.get() {
            None => usual(panic),
            Some(seed) => PANICS.with_borrow_mut(|panics| {
                // The process may be about to abort.
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

/// Ends the run, and tells what was seen of it.
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

/// A timer that has fired although the connection did not wait for it, since the last call.
pub(crate) fn take_wrong_timer() -> Option<String> {
    SEEN.with_borrow_mut(|seen| seen.wrong_timer.take())
}

/// What was logged on this thread since the last call.
pub(crate) fn take_lines() -> Vec<(Level, String)> {
    LINES.take()
}

/// What panics said on this thread since the last call.
pub(crate) fn take_panics() -> Vec<String> {
    PANICS.take()
}

/// Forgets what was logged and what panics said on this thread.
pub(crate) fn forget() {
    drop((take_lines(), take_panics()));
}
