//! The clients of `scripts/cluster.sh`. They check every byte that they receive, and count what fails.
//!
//! - `load prepare DIRECTORY` creates the files that the clients download.
//! - `load mix ADDRESS WORKERS REQUESTS JOURNAL RUN` downloads, uploads, and resumes uploads, over persistent
//!   connections, so many requests and until standard input ends. Each upload that was acknowledged is added to the
//!   journal. RUN distinguishes the names of uploads.
//! - `load each ADDRESS WORKERS CONNECTIONS REQUESTS_EACH` downloads over many connections, each of so many requests.
//! - `load verify DIRECTORY JOURNAL` compares the files of the journal with what was sent.
//!
//! All but the first print one line of JSON.

mod connection;
mod content;
mod mix;
mod tally;
mod verify;

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use connection::Connection;
use tally::Tally;

/// Runs one closure on each of so many threads, with its number, and adds up their counts.
fn run_workers(workers: u64, work: impl Fn(u64, &mut Tally) + Sync) -> Tally {
    let mut total = Tally::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let work = &work;
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    work(worker, &mut tally);
                    tally
                })
            })
            .collect();
        for thread in threads {
            total.add(thread.join().unwrap_or_else(|_| Tally::failed("a thread panicked")));
        }
    });
    total
}

/// Opens `connections` connections in all, and sends `requests_each` requests on each of them, unless the server says
/// that it closes the connection before.
fn each(address: SocketAddr, workers: u64, connections: u64, requests_each: u64) -> Tally {
    let opened = AtomicU64::new(0);
    let (name, content) = content::small(0);
    run_workers(workers, |_, tally| {
        while opened.fetch_add(1, Ordering::Relaxed) < connections {
            let mut connection = Connection::new(address);
            for turn in 1..=requests_each {
                let fields: &[&str] = if turn == requests_each { &["Connection: close"] } else { &[] };
                let response = connection.exchange(tally, "GET", &name, fields, b"");
                let Some(response) = response else { break };
                tally.check("GET", response.status == 200 && response.content == content, &response);
                if response.closes {
                    break;
                }
            }
        }
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let tally = match arguments[..] {
        ["prepare", directory] => {
            for (name, content) in content::downloads() {
                std::fs::write(Path::new(directory).join(name), content)?;
            }
            return Ok(());
        }
        ["mix", address, workers, requests, journal, run] => {
            mix::run(address.parse()?, workers.parse()?, requests.parse()?, Path::new(journal), run)?
        }
        ["each", address, workers, connections, requests] => {
            each(address.parse()?, workers.parse()?, connections.parse()?, requests.parse()?)
        }
        ["verify", directory, journal] => verify::run(Path::new(directory), Path::new(journal))?,
        _ => return Err("usage: load prepare|mix|each|verify …; see the first lines of the source".into()),
    };
    println!("{}", tally.to_json());
    Ok(())
}
