//! A plain blocking client. It knows as much HTTP as is needed to read one answer to its last byte and no further.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

use super::WAIT_MAX;

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// Bytes that came with an answer and belong to the next one.
    ahead: Vec<u8>,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and fields, each with its CRLF.
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
}

impl Response {
    /// The value of a field, by its name in any case.
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

    fn new(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a time-out");
        stream.set_write_timeout(Some(WAIT_MAX)).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        Client { stream, ahead: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("a peer that receives");
    }

    /// Sends bytes to a peer that may be gone.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a GET with nothing but Host, and reads its answer.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.exchange(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
    }

    /// Sends a request without content of its own, or with content that is text, and reads the answer.
    pub(crate) fn exchange(&mut self, request: &str) -> Response {
        self.send(request);
        self.response()
    }

    /// Sends a request with content of a known length, and reads the answer.
    pub(crate) fn upload(&mut self, method: &str, target: &str, content: &[u8]) -> Response {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", content.len()));
        self.send(content);
        self.response()
    }

    /// Reads one answer.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().expect("a whole answer")
    }

    /// Reads one answer, if it comes whole.
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

    /// Reads content in the chunked coding, without extensions and trailers, to its end.
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
            assert_eq!(self.try_content(2)?, b"\r\n", "what follows a chunk");
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

    /// Reads the head of one answer: all there is in an answer to HEAD, and in an interim one.
    pub(crate) fn head(&mut self) -> Response {
        self.try_head().expect("a whole head")
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

    /// Reads at least one byte; the peer's end is an error.
    fn receive(&mut self) -> io::Result<()> {
        let mut space = [0; 64 * 1024];
        match self.stream.read(&mut space)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            bytes => {
                self.ahead.extend_from_slice(&space[..bytes]);
                Ok(())
            }
        }
    }

    /// Reads `bytes` bytes of content and drops them.
    pub(crate) fn skip(&mut self, bytes: u64) {
        let ahead = self.ahead.len().min(bytes.try_into().unwrap_or(usize::MAX));
        self.ahead.drain(..ahead);
        let mut left = bytes - ahead as u64;
        // Gigabytes pass in reads as large as these in a fraction of the time.
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

    /// Reads what is left, to the peer's clean end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.ahead);
        self.stream.read_to_end(&mut rest).expect("a clean end");
        rest
    }

    /// Waits for bytes, or the end, for so long. Says whether they have come; they stay to be read.
    pub(crate) fn is_readable_within(&self, for_at_most: Duration) -> bool {
        self.stream.set_read_timeout(Some(for_at_most)).expect("a time-out");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(WAIT_MAX)).expect("a time-out");
        peeked.is_ok()
    }

    /// Waits for the connection to be gone, in whatever way. Returns what came before.
    pub(crate) fn read_until_closed(&mut self) -> Vec<u8> {
        let mut everything = std::mem::take(&mut self.ahead);
        match self.stream.read_to_end(&mut everything) {
            Err(error) if is_timeout(&error) => panic!("the connection is still open"),
            Ok(_) | Err(_) => everything,
        }
    }

    /// Reads until the connection ends. Returns whether it ended in order, and not by a reset.
    pub(crate) fn closes_cleanly(&mut self) -> bool {
        io::copy(&mut self.stream, &mut io::sink()).is_ok()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a connection to half-close");
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        let at_once = Some(Duration::ZERO);
        sockopt::set_socket_linger(&self.stream, at_once).expect("an open socket");
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
