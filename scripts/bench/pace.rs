//! Sends one kind of request on many connections, either at a constant rate or as fast as the responses arrive, and prints
//! the latencies. At a constant rate it does not wait for the responses: a client that waits for each would send no requests
//! while the server is slow, and so miss the longest latencies (coordinated omission).
//!
//! Usage: `pace PORT RATE|all SECONDS [TARGET [CONNECTIONS [FIELD…]]]`. RATE is in requests a second, on the connections in
//! turn; with `all`, each connection always waits for one response. Prints `ready` once every connection has received its
//! first response, then waits for a line or the end of standard input, and prints one line of JSON at the end.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

const CONNECTIONS: usize = 16;
const SUCCESSES: [&[u8]; 2] = [b"HTTP/1.1 200 ", b"HTTP/1.1 206 "];
const SILENCE_MAX: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 256 * 1024;

type Failure = Box<dyn Error + Send + Sync>;

struct Connection {
    stream: mio::net::TcpStream,
    /// The length of each response. All have the length of the first one.
    response_bytes: usize,
}

impl Connection {
    /// Connects and receives a first response.
    fn open(port: u16, request: &[u8]) -> Result<Connection, Failure> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.write_all(request)?;
        let response_bytes = read_response(&mut stream)?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream: mio::net::TcpStream::from_std(stream), response_bytes })
    }
}

/// Reads one response, which must have a Content-Length. Returns its length.
fn read_response(stream: &mut impl Read) -> Result<usize, Failure> {
    let mut response = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 {
            return Err("a response ends early".into());
        }
        response.extend_from_slice(&buffer[..bytes]);
        if let Some(head_bytes) = response.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) {
            let head = &response[..head_bytes];
            if !SUCCESSES.iter().any(|success| head.starts_with(success)) {
                return Err(format!("unexpected response: {}", head.escape_ascii()).into());
            }
            let response_bytes = head_bytes + content_length(head)?;
            let rest_bytes = response_bytes.saturating_sub(response.len());
            let copied_bytes = io::copy(&mut stream.take(rest_bytes as u64), &mut io::sink())?;
            return match copied_bytes == rest_bytes as u64 {
                true => Ok(response_bytes),
                false => Err("a response ends early".into()),
            };
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize, Failure> {
    let lines = str::from_utf8(head)?.lines();
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let field = fields.find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
    Ok(field.ok_or("a response has no Content-Length")?.1.trim().parse()?)
}

/// When each request was sent and when each response was complete, for one connection.
#[derive(Clone, Default)]
struct Times {
    departures: Vec<Instant>,
    arrivals: Vec<Instant>,
}

/// Calls `received` with the index of a connection each time that a response on it is complete, until all connections have
/// ended or the time is up. Returns the number of bytes received.
fn receive(
    mut poll: Poll,
    connections: &[Connection],
    end: Option<Instant>,
    mut received: impl FnMut(usize, Instant) -> io::Result<()>,
) -> Result<u64, Failure> {
    let mut bytes_received = 0;
    let mut bytes_left: Vec<_> = connections.iter().map(|connection| connection.response_bytes).collect();
    let mut is_open = vec![true; connections.len()];
    let mut open = connections.len();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; BUFFER_BYTES];
    while open > 0 && end.is_none_or(|end| Instant::now() < end) {
        poll.poll(&mut events, Some(SILENCE_MAX))?;
        if events.is_empty() {
            return Err("no response arrives".into());
        }
        for event in &events {
            let index = event.token().0;
            loop {
                let mut bytes = match (&connections[index].stream).read(&mut buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    read => read?,
                };
                if bytes == 0 {
                    // The end may cause several events.
                    open -= usize::from(std::mem::take(&mut is_open[index]));
                    break;
                }
                bytes_received += bytes as u64;
                let was_full = bytes == buffer.len();
                let now = Instant::now();
                while bytes >= bytes_left[index] {
                    bytes -= bytes_left[index];
                    bytes_left[index] = connections[index].response_bytes;
                    received(index, now)?;
                }
                bytes_left[index] -= bytes;
                // A short read has emptied the socket. The next bytes, or the end, cause another event.
                if !was_full && !event.is_read_closed() {
                    break;
                }
            }
        }
    }
    Ok(bytes_received)
}

/// Sends the requests at the rate, on the connections in turn.
fn send_at_rate(
    connections: &[Connection],
    request: &[u8],
    rate: u32,
    time: Duration,
) -> io::Result<Vec<Vec<Instant>>> {
    let mut departures = vec![Vec::new(); connections.len()];
    let start = Instant::now();
    for turn in 0.. {
        let due = Duration::from_secs(1) * turn / rate;
        if due >= time {
            break;
        }
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        let index = turn as usize % connections.len();
        departures[index].push(Instant::now());
        (&connections[index].stream).write_all(request)?;
    }
    // After the last response the server sees the half-close and closes the connection.
    connections.iter().try_for_each(|connection| connection.stream.shutdown(Shutdown::Write))?;
    Ok(departures)
}

fn at_rate(
    poll: Poll,
    connections: &[Connection],
    request: &[u8],
    rate: u32,
    time: Duration,
) -> Result<(Vec<Times>, u64), Failure> {
    let mut times = vec![Times::default(); connections.len()];
    let (departures, bytes) = thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            receive(poll, connections, None, |index, now| {
                times[index].arrivals.push(now);
                Ok(())
            })
        });
        let departures = send_at_rate(connections, request, rate, time);
        let bytes = receiver.join().map_err(|_| "the receiver panicked")??;
        Ok::<_, Failure>((departures?, bytes))
    })?;
    for (times, departures) in times.iter_mut().zip(departures) {
        times.departures = departures;
        if times.arrivals.len() != times.departures.len() {
            return Err(format!("{} requests, {} responses", times.departures.len(), times.arrivals.len()).into());
        }
    }
    Ok((times, bytes))
}

fn at_once(
    poll: Poll,
    connections: &[Connection],
    request: &[u8],
    time: Duration,
) -> Result<(Vec<Times>, u64), Failure> {
    let mut times = vec![Times::default(); connections.len()];
    let end = Instant::now() + time;
    for (connection, times) in connections.iter().zip(&mut times) {
        times.departures.push(Instant::now());
        (&connection.stream).write_all(request)?;
    }
    let bytes = receive(poll, connections, Some(end), |index, now| {
        times[index].arrivals.push(now);
        times[index].departures.push(Instant::now());
        (&connections[index].stream).write_all(request)
    })?;
    Ok((times, bytes))
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, rate, seconds, rest @ ..] = &arguments[..] else {
        return Err("usage: pace PORT RATE|all SECONDS [TARGET [CONNECTIONS [FIELD…]]]".into());
    };
    let port = port.parse()?;
    let time = Duration::from_secs_f64(seconds.parse()?);
    let target = rest.first().map_or("/", String::as_str);
    let count = rest.get(1).map_or(Ok(CONNECTIONS), |count| count.parse())?;
    let fields: String = rest.iter().skip(2).map(|field| format!("{field}\r\n")).collect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n").into_bytes();
    let mut connections = (0..count).map(|_| Connection::open(port, &request)).collect::<Result<Vec<_>, _>>()?;
    let poll = Poll::new()?;
    for (index, connection) in connections.iter_mut().enumerate() {
        poll.registry().register(&mut connection.stream, Token(index), Interest::READABLE)?;
    }
    println!("ready");
    io::stdin().read_line(&mut String::new())?;
    let (times, bytes) = match rate.as_str() {
        "all" => at_once(poll, &connections, &request, time)?,
        rate => at_rate(poll, &connections, &request, rate.parse()?, time)?,
    };
    let pairs = times.iter().flat_map(|times| times.departures.iter().zip(&times.arrivals));
    let mut latencies: Vec<_> = pairs.map(|(sent, received)| *received - *sent).collect();
    latencies.sort();
    // None of a long response may be complete, if only the bytes count.
    let percentile = |percent: usize| {
        let last = latencies.len().saturating_sub(1);
        latencies.get((latencies.len() * percent / 100).min(last)).map_or(0, Duration::as_micros)
    };
    println!(
        r#"{{"responses": {}, "bytes": {bytes}, "p50_us": {}, "p99_us": {}, "max_us": {}}}"#,
        latencies.len(),
        percentile(50),
        percentile(99),
        percentile(100)
    );
    Ok(())
}
