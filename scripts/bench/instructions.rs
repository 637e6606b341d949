//! Repeats one request on a persistent connection without a socket. Under `valgrind --tool=callgrind` it shows how many
//! instructions a request takes: the difference of two runs, divided by the difference of their EXCHANGES. Every run gives
//! exactly the same number.
//!
//! Usage: `instructions root|pipelined|user-agent|echo EXCHANGES`. An exchange of `pipelined` is sixteen requests.

#[path = "../../benches/support/mod.rs"]
mod support;

use std::error::Error;

use spindle::routes::Routes;
use support::InMemoryConnection;
use support::corpus::{BROWSER_PICTURE, ECHO, SHORTEST};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = &arguments[..] else {
        return Err("usage: instructions root|pipelined|user-agent|echo EXCHANGES".into());
    };
    let request = match name.as_str() {
        "root" => SHORTEST.to_vec(),
        "pipelined" => SHORTEST.repeat(16),
        "user-agent" => BROWSER_PICTURE.to_vec(),
        "echo" => ECHO.to_vec(),
        _ => return Err("unknown request: expected root, pipelined, user-agent or echo".into()),
    };
    let mut connection = InMemoryConnection::new(Routes::new(None));
    let mut bytes_sent = 0;
    for _ in 0..count.parse()? {
        connection.exchange(&request, |bytes| bytes_sent += bytes.len());
    }
    println!("{bytes_sent} bytes sent");
    Ok(())
}
