//! Uploads chunked content in chunks of one byte. Bursts of chunks are sent at a constant rate, on the connections in turn.

use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Also limits how long a burst may wait for the server to read the earlier ones.
const TIMEOUT: Duration = Duration::from_secs(2);

fn start_upload(port: u16, name: usize) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "PUT /files/chunks-{name} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    Ok(stream)
}

pub(crate) fn run(
    port: u16,
    connections: usize,
    duration: Duration,
    rate: u32,
    chunks: usize,
) -> Result<String, Box<dyn Error>> {
    let mut streams = (0..connections).map(|name| start_upload(port, name)).collect::<io::Result<Vec<_>>>()?;
    let burst = b"1\r\nx\r\n".repeat(chunks);
    let (mut bursts, mut closed) = (0, 0);
    crate::ready()?;
    let start = Instant::now();
    let turns = rate * u32::try_from(duration.as_secs())?;
    for turn in 0..turns {
        let due = start + Duration::from_secs(1) * turn / rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let name = turn as usize % connections;
        match streams[name].write_all(&burst) {
            Ok(()) => bursts += 1,
            Err(_) => {
                closed += 1;
                streams[name] = start_upload(port, name)?;
            }
        }
        if start.elapsed() > duration * 3 {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(format!(r#"{{"bursts": {bursts}, "closed": {closed}, "seconds": {seconds:.3}}}"#))
}
