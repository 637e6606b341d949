//! The clients of scripts/attack.sh: honest (well-behaved) ones, which measure, and hostile ones. All of them limit their time
//! and the number of their connections, and only connect to 127.0.0.1.
//!
//! Usage: `attacker CLIENT ARGUMENTS…`, see `USAGE`. Each client prints `ready` when it starts, and at the end one line of JSON
//! with its counts.

mod address;
mod chunks;
mod hold;
mod honest;
mod load;
mod payload;
mod swarm;
mod sync;

use std::error::Error;
use std::io::Write;
use std::time::Duration;

const USAGE: &str = "\
attacker honest PORT REQUESTS_PER_SECOND SECONDS TIMEOUT_MS
attacker swarm PORT CONNECTIONS SECONDS PAYLOAD [ADDRESSES]
    PAYLOAD: uploads|ranges|gzip|idle|silent|half|heads|content|readers|drains|pending
attacker chunks PORT CONNECTIONS SECONDS BURSTS_PER_SECOND CHUNKS_PER_BURST
attacker hold PORT CONNECTIONS pipelines|heads
attacker load PORT CONNECTIONS SECONDS
attacker sync DIRECTORY SECONDS";

/// Reports that the client has started.
fn ready() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    out.flush()
}

fn seconds(argument: &str) -> Result<Duration, std::num::ParseIntError> {
    argument.parse().map(Duration::from_secs)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = match arguments[..] {
        ["honest", port, rate, duration, timeout_ms] => {
            let timeout = Duration::from_millis(timeout_ms.parse()?);
            honest::run(port.parse()?, rate.parse()?, seconds(duration)?, timeout)?
        }
        ["swarm", port, connections, duration, kind] => {
            swarm::run(port.parse()?, connections.parse()?, 1, seconds(duration)?, payload::named(kind)?)?
        }
        ["swarm", port, connections, duration, kind, addresses] => {
            let addresses = addresses.parse()?;
            swarm::run(port.parse()?, connections.parse()?, addresses, seconds(duration)?, payload::named(kind)?)?
        }
        ["chunks", port, connections, duration, rate, chunks] => {
            chunks::run(port.parse()?, connections.parse()?, seconds(duration)?, rate.parse()?, chunks.parse()?)?
        }
        ["hold", port, connections, kind] => hold::run(port.parse()?, connections.parse()?, kind)?,
        ["load", port, connections, duration] => load::run(port.parse()?, connections.parse()?, seconds(duration)?)?,
        ["sync", directory, duration] => sync::run(directory.as_ref(), seconds(duration)?)?,
        _ => return Err(USAGE.into()),
    };
    println!("{report}");
    Ok(())
}
