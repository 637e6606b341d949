//! Readers of exchange records: the access log, the metrics and the lines of `-v`. Also the format of the server's own
//! log, and the resources for the administrator.
//!
//! # Laws
//!
//! 1. A record is delivered after its exchange has ended, so its line reports what was actually sent.
//! 2. Bytes from the client are escaped, so that they can neither forge a line of a log nor control a terminal.
//! 3. The access log never makes the server wait for a reader. What cannot be written is kept up to a limit; beyond
//!    that whole lines are lost and counted.
//! 4. A line of the access log is written at most a tenth of a second after its exchange has ended, unless a turn of
//!    the event loop takes longer or the output is slow. Lines that end within that time are written together.
//! 5. All times are in UTC, so that no hour occurs twice or is missing when clocks change.

pub mod access_log;
pub mod admin;
pub mod metrics;
pub mod server_log;
mod text;
mod verbose;

use std::rc::Rc;

use log::log_enabled;

use self::access_log::AccessLog;
use self::metrics::Metrics;
use crate::semantics::Now;
use crate::semantics::exchange_record::ExchangeRecord;
use crate::semantics::observer::Observer;

/// How the lines of logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The access log in the combined format of Apache and nginx, and the server's own log as text.
    #[default]
    Combined,
    /// Each line is a JSON object.
    Json,
}

/// All readers of exchange records.
#[derive(Debug)]
pub struct Telemetry {
    /// Whether each exchange is logged to the server's own log.
    is_verbose: bool,
    access_log: Option<AccessLog>,
    metrics: Option<Rc<Metrics>>,
}

impl Telemetry {
    /// The readers that are enabled: the access log and the metrics if there are any, and the lines of `-v` at that log
    /// level. `None` if nothing reads records.
    pub fn new(access_log: Option<AccessLog>, metrics: Option<Rc<Metrics>>) -> Option<Telemetry> {
        let is_verbose = log_enabled!(log::Level::Info);
        let is_needed = is_verbose || access_log.is_some() || metrics.is_some();
        is_needed.then_some(Telemetry { is_verbose, access_log, metrics })
    }
}

impl Observer for Telemetry {
    fn exchange_ended(&mut self, record: &ExchangeRecord) {
        if self.is_verbose {
            verbose::log_exchange(record);
        }
        if let Some(access_log) = &mut self.access_log {
            access_log.exchange_ended(record);
        }
        if let Some(metrics) = &self.metrics {
            metrics.exchange_ended(record);
        }
    }

    fn reads_requests(&self) -> bool {
        self.is_verbose || self.access_log.is_some()
    }

    fn is_full(&self) -> bool {
        self.access_log.as_ref().is_some_and(AccessLog::is_full)
    }

    fn flush(&mut self, now: &Now) {
        if let Some(access_log) = &mut self.access_log {
            access_log.flush(now);
            if let Some(metrics) = &self.metrics {
                metrics.set_lines_lost(access_log.lost_lines());
            }
        }
    }

    fn deadline_ns(&self) -> Option<u64> {
        self.access_log.as_ref().and_then(AccessLog::deadline_ns)
    }

    fn reload(&mut self, now: &Now) -> Vec<String> {
        let reopened = self.access_log.as_mut().is_some_and(|access_log| access_log.reload(now));
        reopened.then(|| "the access log was opened anew".to_owned()).into_iter().collect()
    }

    fn stop(&mut self, now: &Now) {
        if let Some(access_log) = &mut self.access_log {
            access_log.stop(now);
        }
    }
}
