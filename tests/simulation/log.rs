//! What the server logs: its errors are found out by it, and its activity is counted.

use std::cell::RefCell;

use log::{Level, LevelFilter, Log, Metadata, Record};

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("spindle")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.with_borrow_mut(|lines| lines.push((record.level(), record.args().to_string())));
        }
    }

    fn flush(&self) {}
}

/// Captures what is logged, and what panics say, on all threads, each for itself.
pub(crate) fn capture() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // It fails only where a logger is set already, and there is none.
        let _ = log::set_logger(&Capture);
        log::set_max_level(LevelFilter::Debug);
        std::panic::set_hook(Box::new(|panic| {
            eprintln!("{panic}");
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()))
        }));
    });
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
