//! Exchanges small requests on some connections, over TCP or a Unix socket: sends one on each, then receives the response
//! on each, and so on. Unlike wrk it can use a Unix socket.
//!
//! Usage: `exchanges PORT|PATH CONNECTIONS SECONDS`. Prints the number of exchanges.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const STATUS: &[u8] = b"HTTP/1.1 200 ";
const SILENCE_MAX: Duration = Duration::from_secs(30);

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Connects to a port of this machine, or to a Unix socket.
fn connect(address: &str) -> Result<Box<dyn Stream>, Box<dyn Error>> {
    if let Ok(port) = address.parse::<u16>() {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        return Ok(Box::new(stream));
    }
    let stream = UnixStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    Ok(Box::new(stream))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, seconds] = &arguments[..] else {
        return Err("usage: exchanges PORT|PATH CONNECTIONS SECONDS".into());
    };
    let (connections, seconds) = (connections.parse::<usize>()?, seconds.parse::<f64>()?);
    let mut streams = (0..connections).map(|_| connect(address)).collect::<Result<Vec<_>, _>>()?;
    let mut response = [0; 4096];
    let mut exchanges = 0_u64;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        for stream in &mut streams {
            stream.write_all(REQUEST)?;
        }
        for stream in &mut streams {
            // The response is so short that it arrives at once.
            let bytes = stream.read(&mut response)?;
            if !response[..bytes].starts_with(STATUS) || !response[..bytes].ends_with(b"\r\n\r\n") {
                return Err(format!("unexpected response: {}", response[..bytes].escape_ascii()).into());
            }
            exchanges += 1;
        }
    }
    println!("{exchanges}");
    Ok(())
}
