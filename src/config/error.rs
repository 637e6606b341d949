//! Errors in the arguments, and how they show an argument.

use std::ffi::OsStr;
use std::fmt;

/// An error in the arguments, described in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError {
    problem: String,
    help: &'static str,
}

impl UsageError {
    pub(super) fn new(problem: impl Into<String>) -> UsageError {
        UsageError { problem: problem.into(), help: "--help lists the options" }
    }

    /// The same error, in the arguments of a command with another help.
    pub(super) fn with_help(self, help: &'static str) -> UsageError {
        UsageError { help, ..self }
    }

    /// Which arguments print the help for what was meant, and what that lists.
    pub fn help(&self) -> &'static str {
        self.help
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> UsageError {
        UsageError::new(match error {
            lexopt::Error::MissingValue { option: Some(option) } => format!("{option} needs a value"),
            lexopt::Error::UnexpectedValue { option, value } => {
                format!("{}={}: the option takes no value", option.escape_debug(), shown(&value))
            }
            other => other.to_string().escape_debug().to_string(),
        })
    }
}

/// An argument as error messages show it: control characters are escaped, so that it cannot forge a line.
pub(super) fn shown(argument: &OsStr) -> String {
    argument.to_string_lossy().escape_debug().to_string()
}

/// A value as error messages show it, in quotation marks if the message could be misread without them.
pub(super) fn quoted(value: &OsStr) -> String {
    let text = shown(value);
    match text.is_empty() || text.ends_with(':') || text.contains(char::is_whitespace) {
        true => format!("\"{text}\""),
        false => text,
    }
}
