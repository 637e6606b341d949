//! The server's own log: warnings, errors and notices, with `-v` the exchanges, with `-vv` the states of connections.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

use super::LogFormat;
use super::text::{push_json_string, push_rfc_3339};
use crate::semantics::observer::NOTICE;

/// A logger that writes one line for each message: the time in UTC, the level and the message.
///
/// Control characters in a message are escaped, so that it cannot forge a line or control a terminal.
pub struct ServerLog {
    format: LogFormat,
    level: LevelFilter,
    /// The current time in nanoseconds since 1970.
    unix_ns: fn() -> u64,
    output: Mutex<Box<dyn Write + Send>>,
}

impl ServerLog {
    /// A logger of messages that are at least as severe as `level`, and of notices, unless only errors are wanted. Each
    /// line is one write to `output`.
    pub fn new(
        format: LogFormat,
        level: LevelFilter,
        unix_ns: fn() -> u64,
        output: Box<dyn Write + Send>,
    ) -> ServerLog {
        ServerLog { format, level, unix_ns, output: Mutex::new(output) }
    }

    fn line(&self, record: &Record<'_>) -> Vec<u8> {
        let mut message = Escaped(String::new());
        // Writing to a string fails only if the message's own formatting does; then the rest of it is missing.
        let _ = write!(message, "{}", record.args());
        let (level, message) = (record.level(), without_error_number(&message.0));
        let mut line = Vec::with_capacity(64 + message.len());
        match self.format {
            LogFormat::Combined => {
                push_rfc_3339(&mut line, (self.unix_ns)());
                line.extend_from_slice(format!(" [{level}] {message}\n").as_bytes());
            }
            LogFormat::Json => {
                line.extend_from_slice(b"{\"time\":\"");
                push_rfc_3339(&mut line, (self.unix_ns)());
                line.extend_from_slice(format!("\",\"level\":\"{level}\",\"message\":").as_bytes());
                push_json_string(&mut line, message.as_bytes());
                line.extend_from_slice(b"}\n");
            }
        }
        line
    }
}

/// Removes the suffix `(os error 2)` that the standard library appends to errors of the system: the words before it say
/// the same.
pub fn without_error_number(message: &str) -> std::borrow::Cow<'_, str> {
    let Some((before, after)) = message.split_once(" (os error ") else { return message.into() };
    match after.split_once(')') {
        Some((number, after)) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("{before}{after}").into(),
        _ => message.into(),
    }
}

impl Log for ServerLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // `-q` turns notices off.
        metadata.level() <= self.level || metadata.target() == NOTICE && self.level >= LevelFilter::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = self.line(record);
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            // There is no other place to report that the log cannot be written.
            let _ = output.write_all(&line);
        }
    }

    fn flush(&self) {}
}

/// Text whose control characters are escaped as in Rust's strings.
struct Escaped(String);

impl fmt::Write for Escaped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character.is_control() {
                true => self.0.extend(character.escape_default()),
                false => self.0.push(character),
            }
        }
        Ok(())
    }
}
