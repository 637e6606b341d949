//! Opens connections that make the server buffer something for each of them, read nothing, and stay open until standard input
//! is closed.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::payload::text;

/// About the least that the kernel allows. Responses that do not fit stay in the server.
const RECEIVE_BUFFER_BYTES: usize = 2048;

/// The number of connections opened at a time, and the pause in which the server accepts them.
const BATCH: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// The number of rounds over all connections. In each round a connection sends what fits into its socket.
const ROUNDS: usize = 30;
const ROUND_PAUSE: Duration = Duration::from_millis(50);

const PIPELINE_BYTES: usize = 48 * 1024;
const HALF_HEAD_BYTES: usize = 30_000;

fn pipeline() -> Vec<u8> {
    let request = format!("GET /echo/{} HTTP/1.1\r\nHost: a\r\n\r\n", text(3_000));
    request.repeat(PIPELINE_BYTES.div_ceil(request.len())).into_bytes()
}

fn half_head() -> Vec<u8> {
    let value = text(500);
    let mut head = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    for field in 0..100 {
        head.push_str(&format!("X-{field}: {value}\r\n"));
        if head.len() > HALF_HEAD_BYTES {
            break;
        }
    }
    head.into_bytes()
}

fn open(port: u16) -> io::Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES)?;
    match connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn run(port: u16, connections: usize, kind: &str) -> Result<String, Box<dyn Error>> {
    let bytes = match kind {
        "pipelines" => pipeline(),
        "heads" => half_head(),
        _ => return Err(format!("unknown kind: {kind}").into()),
    };
    let mut clients = Vec::new();
    for number in 0..connections {
        clients.push((open(port)?, 0));
        if number % BATCH == BATCH - 1 {
            thread::sleep(PAUSE);
        }
    }
    for _ in 0..ROUNDS {
        for (stream, sent) in &mut clients {
            // A connection that the server does not read from, or has closed, sends nothing more.
            *sent += stream.write(&bytes[*sent..]).unwrap_or(0);
        }
        thread::sleep(ROUND_PAUSE);
    }
    crate::ready()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    let complete = clients.iter().filter(|(_, sent)| *sent == bytes.len()).count();
    let begun = clients.iter().filter(|(_, sent)| *sent > 0).count();
    Ok(format!(r#"{{"begun": {begun}, "complete": {complete}}}"#))
}
