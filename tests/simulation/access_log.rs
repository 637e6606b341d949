//! The access log on a simulated output, which is slow, fails, or takes only a part: its lines are those of the records,
//! in order, whole, and each that is missing was counted.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use serde_json::Value;
use spindle::semantics::Now;
use spindle::semantics::exchange_record::ExchangeRecord;
use spindle::semantics::observer::Observer;
use spindle::telemetry::LogFormat;
use spindle::telemetry::access_log::{AccessLog, LogOutput, Reopened};

use crate::simulation::keys::shows_signature;

/// The output, and what it must contain at the end.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    written: Vec<u8>,
    /// The connection, the number on it, and the status of each record.
    records: Vec<(u64, u64, Option<u16>)>,
    lost_lines: u64,
}

impl Expected {
    /// Compares the lines with the records. To be called when the server has stopped.
    pub(crate) fn check(&self) -> Result<(), String> {
        let written = match self.lost_lines {
            // If the output failed until the end, the last line may not be whole.
            1.. => &self.written[..self.written.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)],
            0 => &self.written[..],
        };
        let text = std::str::from_utf8(written).map_err(|error| format!("the access log: {error}"))?;
        let mut records = self.records.iter();
        let mut lines = 0;
        for line in text.lines() {
            let logged: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
            let is_same = |(connection, request, status): &&(u64, u64, Option<u16>)| {
                logged["connection"] == *connection
                    && logged["request"] == *request
                    && logged["status"] == Value::from(*status)
            };
            if records.find(is_same).is_none() {
                return Err(format!("a line without a record, or in the wrong order: {line}"));
            }
            if shows_signature(line) {
                return Err(format!("a line of the access log shows a signature: {line}"));
            }
            lines += 1;
        }
        match lines + self.lost_lines == self.records.len() as u64 {
            true => Ok(()),
            false => Err(format!("{} records, {lines} lines, {} lost", self.records.len(), self.lost_lines)),
        }
    }
}

struct SimulatedOutput {
    expected: Rc<RefCell<Expected>>,
    random: fastrand::Rng,
}

impl LogOutput for SimulatedOutput {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        match self.random.u8(..8) {
            0 => Err(ErrorKind::WouldBlock.into()),
            1 if self.random.u8(..4) == 0 => Err(ErrorKind::StorageFull.into()),
            2 => {
                let bytes = self.random.usize(1..=lines.len());
                self.expected.borrow_mut().written.extend_from_slice(&lines[..bytes]);
                Ok(bytes)
            }
            _ => {
                self.expected.borrow_mut().written.extend_from_slice(lines);
                Ok(lines.len())
            }
        }
    }

    fn reopen(&mut self) -> io::Result<Reopened> {
        Ok(Reopened::SameOutput)
    }
}

/// Passes records to a closure, and to an access log.
pub(crate) struct LoggingObserver<F> {
    record: F,
    log: AccessLog,
    expected: Rc<RefCell<Expected>>,
}

impl<F: FnMut(&ExchangeRecord)> LoggingObserver<F> {
    pub(crate) fn new(record: F, expected: &Rc<RefCell<Expected>>, seed: u64) -> LoggingObserver<F> {
        let random = fastrand::Rng::with_seed(seed ^ 0x6c6f_6773);
        let output = SimulatedOutput { expected: Rc::clone(expected), random };
        LoggingObserver {
            record,
            log: AccessLog::new(Box::new(output), LogFormat::Json),
            expected: Rc::clone(expected),
        }
    }
}

impl<F: FnMut(&ExchangeRecord)> Observer for LoggingObserver<F> {
    fn exchange_ended(&mut self, record: &ExchangeRecord) {
        (self.record)(record);
        self.log.exchange_ended(record);
        self.expected.borrow_mut().records.push((record.connection, record.request, record.status));
    }

    fn is_full(&self) -> bool {
        self.log.is_full()
    }

    fn flush(&mut self, now: &Now) {
        self.log.flush(now);
    }

    fn deadline_ns(&self) -> Option<u64> {
        self.log.deadline_ns()
    }

    fn stop(&mut self, now: &Now) {
        self.log.stop(now);
        self.expected.borrow_mut().lost_lines = self.log.lost_lines();
    }
}
