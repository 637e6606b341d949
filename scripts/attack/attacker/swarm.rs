//! Connections that send as much as the server takes, read and discard all that it answers, and connect again when it
//! closes them, until their time is over or standard input ends.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::payload::Payload;

const BUFFER_BYTES: usize = 64 * 1024;

/// Reads, and writes, of a connection before it is another one's turn.
const CALLS_PER_TURN: usize = 4;

/// How often those that have been closed connect again.
const RECONNECT: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Peer {
    /// None between two connections.
    stream: Option<TcpStream>,
    outgoing: Vec<u8>,
    sent: usize,
    is_first: bool,
    is_queued: bool,
}

enum Outcome {
    /// Nothing can be done until the socket becomes ready.
    Idle,
    /// It has used up its turn.
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
    payload: Payload,
    buffer: Vec<u8>,
    counts: Counts,
}

impl Swarm {
    fn drive(&mut self, peer: &mut Peer) -> Outcome {
        let Peer { stream: Some(stream), outgoing, sent, is_first, .. } = peer else { return Outcome::Idle };
        let mut is_unfinished = false;
        for call in 0..CALLS_PER_TURN {
            match stream.read(&mut self.buffer) {
                Ok(0) => return Outcome::Closed,
                Ok(bytes) => {
                    // One that two reads share is not counted.
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

    fn connect(&mut self, port: u16, poll: &Poll, token: usize, peer: &mut Peer) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        let is_queued = peer.is_queued;
        *peer = Peer { stream: Some(stream), is_first: true, is_queued, ..Peer::default() };
        self.counts.connects += 1;
        Ok(())
    }
}

/// Becomes true when standard input ends.
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
    duration: Duration,
    payload: Payload,
) -> Result<String, Box<dyn Error>> {
    let mut swarm = Swarm { payload, buffer: vec![0; BUFFER_BYTES], counts: Counts::default() };
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut peers: Vec<Peer> = (0..connections).map(|_| Peer::default()).collect();
    let mut closed: Vec<usize> = (0..connections).collect();
    let mut queue = VecDeque::new();
    let is_input_over = watch_input();
    let start = Instant::now();
    let mut reconnect_at = Instant::now();
    crate::ready()?;
    loop {
        let now = Instant::now();
        if now >= start + duration || is_input_over.load(Ordering::Relaxed) {
            break;
        }
        if now >= reconnect_at {
            reconnect_at = now + RECONNECT;
            // One that fails, for want of a port or a descriptor, is tried again the next time.
            closed.retain(|&token| swarm.connect(port, &poll, token, &mut peers[token]).is_err());
        }
        poll.poll(&mut events, Some(if queue.is_empty() { RECONNECT } else { Duration::ZERO }))?;
        for Token(token) in events.iter().map(|event| event.token()) {
            if !std::mem::replace(&mut peers[token].is_queued, true) {
                queue.push_back(token);
            }
        }
        for _ in 0..queue.len() {
            let Some(token) = queue.pop_front() else { break };
            let peer = &mut peers[token];
            peer.is_queued = false;
            match swarm.drive(peer) {
                Outcome::Idle => {}
                Outcome::Unfinished => {
                    peer.is_queued = true;
                    queue.push_back(token);
                }
                Outcome::Closed => {
                    peer.stream = None;
                    swarm.counts.closed += 1;
                    closed.push(token);
                }
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let Counts { connects, closed, succeeded, refused } = swarm.counts;
    Ok(format!(
        r#"{{"connects": {connects}, "closed": {closed}, "succeeded": {succeeded}, "refused": {refused}, "seconds": {seconds:.3}}}"#
    ))
}
