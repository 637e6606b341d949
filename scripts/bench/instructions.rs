//! Repeats one request on a persistent connection without a socket. Under `valgrind --tool=callgrind` it shows how many
//! instructions a request takes: the difference of two runs, divided by the difference of their EXCHANGES. Every run gives
//! exactly the same number.
//!
//! Usage: `instructions root|pipelined|user-agent|echo EXCHANGES [combined|json|metrics]`. An exchange of `pipelined` is
//! sixteen requests. The last argument lets an access log of that format, or the metrics, read the records of exchanges.

#[path = "../../benches/support/mod.rs"]
mod support;

use std::error::Error;
use std::io;
use std::rc::Rc;

use spindle::routes::Routes;
use spindle::telemetry::access_log::{AccessLog, LogOutput, Reopened};
use spindle::telemetry::metrics::Metrics;
use spindle::telemetry::{LogFormat, Telemetry};
use support::InMemoryConnection;
use support::corpus::{BROWSER_PICTURE, ECHO, SHORTEST};

/// Takes whatever is written.
struct Sink;

impl LogOutput for Sink {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        Ok(lines.len())
    }

    fn reopen(&mut self) -> io::Result<Reopened> {
        Ok(Reopened::SameOutput)
    }
}

/// What reads the records of exchanges.
fn telemetry(reader: &str) -> Result<Option<Telemetry>, Box<dyn Error>> {
    let access_log = |format| Telemetry::new(Some(AccessLog::new(Box::new(Sink), format)), None);
    Ok(match reader {
        "combined" => access_log(LogFormat::Combined),
        "json" => access_log(LogFormat::Json),
        "metrics" => Telemetry::new(None, Some(Rc::new(Metrics::default()))),
        _ => return Err("unknown reader of records: expected combined, json or metrics".into()),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ([name, count] | [name, count, _]) = &arguments[..] else {
        return Err("usage: instructions root|pipelined|user-agent|echo EXCHANGES [combined|json|metrics]".into());
    };
    let request = match name.as_str() {
        "root" => SHORTEST.to_vec(),
        "pipelined" => SHORTEST.repeat(16),
        "user-agent" => BROWSER_PICTURE.to_vec(),
        "echo" => ECHO.to_vec(),
        _ => return Err("unknown request: expected root, pipelined, user-agent or echo".into()),
    };
    let mut connection = InMemoryConnection::new(Routes::new(None));
    let reader = arguments.get(2).map(|reader| telemetry(reader)).transpose()?.flatten();
    if let Some(reader) = reader {
        connection = connection.observed_by(Box::new(reader));
    }
    let mut bytes_sent = 0;
    for _ in 0..count.parse()? {
        connection.exchange(&request, |bytes| bytes_sent += bytes.len());
    }
    println!("{bytes_sent} bytes sent");
    Ok(())
}
