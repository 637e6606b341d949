//! The loop: one poll, one slab of sessions. The only user of `mio` and `slab`.
//!
//! # Laws
//!
//! 1. A socket is registered once, for reading and writing, and never again.
//! 2. "May read" and "may write" are hints: readiness sets them, and a call that would block clears them. So
//!    does a read that does not fill its space, unless the peer's end or urgent data was announced, and that end itself.
//! 3. A visit thinks, speaks and listens within a budget, and parks only after a round in which nothing moved. One whose
//!    budget is spent goes to the back of the run queue; while that is not empty the poll does not sleep.
//! 4. A turn is: poll, read the clock, latch hints, visit the queue once, expire deadlines, accept a bounded batch.
//!    Accepting comes last, so that a freed slot never meets a stale event.
//! 5. Out of descriptors, accepting pauses, until a connection closes or a second has passed. It never spins.
//! 6. Nothing here waits for the network. The disk may block; a visit's budget bounds what is asked of it.
//! 7. A panic in a visit ends that connection and is logged; the others live on.

mod accept;
mod deadlines;
pub mod listen;
mod session;
mod socket;

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use log::{debug, error};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use self::accept::Acceptor;
use self::deadlines::Deadlines;
use self::session::{Session, Visit, Workplace};
use crate::clock::Clock;
use crate::http1::limits::DRAIN_SILENCE_CROWDED_NS;
use crate::http1::{Commons, Settings};
use crate::semantics::Now;
use crate::semantics::service::{Service, Source};
use crate::storage::FileRange;

/// How many events one poll may bring; more wait for the next turn.
const EVENTS_PER_TURN: usize = 1024;

/// How long answers may take once the server has been asked to finish, in nanoseconds.
const FINISH_NS: u64 = 10 * 1_000_000_000;

/// The token of the socket that asks the server to finish. Listeners have the ones below it, sessions count from 0.
const STOP: Token = Token(usize::MAX);

/// The server: listeners, sessions, and the routes that answer them.
pub struct Reactor<S: Service> {
    poll: Poll,
    clock: Clock,
    acceptor: Acceptor,
    stop: mio::net::UnixStream,
    sessions: Slab<Session<S>>,
    /// Sessions that have something to do.
    run_queue: VecDeque<usize>,
    deadlines: Deadlines,
    workplace: Workplace<S>,
    /// When the beginning of a crowd is next to be noted.
    crowd_due_ns: u64,
    /// When the loop ends at the latest, once it has been asked to finish.
    finish_by_ns: Option<u64>,
}

impl<S> Reactor<S>
where
    S: Service,
    S::Source: Source<File = FileRange>,
{
    /// What one session occupies besides its buffers, in octets.
    pub const SESSION_OCTETS: usize = size_of::<Session<S>>();

    /// A server of at most `connections_max` connections at a time. It finishes when `stop` becomes readable.
    ///
    /// # Errors
    /// Those of making a poll and of registering with it.
    pub fn new(
        listeners: Vec<std::net::TcpListener>,
        stop: UnixStream,
        connections_max: usize,
        settings: Settings,
        service: S,
    ) -> io::Result<Reactor<S>> {
        let poll = Poll::new()?;
        let acceptor = Acceptor::new(listeners, connections_max, poll.registry())?;
        let mut stop = mio::net::UnixStream::from_std(stop);
        poll.registry().register(&mut stop, STOP, Interest::READABLE)?;
        Ok(Reactor {
            poll,
            clock: Clock::start(),
            acceptor,
            stop,
            sessions: Slab::new(),
            run_queue: VecDeque::new(),
            deadlines: Deadlines::default(),
            workplace: Workplace::new(service, Commons::new(settings)),
            crowd_due_ns: 0,
            finish_by_ns: None,
        })
    }

    /// Serves until asked to finish, and until the last answer has been sent.
    ///
    /// # Errors
    /// Those of polling. No connection's error is one of them.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut now = self.clock.now();
        while !self.is_finished(&now) {
            match self.poll.poll(&mut events, self.sleep(&now)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                Err(error) => return Err(error),
            }
            now = self.clock.now();
            for event in &events {
                self.latch(event);
            }
            self.note_crowd(&now);
            self.visit_queue(&now);
            // After the visits: a connection whose request has come together with the signal is not an idle one.
            if events.iter().any(|event| event.token() == STOP) {
                self.finish(&now);
            }
            self.expire_deadlines(&now);
            self.accept(&now);
        }
        Ok(())
    }

    /// While the server is full, those that have been told all are not listened to for long. Those that park already are
    /// armed for longer, and so are looked at once when the crowd begins.
    fn note_crowd(&mut self, now: &Now) {
        let is_crowded = self.acceptor.is_full(self.sessions.len());
        let has_begun = is_crowded && !self.workplace.commons.is_crowded;
        self.workplace.commons.is_crowded = is_crowded;
        // Not every time: a peer that comes and goes at the limit would have all sessions looked at in every turn.
        if has_begun && now.monotonic_ns >= self.crowd_due_ns {
            self.crowd_due_ns = now.monotonic_ns.saturating_add(DRAIN_SILENCE_CROWDED_NS);
            for key in 0..self.sessions.capacity() {
                self.rearm(key);
            }
        }
    }

    /// How long the poll may sleep; `None` for as long as nothing happens.
    fn sleep(&self, now: &Now) -> Option<Duration> {
        if !self.run_queue.is_empty() || self.acceptor.is_eager(self.sessions.len(), now) {
            return Some(Duration::ZERO);
        }
        let service_ns = self.workplace.service.deadline_ns();
        let wake_ns = [self.deadlines.next_ns(), self.acceptor.resume_ns(), self.finish_by_ns, service_ns];
        let wake_ns = wake_ns.into_iter().flatten().min()?;
        Some(Duration::from_nanos(wake_ns.saturating_sub(now.monotonic_ns)))
    }

    fn latch(&mut self, event: &Event) {
        let token = event.token();
        if !self.acceptor.latch(token)
            && let Some(session) = self.sessions.get_mut(token.0)
        {
            session.latch(event);
            self.enqueue(token.0);
        }
    }

    fn enqueue(&mut self, key: usize) {
        if let Some(session) = self.sessions.get_mut(key)
            && !std::mem::replace(&mut session.is_queued, true)
        {
            self.run_queue.push_back(key);
        }
    }

    /// Visits each session of the queue once. Those that come to the queue meanwhile wait for the next turn.
    fn visit_queue(&mut self, now: &Now) {
        for _ in 0..self.run_queue.len() {
            let Some(key) = self.run_queue.pop_front() else { return };
            self.visit(key, now);
        }
    }

    fn visit(&mut self, key: usize, now: &Now) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.is_queued = false;
        let workplace = &mut self.workplace;
        // What a panic can leave half done is dropped with the session, or made ready before each use.
        let visit = catch_unwind(AssertUnwindSafe(|| session.visit(workplace, now))).unwrap_or_else(|_| {
            error!("a connection has been closed because of the panic above");
            Visit::Closed
        });
        match visit {
            Visit::Parked => self.rearm(key),
            Visit::Again => self.enqueue(key),
            Visit::Closed => self.remove(key),
        }
    }

    /// Sees to it that the session is looked at when its deadline passes. An entry that is too early is left alone: it
    /// is moved when it passes, and so costs nothing as long as the deadline keeps moving away.
    fn rearm(&mut self, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let deadline_ns = session.connection.deadline_ns(&self.workplace.commons);
        if deadline_ns < session.armed_ns {
            self.deadlines.remove(session.armed_ns, key);
            self.deadlines.insert(deadline_ns, key);
            session.armed_ns = deadline_ns;
        }
    }

    fn expire_deadlines(&mut self, now: &Now) {
        if self.workplace.service.deadline_ns().is_some_and(|deadline_ns| deadline_ns <= now.monotonic_ns) {
            self.workplace.service.deadline_passed(now);
        }
        while let Some(key) = self.deadlines.pop_passed(now.monotonic_ns) {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            session.armed_ns = u64::MAX;
            session.connection.deadline_passed(&mut self.workplace.commons, now);
            self.rearm(key);
            self.enqueue(key);
        }
    }

    fn accept(&mut self, now: &Now) {
        let room = self.acceptor.room(self.sessions.len());
        for stream in self.acceptor.accept(room, now) {
            let entry = self.sessions.vacant_entry();
            let key = entry.key();
            match Session::new(stream, key, self.poll.registry(), now) {
                Ok(session) => {
                    entry.insert(session);
                    self.rearm(key);
                }
                Err(error) => debug!("a connection could not be registered: {error}"),
            }
        }
    }

    fn remove(&mut self, key: usize) {
        let Some(session) = self.sessions.try_remove(key) else { return };
        self.deadlines.remove(session.armed_ns, key);
        session.close(&mut self.workplace.commons);
        self.acceptor.connection_closed();
    }

    /// Closes the listeners and every connection without work; each other one after its next answer.
    fn finish(&mut self, now: &Now) {
        if self.finish_by_ns.is_some() {
            return;
        }
        self.finish_by_ns = Some(now.monotonic_ns.saturating_add(FINISH_NS));
        self.acceptor.close(self.poll.registry());
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.sessions[key].connection.finish();
            self.enqueue(key);
        }
    }

    fn is_finished(&self, now: &Now) -> bool {
        self.finish_by_ns.is_some_and(|by_ns| self.sessions.is_empty() || now.monotonic_ns >= by_ns)
    }
}

impl<S: Service> Drop for Reactor<S> {
    fn drop(&mut self) {
        // Only a loop that has ended deregisters, and then nobody is there to hear of an error.
        let _ = self.poll.registry().deregister(&mut self.stop);
    }
}
