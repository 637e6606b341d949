//! The observer: it gets the records of exchanges that have ended, and writes what it has collected when it is due.

use log::info;

use super::Server;
use super::world::{Transport, World};
use crate::semantics::observer::NOTICE;
use crate::semantics::service::{Service, Source};

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// Passes the records of exchanges that have ended to the observer, if there is one.
    #[inline]
    pub(super) fn deliver_records(&mut self) {
        if self.observer.is_some() {
            self.deliver_ended_records();
        }
    }

    fn deliver_ended_records(&mut self) {
        let Some(observer) = &mut self.observer else { return };
        // Ends: each iteration removes a record.
        while let Some(record) = self.cx.shared.records.take_ended() {
            observer.exchange_ended(&record);
            self.cx.shared.records.recycle(record);
        }
        if observer.is_full() {
            self.flush_observer();
        }
    }

    /// Lets the observer write what it has collected, if its deadline has passed.
    pub(super) fn flush_observer_if_due(&mut self) {
        let deadline_ns = self.observer.as_ref().and_then(|observer| observer.deadline_ns());
        if deadline_ns.is_some_and(|deadline_ns| deadline_ns <= self.cx.now.monotonic_ns) {
            self.flush_observer();
        }
    }

    fn flush_observer(&mut self) {
        if let Some(observer) = &mut self.observer {
            observer.flush(&self.cx.now);
            // It may have waited for the disk.
            self.cx.disk_call_ended(&mut self.world);
        }
    }

    /// Opens anew what an administrator may have replaced, and says so in one line.
    pub(super) fn reload(&mut self) {
        let mut reloaded = self.cx.service.reload();
        if let Some(observer) = &mut self.observer {
            reloaded.extend(observer.reload(&self.cx.now));
        }
        match reloaded.is_empty() {
            true => info!(target: NOTICE, "SIGHUP: nothing was read again"),
            false => info!(target: NOTICE, "SIGHUP: {}", reloaded.join("; ")),
        }
        self.cx.disk_call_ended(&mut self.world);
    }
}
