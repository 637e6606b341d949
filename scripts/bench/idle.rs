//! Opens connections, exchanges one request on each, and keeps them open until standard input is closed.
//!
//! Usage: `idle PORT CONNECTIONS`. Prints `ready` when all of them are idle.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const STATUS: &[u8] = b"HTTP/1.1 200 ";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<u32> = std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<_, _>>()?;
    let [port, connections] = arguments[..] else { return Err("usage: idle PORT CONNECTIONS".into()) };
    let port = u16::try_from(port)?;
    let mut response = [0; 4096];
    let mut idle = Vec::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.write_all(REQUEST)?;
        let bytes = stream.read(&mut response)?;
        if !response[..bytes].starts_with(STATUS) {
            return Err(format!("unexpected response: {}", response[..bytes].escape_ascii()).into());
        }
        idle.push(stream);
    }
    println!("ready");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
