//! One run: the real server in the simulated world of a seed, and the checks at its end.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use log::Level;
use spindle::http1::{self, Rate};
use spindle::routes::{FileRoutes, FolderKind, FolderRoutes, FolderSettings, Links, Routes, UploadSettings};
use spindle::semantics::allowed_hosts::AllowedHosts;
use spindle::semantics::exchange_record::{ExchangeRecord, Outcome};
use spindle::semantics::observer::Observer;
use spindle::server::{Server, Usage};
use spindle::service::RootService;
use spindle::storage::{Directory, FileRange, RelativePath, StorageError, UploadMode};

use crate::simulation::access_log::{Expected, LoggingObserver};
use crate::simulation::bounds;
use crate::simulation::clients::{external, link_holder};
use crate::simulation::coverage::Coverage;
use crate::simulation::disk::{self, Disk};
use crate::simulation::event_queue::Event;
use crate::simulation::fault_plan::Crash;
use crate::simulation::file_model::FileModel;
use crate::simulation::keys;
use crate::simulation::log as server_log;
use crate::simulation::managed::{self, ManagedNames};
use crate::simulation::metrics::{Counters, Sums};
use crate::simulation::network::{MILLISECOND, Network, NetworkState, SECOND, START_UNIX_NS};
use crate::simulation::proxies;
use crate::simulation::records::{self, ObservedRecord};
use crate::simulation::run_config::RunConfig;
use crate::simulation::scenario::{self, Events, HOSTILE_UNTIL_NS, Scenario};
use crate::simulation::trace::Trace;
use crate::simulation::world::{SentFile, SimulatedWorld};

/// When all connections must be closed at the latest.
const QUIESCENT_NS: u64 = HOSTILE_UNTIL_NS + 1800 * SECOND;

/// How long a shutdown may take besides the server's own work. It gives responses ten seconds.
const END_NS: u64 = 10 * SECOND + 100 * MILLISECOND;

/// The usage is checked once in so many turns, because a check reads all sessions.
const TURNS_PER_CHECK: u64 = 16;

/// More turns than any run needs.
const TURNS_MAX: u64 = 2_000_000;

/// How many cleanups remove all files that a run can leave.
const CLEANUPS_MAX: usize = 16;

/// The result of a run.
pub(crate) struct RunOutcome {
    pub coverage: Coverage,
    /// The number of clients at the start of the run.
    pub clients: usize,
    /// How much time passed in the simulation.
    pub simulated_ns: u64,
    /// The same for each run of a seed.
    pub digest: u64,
    /// The invariant that was violated.
    pub failure: Option<String>,
}

impl SentFile for FileRange<Disk> {
    fn read(&self, space: &mut [u8]) -> std::io::Result<usize> {
        self.read_at(space)
    }
}

/// Makes a run.
pub(crate) fn run(config: &RunConfig) -> RunOutcome {
    let RunConfig { seed, is_printed, .. } = *config;
    server_log::begin(seed, is_printed);
    let mut random = fastrand::Rng::with_seed(seed);
    let scenario = Scenario::new(&mut random);
    let clock = Rc::new(Cell::new(START_UNIX_NS));
    let trace = Trace::new(is_printed);
    let network = Network::new(scenario.network.clone(), random.u64(..), Rc::clone(&clock), trace);
    let model = Rc::new(RefCell::new(FileModel::default()));
    scenario::fixed_files(&mut model.borrow_mut());
    let names = ManagedNames::new(scenario.management());
    scenario::add_clients(&mut network.inner.borrow_mut(), &scenario, config, (&model, &names), &mut random);
    let disk = Disk::new(scenario.disk.clone(), clock);
    disk.share_clock_offset(&network.inner.borrow().clock_offset_ns);
    write_files(&disk, &model.borrow());
    scenario.link_holder_numbers().for_each(|number| link_holder::write_files(&disk, &mut model.borrow_mut(), number));
    if is_printed {
        println!("seed {seed}: {scenario:?}");
    }
    server_log::forget();
    let clients = scenario.clients() + 1;
    let run = Run {
        network: network.clone(),
        disk: RefCell::new(disk.clone()),
        scenario,
        model,
        names,
        records: Rc::default(),
    };
    let checked = catch_unwind(AssertUnwindSafe(|| match run.scenario.events {
        Events::Few => run.run_to_end::<3>(seed),
        Events::Many => run.run_to_end::<256>(seed),
    }));
    let failure = match checked {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(server_log::take_panics().join("; ")),
    };
    // The disks of a run share their counters.
    let mut coverage = server_log::end();
    for (fault, count) in disk.coverage().borrow().iter().filter(|(_, count)| **count > 0) {
        coverage.count_times("disk", fault, *count);
    }
    let inner = network.inner.borrow();
    coverage.add(&inner.coverage);
    RunOutcome { coverage, clients, simulated_ns: inner.now_ns(), digest: inner.trace.digest(), failure }
}

fn write_files(disk: &Disk, model: &FileModel) {
    for name in ["dir", "up", "site", managed::DIRECTORY] {
        disk.add_directory(name);
    }
    external::write_files(disk);
    for (name, content) in &model.fixed {
        disk.add_file(name, content, i128::from(START_UNIX_NS) - 86_400 * i128::from(SECOND));
    }
}

type SimulatedServer<const EVENTS: usize> = Server<SimulatedWorld<FileRange<Disk>, EVENTS>, RootService<Disk>>;

/// How the server's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerExit {
    /// It was asked to shut down, and did.
    ShutDown,
    /// It was killed, or the machine lost power.
    Crashed,
}

struct Run {
    network: Network,
    /// Replaced after each crash.
    disk: RefCell<Disk>,
    scenario: Scenario,
    model: Rc<RefCell<FileModel>>,
    names: managed::Shared,
    records: Rc<RefCell<Vec<ObservedRecord>>>,
}

impl Run {
    /// Runs the server, and restarts it after each planned crash.
    fn run_to_end<const EVENTS: usize>(&self, seed: u64) -> Result<(), String> {
        for (restarts, crash) in self.scenario.fault_plan.crashes.iter().enumerate() {
            let ending = self.run_server::<EVENTS>(seed + restarts as u64, Some(*crash))?;
            if ending == ServerExit::ShutDown {
                return self.check_all();
            }
            self.start_again(*crash);
        }
        match self.run_server::<EVENTS>(seed + self.scenario.fault_plan.crashes.len() as u64, None)? {
            ServerExit::ShutDown => self.check_all(),
            ServerExit::Crashed => Err("the disk stopped without a planned crash".to_owned()),
        }
    }

    fn run_server<const EVENTS: usize>(&self, seed: u64, crash: Option<Crash>) -> Result<ServerExit, String> {
        let disk = self.disk.borrow().clone();
        let machine = disk.clone();
        let before_ns = (self.network.inner.borrow().disk_wait_ns)();
        let memory = disk.clone();
        {
            let mut inner = self.network.inner.borrow_mut();
            inner.is_off = Box::new(move || machine.is_stopped());
            inner.disk_wait_ns = Box::new(move || before_ns + memory.missing_ns());
        }
        disk.fail(0, disk::Enabled::NONE);
        let directory = Directory::open_in(disk.clone(), Disk::root_path(), seed).map_err(|error| error.to_string())?;
        directory.set_reserve_bytes_min(self.scenario.reserve_bytes_min);
        let routes = self.routes(directory, seed);
        self.scenario.fault_plan.apply(&disk, crash);
        let (logged, counters, sums) = (Rc::default(), Counters::default(), Rc::default());
        let server: SimulatedServer<EVENTS> = Server::new(
            SimulatedWorld::new(&self.network),
            self.scenario.connections_max,
            http1::Settings {
                strict: seed.is_multiple_of(4),
                proxies: proxies::believed(),
                rate: self.scenario.network.rate.map(Rate::new),
                ..http1::Settings::default()
            },
            RootService::new(routes, None, Rc::clone(&counters.metrics)),
            Some(self.observer(&logged, (&counters, &sums), seed)),
        )
        .with_connections_per_group(self.scenario.network.connections_per_address)
        .with_statistics(Rc::clone(&counters.statistics));
        let ending = self.serve(server, &counters)?;
        if ending == ServerExit::ShutDown {
            logged.borrow().check()?;
            counters.check_end(&sums.borrow())?;
        }
        Ok(ending)
    }

    /// Restarts the process or the machine with what the disk then contains.
    fn start_again(&self, crash: Crash) {
        let left = crash.restart_disk(&self.disk.borrow());
        self.disk.replace(left);
        let mut inner = self.network.inner.borrow_mut();
        inner.coverage.count(
            "run",
            match crash {
                Crash::PowerCut { .. } => "lost power",
                Crash::Kill { .. } => "was killed",
            },
        );
        let until_ns = inner.now_ns() + SECOND;
        inner.advance_to(until_ns);
        inner.handle_due_events();
        inner.start_server();
    }

    fn routes(&self, directory: Directory<Disk>, seed: u64) -> Routes<Disk> {
        let uploads = UploadSettings {
            policy: self.scenario.policy_offered(),
            bytes_max: self.scenario.upload_bytes_max,
            durable: self.scenario.durable,
            age_s_max: self.scenario.upload_age_s,
            pending_max: 1000,
        };
        let mut random = fastrand::Rng::with_seed(seed ^ 0x7570_6c6f_6164_6964);
        let files = FileRoutes::new(directory, uploads, 16, seed, Box::new(move || Some(random.u128(..))));
        match self.scenario.is_folder {
            false => Routes::new(Some(files)),
            true => {
                let sharing = FolderSettings {
                    name: b"shared".to_vec(),
                    shows_hidden: false,
                    kind: match (self.scenario.is_site, self.scenario.is_drop_box) {
                        (true, _) => FolderKind::Site,
                        (_, true) => FolderKind::DropBox,
                        _ => FolderKind::Listed,
                    },
                    hosts: AllowedHosts::Any,
                };
                let routes = Routes::shared_folder(FolderRoutes::new(files, sharing));
                let (accounts, keys) = {
                    let inner = self.network.inner.borrow();
                    (inner.accounts.clone(), inner.keys.clone())
                };
                let routes = match keys {
                    None => routes,
                    Some(keys) => {
                        keys.mend();
                        let links = Links::new(keys.source(&self.network)).expect("the file is not broken");
                        routes.with_links(links, self.scenario.policy)
                    }
                };
                match accounts {
                    None => routes,
                    Some(accounts) => {
                        accounts.mend();
                        routes.with_accounts(accounts.source(&self.network)).expect("the file is not broken")
                    }
                }
            }
        }
    }

    fn observer(
        &self,
        logged: &Rc<RefCell<Expected>>,
        (counters, sums): (&Counters, &Rc<RefCell<Sums>>),
        seed: u64,
    ) -> Box<dyn Observer> {
        let (metrics, sums) = (Rc::clone(&counters.metrics), Rc::clone(sums));
        let (observed, machine, network) = (Rc::clone(&self.records), self.disk.borrow().clone(), self.network.clone());
        let record = move |record: &ExchangeRecord| {
            metrics.exchange_ended(record);
            sums.borrow_mut().add(record);
            // A machine without power records nothing.
            if !machine.is_stopped() {
                let mut inner = network.inner.borrow_mut();
                let record = ObservedRecord::new(record, inner.now_ns());
                if record.outcome == Outcome::ServerClosed && inner.signal_ns.is_none() {
                    inner.gives_way(record.link);
                }
                observed.borrow_mut().push(record);
            }
        };
        Box::new(LoggingObserver::new(record, logged, seed))
    }

    /// Runs turns until the server has shut down or crashed. If the scenario sends no signal, it is sent when all
    /// connections are closed.
    fn serve<const EVENTS: usize>(
        &self,
        mut server: SimulatedServer<EVENTS>,
        counters: &Counters,
    ) -> Result<ServerExit, String> {
        for turn in 0..TURNS_MAX {
            let goes_on = server.turn().map_err(|error| format!("a wait failed: {error}"))?;
            if self.disk.borrow().is_stopped() {
                self.network.inner.borrow_mut().crash_server();
                drop(server);
                server_log::forget();
                return Ok(ServerExit::Crashed);
            }
            self.read_log()?;
            if !goes_on {
                drop(server);
                // Listeners that are still open end with the process.
                self.network.inner.borrow_mut().close_listeners();
                self.check_end()?;
                return Ok(ServerExit::ShutDown);
            }
            let is_quiescent = self.network.inner.borrow().is_quiescent;
            let usage = (is_quiescent || turn % TURNS_PER_CHECK == 0).then(|| server.usage());
            if let Some(usage) = &usage {
                counters.check_turn(usage)?;
            }
            self.check_turn(usage.as_ref())?;
        }
        Err(format!(
            "the loop still runs after {TURNS_MAX} turns, at {} ms",
            self.network.inner.borrow().now_ns() / MILLISECOND
        ))
    }

    fn check_turn(&self, usage: Option<&Usage>) -> Result<(), String> {
        let mut inner = self.network.inner.borrow_mut();
        if let Some(usage) = usage {
            bounds::check(usage, self.scenario.connections_max, inner.open)?;
        }
        if let Some(exceeded) = inner.exceeded.take() {
            return Err(exceeded);
        }
        inner.handle_due_events();
        let now_ns = inner.now_ns();
        if inner.signal_ns.is_some() {
            return Ok(());
        }
        if now_ns >= QUIESCENT_NS + inner.busy_ns() {
            let open = inner.open;
            return Err(format!("at {} s {open} connections are still open", now_ns / SECOND));
        }
        if inner.is_quiescent {
            if inner.open > 0 {
                return Err(format!("the loop sleeps for ever with {} connections open", inner.open));
            }
            if let Some(usage) = usage {
                bounds::check_quiescent(usage)?;
            }
            inner.coverage.count("run", "became quiescent");
            inner.is_quiescent = false;
            inner.schedule(now_ns, Event::Signal);
        }
        Ok(())
    }

    /// Checks the shutdown, and lets the clients read what the server has sent.
    fn check_end(&self) -> Result<(), String> {
        let mut inner = self.network.inner.borrow_mut();
        let now_ns = inner.now_ns();
        let Some(signal_ns) = inner.signal_ns else { return Err("the loop ended without a signal".to_owned()) };
        let took_ns = now_ns - signal_ns;
        if took_ns > END_NS + inner.busy_ns() && !inner.may_have_crashed() {
            return Err(format!("the shutdown took {} ms", took_ns / MILLISECOND));
        }
        if inner.open > 0 {
            return Err(format!("{} sockets are left open", inner.open));
        }
        inner.handle_due_events();
        // Each iteration advances the time to the next event. The clients end by themselves.
        for _ in 0..TURNS_MAX {
            let Some(next_ns) = inner.next_ns() else { return Ok(()) };
            inner.advance_to(next_ns);
            inner.handle_due_events();
        }
        Err("the clients continue without a server".to_owned())
    }

    fn read_log(&self) -> Result<(), String> {
        if let Some(wrong_timer) = server_log::take_wrong_timer() {
            return Err(wrong_timer);
        }
        for (level, text) in server_log::take_lines() {
            self.network.inner.borrow().trace.remark(self.network.inner.borrow().now_ns(), &text);
            if keys::shows_signature(&text) {
                return Err(format!("a line of the log shows a signature: {text}"));
            }
            // The server must log that a file could not be sent because of the disk or another process.
            let is_disk = self.scenario.fault_plan.may_fail()
                || self.scenario.fault_plan.external > 0 && text.contains("cannot be sent");
            if level == Level::Error && !is_disk {
                return Err(format!("logged as an error: {text}; {}", server_log::take_panics().join("; ")));
            }
        }
        Ok(())
    }

    fn check_all(&self) -> Result<(), String> {
        self.check_clients()?;
        self.check_records()?;
        self.check_files()
    }

    fn check_clients(&self) -> Result<(), String> {
        let inner = self.network.inner.borrow();
        let violation =
            inner.clients().find_map(|(link, client)| Some(format!("client {link}: {}", client.violation()?)));
        violation.map_or(Ok(()), Err)
    }

    fn check_records(&self) -> Result<(), String> {
        let mut inner = self.network.inner.borrow_mut();
        let observed = self.records.borrow();
        for record in observed.iter() {
            if keys::shows_signature(&record.request) {
                return Err(format!("a record shows a signature: {record:?}"));
            }
            let is_ending = inner.signal_ns.is_some_and(|signal_ns| signal_ns <= record.at_ns);
            if record.outcome == Outcome::ServerClosed && !is_ending && !inner.links[record.link].gave_way {
                return Err(format!("the server ended an exchange without a shutdown: {record:?}"));
            }
            let ending = match record.outcome {
                Outcome::Refused(reason) => {
                    inner.coverage.count("reason", reason);
                    "refused"
                }
                Outcome::Complete => "complete",
                Outcome::CutOff => "cut off",
                Outcome::TimedOut => "timed out",
                Outcome::ServerClosed => "server ended",
            };
            inner.coverage.count("ending", ending);
            if let Some(status) = record.status {
                inner.coverage.count("status", &status.to_string());
            }
        }
        for (number, link) in inner.links.iter().enumerate() {
            let records: Vec<&ObservedRecord> = observed.iter().filter(|record| record.link == number).collect();
            let checked = records::check(link, &records).and_then(|()| records::check_exchanges(link, &records));
            checked.map_err(|failure| format!("connection {number}: {failure}"))?;
        }
        Ok(())
    }

    /// Checks the disk after the run: files are complete versions, acknowledged uploads exist, and no temporary file is
    /// left.
    fn check_files(&self) -> Result<(), String> {
        let (model, disk) = (self.model.borrow(), self.disk.borrow());
        disk.fail(0, disk::Enabled::NONE);
        let now_ns = self.network.inner.borrow().now_ns() + 1;
        let names = model.fixed.keys().copied().chain(model.uploaded_names());
        for name in names {
            model.may_read(name, disk.read(name).as_deref(), now_ns, now_ns)?;
        }
        self.check_names(&disk)?;
        external::check_files(&disk)?;
        if disk.descriptors() > 0 {
            return Err(format!("{} files are left open", disk.descriptors()));
        }
        let may_be_left = self.scenario.fault_plan.may_fail() || !self.scenario.fault_plan.crashes.is_empty();
        // Only for an upload that is not complete, until a restart, or while the disk fails.
        let reserved = disk.names_with_reserved_space();
        if let Some(name) = reserved.iter().find(|name| !may_be_left || !name.starts_with(".spindle")) {
            return Err(format!("more space is reserved for {name} than its content needs"));
        }
        if !may_be_left {
            no_temporary_name(&disk, ".spindle-")?;
        }
        let restarted = disk.after_kill();
        external::bring_back(&restarted);
        // A cleanup removes a bounded number of files at a time.
        for _ in 0..CLEANUPS_MAX {
            clean_up(&restarted)?;
            if restarted.temporary_names().is_empty() {
                break;
            }
        }
        no_temporary_name(&restarted, ".spindle")
    }

    /// Checks what the clients have seen that manage names, and what they have left.
    fn check_names(&self, disk: &Disk) -> Result<(), String> {
        let mut inner = self.network.inner.borrow_mut();
        let NetworkState { links, coverage, .. } = &mut *inner;
        self.names.borrow().check(links, disk, coverage)
    }
}

fn no_temporary_name(disk: &Disk, prefix: &str) -> Result<(), String> {
    if disk.temporary_names().is_empty() {
        return Ok(());
    }
    // What another process has moved out of the root, no cleanup can reach.
    let is_left = |path: &String| path.contains(&format!("/{prefix}"));
    match disk.everything(".").into_iter().find(is_left) {
        Some(path) => Err(format!("a temporary file is left: {}", path.chars().take(60).collect::<String>())),
        None => Ok(()),
    }
}

/// After a restart and one upload to each directory no temporary file is left, if resumable uploads have expired.
fn clean_up(disk: &Disk) -> Result<(), String> {
    let directory = Directory::open_in(disk.clone(), Disk::root_path(), 1).map_err(|error| error.to_string())?;
    directory.set_partial_upload_age_max(1);
    directory.set_time(u64::MAX);
    let managed = disk.directories(managed::DIRECTORY);
    let others = disk.directories("others").into_iter().filter(|name| name.contains("linked"));
    let directories = ["dir", "up", "others", "others/box", "others/way", "others/got"].map(str::to_owned).into_iter();
    let directories = directories.chain(others).chain(managed);
    let below = directories.map(|directory| format!("{directory}/after-restart"));
    for name in below.chain(["after-restart".to_owned()]) {
        let path = RelativePath::from_segments(name.split('/')).map_err(|_| format!("{name} is not a valid path"))?;
        let upload = directory.begin_upload(&path, UploadMode::Replace, Some(0), false);
        let published = upload.and_then(|upload| upload.commit(START_UNIX_NS, |_| true));
        match published {
            Ok(_) => {}
            // Another process has moved the directory away, or nobody has created it.
            Err(StorageError::ParentMissing) if name.starts_with("others/") => {}
            Err(error) => return Err(format!("the directory of {name} does not accept an upload: {error}")),
        }
    }
    Ok(())
}
