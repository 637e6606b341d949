//! A blocking client. It parses responses just enough to find where each one ends.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

use super::WAIT_MAX;

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// Bytes that were received with a response and belong to the next one.
    ahead: Vec<u8>,
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and fields, each with its CRLF.
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
}

impl Response {
    /// The value of a field. The case of the name does not matter.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The content, as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.content).expect("content that is text")
    }
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::new(TcpStream::connect_timeout(&address, WAIT_MAX).expect("a connection"))
    }

    /// Connects to 127.0.0.1 from another address of this machine.
    #[allow(dead_code, reason = "not every test program has clients at several addresses")]
    pub(crate) fn connect_from(source: [u8; 4], port: u16) -> Client {
        // Otherwise servers that other tests start meanwhile inherit it, and lack descriptors.
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
        bind(&socket, &SocketAddrV4::new(source.into(), 0)).expect("an address of this machine");
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).expect("a connection");
        Client::new(socket.into())
    }

    fn new(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout");
        stream.set_write_timeout(Some(WAIT_MAX)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Client { stream, ahead: Vec::new() }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("a server that receives");
    }

    /// Sends bytes to a server that may have closed the connection.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a GET request with no field but Host, and reads the response.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.exchange(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
    }

    /// Sends a request and reads the response.
    pub(crate) fn exchange(&mut self, request: &str) -> Response {
        self.send(request);
        self.response()
    }

    /// Sends a request with content and its length, and reads the response.
    pub(crate) fn upload(&mut self, method: &str, target: &str, content: &[u8]) -> Response {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", content.len()));
        self.send(content);
        self.response()
    }

    /// Reads one response.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().expect("a complete response")
    }

    /// Reads one response. Returns an error if the connection ends before the response is complete.
    pub(crate) fn try_response(&mut self) -> io::Result<Response> {
        let mut response = self.try_head()?;
        if response.field("Transfer-Encoding").is_some_and(|coding| coding == "chunked") {
            response.content = self.try_chunks()?;
            return Ok(response);
        }
        let bytes = response.field("Content-Length").map_or(0, |value| value.parse().expect("a length"));
        response.content = self.try_content(bytes)?;
        Ok(response)
    }

    /// Reads content in the chunked coding to its end. Expects no extensions and no trailer section.
    fn try_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let line_end = loop {
                if let Some(end) = self.ahead.windows(2).position(|window| window == b"\r\n") {
                    break end;
                }
                self.receive()?;
            };
            let line: Vec<u8> = self.ahead.drain(..line_end + 2).collect();
            let digits = std::str::from_utf8(&line[..line_end]).expect("a chunk size that is text");
            let bytes = usize::from_str_radix(digits, 16).expect("a chunk size");
            content.extend_from_slice(&self.try_content(bytes)?);
            assert_eq!(self.try_content(2)?, b"\r\n", "the end of a chunk");
            if bytes == 0 {
                return Ok(content);
            }
        }
    }

    fn try_content(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < bytes {
            self.receive()?;
        }
        Ok(self.ahead.drain(..bytes).collect())
    }

    /// Reads the head of one response. A response to HEAD and an interim response consist of nothing else.
    pub(crate) fn head(&mut self) -> Response {
        self.try_head().expect("a complete head")
    }

    fn try_head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.receive()?;
        };
        let mut head: Vec<u8> = self.ahead.drain(..end).collect();
        head.truncate(end - 2);
        let head = String::from_utf8(head).expect("a head that is text");
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line");
        Ok(Response { status: status.parse().expect("a status"), head, content: Vec::new() })
    }

    /// Reads at least one byte. The end of the connection is an error.
    fn receive(&mut self) -> io::Result<()> {
        let mut space = [0; 64 * 1024];
        match self.stream.read(&mut space) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                self.ahead.extend_from_slice(&space[..bytes]);
                Ok(())
            }
            // A stopped and continued process gets this error from a socket with a timeout: see signal(7).
            Err(error) if error.kind() == ErrorKind::Interrupted => self.receive(),
            Err(error) => Err(error),
        }
    }

    /// Reads `bytes` bytes of content and discards them.
    pub(crate) fn skip(&mut self, bytes: u64) {
        let ahead = self.ahead.len().min(bytes.try_into().unwrap_or(usize::MAX));
        self.ahead.drain(..ahead);
        let mut left = bytes - ahead as u64;
        // Large, because gigabytes are skipped.
        let mut space = vec![0; 512 * 1024];
        while left > 0 {
            let wanted = space.len().min(left.try_into().unwrap_or(usize::MAX));
            let skipped = self.stream.read(&mut space[..wanted]).expect("content");
            assert!(skipped > 0, "the content was cut short by {left} bytes");
            left -= skipped as u64;
        }
    }

    /// Reads `bytes` bytes of content.
    pub(crate) fn content(&mut self, bytes: u64) -> Vec<u8> {
        let ahead = self.ahead.len().min(bytes.try_into().unwrap_or(usize::MAX));
        let mut content: Vec<u8> = self.ahead.drain(..ahead).collect();
        let mut rest = (&self.stream).take(bytes - ahead as u64);
        rest.read_to_end(&mut content).expect("content");
        assert_eq!(content.len() as u64, bytes, "the content was cut short");
        content
    }

    /// Reads everything until the server closes the connection without a reset.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.ahead);
        self.stream.read_to_end(&mut rest).expect("a close without a reset");
        rest
    }

    /// Waits for bytes or the end of the connection. Returns whether one of them arrived in time. Reads nothing.
    pub(crate) fn is_readable_within(&self, timeout: Duration) -> bool {
        self.stream.set_read_timeout(Some(timeout)).expect("a timeout");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout");
        peeked.is_ok()
    }

    /// Reads everything until the connection ends, by a close or by a reset.
    pub(crate) fn read_until_closed(&mut self) -> Vec<u8> {
        let mut everything = std::mem::take(&mut self.ahead);
        match self.stream.read_to_end(&mut everything) {
            Err(error) if is_timeout(&error) => panic!("the connection is still open"),
            Ok(_) | Err(_) => everything,
        }
    }

    /// Reads until the connection ends. Returns whether that was a close and not a reset.
    pub(crate) fn closes_cleanly(&mut self) -> bool {
        io::copy(&mut self.stream, &mut io::sink()).is_ok()
    }

    /// Shuts down the sending side.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a connection to half-close");
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).expect("an open socket");
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
