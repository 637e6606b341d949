//! Ordinary clients, each of which sends the next request as soon as it has a response. Each request has a new connection: on a
//! persistent one HAProxy would hide a failure by closing it. Counts the responses by status.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const TIMEOUT: Duration = Duration::from_secs(5);

const RESPONSE_CONTENT_BYTES_MAX: u64 = 64 * 1024;

/// The status of a connection that is closed without a response.
const NO_RESPONSE: u16 = 0;

fn exchange(port: u16) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(REQUEST)?;
    let mut response = Vec::new();
    stream.take(RESPONSE_CONTENT_BYTES_MAX).read_to_end(&mut response)?;
    let status = response.strip_prefix(b"HTTP/1.1 ").and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok());
    status.and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::UnexpectedEof.into())
}

fn exchange_until(end: Instant, port: u16) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    while Instant::now() < end {
        *counts.entry(exchange(port).unwrap_or(NO_RESPONSE)).or_default() += 1;
    }
    counts
}

pub(crate) fn run(port: u16, connections: usize, duration: Duration) -> Result<String, Box<dyn Error>> {
    crate::ready()?;
    let end = Instant::now() + duration;
    let mut total = BTreeMap::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(|| exchange_until(end, port))).collect();
        for thread in threads {
            for (status, count) in thread.join().map_err(|_| "a thread panicked")? {
                *total.entry(status).or_insert(0) += count;
            }
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    let counts: Vec<String> = total.iter().map(|(status, count)| format!(r#""{status}": {count}"#)).collect();
    Ok(format!("{{{}}}", counts.join(", ")))
}
