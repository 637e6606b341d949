//! The seam to what reads exchange records: the logs and the metrics.

use super::Now;
use super::exchange_record::ExchangeRecord;

/// The target of messages that are neither warnings nor errors and are logged by default: something happened that an
/// administrator has asked for and may wait for.
pub const NOTICE: &str = "notice";

/// A reader of exchange records. The event loop calls it, so no call may wait for anything but the disk.
///
/// A closure that takes a record is an observer, too.
pub trait Observer {
    /// Takes in the record of an exchange that has ended. Performs no I/O other than the server's own log: the
    /// event loop reads the clock again only after [`flush`](Observer::flush).
    fn exchange_ended(&mut self, record: &ExchangeRecord);

    /// Whether records must contain the target and the fields of their requests. Asked once, at the start. Copying them
    /// takes much of the time that keeping a record takes.
    fn reads_requests(&self) -> bool {
        true
    }

    /// Whether so much was collected that [`flush`](Observer::flush) should be called before the turn ends.
    fn is_full(&self) -> bool {
        false
    }

    /// Writes what was collected. Called when [`is_full`](Observer::is_full), and at the end of the first turn of the
    /// event loop in which [`deadline_ns`](Observer::deadline_ns) has passed. May wait for the disk.
    fn flush(&mut self, _now: &Now) {}

    /// When to write what was collected so far, in nanoseconds on the monotonic clock; `None` if there is nothing to
    /// write. An observer that writes later than at once can write the records of many turns together.
    fn deadline_ns(&self) -> Option<u64> {
        None
    }

    /// Opens anew what may have been moved, such as a log file that was rotated. May wait for the disk. Returns phrases for
    /// the log that say what was opened; a failure is logged at once.
    fn reload(&mut self, _now: &Now) -> Vec<String> {
        Vec::new()
    }

    /// Writes what can still be written, because the server ends. This is the last call.
    fn stop(&mut self, _now: &Now) {}
}

impl<F: FnMut(&ExchangeRecord)> Observer for F {
    fn exchange_ended(&mut self, record: &ExchangeRecord) {
        self(record);
    }
}
