//! Accepting: which listener is tried next, the pause when descriptors run out, and the sessions of new connections.
//! `eviction.rs` decides which connections are accepted at a limit, and in whose place.
//!
//! The administrator's connections have a limit of their own and are accepted first, because the administrator wants to
//! look when clients have taken every connection.

use log::{debug, warn};

use super::SHRINK_NS;
use super::Server;
use super::eviction::{Place, Refusal};
use super::session::{Queued, Session};
use super::world::{AcceptError, Transport, World};
use crate::http1::{Activity, Connection, TOO_MANY_CONNECTIONS};
use crate::semantics::Now;
use crate::semantics::client::Client;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::proxies::Sender;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};
use crate::semantics::statistics::LoopStatistics;

/// The most connections that one turn accepts from one listener.
pub(super) const ACCEPTED_PER_TURN: usize = 64;

/// The most connections that one turn takes from one listener's backlog, refused ones included. Those take little time,
/// and the others in the backlog wait behind them.
const TAKEN_PER_TURN: usize = 8 * ACCEPTED_PER_TURN;

/// The most refused connections that get a response within [`REFUSALS_NS`]. The others are closed without one: under a
/// flood, three more calls for each of them would take the time of those behind them.
const REFUSALS_MAX: usize = 16;
const REFUSALS_NS: u64 = 10_000_000;

/// What accepting a connection costs its client's group, in nanoseconds: the time of the system's calls that accept,
/// register and close it. It is not measured, which would need two more readings of the clock for each connection.
const ACCEPTED_NS: u64 = 6_000;

/// How much is received from a connection that is refused, in bytes: the head of a browser's request. Closing a socket
/// with unread bytes resets the connection, which can destroy the response.
const REFUSED_BYTES: usize = 4 * 1024;

/// The most connections of the administrator. They do not count towards the limit on the clients' connections, and
/// neither kind is closed to make room for the other.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;

/// How long a turn drives the connections that it accepts, in nanoseconds; at the connection limit also how long it
/// accepts. Longer than a drive, because it is not known who waits in the backlog, and at the limit each connection may
/// have to wait for the removal of another one's upload.
const ACCEPT_SLICE_NS: u64 = 1_000_000;

/// How long accepting pauses when descriptors run out, in nanoseconds. A connection that closes ends the pause.
const PAUSE_NS: u64 = 1_000_000_000;

/// The least time between two warnings, in nanoseconds. Without descriptors, each connection that closes leads to
/// another attempt that may fail.
const WARNING_NS: u64 = 60 * 1_000_000_000;

/// The state of the listeners.
pub(super) struct Acceptor {
    listeners: Vec<ListenerState>,
    /// Whether the backlog of any of them may contain a connection. Nearly every turn finds that none does.
    may_accept: bool,
    /// The client's listener to try first: the one after the listener that accepted last. Otherwise, at the connection
    /// limit, a listener whose backlog is never empty would starve the others.
    first: usize,
    /// When the pause ends; `None` if there is none.
    resume_ns: Option<u64>,
    warned_ns: Option<u64>,
    /// How many more refused connections get a response before `refusals_until_ns`.
    refusals_left: usize,
    refusals_until_ns: u64,
}

/// The result of an attempt to accept.
enum Accept<T> {
    Connection(T, Client),
    /// The backlog is empty, or accepting is paused.
    Nothing,
    /// This connection failed before it was accepted, or none can be accepted at present.
    Failed,
}

/// One listener.
struct ListenerState {
    endpoint: Endpoint,
    /// Whether its backlog may contain a connection. Only readiness sets it, and only a call that would block clears
    /// it: connections left over from a bounded batch are not announced again.
    may_accept: bool,
}

impl Acceptor {
    pub(super) fn new<W: World>(world: &W) -> Acceptor {
        let listeners = (0..world.listener_count())
            .map(|listener| ListenerState { endpoint: world.endpoint(listener), may_accept: false })
            .collect();
        let (resume_ns, warned_ns, refusals_left, refusals_until_ns) = (None, None, 0, 0);
        Acceptor { listeners, may_accept: false, first: 0, resume_ns, warned_ns, refusals_left, refusals_until_ns }
    }

    /// Records that a listener became ready.
    pub(super) fn set_ready(&mut self, listener: usize) {
        if let Some(state) = self.listeners.get_mut(listener) {
            state.may_accept = true;
            self.may_accept = true;
        }
    }

    /// Whether the backlog of a listener for `endpoint` may contain a connection.
    pub(super) fn has_backlog(&self, endpoint: Endpoint) -> bool {
        self.may_accept && self.listeners.iter().any(|state| state.may_accept && state.endpoint == endpoint)
    }

    /// Whether to try to accept from a listener for `endpoint`, if the connection limit allows it.
    pub(super) fn may_accept(&self, endpoint: Endpoint, now: &Now) -> bool {
        !self.is_paused(now) && self.has_backlog(endpoint)
    }

    fn is_paused(&self, now: &Now) -> bool {
        self.resume_ns.is_some_and(|resume_ns| resume_ns > now.monotonic_ns)
    }

    /// When a pause ends that keeps a connection waiting.
    pub(super) fn resume_ns(&self, now: &Now) -> Option<u64> {
        self.resume_ns.filter(|_| self.is_paused(now) && self.may_accept)
    }

    /// Ends a pause: a descriptor has become free.
    pub(super) fn connection_closed(&mut self) {
        self.resume_ns = None;
    }

    /// Whether a connection that is refused gets a response.
    fn may_respond(&mut self, now: &Now) -> bool {
        if now.monotonic_ns >= self.refusals_until_ns {
            (self.refusals_left, self.refusals_until_ns) = (REFUSALS_MAX, now.monotonic_ns.saturating_add(REFUSALS_NS));
        }
        let may_respond = self.refusals_left > 0;
        self.refusals_left = self.refusals_left.saturating_sub(1);
        may_respond
    }

    /// The listeners in the order in which to try them, those of the other endpoint included.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.first, self.listeners.len());
        (0..count).map(move |turn| (first + turn) % count)
    }

    fn endpoint(&self, listener: usize) -> Endpoint {
        self.listeners[listener].endpoint
    }

    /// Accepts a connection from a listener's backlog.
    fn accept<W: World>(&mut self, listener: usize, world: &mut W, now: &Now) -> Accept<W::Transport> {
        if !self.listeners[listener].may_accept || self.is_paused(now) {
            return Accept::Nothing;
        }
        self.resume_ns = None;
        match world.accept(listener) {
            Ok((transport, client)) => {
                if self.listeners[listener].endpoint == Endpoint::Public {
                    self.first = listener + 1;
                }
                Accept::Connection(transport, client)
            }
            Err(AcceptError::Connection(error)) => {
                debug!("cannot accept a connection: {error}");
                Accept::Failed
            }
            Err(AcceptError::WouldBlock) => {
                self.listeners[listener].may_accept = false;
                self.may_accept = self.listeners.iter().any(|state| state.may_accept);
                Accept::Nothing
            }
            Err(AcceptError::Listener(error)) => {
                self.pause(&error, now);
                Accept::Failed
            }
        }
    }

    fn pause(&mut self, error: &std::io::Error, now: &Now) {
        let warning_due =
            self.warned_ns.is_none_or(|warned_ns| now.monotonic_ns.saturating_sub(warned_ns) >= WARNING_NS);
        if warning_due {
            self.warned_ns = Some(now.monotonic_ns);
            warn!("cannot accept connections: {error}; trying again when a connection closes, or in a second");
        }
        self.resume_ns = Some(now.monotonic_ns.saturating_add(PAUSE_NS));
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// Whether a connection to `endpoint` that is in the backlog may be accepted now. At the connection limit that depends
    /// on its client, who is known only afterwards, so this is true if it is so for some client.
    fn may_admit(&mut self, endpoint: Endpoint) -> bool {
        let may_share = endpoint == Endpoint::Public && self.has_unequal_shares();
        self.has_room(endpoint) || may_share || self.eviction_candidate(endpoint).is_some()
    }

    /// Whether the limit allows another connection to `endpoint`.
    pub(super) fn has_room(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Public => self.public_sessions() < self.connections_max,
            Endpoint::Admin => self.admin_sessions < ADMIN_CONNECTIONS_MAX,
        }
    }

    /// Open connections of clients.
    pub(super) fn public_sessions(&self) -> usize {
        self.sessions.len() - self.admin_sessions
    }

    /// Accepts a bounded batch from each listener, and drives each connection at once if it is its turn, since its
    /// request has often arrived already. When the time for that is over, further connections are only accepted and
    /// queued: behind them in the backlog there may be one whose turn it is.
    pub(super) fn accept(&mut self) {
        if !self.acceptor.may_accept {
            return;
        }
        self.resume_holding_back_if_due();
        for endpoint in [Endpoint::Admin, Endpoint::Public] {
            if self.acceptor.may_accept(endpoint, &self.cx.now) {
                // The last reading may be old, and nothing would be accepted.
                self.cx.now = self.world.now();
                self.meter.restart(self.cx.now.monotonic_ns);
            }
            self.accept_from(endpoint, self.cx.now.monotonic_ns.saturating_add(ACCEPT_SLICE_NS));
            if !self.acceptor.may_accept(endpoint, &self.cx.now) {
                self.candidates.of(endpoint).clear();
            }
        }
        self.enqueue_again();
    }

    /// Accepts from the listeners for `endpoint`. Drives new connections until `until_ns`, on the monotonic clock.
    fn accept_from(&mut self, endpoint: Endpoint, until_ns: u64) {
        for listener in self.acceptor.order() {
            if self.acceptor.endpoint(listener) != endpoint {
                continue;
            }
            let mut accepted = 0;
            for _ in 0..TAKEN_PER_TURN {
                // After the slice of time nothing is evicted: an idle connection may have received a request since the poll.
                let has_time = self.cx.now.monotonic_ns < until_ns || self.has_room(endpoint);
                let may_accept = has_time && self.acceptor.may_accept(endpoint, &self.cx.now);
                if accepted >= ACCEPTED_PER_TURN || !may_accept || !self.may_admit(endpoint) {
                    break;
                }
                match self.acceptor.accept(listener, &mut self.world, &self.cx.now) {
                    Accept::Nothing => break,
                    Accept::Connection(transport, client) => match self.admit(transport, client, endpoint, until_ns) {
                        None => accepted += 1,
                        Some((transport, sender)) => self.refuse(transport, sender),
                    },
                    Accept::Failed => {
                        accepted += 1;
                        LoopStatistics::count(&self.statistics.accept_errors);
                    }
                }
            }
        }
    }

    /// Starts the session of a connection that was accepted. Returns its socket and its sender if it has to be
    /// refused, because its client holds too many.
    fn admit(
        &mut self,
        transport: W::Transport,
        client: Client,
        endpoint: Endpoint,
        until_ns: u64,
    ) -> Option<(W::Transport, Sender)> {
        let sender = match endpoint {
            Endpoint::Public => self.cx.shared.settings.proxies.sender(&client),
            Endpoint::Admin => Sender::Unnamed,
        };
        let place = self.place_for(sender, endpoint);
        if place != Ok(Place::Free) && endpoint == Endpoint::Public {
            self.suspend_holding_back();
        }
        let place = match place {
            Ok(place) => place,
            Err(refusal) => {
                debug!("a connection from {client} is refused: {refusal}");
                LoopStatistics::count(match refusal {
                    Refusal::Share => &self.statistics.refused_by_share,
                    Refusal::Limit => &self.statistics.refused_by_limit,
                });
                return Some((transport, sender));
            }
        };
        let connection = self.new_connection(client, endpoint);
        self.start_session(Session::new(transport, connection, sender), sender, place, until_ns);
        None
    }

    /// Closes a connection that has no place, with a response if not too many have got one. Nothing is waited for: the
    /// response is lost if the client's request arrives later, or does not fit. A client that holds too many must not
    /// cost more.
    fn refuse(&mut self, mut transport: W::Transport, sender: Sender) {
        if self.acceptor.may_respond(&self.cx.now) {
            // Errors do not matter: the connection is closed in any case.
            let _ = transport.receive(&mut [0; REFUSED_BYTES]);
            let _ = transport.send(TOO_MANY_CONNECTIONS, false);
            let _ = transport.shut_down_sending();
        }
        drop(transport);
        self.charge_refusal(sender);
    }

    /// Reads the clock, and counts what a refused connection has cost for its client's group. Otherwise a client that
    /// connects again and again would have that time besides its share.
    fn charge_refusal(&mut self, sender: Sender) {
        let began_ns = self.cx.now.monotonic_ns;
        self.cx.now = self.world.now();
        let cost_ns = self.meter.cost_ns(began_ns, self.cx.now.monotonic_ns, 0);
        if let Sender::Group(group) = sender
            && let Some(holder) = self.shares.holder(group)
        {
            self.queue.charge(holder.into(), Queued::No, cost_ns);
        }
    }

    fn new_connection(&mut self, client: Client, endpoint: Endpoint) -> Connection<S> {
        let number = self.next_number;
        self.next_number += 1;
        debug!("connection {number}: accepted from {client}");
        match endpoint {
            Endpoint::Public => {
                LoopStatistics::count(&self.statistics.accepted);
                Connection::new(client, number, &self.cx.shared, &self.cx.now)
            }
            Endpoint::Admin => {
                self.admin_sessions += 1;
                Connection::new_admin(number, &self.cx.shared, &self.cx.now)
            }
        }
    }

    /// Adds an accepted connection and drives it. After `until_ns`, or if others that are queued have used less time than
    /// its client, it is queued instead. Closes the session in whose place it comes, if there is one.
    fn start_session(&mut self, mut session: Session<W::Transport, S>, sender: Sender, place: Place, until_ns: u64) {
        if self.shutdown.has_begun() {
            session.connection.begin_shutdown(&self.cx.now);
        }
        let key = self.sessions.vacant_key();
        if let Sender::Group(group) = sender {
            session.run_group = self.shares.add(key, group, Activity::Silent).into();
        }
        self.queue.charge(session.run_group, Queued::No, ACCEPTED_NS);
        let is_driven = self.cx.now.monotonic_ns < until_ns && self.queue.goes_first(session.run_group);
        session.queued = if is_driven { Queued::Accepted } else { Queued::No };
        // It is not known what it will need, so those of its group that are known to need little go first.
        session.is_busy = !is_driven;
        self.sessions.insert(session);
        if let Place::Of(evicted, reason) = place {
            self.evict(evicted, reason);
        }
        self.shrink_ns.get_or_insert(self.cx.now.monotonic_ns.saturating_add(SHRINK_NS));
        match is_driven {
            true => _ = self.drive(key, Queued::Accepted),
            false => self.enqueue(key),
        }
    }

    /// Registers the socket of a session after its first drive. Without events it would wait for ever, so it is removed
    /// if that fails.
    pub(super) fn register(&mut self, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.is_registered = true;
        if let Err(error) = self.world.register(&mut session.transport, key) {
            debug!("connection {}: cannot be registered: {error}", session.connection.number());
            LoopStatistics::count(&self.statistics.accept_errors);
            self.remove(key, Outcome::CutOff);
        }
    }
}
