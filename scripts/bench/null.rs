//! The least that a one-thread epoll server can do, and so the floor that the others are measured against: it reads,
//! counts the blank lines, and writes that many fixed responses. It parses nothing, and is no HTTP server.
//!
//! Usage: `null PORT RESPONSE_BYTES BLANK_LINES keep|close`, on 127.0.0.1. RESPONSE_BYTES is the length of a response
//! with its head, BLANK_LINES how many of them make a request: 2 for an upload whose content ends in one.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 64 * 1024;

struct Peer {
    stream: TcpStream,
    /// Bytes of the line that is being received.
    line_bytes: usize,
    blank_lines: usize,
    bytes_owed: usize,
}

struct Null {
    buffer: Vec<u8>,
    blank_lines_per_request: usize,
    response_bytes: usize,
    /// Copies of the response that fill a buffer, so that pipelined requests are answered in one write.
    responses: Vec<u8>,
    /// Whether each response is the last of its connection.
    closes: bool,
}

impl Null {
    fn visit(&mut self, peer: &mut Peer) -> io::Result<()> {
        loop {
            let bytes = match peer.stream.read(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                read => read?,
            };
            let mut line_start = 0;
            for at in memchr::memchr_iter(b'\n', &self.buffer[..bytes]) {
                peer.blank_lines += usize::from(peer.line_bytes + at - line_start == b"\r".len());
                peer.line_bytes = 0;
                line_start = at + 1;
            }
            peer.line_bytes += bytes - line_start;
            peer.bytes_owed += peer.blank_lines / self.blank_lines_per_request * self.response_bytes;
            peer.blank_lines %= self.blank_lines_per_request;
            self.answer(peer)?;
            if bytes < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn answer(&self, peer: &mut Peer) -> io::Result<()> {
        while peer.bytes_owed > 0 {
            let sent = (self.response_bytes - peer.bytes_owed % self.response_bytes) % self.response_bytes;
            let end = self.responses.len().min(sent + peer.bytes_owed);
            match peer.stream.write(&self.responses[sent..end]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                written => peer.bytes_owed -= written?,
            }
            if self.closes && peer.bytes_owed == 0 {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }
}

fn response(bytes: usize, connection: &str) -> Vec<u8> {
    let head = |content_bytes| format!("HTTP/1.1 200 OK\r\nContent-Length: {content_bytes}\r\n{connection}\r\n");
    let content_bytes = bytes.saturating_sub(head(bytes).len());
    let mut response = head(content_bytes).into_bytes();
    response.resize(response.len() + content_bytes, b'x');
    response
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, response_bytes, blank_lines, persistence] = &arguments[..] else {
        return Err("usage: null PORT RESPONSE_BYTES BLANK_LINES keep|close".into());
    };
    let closes = persistence == "close";
    let response = response(response_bytes.parse()?, if closes { "Connection: close\r\n" } else { "" });
    let mut null = Null {
        buffer: vec![0; BUFFER_BYTES],
        blank_lines_per_request: blank_lines.parse()?,
        response_bytes: response.len(),
        responses: response.repeat(BUFFER_BYTES.div_ceil(response.len())),
        closes,
    };
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut peers: Slab<Peer> = Slab::new();
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let entry = peers.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(entry.key()), both)?;
                    entry.insert(Peer { stream, line_bytes: 0, blank_lines: 0, bytes_owed: 0 });
                }
            } else if let Some(peer) = peers.get_mut(event.token().0) {
                let visit = if event.is_readable() { null.visit(peer) } else { null.answer(peer) };
                if visit.is_err() || event.is_read_closed() {
                    peers.remove(event.token().0);
                }
            }
        }
    }
}
