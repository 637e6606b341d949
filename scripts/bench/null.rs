//! A server that does as little work as a single-threaded epoll server can do. The other servers are compared with it. It reads,
//! counts blank lines, and writes a fixed response for each request. It parses nothing else, and is not an HTTP server.
//!
//! Usage: `null PORT RESPONSE_BYTES BLANK_LINES keep|close`. Listens on 127.0.0.1. RESPONSE_BYTES is the length of a response
//! including its head. BLANK_LINES is the number of blank lines in a request: 2 for an upload whose content ends in one.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 64 * 1024;

struct Connection {
    stream: TcpStream,
    /// The length of the current line so far.
    line_bytes: usize,
    blank_lines: usize,
    bytes_queued: usize,
}

struct Null {
    buffer: Vec<u8>,
    blank_lines_per_request: usize,
    response_bytes: usize,
    /// Enough copies of the response to fill a buffer, so that the responses to pipelined requests are sent in one write.
    responses: Vec<u8>,
    /// Whether the connection is closed after each response.
    closes: bool,
}

impl Null {
    fn drive(&mut self, connection: &mut Connection) -> io::Result<()> {
        loop {
            let bytes = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                read => read?,
            };
            let mut line_start = 0;
            for at in memchr::memchr_iter(b'\n', &self.buffer[..bytes]) {
                connection.blank_lines += usize::from(connection.line_bytes + at - line_start == b"\r".len());
                connection.line_bytes = 0;
                line_start = at + 1;
            }
            connection.line_bytes += bytes - line_start;
            connection.bytes_queued += connection.blank_lines / self.blank_lines_per_request * self.response_bytes;
            connection.blank_lines %= self.blank_lines_per_request;
            self.send(connection)?;
            if bytes < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn send(&self, connection: &mut Connection) -> io::Result<()> {
        while connection.bytes_queued > 0 {
            let sent = (self.response_bytes - connection.bytes_queued % self.response_bytes) % self.response_bytes;
            let end = self.responses.len().min(sent + connection.bytes_queued);
            match connection.stream.write(&self.responses[sent..end]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                written => connection.bytes_queued -= written?,
            }
            if self.closes && connection.bytes_queued == 0 {
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
    let mut connections: Slab<Connection> = Slab::new();
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let entry = connections.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(entry.key()), both)?;
                    entry.insert(Connection { stream, line_bytes: 0, blank_lines: 0, bytes_queued: 0 });
                }
            } else if let Some(connection) = connections.get_mut(event.token().0) {
                let driven = if event.is_readable() { null.drive(connection) } else { null.send(connection) };
                if driven.is_err() || event.is_read_closed() {
                    connections.remove(event.token().0);
                }
            }
        }
    }
}
