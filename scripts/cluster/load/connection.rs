//! A client's connection, which is opened again when it has ended.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::tally::Tally;

/// Longer than a SYN that was lost twice, and than a server needs to start.
const TIMEOUT: Duration = Duration::from_secs(20);

const HEAD_BYTES_MAX: usize = 16 << 10;

pub(crate) struct Response {
    pub status: u16,
    /// The server closes the connection after this response.
    pub closes: bool,
    /// The server that HAProxy chose.
    pub served_by: Option<String>,
    pub location: Option<String>,
    pub upload_offset: Option<usize>,
    pub content: Vec<u8>,
}

pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// Whether a response has been received on this stream.
    is_used: bool,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr) -> Connection {
        Connection { address, stream: None, is_used: false, received: Vec::new() }
    }

    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.is_used = false;
        self.received.clear();
    }

    /// Sends a request and receives its response. A failure is counted, also if it is one that HTTP lets a client repeat:
    /// a server may close a persistent connection while the next request is on its way.
    pub(crate) fn exchange(
        &mut self,
        tally: &mut Tally,
        method: &str,
        name: &str,
        fields: &[&str],
        content: &[u8],
    ) -> Option<Response> {
        match self.try_exchange(tally, method, name, fields, content) {
            Ok(response) => Some(response),
            Err(error) => {
                let used = if self.is_used { "used" } else { "new" };
                tally.fail(format!("{method} on a {used} connection: {}", reason(&error)));
                self.close();
                None
            }
        }
    }

    fn try_exchange(
        &mut self,
        tally: &mut Tally,
        method: &str,
        name: &str,
        fields: &[&str],
        content: &[u8],
    ) -> io::Result<Response> {
        self.send(tally, method, name, fields, content, content.len())?;
        let response = self.receive(method == "HEAD")?;
        self.is_used = true;
        if response.closes {
            tally.note("closed by the server after a response");
            self.close();
        }
        Ok(response)
    }

    /// Sends a request whose content has `length` bytes, and of these only `content`.
    pub(crate) fn send(
        &mut self,
        tally: &mut Tally,
        method: &str,
        name: &str,
        fields: &[&str],
        content: &[u8],
        length: usize,
    ) -> io::Result<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            tally.note("connections");
            self.stream = Some(stream);
        }
        let name = name.trim_start_matches('/');
        let mut request = format!("{method} /{name} HTTP/1.1\r\nHost: localhost\r\n");
        for field in fields {
            request += field;
            request += "\r\n";
        }
        if method != "GET" && method != "HEAD" {
            request += &format!("Content-Length: {length}\r\n");
        }
        request += "\r\n";
        let mut request = request.into_bytes();
        request.extend_from_slice(content);
        match &mut self.stream {
            Some(stream) => stream.write_all(&request),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn receive(&mut self, is_head: bool) -> io::Result<Response> {
        loop {
            let head_end = loop {
                if let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                    break end + 4;
                }
                if self.received.len() > HEAD_BYTES_MAX {
                    return Err(io::Error::other("the head does not end"));
                }
                self.read_more()?;
            };
            let head = String::from_utf8_lossy(&self.received[..head_end]).into_owned();
            self.received.drain(..head_end);
            let status = head.get(9..12).and_then(|status| status.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::other("the response has no status"))?;
            if status < 200 {
                continue;
            }
            let length = field(&head, "content-length").and_then(|length| length.parse().ok());
            let length: usize = if is_head || status == 204 { 0 } else { length.unwrap_or(0) };
            while self.received.len() < length {
                self.read_more()?;
            }
            return Ok(Response {
                status,
                closes: field(&head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
                served_by: field(&head, "served-by").map(str::to_owned),
                location: field(&head, "location").map(str::to_owned),
                upload_offset: field(&head, "upload-offset").and_then(|offset| offset.parse().ok()),
                content: self.received.drain(..length).collect(),
            });
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(ErrorKind::NotConnected)?;
        let mut space = [0; 64 << 10];
        match stream.read(&mut space)? {
            0 if self.received.is_empty() => Err(io::Error::other("closed without a response")),
            0 => Err(io::Error::other("closed within a response")),
            bytes => {
                self.received.extend_from_slice(&space[..bytes]);
                Ok(())
            }
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "timed out".to_owned(),
        ErrorKind::Other => error.to_string(),
        kind => kind.to_string(),
    }
}
