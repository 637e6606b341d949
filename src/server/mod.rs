//! The loop: one slab of sessions, driven as the world says that they are ready. It knows neither sockets nor files nor
//! clocks: those are the [`World`]'s.
//!
//! # Laws
//!
//! 1. A socket is registered once, for reading and writing, and never again.
//! 2. "May read" and "may write" are hints: readiness sets them, and a call that would block clears them. "May read" is also
//!    cleared by the client's end, and by a read that does not fill its space, unless an end or urgent data was announced.
//! 3. Each turn a session that has become ready is driven once: it processes, sends and receives, up to a budget of steps,
//!    bytes and time. It goes idle after a pass without progress. One whose budget is spent is driven again behind those
//!    that ask for less; while there is one, the poll does not sleep.
//! 4. A turn is: poll, note readiness, drive those that became ready, expire the deadlines that were due, accept a batch
//!    that is bounded in number and time and drive each at once, drive some of those whose budget was spent. Every loop
//!    within a turn is bounded by what was there when it began.
//! 5. The clock is read again after each call that may have waited for the disk. Deadlines are judged after the events of a
//!    poll have been handled, by the time at which that poll returned. If polls return as many events as fit, they are
//!    judged only after so many of these in a row that every session has been reported, by the time at which the first of
//!    them returned. A session that waits in the busy queue is judged after its next drive. What a turn takes beyond a
//!    second is added to the time of clients that are sending. So a slow disk never makes a deadline look missed.
//! 6. Out of descriptors, accepting pauses, until a connection closes or a second has passed. At capacity, a connection
//!    that is not being answered, and whose last response was sent at least a quarter of a second ago, gives way to a
//!    newcomer. The loop never spins.
//! 7. Nothing here waits for the network. The disk may block; a drive's budget bounds what is asked of it.
//! 8. A panic while a session is driven, or while its timers fire, ends that connection and is logged; the others live on.
//! 9. Asked to end, the loop accepts what already waits, closes the listeners, and answers the next request of each
//!    connection as its last.

mod accepting;
mod capacity;
mod deadlines;
mod graceful_shutdown;
mod scheduler;
mod session;
mod usage;
mod world;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use log::{debug, error};
use slab::Slab;

use self::accepting::{ACCEPTED_PER_TURN, Acceptor};
use self::capacity::Candidates;
use self::deadlines::Deadlines;
use self::graceful_shutdown::GracefulShutdown;
use self::scheduler::{BUSY_SHARE_NS_MAX, DRIVE_NS, RunQueue};
use self::session::{Context, Drive, Queued, Session};
pub use self::usage::{CONNECTION_BUFFER_BYTES_MAX, Usage};
pub use self::world::{AcceptError, Event, Io, Readiness, SendFileError, Transport, World};
use crate::http1::{Settings, Shared};
use crate::semantics::exchange_record::{ExchangeRecord, Outcome};
use crate::semantics::service::{Service, Source};

/// Who reads the records of exchanges, each with the address of its client.
pub type Observer = Box<dyn FnMut(&std::net::SocketAddr, &ExchangeRecord)>;

/// After how many drives the clock is read, even if none of them asked for anything slow: what others took is not to count
/// as the share of the next one.
const DRIVES_PER_CLOCK: u32 = 16;

/// How often memory is given back that only a flood has needed, in nanoseconds.
const SHRINK_NS: u64 = 20 * 1_000_000_000;

/// How much of a turn counts for clients that are sending, in nanoseconds.
const TURN_COUNTED_NS: u64 = 1_000_000_000;

/// The server: sessions, and the routes that answer them.
pub struct Server<W: World, S: Service> {
    world: W,
    acceptor: Acceptor,
    connections_max: usize,
    sessions: Slab<Session<W::Transport, S>>,
    /// The number of the next connection.
    next_number: u64,
    queue: RunQueue,
    deadlines: Deadlines,
    candidates: Candidates,
    cx: Context<S>,
    observer: Option<Observer>,
    shutdown: GracefulShutdown,
    /// How many polls in a row have returned as many events as fit, so that more may be pending. After more than
    /// `full_polls_max` of them, every session that was ready when the first one returned, at `full_since_ns` on the
    /// monotonic clock, has been reported.
    full_polls: usize,
    full_polls_max: usize,
    full_since_ns: u64,
    /// How many sessions have been driven since the clock was read.
    drives_since_clock: u32,
    /// When memory is next given back; `None` if no connection has been open since that was last done.
    shrink_ns: Option<u64>,
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// What one session occupies besides its buffers, in bytes.
    pub const SESSION_BYTES: usize = size_of::<Session<W::Transport, S>>();

    /// A server of at most `connections_max` connections at a time. With an observer, records of all exchanges are kept
    /// and given to it.
    pub fn new(
        mut world: W,
        connections_max: usize,
        settings: Settings,
        service: S,
        observer: Option<Observer>,
    ) -> Server<W, S> {
        let now = world.now();
        let mut shared = Shared::new(settings);
        shared.records.enabled = observer.is_some();
        Server {
            acceptor: Acceptor::new(world.listeners()),
            world,
            connections_max,
            sessions: Slab::new(),
            next_number: 0,
            queue: RunQueue::default(),
            deadlines: Deadlines::default(),
            candidates: Candidates::default(),
            cx: Context { service, shared, now },
            observer,
            shutdown: GracefulShutdown::default(),
            full_polls: 0,
            full_polls_max: 0,
            full_since_ns: 0,
            drives_since_clock: 0,
            shrink_ns: None,
        }
    }

    /// Serves until asked to end, and until the last response has been sent.
    ///
    /// # Errors
    /// Those of [`World::wait`]. No connection's error is one of them.
    pub fn run(mut self) -> io::Result<()> {
        while self.turn()? {}
        Ok(())
    }

    /// One turn of the loop. Returns whether there is to be another one.
    ///
    /// # Errors
    /// Those of [`World::wait`].
    pub fn turn(&mut self) -> io::Result<bool> {
        if self.is_finished() {
            self.report_the_end();
            return Ok(false);
        }
        self.world.wait(self.timeout())?;
        self.cx.now = self.world.now();
        let polled_ns = self.cx.now.monotonic_ns;
        let shutdown_requested = self.note_events();
        self.drive_ready();
        // Behind that: a connection whose request has come together with the signal is not an idle one.
        if shutdown_requested {
            self.begin_shutdown();
        }
        self.expire_deadlines(polled_ns);
        self.accept();
        self.close_listeners_in_time();
        self.drive_busy(polled_ns);
        self.extend_deadlines_after_slow_turn(polled_ns);
        self.shrink();
        Ok(true)
    }

    /// How long the poll may sleep; `None` for as long as nothing happens.
    fn timeout(&self) -> Option<Duration> {
        let now = &self.cx.now;
        let may_accept = self.acceptor.may_accept(now);
        if !self.queue.is_empty() || may_accept && self.has_room() {
            return Some(Duration::ZERO);
        }
        let wake_ns = [
            self.deadlines.next_ns(),
            self.acceptor.resume_ns(now),
            may_accept.then(|| self.candidates.search_ns()),
            self.shutdown.by_ns(),
            self.cx.service.deadline_ns(),
            self.shrink_ns,
        ];
        let wake_ns = wake_ns.into_iter().flatten().min()?;
        Some(Duration::from_nanos(wake_ns.saturating_sub(now.monotonic_ns)))
    }

    /// Notes what the poll has told. Returns whether the server is asked to end.
    fn note_events(&mut self) -> bool {
        let Server { world, acceptor, sessions, queue, .. } = self;
        let mut shutdown_requested = false;
        let mut count = 0;
        for event in world.events() {
            count += 1;
            match event {
                Event::Listener(listener) => acceptor.set_ready(listener),
                Event::Shutdown => shutdown_requested = true,
                Event::Connection { key, readiness } => {
                    if let Some(session) = sessions.get_mut(key) {
                        session.set_readiness(readiness);
                        enqueue(session, key, queue);
                    }
                }
            }
        }
        if self.full_polls == 0 {
            self.full_polls_max = self.sessions.len() / W::EVENTS_MAX + 1;
            self.full_since_ns = self.cx.now.monotonic_ns;
        }
        self.full_polls = if count < W::EVENTS_MAX { 0 } else { self.full_polls + 1 };
        shutdown_requested
    }

    fn enqueue(&mut self, key: usize) {
        if let Some(session) = self.sessions.get_mut(key) {
            enqueue(session, key, &mut self.queue);
        }
    }

    /// Drives each session that is ready once. Those that come to the queue meanwhile wait for the next turn.
    fn drive_ready(&mut self) {
        for _ in 0..self.queue.ready_len() {
            if let Some(key) = self.queue.pop_ready() {
                self.drive(key, Queued::Ready);
            }
        }
    }

    /// Drives some of those that asked for much: for as long as this turn has driven others, within bounds.
    fn drive_busy(&mut self, polled_ns: u64) {
        if self.queue.busy_len() == 0 {
            return;
        }
        self.cx.now = self.world.now();
        let begun_ns = self.cx.now.monotonic_ns;
        let share_ns = begun_ns.saturating_sub(polled_ns).clamp(DRIVE_NS, BUSY_SHARE_NS_MAX);
        for _ in 0..self.queue.busy_len() {
            if let Some(key) = self.queue.pop_busy() {
                self.drive(key, Queued::Busy);
            }
            // A drive that asked for nothing slow has not read it.
            self.cx.now = self.world.now();
            if self.cx.now.monotonic_ns.saturating_sub(begun_ns) >= share_ns {
                break;
            }
        }
    }

    /// Drives a session, if it still waits in that queue.
    fn drive(&mut self, key: usize, queued: Queued) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.queued == queued) else { return };
        session.queued = Queued::No;
        self.drives_since_clock += 1;
        if self.drives_since_clock >= DRIVES_PER_CLOCK {
            self.drives_since_clock = 0;
            self.cx.now = self.world.now();
        }
        let is_overdue = std::mem::take(&mut session.is_overdue);
        if is_overdue {
            self.cx.now = self.world.now();
            session.connection.postpone_deadlines(&self.cx.now);
        }
        let begun_ns = self.cx.now.monotonic_ns;
        let (world, cx) = (&mut self.world, &mut self.cx);
        // What a panic can leave half done is dropped with the session, or made ready before each use.
        let drive = catch_unwind(AssertUnwindSafe(|| session.drive(world, cx))).unwrap_or_else(|_| {
            error!("a connection has been closed because of the panic above");
            Drive::Closed
        });
        self.tell_records(key);
        match drive {
            Drive::Idle => self.arm(key),
            Drive::Again => {
                self.arm(key);
                self.enqueue(key);
            }
            Drive::Closed => return self.remove(key, Outcome::CutOff),
        }
        if is_overdue {
            self.expire(key, begun_ns);
        }
    }

    /// Sees to it that the session is looked at when its deadline passes. An entry that is too early is left alone: it is
    /// moved when it passes, and so costs nothing as long as the deadline keeps moving away.
    fn arm(&mut self, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let deadline_ns = session.connection.deadline_ns();
        if deadline_ns < session.armed_ns {
            self.deadlines.remove(session.armed_ns, key);
            self.deadlines.insert(deadline_ns, key);
            session.armed_ns = deadline_ns;
        }
    }

    /// Expires the deadlines that had passed when the poll returned. What had arrived by then has been handled, because a poll
    /// reports everything unless it is full. After full polls, see `full_polls`, deadlines are judged by the return of the
    /// first.
    fn expire_deadlines(&mut self, polled_ns: u64) {
        if self.cx.service.deadline_ns().is_some_and(|deadline_ns| deadline_ns <= polled_ns) {
            debug!("the service's timer has fired");
            self.cx.service.deadline_passed(&self.cx.now);
        }
        // After this many full polls, everything that had arrived before the first of them returned has been reported; later
        // arrivals may not have been.
        let due_ns = match self.full_polls {
            0 => polled_ns,
            polls if polls <= self.full_polls_max => {
                debug!("the poll was full: deadlines wait for the next one");
                return;
            }
            _ => self.full_since_ns,
        };
        self.full_polls = 0;
        for _ in 0..self.deadlines.len() {
            let Some(key) = self.deadlines.pop_passed(due_ns) else { return };
            let Some(session) = self.sessions.get_mut(key) else { continue };
            session.armed_ns = u64::MAX;
            // What has been received of one that waits for its turn has not been looked at, and nothing was sent to it: the
            // server is late, and not the client. One whose deadline has moved since is not late at all.
            if session.queued == Queued::Busy && session.connection.deadline_ns() <= due_ns {
                debug!("connection {}: a timer is judged behind its next turn", session.connection.number());
                session.is_overdue = true;
            } else {
                self.expire(key, due_ns);
            }
        }
    }

    /// Does what the session's timers ask for that had passed at `at_ns`.
    fn expire(&mut self, key: usize, at_ns: u64) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let cx = &mut self.cx;
        if catch_unwind(AssertUnwindSafe(|| session.expire(at_ns, cx))).is_err() {
            error!("a connection has been closed because of the panic above");
            return self.remove(key, Outcome::CutOff);
        }
        self.tell_records(key);
        self.arm(key);
        self.enqueue(key);
    }

    fn has_room(&self) -> bool {
        self.sessions.len() < self.connections_max
    }

    /// Accepts a bounded batch from each listener, and drives each connection at once: a client often sends its request
    /// along. Once these have taken as long as a drive may, the others are left for the next turn.
    fn accept(&mut self) {
        // The listeners are about to be closed when the server ends: what waits there then is not left.
        let share_ns = if self.shutdown.has_begun() { u64::MAX } else { DRIVE_NS };
        let until_ns = self.cx.now.monotonic_ns.saturating_add(share_ns);
        for listener in self.acceptor.order() {
            for _ in 0..ACCEPTED_PER_TURN {
                if !self.acceptor.may_accept(&self.cx.now) {
                    self.candidates.forget();
                    return;
                }
                if self.cx.now.monotonic_ns >= until_ns {
                    return;
                }
                let gives_way = if self.has_room() { None } else { self.candidate() };
                if !self.has_room() && gives_way.is_none() {
                    return;
                }
                let key = self.sessions.vacant_key();
                match self.acceptor.accept(listener, key, &mut self.world, &self.cx.now) {
                    None => break,
                    Some(Ok((transport, client))) => self.begin_session(key, transport, client, gives_way),
                    Some(Err(error)) => debug!("a connection was not accepted: {error}"),
                }
            }
        }
        if !self.acceptor.may_accept(&self.cx.now) {
            self.candidates.forget();
        }
    }

    /// Takes a connection, in the place of the session `gives_way` where there is no room: that is closed now, and not
    /// before it is known that somebody waited.
    fn begin_session(
        &mut self,
        key: usize,
        transport: W::Transport,
        client: std::net::SocketAddr,
        gives_way: Option<usize>,
    ) {
        let mut session = Session::new(transport, client, self.next_number, &self.cx);
        self.next_number += 1;
        if self.shutdown.has_begun() {
            session.connection.begin_shutdown(&self.cx.now);
        }
        session.queued = Queued::Ready;
        let inserted = self.sessions.insert(session);
        debug_assert_eq!(inserted, key, "a slab gives out the key that it has announced");
        if let Some(gives_way) = gives_way {
            debug!("at capacity: a connection without a request gives way to another");
            self.candidates.pop();
            self.remove(gives_way, Outcome::ServerClosed);
        }
        self.shrink_ns.get_or_insert(self.cx.now.monotonic_ns.saturating_add(SHRINK_NS));
        self.drive(inserted, Queued::Ready);
    }

    /// At capacity: the session that is needed least, if one can give way. It stays the first of the candidates.
    fn candidate(&mut self) -> Option<usize> {
        let now = self.cx.now;
        if self.candidates.is_due(now.monotonic_ns) {
            let idle = self.sessions.iter().filter(|(_, session)| session.queued == Queued::No);
            let found = idle.filter_map(|(key, session)| Some((session.connection.evictable(&now)?, key)));
            self.candidates.fill(found, now.monotonic_ns);
        }
        // Each round returns, or uses up a candidate.
        while let Some((replaceable, key)) = self.candidates.first() {
            let is_unchanged = self.sessions.get(key).is_some_and(|session| {
                session.queued == Queued::No && session.connection.evictable(&now) == Some(replaceable)
            });
            if is_unchanged {
                return Some(key);
            }
            self.candidates.pop();
        }
        None
    }

    fn remove(&mut self, key: usize, outcome: Outcome) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.prepare_to_close();
            let (connection, shared, now) = (&mut session.connection, &mut self.cx.shared, &self.cx.now);
            // It drops an upload, which is the routes' code.
            if catch_unwind(AssertUnwindSafe(|| connection.close(outcome, shared, now))).is_err() {
                error!("an upload was given up with the panic above");
            }
        }
        self.tell_records(key);
        let Some(mut session) = self.sessions.try_remove(key) else { return };
        self.deadlines.remove(session.armed_ns, key);
        session.connection.release_idle_memory(&mut self.cx.shared);
        self.acceptor.connection_closed();
    }

    /// Gives the records of exchanges that have ended to the observer.
    fn tell_records(&mut self, key: usize) {
        let Some(observer) = &mut self.observer else { return };
        let Some(session) = self.sessions.get(key) else { return };
        // Each round uses up a record.
        while let Some(record) = self.cx.shared.records.take_ended() {
            if let Some(client) = &session.client {
                observer(client, &record);
            }
            self.cx.shared.records.recycle(record);
        }
    }

    /// Gives clients that are sending the time that a slow turn took, less one second: their sockets were full, or they
    /// waited for `100 (Continue)`. The second still counts; otherwise a client that sends nothing could stay for ever while
    /// the disk is slow.
    fn extend_deadlines_after_slow_turn(&mut self, polled_ns: u64) {
        let took_ns = self.cx.now.monotonic_ns.saturating_sub(polled_ns);
        let late_ns = took_ns.saturating_sub(TURN_COUNTED_NS);
        if late_ns > 0 {
            debug!("a turn took {} ms: clients that are sending get more time", took_ns / 1_000_000);
            for (_, session) in &mut self.sessions {
                session.connection.extend_deadlines(late_ns);
            }
        }
    }

    /// Gives back memory that only a flood has needed.
    fn shrink(&mut self) {
        if self.shrink_ns.is_none_or(|shrink_ns| shrink_ns > self.cx.now.monotonic_ns) {
            return;
        }
        self.sessions.shrink_to_fit();
        self.queue.shrink();
        let is_needed_again = !self.sessions.is_empty();
        self.shrink_ns = is_needed_again.then(|| self.cx.now.monotonic_ns.saturating_add(SHRINK_NS));
    }
}

fn enqueue<T: Transport, S: Service>(session: &mut Session<T, S>, key: usize, queue: &mut RunQueue)
where
    S::Source: Source<File = T::File>,
{
    if session.queued == Queued::No {
        session.queued = if session.is_busy { Queued::Busy } else { Queued::Ready };
        queue.push(key, session.is_busy);
    }
}
