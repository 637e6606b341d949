//! A well-behaved client: sends requests at a constant rate, each on a new connection, without waiting for earlier responses.
//! Each request has a thread of its own, which blocks in the kernel, so that an event loop of this program adds no latency.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::{HONEST, connect_from};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
const STATUS: &[u8] = b"HTTP/1.1 200 ";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Sends one request. Returns the time from the start of connecting to the end of the response.
fn exchange(port: u16, timeout: Duration) -> io::Result<Duration> {
    let start = Instant::now();
    let mut stream = connect_from(HONEST, port, timeout)?;
    stream.write_all(REQUEST)?;
    let mut response = [0; 1024];
    let mut length = 0;
    // The response has no content: it ends with its head.
    while !response[..length].ends_with(HEAD_END) {
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() || length == response.len() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut response[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
    }
    match response.starts_with(STATUS) {
        true => Ok(start.elapsed()),
        false => Err(io::Error::other(response[..length].escape_ascii().to_string())),
    }
}

/// A request that fails counts as taking the whole timeout in the percentiles.
pub(crate) fn run(port: u16, rate: u32, duration: Duration, timeout: Duration) -> Result<String, Box<dyn Error>> {
    let requests = rate * u32::try_from(duration.as_secs())?;
    crate::ready()?;
    let start = Instant::now();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..requests)
            .map(|turn| {
                let due = start + Duration::from_secs(1) * turn / rate;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                scope.spawn(move || exchange(port, timeout))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut failed = 0;
    let mut failure = String::new();
    let mut latencies = Vec::new();
    for outcome in outcomes {
        match outcome.map_err(|_| "a thread panicked")? {
            Ok(latency) => latencies.push(latency),
            Err(error) => {
                failed += 1;
                failure = match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => "timed out".to_owned(),
                    _ => error.to_string(),
                };
                latencies.push(timeout);
            }
        }
    }
    latencies.sort();
    let percentile = |percent: usize| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)].as_micros();
    Ok(format!(
        r#"{{"requests": {requests}, "failed": {failed}, "failure": {failure:?}, "p50_us": {}, "p99_us": {}, "max_us": {}}}"#,
        percentile(50),
        percentile(99),
        percentile(100)
    ))
}
