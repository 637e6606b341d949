//! The event loop: a slab of sessions, each driven when its socket becomes ready. The loop itself contains no sockets,
//! files or clocks; it reaches them through the traits [`World`] and [`Transport`], so tests can replace all of them.
//!
//! # Laws
//!
//! 1. Each socket is registered once, for reading and writing, edge-triggered, after its first drive. Its interest never
//!    changes, so no system call is spent on it later; none at all if that drive has ended the connection.
//! 2. `may_read` and `may_write` are hints. Readiness sets them; a call that would block clears them. The client's
//!    end-of-file and a short read also clear `may_read`, which saves the read that would only return `WouldBlock`. A
//!    short read proves nothing once an end, an error or urgent data was announced, so then it does not clear the hint.
//! 3. A drive processes, sends and receives, up to a budget of steps, bytes and time. The session goes idle after a pass
//!    in which it made no progress, or could make none: it waits for a request, and its socket is empty. A session that
//!    became ready, or that spent its budget, is queued. Of the queue, the group of clients that has used least time goes
//!    first, and within a group light sessions go before those that used much of their last budget. A turn drives for a
//!    slice of time only, and the poll does not sleep while a session is queued. Therefore a client that needs little
//!    gets its response soon, whatever others do.
//! 4. A turn does the following, in this order: poll; record readiness; drive part of the queue; act on signals; expire
//!    deadlines for a slice of time; accept a batch of connections, driving each at once if it is its turn; commit the
//!    uploads that have ended unless others may join them. Each loop within a turn is bounded by what was queued when it
//!    began, or by a constant, so every turn ends.
//! 5. A slow disk or a full poll never makes a client look late:
//!    - The clock is read again after each call that may have waited for the disk.
//!    - Deadlines are judged after the events of a poll have been handled, against the time at which that poll
//!      returned. What had arrived by then has been read, or its session is queued.
//!    - A poll that returns as many events as fit may have left some out. Deadlines then wait until enough full polls
//!      in a row have reported every session, and are judged against the time at which the first of them returned.
//!    - A queued session may have unread input. Its deadline is judged after its next drive. The first timer of a
//!      connection begins with its first drive.
//!    - What a turn takes beyond one second is added to the deadlines of clients that are sending or receiving. So is
//!      what a session waits in the queue beyond one second.
//! 6. When descriptors run out, accepting pauses until a connection closes or one second has passed. At the connection
//!    limit, the clients that hold most connections give one up, idle or not, for a client that holds fewer. Otherwise a
//!    new connection evicts one that has no response in progress, but none that was accepted, or got its last response,
//!    less than a quarter of a second ago. Connections that would get no place for what their own clients hold are
//!    refused, since those in the backlog behind them may be others'. Neither state makes the loop spin, and neither
//!    keeps the administrator out as long as the system has descriptors.
//! 7. No call waits for the network. The disk may block; the budget of a drive bounds the disk calls that it makes. A
//!    piece of a file is sent once it is in memory; until then its session is idle, and the disk reads it ahead. A
//!    flush serves a group: the uploads that end while others are queued are committed together, at most a fixed number
//!    at a time, and none of them waits long for others.
//! 8. A panic while a session is driven, or while its timers fire, closes that connection and is logged. Other
//!    connections are not affected, unless it happens while their uploads are committed together.
//! 9. The observer writes when its deadline has passed, after everything else that the turn does, so that the records of
//!    many turns cost one system call. It writes earlier only if it has collected too much. The poll does not sleep
//!    beyond the deadline.
//! 10. Graceful shutdown begins after the delay that was set. It accepts the connections in the backlog and those that
//!     the system holds back, closes the public listeners, and makes the next response of each connection its last. The
//!     administrator's listeners stay open to the end.

mod accepting;
mod committing;
mod deadlines;
mod eviction;
mod full_polls;
mod graceful_shutdown;
mod holding_back;
mod meter;
mod observing;
mod scheduler;
mod session;
mod shares;
mod statistics;
mod usage;
mod world;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use log::error;
use slab::Slab;

pub use self::accepting::ADMIN_CONNECTIONS_MAX;
use self::accepting::Acceptor;
pub use self::committing::GROUP_UPLOADS_MAX;
use self::committing::Group;
use self::deadlines::Deadlines;
use self::eviction::CandidatesByEndpoint;
use self::full_polls::FullPolls;
use self::graceful_shutdown::GracefulShutdown;
use self::holding_back::HoldingBack;
use self::meter::Meter;
use self::scheduler::{DRIVE_NS, RunQueue};
use self::session::{Context, Drive, Driven, Queued, Session};
use self::shares::Shares;
pub use self::usage::{CONNECTION_BUFFER_BYTES_MAX, Usage};
pub use self::world::{AcceptError, Event, Io, Readiness, SendFileError, Transport, World};
use crate::http1::{Settings, Shared};
use crate::semantics::exchange_record::Outcome;
use crate::semantics::observer::Observer;
use crate::semantics::proxies::Sender;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};
use crate::semantics::statistics::LoopStatistics;

/// The clock is read after this many drives even if none of them waited for the disk. Otherwise the time that many
/// short drives took would be charged to the next one.
const DRIVES_PER_CLOCK: u32 = 16;

/// How often memory that was needed only at a peak is given back, in nanoseconds.
const SHRINK_NS: u64 = 20 * 1_000_000_000;

/// The signals that one poll reported.
#[derive(Clone, Copy, Debug, Default)]
struct Signals {
    shutdown: bool,
    reload: bool,
}

/// The server: its connections, and the service that responds to their requests.
pub struct Server<W: World, S: Service> {
    world: W,
    acceptor: Acceptor,
    /// The most connections of clients.
    connections_max: usize,
    /// The most connections of one group of clients, if there is a limit.
    connections_per_group_max: Option<usize>,
    sessions: Slab<Session<W::Transport, S>>,
    /// How many of the sessions are the administrator's.
    admin_sessions: usize,
    /// The number of the next connection, for records and the log.
    next_number: u64,
    queue: RunQueue,
    /// The sessions that spent their budget in the drives of this turn.
    again: Vec<usize>,
    meter: Meter,
    deadlines: Deadlines,
    /// The sessions that may be evicted at the connection limit.
    candidates: CandidatesByEndpoint,
    /// Who holds how many connections.
    shares: Shares,
    cx: Context<S>,
    observer: Option<Box<dyn Observer>>,
    statistics: Rc<LoopStatistics>,
    shutdown: GracefulShutdown,
    holding_back: HoldingBack,
    full_polls: FullPolls,
    /// When the last poll returned, on the monotonic clock.
    polled_ns: u64,
    /// What slow turns have added to the deadlines so far, in nanoseconds.
    added_ns: u64,
    /// How many sessions have been driven since the clock was last read for this count.
    drives_since_clock: u32,
    /// When memory is next given back; `None` if no connection has been open since the last time.
    shrink_ns: Option<u64>,
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// The size of one session in bytes, without its buffers.
    pub const SESSION_BYTES: usize = size_of::<Session<W::Transport, S>>();

    /// Creates a server of at most `connections_max` simultaneous connections of clients, and
    /// [`ADMIN_CONNECTIONS_MAX`] of the administrator. Exchanges are recorded only if there is
    /// an `observer` to receive the records.
    pub fn new(
        mut world: W,
        connections_max: usize,
        settings: Settings,
        service: S,
        observer: Option<Box<dyn Observer>>,
    ) -> Server<W, S> {
        let now = world.now();
        let mut shared = Shared::new(settings);
        shared.records.enabled = observer.is_some();
        shared.records.omits_requests = observer.as_ref().is_some_and(|observer| !observer.reads_requests());
        Server {
            acceptor: Acceptor::new(&world),
            world,
            connections_max,
            connections_per_group_max: None,
            sessions: Slab::new(),
            admin_sessions: 0,
            next_number: 0,
            queue: RunQueue::default(),
            again: Vec::new(),
            meter: Meter::default(),
            deadlines: Deadlines::default(),
            candidates: CandidatesByEndpoint::default(),
            shares: Shares::default(),
            cx: Context { service, shared, now, group: Group::default(), disk_call_longest_ns: 0 },
            observer,
            statistics: Rc::default(),
            shutdown: GracefulShutdown::default(),
            holding_back: HoldingBack::default(),
            full_polls: FullPolls::default(),
            polled_ns: now.monotonic_ns,
            added_ns: 0,
            drives_since_clock: 0,
            shrink_ns: None,
        }
    }

    /// Counts in `statistics`.
    #[must_use]
    pub fn with_statistics(mut self, statistics: Rc<LoopStatistics>) -> Server<W, S> {
        statistics.connections_max.set(self.connections_max as u64);
        statistics.started_unix_ns.set(self.cx.now.unix_ns);
        self.statistics = statistics;
        self
    }

    /// Limits the connections of each group of clients to `max`, at least 1.
    #[must_use]
    pub fn with_connections_per_group(mut self, max: Option<usize>) -> Server<W, S> {
        self.connections_per_group_max = max;
        self
    }

    /// Begins a shutdown `delay_ns` nanoseconds after it was requested, and serves until then.
    #[must_use]
    pub fn with_shutdown_delay(mut self, delay_ns: u64) -> Server<W, S> {
        self.shutdown.delay_ns = delay_ns;
        self
    }

    /// Serves until a shutdown is requested and has completed.
    ///
    /// # Errors
    /// Those of [`World::wait`]. An error of a connection closes that connection only.
    pub fn run(mut self) -> io::Result<()> {
        while self.turn()? {}
        Ok(())
    }

    /// Runs one turn of the loop. Returns false once the shutdown has completed.
    ///
    /// # Errors
    /// Those of [`World::wait`].
    pub fn turn(&mut self) -> io::Result<bool> {
        if self.is_finished() {
            self.commit_group();
            self.finish_shutdown();
            return Ok(false);
        }
        self.world.wait(self.poll_timeout())?;
        self.cx.now = self.world.now();
        self.polled_ns = self.cx.now.monotonic_ns;
        let signals = self.handle_events();
        self.drive_queued();
        if signals.shutdown {
            self.request_shutdown();
        }
        self.begin_shutdown_if_due();
        self.look_into_backlogs_if_due();
        if signals.reload {
            self.reload();
        }
        self.expire_deadlines();
        self.accept();
        self.close_listeners_if_done();
        self.commit_group_if_due();
        self.flush_observer_if_due();
        self.note_turn();
        self.extend_deadlines_after_slow_turn();
        self.shrink();
        Ok(true)
    }

    /// How long the poll may sleep; `None` means until an event arrives. Lists everything that the loop does at a
    /// certain time and not because of an event.
    fn poll_timeout(&self) -> Option<Duration> {
        let now = &self.cx.now;
        let may_accept = |endpoint: &Endpoint| self.acceptor.may_accept(*endpoint, now);
        let accepting = || [Endpoint::Admin, Endpoint::Public].into_iter().filter(may_accept);
        let may_admit = |endpoint| self.has_room(endpoint) || endpoint == Endpoint::Public && self.has_unequal_shares();
        if !self.queue.is_empty() || accepting().any(may_admit) {
            return Some(Duration::ZERO);
        }
        let wake_ns = [
            self.deadlines.next_ns(),
            self.acceptor.resume_ns(now),
            accepting().map(|endpoint| self.candidates.search_ns(endpoint)).min(),
            self.shutdown.next_ns(),
            self.cx.service.deadline_ns(),
            self.shrink_ns,
            self.observer.as_ref().and_then(|observer| observer.deadline_ns()),
        ];
        let wake_ns = wake_ns.iter().flatten().fold(u64::MAX, |earliest_ns, at_ns| earliest_ns.min(*at_ns));
        (wake_ns != u64::MAX).then(|| Duration::from_nanos(wake_ns.saturating_sub(now.monotonic_ns)))
    }

    /// Records the readiness that the poll reported. Returns the signals.
    fn handle_events(&mut self) -> Signals {
        let now_ns = self.counted_ns(self.cx.now.monotonic_ns);
        let Server { world, acceptor, sessions, queue, .. } = self;
        let mut signals = Signals::default();
        let mut count = 0;
        for event in world.events() {
            count += 1;
            match event {
                Event::Listener(listener) => acceptor.set_ready(listener),
                Event::Shutdown => signals.shutdown = true,
                Event::Reload => signals.reload = true,
                Event::Connection { key, readiness } => {
                    if let Some(session) = sessions.get_mut(key) {
                        session.set_readiness(readiness);
                        enqueue(session, key, queue, now_ns);
                    }
                }
            }
        }
        self.full_polls.record(count, W::EVENTS_MAX, self.sessions.len(), self.cx.now.monotonic_ns);
        signals
    }

    fn enqueue(&mut self, key: usize) {
        let now_ns = self.counted_ns(self.cx.now.monotonic_ns);
        if let Some(session) = self.sessions.get_mut(key) {
            enqueue(session, key, &mut self.queue, now_ns);
        }
    }

    /// Drives sessions from the queue for a slice of time, each of them once at most.
    fn drive_queued(&mut self) {
        let mut left_ns = DRIVE_NS;
        self.meter.restart(self.cx.now.monotonic_ns);
        for _ in 0..self.queue.len() {
            let Some(next) = self.queue.pop() else { break };
            self.extend_deadlines_after_wait(next.key, next.since_ns);
            left_ns = left_ns.saturating_sub(self.drive(next.key, next.queued));
            if left_ns == 0 {
                break;
            }
        }
        self.enqueue_again();
    }

    /// Queues the sessions that have spent the budget of a drive.
    fn enqueue_again(&mut self) {
        let mut again = std::mem::take(&mut self.again);
        for key in again.drain(..) {
            self.enqueue(key);
        }
        self.again = again;
    }

    /// Drives a session that was taken from that queue. Returns what that cost, in nanoseconds.
    fn drive(&mut self, key: usize, queued: Queued) -> u64 {
        if self.cx.group.is_full() {
            self.commit_group();
        }
        let Some(session) = self.sessions.get_mut(key) else { return 0 };
        debug_assert_eq!(session.queued, queued, "a session is in one queue, and leaves it when it is removed");
        session.queued = Queued::No;
        self.drives_since_clock += 1;
        if self.drives_since_clock >= DRIVES_PER_CLOCK {
            self.drives_since_clock = 0;
            self.cx.now = self.world.now();
            self.meter.calibrate(self.cx.now.monotonic_ns);
        }
        let is_overdue = std::mem::take(&mut session.is_overdue);
        if is_overdue {
            // Its timers that have fired are moved to the beginning of this drive and judged after it, because the
            // drive may restart or stop them.
            self.cx.now = self.world.now();
            session.connection.postpone_deadlines(&self.cx.now);
        }
        if !session.is_registered {
            session.connection.begin(&self.cx.now);
        }
        let begun_ns = self.cx.now.monotonic_ns;
        self.cx.shared.sender = match self.shares.holder_of(key).and_then(|holder| self.shares.group(holder)) {
            Some(group) => Sender::Group(group),
            None if session.sender_is_trusted => Sender::TrustedProxy,
            None => Sender::Unnamed,
        };
        let (run_group, is_registered) = (session.run_group, session.is_registered);
        let (world, cx) = (&mut self.world, &mut self.cx);
        // Unwind-safe: state that a panic leaves inconsistent is dropped with the session or reset before each use.
        let driven = catch_unwind(AssertUnwindSafe(|| session.drive(key, world, cx))).unwrap_or_else(|_| {
            error!("a connection was closed because of the panic above");
            Driven::PANICKED
        });
        let cost_ns = self.meter.cost_ns(begun_ns, self.cx.now.monotonic_ns, driven.estimate_ns);
        self.queue.charge(run_group, queued, cost_ns);
        self.deliver_records();
        self.note_activity(key, driven.progressed);
        self.count_named_client(key);
        match driven.result {
            Drive::Idle => self.arm_deadline(key),
            Drive::Again => {
                self.arm_deadline(key);
                self.again.push(key);
            }
            Drive::Closed => {
                self.remove(key, Outcome::CutOff);
                return cost_ns;
            }
        }
        if !is_registered {
            self.register(key);
        }
        if is_overdue {
            self.expire(key, begun_ns);
        }
        cost_ns
    }

    /// Inserts the session's deadline, unless an earlier entry exists. That entry is replaced only when it passes, so a
    /// deadline that keeps moving into the future costs no update of the tree.
    fn arm_deadline(&mut self, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let deadline_ns = session.connection.deadline_ns();
        if deadline_ns < session.armed_ns {
            self.deadlines.remove(session.armed_ns, key);
            self.deadlines.insert(deadline_ns, key);
            session.armed_ns = deadline_ns;
        }
    }

    /// Removes a session, its deadline and its memory, which closes the socket. This is the only place where that
    /// happens. An exchange that has not ended is recorded with `outcome`; a connection that ended by itself has none.
    fn remove(&mut self, key: usize, outcome: Outcome) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.prepare_to_close();
            let (connection, shared, now) = (&mut session.connection, &mut self.cx.shared, &self.cx.now);
            // Closing drops the sink of an upload, which is the routes' code and may panic.
            if catch_unwind(AssertUnwindSafe(|| connection.close(outcome, shared, now))).is_err() {
                error!("an upload was discarded because of the panic above");
            }
            // Closing may have saved an upload to the disk. With the old time the next exchange would begin too early.
            self.cx.disk_call_ended(&mut self.world);
        }
        self.deliver_records();
        let Some(mut session) = self.sessions.try_remove(key) else { return };
        if session.queued != Queued::No {
            // A new session may get this key, and a second entry in the queue would drive it twice as often as others.
            self.queue.forget(key, session.run_group);
        }
        self.forget_waiting(&session);
        if let Some(holder) = self.shares.remove(key) {
            self.queue.forget_group(holder.into());
        }
        if session.connection.endpoint() == Endpoint::Admin {
            self.admin_sessions -= 1;
        }
        self.deadlines.remove(session.armed_ns, key);
        session.connection.release_idle_memory(&mut self.cx.shared);
        self.acceptor.connection_closed();
    }

    /// Gives back memory that was needed only at a peak.
    fn shrink(&mut self) {
        if self.shrink_ns.is_none_or(|shrink_ns| shrink_ns > self.cx.now.monotonic_ns) {
            return;
        }
        self.sessions.shrink_to_fit();
        self.shares.shrink(self.sessions.capacity());
        self.queue.shrink(self.shares.number_bound());
        self.again.shrink_to_fit();
        let is_needed_again = !self.sessions.is_empty();
        self.shrink_ns = is_needed_again.then(|| self.cx.now.monotonic_ns.saturating_add(SHRINK_NS));
    }
}

/// Queues a session, unless it is queued. `now_ns` is the present, as [`Server::counted_ns`] counts it.
fn enqueue<T: Transport, S: Service>(session: &mut Session<T, S>, key: usize, queue: &mut RunQueue, now_ns: u64)
where
    S::Source: Source<File = T::File>,
{
    if session.queued == Queued::No {
        session.queued = if session.is_busy { Queued::Busy } else { Queued::Ready };
        queue.push(key, session.run_group, session.is_busy, now_ns);
    }
}
