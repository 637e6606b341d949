//! Two versions of a file never share a strong entity tag, whatever timestamps the file system stores, and however
//! often the server is restarted.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use spindle::http1::{Connection, Settings as Limits, Shared, Step, Transmit};
use spindle::routes::{FileRoutes, Routes, UploadSettings};
use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::rights::UploadPolicy;
use spindle::storage::Directory;

use crate::disk::{Action, Disk, Loss, Settings};
use crate::operations::{START_NS, SYSTEMS};

const SEEDS: u64 = 150;
const STEPS: usize = 60;

/// The time that a restart takes: more than a tick of the file system's clock.
const RESTART_NS: u64 = 10_000_000;

struct Server {
    disk: Disk,
    clock: Rc<Cell<u64>>,
    routes: Routes<Disk>,
    shared: Shared,
}

impl Server {
    fn routes(disk: &Disk) -> Routes<Disk> {
        let directory = Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
        let uploads = UploadSettings {
            policy: UploadPolicy::Replace,
            bytes_max: None,
            durable: false,
            age_s_max: 86_400,
            pending_max: 1000,
        };
        Routes::new(Some(FileRoutes::new(directory, uploads, 16, 7, Box::new(|| None))))
    }

    fn new(disk: Disk, clock: Rc<Cell<u64>>) -> Server {
        let routes = Server::routes(&disk);
        Server { disk, clock, routes, shared: Shared::new(Limits::default()) }
    }

    /// Handles one request on a connection of its own. Returns the head of the response.
    fn request(&mut self, request: &str) -> String {
        let now = Now { monotonic_ns: self.clock.get(), unix_ns: self.clock.get() };
        let mut connection = Connection::new(Client::Unix, 0, &self.shared, &now);
        let space = connection.input_space(&mut self.shared, &now);
        space[..request.len()].copy_from_slice(request.as_bytes());
        connection.received(request.len(), &now);
        let mut output = Vec::new();
        for _ in 0..1000 {
            while !connection.process(&mut self.routes, &mut self.shared, &now).is_idle() {}
            let taken = match connection.transmit(&now) {
                Some(Transmit::Bytes { bytes, .. }) => {
                    output.extend_from_slice(bytes);
                    bytes.len()
                }
                Some(
                    Transmit::End | Transmit::Pending | Transmit::NotInMemory | Transmit::Abort | Transmit::File { .. },
                )
                | None => {
                    if connection.flush_content(&mut self.shared, &now) == Step::Idle {
                        break;
                    }
                    0
                }
            };
            connection.transmitted(taken as u64, &mut self.shared, &now);
        }
        connection.close(spindle::semantics::exchange_record::Outcome::CutOff, &mut self.shared, &now);
        String::from_utf8(output).unwrap()
    }

    fn upload(&mut self, content: &str) {
        let bytes = content.len();
        let response =
            self.request(&format!("PUT /files/name HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n{content}"));
        assert!(response.starts_with("HTTP/1.1 20"), "{response}");
        assert_eq!(self.disk.read("name").as_deref(), Some(content.as_bytes()));
    }

    /// The strong tag of the file, if it has one.
    fn strong_tag(&mut self) -> Option<String> {
        let response = self.request("HEAD /files/name HTTP/1.1\r\nHost: h\r\n\r\n");
        let tag = response.lines().find_map(|line| line.strip_prefix("ETag: "))?;
        (!tag.starts_with("W/")).then(|| tag.to_owned())
    }
}

/// Content number `number`. All contents have the same length, because a tag contains the length.
fn content(number: usize) -> String {
    format!("version {number:04}")
}

/// Runs one random sequence. Returns the number of strong tags.
fn run(seed: u64) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let (_, system) = SYSTEMS[random.usize(..SYSTEMS.len())];
    let time_granularity_ns = [1, 100, 1000, 1_000_000, 1_000_000_000, 2_000_000_000][random.usize(..6)];
    let settings = Settings { loss: Loss::None, time_granularity_ns, ..system(seed) };
    // The clock is sometimes on a whole second, which even a file system with coarse timestamps stores exactly.
    let clock = Rc::new(Cell::new(START_NS));
    let disk = Disk::new(settings, Rc::clone(&clock));
    let mut server = Server::new(disk.clone(), Rc::clone(&clock));
    let mut seen: HashMap<String, Vec<u8>> = HashMap::new();
    for step in 0..STEPS {
        let later_ns =
            [0, 1, 999, 1000, 300_000, 5_000_000, 999_000_000, 1_000_000_000, 2_500_000_000][random.usize(..9)];
        clock.set(clock.get() + later_ns);
        match random.u8(..8) {
            0 => {
                clock.set(clock.get() + RESTART_NS);
                server = Server::new(disk.clone(), Rc::clone(&clock));
            }
            1 => drop(disk.act(&Action::Overwrite { path: "name".to_owned(), content: content(step).into_bytes() })),
            2 => drop(disk.act(&Action::Replace { path: "name".to_owned(), content: content(step).into_bytes() })),
            3 => clock.set(clock.get() - clock.get() % 1_000_000_000 + 1_000_000_000),
            _ => server.upload(&content(step)),
        }
        let Some(tag) = server.strong_tag() else { continue };
        let now = disk.read("name").unwrap();
        let before = seen.entry(tag.clone()).or_insert_with(|| now.clone());
        let shown = [before.as_slice(), now.as_slice()].map(String::from_utf8_lossy);
        assert_eq!(*before, now, "{shown:?} share {tag}, seed {seed}, granularity {time_granularity_ns}");
    }
    seen.len()
}

/// The name is looked up once when the upload begins and once when it is published, with preconditions or without. (Only
/// content that arrives with its head, and without preconditions, needs no second look.)
#[test]
fn preconditions_of_an_upload_take_no_further_call() {
    let clock = Rc::new(Cell::new(START_NS));
    let disk = Disk::new(Settings { loss: Loss::None, ..SYSTEMS[0].1(7) }, Rc::clone(&clock));
    let mut server = Server::new(disk.clone(), clock);
    let mut calls = |field: &str| {
        let before = disk.calls();
        let request = format!(
            "PUT /files/name HTTP/1.1\r\nHost: h\r\n{field}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        );
        (server.request(&request)[..12].to_owned(), disk.calls() - before)
    };
    // The first upload to a directory also looks for temporary files there.
    assert_eq!(calls("").0, "HTTP/1.1 201");
    let without = calls("");
    assert_eq!(without.0, "HTTP/1.1 204");
    assert_eq!(calls("If-Match: *\r\n"), without);
}

#[test]
fn two_versions_never_share_a_strong_tag() {
    let tags: usize = (0..SEEDS).map(run).sum();
    println!("{tags} strong tags");
    assert!(tags > 500, "{tags}");
}
