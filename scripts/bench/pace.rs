//! Sends small requests at a constant rate, without waiting for the responses, and prints the latencies. A client that waits
//! for each response would send no requests while the server is slow, and so miss the longest latencies (coordinated
//! omission).
//!
//! Usage: `pace PORT REQUESTS_PER_SECOND SECONDS [TARGET]`. Prints one line of JSON.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 16;
const STATUS: &[u8] = b"HTTP/1.1 200 ";
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// When each response on a connection was complete. All have the length of the first one.
fn read_responses(mut stream: &TcpStream, response_bytes: usize) -> io::Result<Vec<Instant>> {
    let mut buffer = vec![0; 64 * 1024];
    let mut arrivals = Vec::new();
    let mut bytes_left = response_bytes;
    loop {
        let mut bytes = stream.read(&mut buffer)?;
        let now = Instant::now();
        if bytes == 0 {
            return Ok(arrivals);
        }
        while bytes >= bytes_left {
            bytes -= bytes_left;
            bytes_left = response_bytes;
            arrivals.push(now);
        }
        bytes_left -= bytes;
    }
}

fn connect(port: u16, request: &[u8]) -> Result<(TcpStream, usize), Box<dyn Error>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.write_all(request)?;
    let mut response = [0; 4096];
    let bytes = stream.read(&mut response)?;
    if !response[..bytes].starts_with(STATUS) {
        return Err(format!("unexpected response: {}", response[..bytes].escape_ascii()).into());
    }
    Ok((stream, bytes))
}

/// Sends the requests at the rate, on the connections in turn. Returns when each request was sent.
fn send_requests(
    streams: &[(TcpStream, usize)],
    request: &[u8],
    rate: u32,
    seconds: u32,
) -> io::Result<Vec<Vec<Instant>>> {
    let mut departures = vec![Vec::new(); streams.len()];
    let start = Instant::now();
    for turn in 0..rate * seconds {
        let due = start + Duration::from_secs(1) * turn / rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let index = turn as usize % streams.len();
        let mut stream = &streams[index].0;
        departures[index].push(Instant::now());
        stream.write_all(request)?;
    }
    // After the last response the server sees the half-close and closes the connection, which ends the readers.
    streams.iter().try_for_each(|(stream, _)| stream.shutdown(Shutdown::Write))?;
    Ok(departures)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, rate, seconds, target) = match &arguments[..] {
        [port, rate, seconds] => (port, rate, seconds, "/"),
        [port, rate, seconds, target] => (port, rate, seconds, target.as_str()),
        _ => return Err("usage: pace PORT RATE SECONDS [TARGET]".into()),
    };
    let (port, rate, seconds) = (port.parse()?, rate.parse()?, seconds.parse()?);
    let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes();
    let streams = (0..CONNECTIONS).map(|_| connect(port, &request)).collect::<Result<Vec<_>, _>>()?;
    let (departures, arrivals) = thread::scope(|scope| {
        let readers: Vec<_> =
            streams.iter().map(|(stream, bytes)| scope.spawn(|| read_responses(stream, *bytes))).collect();
        let departures = send_requests(&streams, &request, rate, seconds);
        let arrivals: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        (departures, arrivals)
    });
    let mut latencies = Vec::new();
    for (departures, arrivals) in departures?.into_iter().zip(arrivals) {
        let arrivals = arrivals.map_err(|_| "a reader panicked")??;
        if arrivals.len() != departures.len() {
            return Err(format!("{} requests, {} responses", departures.len(), arrivals.len()).into());
        }
        latencies.extend(departures.into_iter().zip(arrivals).map(|(sent, received)| received - sent));
    }
    latencies.sort();
    let percentile = |percent: usize| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)].as_micros();
    println!(
        r#"{{"responses": {}, "p50_us": {}, "p99_us": {}, "max_us": {}}}"#,
        latencies.len(),
        percentile(50),
        percentile(99),
        percentile(100)
    );
    Ok(())
}
