//! One run: the real loop, protocol core, routes and storage in the world of one seed, and what must hold at its end.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use log::Level;
use spindle::http1;
use spindle::routes::{FileRoutes, Folder, Hosts, Routes, Sharing, UploadPolicy, Uploads};
use spindle::semantics::exchange_record::Ending;
use spindle::server::{Observer, Server};
use spindle::storage::{Directory, FileRange};

use crate::simulation::coverage::Coverage;
use crate::simulation::disk::{self, Disk};
use crate::simulation::ledger::Ledger;
use crate::simulation::log as server_log;
use crate::simulation::network::{Happening, MILLISECOND, Network, SECOND, START_UNIX_NS};
use crate::simulation::records::{self, Told};
use crate::simulation::setup::{self, Events, HOSTILE_UNTIL_NS, Setup};
use crate::simulation::trace::Trace;
use crate::simulation::world::{SentFile, SimulatedWorld};

/// When everything must have come to rest at the latest.
const REST_NS: u64 = HOSTILE_UNTIL_NS + 900 * SECOND;

/// How long the end may take besides the server's work: it gives answers ten seconds.
const END_NS: u64 = 10 * SECOND + 100 * MILLISECOND;

/// More turns than any run has use for.
const TURNS_MAX: u64 = 2_000_000;

/// What came of a run.
pub(crate) struct Outcome {
    pub coverage: Coverage,
    /// How much time passed in the simulation.
    pub simulated_ns: u64,
    /// Equal for two runs of a seed.
    pub digest: u64,
    /// What did not hold.
    pub failure: Option<String>,
}

impl SentFile for FileRange<Disk> {
    fn read(&self, space: &mut [u8]) -> std::io::Result<usize> {
        self.read_at(space)
    }
}

/// Runs a seed. With `is_printed`, what happens is printed as it does.
pub(crate) fn run(seed: u64, is_printed: bool) -> Outcome {
    server_log::capture();
    let mut random = fastrand::Rng::with_seed(seed);
    let setup = Setup::new(&mut random);
    let clock = Rc::new(Cell::new(START_UNIX_NS));
    let trace = Trace::new(is_printed);
    let network = Network::new(setup.network.clone(), random.fork(), Rc::clone(&clock), trace);
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    setup::fixed_files(&mut ledger.borrow_mut());
    setup::add_clients(&mut network.inner.borrow_mut(), &setup, &ledger, &mut random);
    let disk = Disk::new(setup.disk.clone(), clock);
    write_files(&disk, &ledger.borrow());
    disk.fail(setup.slow_disk, disk::Enabled::NONE.with("slow"));
    if is_printed {
        println!("seed {seed}: {setup:?}");
    }
    (server_log::take_lines(), server_log::take_panics());
    let run = Run { network: network.clone(), disk, setup, ledger, records: Rc::default() };
    let checked = catch_unwind(AssertUnwindSafe(|| match run.setup.events {
        Events::Few => run.to_the_end::<3>(seed),
        Events::Many => run.to_the_end::<256>(seed),
    }));
    let failure = match checked {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(server_log::take_panics().join("; ")),
    };
    let inner = network.inner.borrow();
    Outcome { coverage: inner.coverage.clone(), simulated_ns: inner.now_ns(), digest: inner.trace.digest(), failure }
}

fn write_files(disk: &Disk, ledger: &Ledger) {
    for name in ["dir", "up"] {
        disk.add_directory(name);
    }
    for (name, content) in &ledger.fixed {
        disk.add_file(name, content, i128::from(START_UNIX_NS) - 86_400 * i128::from(SECOND));
    }
}

struct Run {
    network: Network,
    disk: Disk,
    setup: Setup,
    ledger: Rc<RefCell<Ledger>>,
    records: Rc<RefCell<Vec<Told>>>,
}

impl Run {
    fn to_the_end<const EVENTS: usize>(&self, seed: u64) -> Result<(), String> {
        let server: Server<SimulatedWorld<FileRange<Disk>, EVENTS>, Routes<Disk>> = Server::new(
            SimulatedWorld::new(&self.network),
            self.setup.connections_max,
            http1::Settings::default(),
            self.routes(seed),
            Some(self.observer()),
        );
        self.serve(server)?;
        self.check_clients()?;
        self.check_records()?;
        self.check_files()
    }

    fn routes(&self, seed: u64) -> Routes<Disk> {
        let directory = Directory::open_in(self.disk.clone(), Disk::root_path(), seed).expect("the run's directory");
        let uploads = Uploads { policy: UploadPolicy::Replace, octets_max: None, durable: false };
        let files = FileRoutes::new(directory, uploads, 16, seed);
        match self.setup.is_folder {
            false => Routes::new(Some(files)),
            true => {
                let sharing =
                    Sharing { name: b"shared".to_vec(), shows_hidden: false, is_site: false, hosts: Hosts::Any };
                Routes::sharing(Folder::new(files, sharing))
            }
        }
    }

    fn observer(&self) -> Observer {
        let told = Rc::clone(&self.records);
        Box::new(move |client, record| told.borrow_mut().push(Told::new(client, record)))
    }

    /// Takes turns until the loop ends. Where no signal comes before, it does once everything has come to rest.
    fn serve<const EVENTS: usize>(
        &self,
        mut server: Server<SimulatedWorld<FileRange<Disk>, EVENTS>, Routes<Disk>>,
    ) -> Result<(), String> {
        for _ in 0..TURNS_MAX {
            let goes_on = server.turn().map_err(|error| format!("a wait failed: {error}"))?;
            self.read_log()?;
            let mut inner = self.network.inner.borrow_mut();
            inner.catch_up();
            let now_ns = inner.now_ns();
            if !goes_on {
                let Some(signal_ns) = inner.signal_ns else { return Err("the loop ended unasked".to_owned()) };
                let took_ns = now_ns - signal_ns;
                if took_ns > END_NS + inner.busy_ns() {
                    return Err(format!("the end took {} ms", took_ns / MILLISECOND));
                }
                drop(inner);
                drop(server);
                return self.check_end();
            }
            if now_ns >= REST_NS + inner.busy_ns() && inner.signal_ns.is_none() {
                return Err(format!(
                    "at {} s nothing has come to rest; {} connections are open",
                    now_ns / SECOND,
                    inner.open
                ));
            }
            if inner.rests && inner.signal_ns.is_none() {
                if inner.open > 0 {
                    return Err(format!("{} connections are forgotten", inner.open));
                }
                inner.coverage.count("run", "came to rest");
                inner.rests = false;
                inner.schedule(now_ns, Happening::Signal);
            }
        }
        Err(format!("turns without end, at {} ms", self.network.inner.borrow().now_ns() / MILLISECOND))
    }

    /// Nothing is left of the server: what it handed over reaches its clients.
    fn check_end(&self) -> Result<(), String> {
        let mut inner = self.network.inner.borrow_mut();
        if inner.open > 0 {
            return Err(format!("{} sockets are left open", inner.open));
        }
        // Each round lets time pass to what happens next; clients end on their own.
        for _ in 0..TURNS_MAX {
            let Some(next_ns) = inner.next_ns() else { return Ok(()) };
            inner.pass_until(next_ns);
            inner.catch_up();
        }
        Err("the clients go on without a server".to_owned())
    }

    fn read_log(&self) -> Result<(), String> {
        for (level, text) in server_log::take_lines() {
            self.network.inner.borrow().trace.remark(self.network.inner.borrow().now_ns(), &text);
            if level == Level::Error {
                return Err(format!("logged as an error: {text}; {}", server_log::take_panics().join("; ")));
            }
        }
        Ok(())
    }

    fn check_clients(&self) -> Result<(), String> {
        let inner = self.network.inner.borrow();
        let complaint = inner.clients().find_map(|(_, client)| client.complaint());
        complaint.map_or(Ok(()), Err)
    }

    fn check_records(&self) -> Result<(), String> {
        let mut inner = self.network.inner.borrow_mut();
        let told = self.records.borrow();
        for record in told.iter() {
            let ending = match record.ending {
                Ending::Refused(reason) => reason,
                Ending::Complete => "complete",
                Ending::CutOff => "cut off",
                Ending::TimedOut => "timed out",
                Ending::ServerEnded => "server ended",
            };
            inner.coverage.count("ending", ending);
            if let Some(status) = record.status {
                inner.coverage.count("status", &status.to_string());
            }
        }
        for (number, line) in inner.lines.iter().enumerate() {
            let records: Vec<&Told> = told.iter().filter(|record| record.line == number).collect();
            records::check(line, &records).map_err(|failure| format!("connection {number}: {failure}"))?;
        }
        Ok(())
    }

    /// What is on the disk in the end: whole versions, all that were acknowledged, and nothing hidden.
    fn check_files(&self) -> Result<(), String> {
        let ledger = self.ledger.borrow();
        let now_ns = self.network.inner.borrow().now_ns() + 1;
        let names = ledger.fixed.keys().copied().chain(ledger.uploaded_names());
        for name in names {
            let found = self.disk.read(name);
            ledger.may_read(name, found.as_deref(), now_ns, now_ns)?;
        }
        if let Some(name) = self.disk.hidden_names().first() {
            return Err(format!("{name:?} is left"));
        }
        if self.disk.descriptors() > 0 {
            return Err(format!("{} files are left open", self.disk.descriptors()));
        }
        Ok(())
    }
}
