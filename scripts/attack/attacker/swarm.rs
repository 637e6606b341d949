//! Connections that send as much as the server accepts, read and discard the responses, and reconnect when the server closes
//! them, until the time is over or standard input is closed.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::address::{begin_to_connect, hostile};
use crate::payload::Payload;

const BUFFER_BYTES: usize = 64 * 1024;

/// The number of reads, and of writes, on a connection in one turn.
const CALLS_PER_TURN: usize = 4;

/// The interval at which closed connections reconnect.
const RECONNECT: Duration = Duration::from_millis(20);

/// How many of them are in a second.
const TICKS_PER_SECOND: usize = 50;

#[derive(Default)]
struct Client {
    /// `None` while it is not connected.
    stream: Option<TcpStream>,
    outgoing: Vec<u8>,
    sent: usize,
    is_first: bool,
    is_queued: bool,
}

enum Outcome {
    /// The socket must become ready first.
    Idle,
    /// The turn is over, but the socket may still be ready.
    Unfinished,
    Closed,
}

#[derive(Default)]
struct Counts {
    connects: u64,
    closed: u64,
    succeeded: u64,
    refused: u64,
}

struct Swarm {
    port: u16,
    payload: Payload,
    addresses: usize,
    buffer: Vec<u8>,
    counts: Counts,
    clients: Vec<Client>,
    /// The clients that are not connected.
    closed: Vec<usize>,
    /// The clients whose sockets may be ready.
    queue: VecDeque<usize>,
}

impl Swarm {
    fn drive(&mut self, token: usize) -> Outcome {
        let client = &mut self.clients[token];
        let Client { stream: Some(stream), outgoing, sent, is_first, .. } = client else { return Outcome::Idle };
        let mut is_unfinished = false;
        let reads = if self.payload.reads() { CALLS_PER_TURN } else { 0 };
        for call in 0..reads {
            match stream.read(&mut self.buffer) {
                Ok(0) => return Outcome::Closed,
                Ok(bytes) => {
                    // A status line that is split between two reads is not counted.
                    let count = |status| memmem::find_iter(&self.buffer[..bytes], status).count() as u64;
                    self.counts.succeeded += count(b"HTTP/1.1 2");
                    self.counts.refused += count(b"HTTP/1.1 4") + count(b"HTTP/1.1 5");
                    is_unfinished |= call + 1 == CALLS_PER_TURN;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Outcome::Closed,
            }
        }
        for call in 0..CALLS_PER_TURN {
            if *sent == outgoing.len() {
                outgoing.clear();
                *sent = 0;
                self.payload.fill(*is_first, outgoing);
                *is_first = false;
                if outgoing.is_empty() {
                    break;
                }
            }
            match stream.write(&outgoing[*sent..]) {
                Ok(bytes) => *sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Outcome::Closed,
            }
            is_unfinished |= call + 1 == CALLS_PER_TURN;
        }
        if is_unfinished { Outcome::Unfinished } else { Outcome::Idle }
    }

    /// Drives each queued client once.
    fn drive_queued(&mut self) {
        for _ in 0..self.queue.len() {
            let Some(token) = self.queue.pop_front() else { break };
            self.clients[token].is_queued = false;
            match self.drive(token) {
                Outcome::Idle => {}
                Outcome::Unfinished => self.enqueue(token),
                Outcome::Closed => self.close(token),
            }
        }
    }

    fn enqueue(&mut self, token: usize) {
        if !std::mem::replace(&mut self.clients[token].is_queued, true) {
            self.queue.push_back(token);
        }
    }

    fn handle(&mut self, event: &Event) {
        let Token(token) = event.token();
        // A client that does not read learns of the end only in this way. The server may only have ended its side.
        if event.is_error() || event.is_write_closed() || event.is_read_closed() && !self.payload.reads() {
            self.close(token);
        } else {
            self.enqueue(token);
        }
    }

    fn close(&mut self, token: usize) {
        if self.clients[token].stream.take().is_some() {
            self.counts.closed += 1;
            self.closed.push(token);
        }
    }

    /// Connects the clients that are not connected. Those that fail, because no port or descriptor is free, are tried again
    /// next time.
    fn reconnect(&mut self, poll: &Poll) {
        for token in std::mem::take(&mut self.closed) {
            if self.connect(poll, token).is_err() {
                self.closed.push(token);
            }
        }
    }

    fn connect(&mut self, poll: &Poll, token: usize) -> std::io::Result<()> {
        let mut stream = TcpStream::from_std(begin_to_connect(hostile(token, self.addresses), self.port)?);
        poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        let is_queued = self.clients[token].is_queued;
        self.clients[token] = Client { stream: Some(stream), is_first: true, is_queued, ..Client::default() };
        self.counts.connects += 1;
        Ok(())
    }

    /// Sends another piece on the connections whose turn it is in this tick. A failure shows when they are driven.
    fn trickle(&mut self, tick: usize) {
        let Some(bytes) = self.payload.trickle() else { return };
        for client in self.clients.iter_mut().skip(tick % TICKS_PER_SECOND).step_by(TICKS_PER_SECOND) {
            if let Some(stream) = client.stream.as_mut().filter(|_| client.sent == client.outgoing.len()) {
                let _ = stream.write(bytes);
            }
        }
    }
}

/// Returns a flag that becomes true when standard input is closed.
fn watch_input() -> Arc<AtomicBool> {
    let is_over = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_over);
    thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        shared.store(true, Ordering::Relaxed);
    });
    is_over
}

pub(crate) fn run(
    port: u16,
    connections: usize,
    addresses: usize,
    duration: Duration,
    payload: Payload,
) -> Result<String, Box<dyn Error>> {
    let mut swarm = Swarm {
        port,
        payload,
        addresses,
        buffer: vec![0; BUFFER_BYTES],
        counts: Counts::default(),
        clients: (0..connections).map(|_| Client::default()).collect(),
        closed: (0..connections).collect(),
        queue: VecDeque::new(),
    };
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let is_input_over = watch_input();
    let start = Instant::now();
    let (mut reconnect_at, mut tick) = (start, 0);
    crate::ready()?;
    while start.elapsed() < duration && !is_input_over.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now >= reconnect_at {
            reconnect_at = now + RECONNECT;
            tick += 1;
            swarm.reconnect(&poll);
            swarm.trickle(tick);
        }
        poll.poll(&mut events, Some(if swarm.queue.is_empty() { RECONNECT } else { Duration::ZERO }))?;
        for event in &events {
            swarm.handle(event);
        }
        swarm.drive_queued();
    }
    let seconds = start.elapsed().as_secs_f64();
    let Counts { connects, closed, succeeded, refused } = swarm.counts;
    Ok(format!(
        r#"{{"connects": {connects}, "closed": {closed}, "succeeded": {succeeded}, "refused": {refused}, "seconds": {seconds:.3}}}"#
    ))
}
