//! The scenario of a run, generated from its seed: the server's limits, the network, the faults and the clients.

use std::cell::RefCell;
use std::num::NonZeroU64;
use std::ops::Range;
use std::rc::Rc;

use fastrand::Rng;
use spindle::semantics::rights::{Rights, UploadPolicy};

use crate::simulation::accounts::RunAccounts;
use crate::simulation::clients::account_holder::AccountHolder;
use crate::simulation::clients::external::ExternalChangeClient;
use crate::simulation::clients::honest::Honest;
use crate::simulation::clients::link_holder::LinkHolder;
use crate::simulation::clients::managing::{Managing, Plan};
use crate::simulation::clients::request::Request;
use crate::simulation::clients::resuming::{self, Resuming};
use crate::simulation::clients::{Client, generate, hostile_workload};
use crate::simulation::disk;
use crate::simulation::event_queue::Event;
use crate::simulation::fault_plan::{Crash, FaultPlan};
use crate::simulation::file_model::{FileModel, content};
use crate::simulation::keys::RunKeys;
use crate::simulation::link::Path;
use crate::simulation::managed::tree::Rules;
use crate::simulation::managed::{self, Shared};
use crate::simulation::network::{MICROSECOND, MILLISECOND, NetworkState, SECOND, derive_seed};
use crate::simulation::network_settings::{Faults, Settings};
use crate::simulation::run_config::RunConfig;
use crate::simulation::shares::Addresses;

/// When the last hostile client has left.
pub(crate) const HOSTILE_UNTIL_NS: u64 = 120 * SECOND;

/// Before the signal, the clients that gather connect within so long: a little longer than the system holds back one.
const GATHERING_NS: u64 = 1_500 * MILLISECOND;

/// How many clients use names that other processes change, in scenarios with such processes.
const EXTERNAL_CLIENTS: usize = 10;

/// The parameters of a run, without its clients.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub network: Settings,
    pub connections_max: usize,
    /// Whether clients may have to wait because of the connection limit or for lack of descriptors.
    pub is_limited: bool,
    /// Whether the connection limit is reached only by clients that can be evicted, or by those of one address. Honest
    /// clients must then get their responses in time.
    pub has_evictable_load: bool,
    pub is_folder: bool,
    /// Whether the folder is served as a web site.
    pub is_site: bool,
    /// Whether the folder takes uploads and shows none.
    pub is_drop_box: bool,
    pub policy: UploadPolicy,
    /// The number of clients with accounts. Without any, there are no accounts either.
    pub account_holders: usize,
    /// The number of clients with signed links. Without any, the server accepts none.
    pub link_holders: usize,
    pub upload_bytes_max: Option<u64>,
    pub disk: disk::Settings,
    pub fault_plan: FaultPlan,
    /// Whether an upload is acknowledged only when it is on the disk.
    pub durable: bool,
    /// How many events a wait returns at most.
    pub events: Events,
    /// When the shutdown signal is sent; `None` for when all connections are closed.
    pub signal_ns: Option<u64>,
    /// Whether the honest clients and the evictable load connect in the last moments before the signal. The first of them
    /// that takes another's place then makes the system hold back nothing any more, shortly before the listeners close.
    pub gathers_at_signal: bool,
    pub honest: usize,
    pub hostile: usize,
    /// The number of resumable uploads. Each uses several connections.
    pub resumable: usize,
    /// The number of clients that manage the same names.
    pub managing: usize,
    /// When resumable uploads expire, in seconds.
    pub upload_age_s: u64,
    /// The length from which on space is reserved for an upload, in bytes. All uploads are shorter than 1 MiB.
    pub reserve_bytes_min: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Events {
    Few,
    Many,
}

const POLICIES: [UploadPolicy; 6] = [
    UploadPolicy::Manage,
    UploadPolicy::Manage,
    UploadPolicy::Replace,
    UploadPolicy::Replace,
    UploadPolicy::Create,
    UploadPolicy::Off,
];

/// Chooses one of some values.
pub(crate) fn one_of<T: Copy>(random: &mut Rng, values: &[T]) -> T {
    values[random.usize(..values.len())]
}

impl Scenario {
    pub(crate) fn new(random: &mut Rng) -> Scenario {
        // Runs with few clients are short, so that there can be more of them. Some faults need many clients.
        let honest = one_of(random, &[1, 2, 2, 3, 3, 8]);
        let hostile = one_of(random, &[0, 0, 1, 2, 4, 12]);
        let scarcity = random.u8(..6);
        let fault_plan = FaultPlan::new(random);
        // If each disk call takes seconds, a client that also waits for a connection would wait longer than any client does.
        let scarcity = if fault_plan.is_slow_always() { u8::MAX } else { scarcity };
        let has_evictable_load = scarcity == 1 && random.bool();
        let others = honest + external_clients(&fault_plan);
        // All other clients must be evictable.
        let hostile = if has_evictable_load { 0 } else { hostile };
        let few = match random.u8(..4) {
            _ if has_evictable_load => others + random.usize(1..=3),
            0 => random.usize(20..=40),
            _ => random.usize(1..=6),
        };
        let is_folder = random.bool();
        let is_site = is_folder && random.u8(..3) == 0;
        let policy = if is_site { UploadPolicy::Off } else { one_of(random, &POLICIES) };
        let is_drop_box = is_folder && policy != UploadPolicy::Off && random.u8(..4) == 0;
        let is_limited = scarcity < 2;
        let has_uploads = policy != UploadPolicy::Off && !is_limited && !fault_plan.is_slow_always();
        let resumable = if has_uploads { one_of(random, &[0, 0, 1, 2, 4]) } else { 0 };
        let managing = match policy {
            _ if !has_uploads => 0,
            UploadPolicy::Manage => one_of(random, &[0, 1, 2, 3, 4]),
            _ => one_of(random, &[0, 0, 1, 2]),
        };
        let may_have_accounts = is_folder && !is_site && !is_limited && !fault_plan.is_slow_always();
        let may_have_accounts = may_have_accounts && fault_plan.external == 0;
        let account_holders = if may_have_accounts { one_of(random, &[0, 2, 5]) } else { 0 };
        let rarely = |random: &mut Rng| one_of(random, &[0, 0, 10, 100]);
        let faults = match random.bool() {
            true => Faults::default(),
            // After a slow disk call, a call that would block without a reason can make a deadline pass.
            false if fault_plan.is_slow_always() => Faults::default(),
            false => Faults {
                blocked_receive: rarely(random),
                blocked_send: rarely(random),
                short_send: rarely(random),
                filled_buffer: rarely(random),
                interrupted_wait: rarely(random),
                spurious_event: rarely(random),
                failed_accept: rarely(random),
                failed_registration: rarely(random),
                stolen_descriptor: if scarcity == 0 { rarely(random) } else { 0 },
            },
        };
        let connections_max = if scarcity == 1 { few } else { 1000 };
        // From a generator of its own, so that other runs are not changed.
        let mut own = Rng::with_seed(derive_seed(random.clone().u64(..), 0x6164_6472));
        let addresses = match scarcity {
            1 if has_evictable_load && own.bool() => Addresses::Swarm,
            1 if !has_evictable_load && own.bool() => Addresses::Few(own.usize(1..=4)),
            _ => Addresses::Own,
        };
        let connections_per_address = match addresses {
            Addresses::Few(_) => one_of(&mut own, &[None, None, Some(1), Some(2), Some(5)]),
            _ => None,
        };
        let may_be_slowed = !is_limited && !fault_plan.is_slow_always();
        let rate = match own.u8(..4) {
            0 if may_be_slowed => NonZeroU64::new(one_of(&mut own, &[20_000, 100_000, 1_000_000])),
            _ => None,
        };
        let may_have_links = is_folder && !is_site && !is_limited && fault_plan.external == 0;
        let may_have_links = may_have_links && !fault_plan.is_slow_always();
        let link_holders = if may_have_links { one_of(&mut own, &[0, 0, 1, 2, 4]) } else { 0 };
        let holds_back = own.bool();
        let gathers_at_signal = has_evictable_load && holds_back && own.bool();
        Scenario {
            network: Settings {
                holds_back,
                connections_max,
                addresses,
                connections_per_address,
                rate,
                listeners: random.usize(1..=2),
                backlog_max: if fault_plan.is_slow_always() { 128 } else { one_of(random, &[2, 128]) },
                descriptors: if scarcity == 0 { few } else { usize::MAX },
                call_ns_max: one_of(random, &[0, 5 * MICROSECOND, 200 * MICROSECOND]),
                faults,
            },
            connections_max,
            is_limited,
            has_evictable_load,
            is_folder,
            is_site,
            is_drop_box,
            policy,
            account_holders,
            link_holders,
            upload_bytes_max: one_of(random, &[None, None, Some(1_000)]),
            disk: fault_plan.system(random),
            // Without it a power cut may lose acknowledged uploads.
            durable: fault_plan.crashes.iter().any(|crash| matches!(crash, Crash::PowerCut { .. }))
                || random.u8(..4) == 0,
            fault_plan,
            events: one_of(random, &[Events::Few, Events::Many]),
            signal_ns: random.bool().then(|| random.u64(..HOSTILE_UNTIL_NS)),
            gathers_at_signal,
            honest,
            hostile,
            resumable,
            managing,
            upload_age_s: one_of(random, &[86_400, 86_400, 20]),
            reserve_bytes_min: one_of(random, &[1, 10_000, 1_048_576]),
        }
    }

    /// The content of a file that exists from the start.
    pub(crate) fn fixed(&self, name: &str) -> Rc<[u8]> {
        let mut model = FileModel::default();
        fixed_files(&mut model);
        Rc::clone(&model.fixed[name])
    }

    /// The number of clients. The honest ones come first, then the hostile ones, then resumable uploads, then those that
    /// manage names, then those of names that other processes change, then those with accounts, then those with signed
    /// links. A flood has the number after all of these.
    pub(crate) fn clients(&self) -> usize {
        self.first_account_holder() + self.account_holders + self.link_holders
    }

    /// The numbers of the clients with signed links.
    pub(crate) fn link_holder_numbers(&self) -> Range<usize> {
        self.clients() - self.link_holders..self.clients()
    }

    fn first_account_holder(&self) -> usize {
        self.first_external() + external_clients(&self.fault_plan)
    }

    /// What everybody may do.
    pub(crate) fn rights_of_everybody(&self) -> Rights {
        Rights { reads: true, uploads: self.policy }
    }

    /// What is offered to anybody at most, by the options.
    pub(crate) fn policy_offered(&self) -> UploadPolicy {
        match self.policy {
            _ if self.account_holders > 0 => UploadPolicy::Manage,
            // Uploads are then for links alone.
            UploadPolicy::Off if self.link_holders > 0 => UploadPolicy::Replace,
            policy => policy,
        }
    }

    /// The status of a change that the policy does not allow: an account could make it.
    pub(crate) fn refusal_of_changes(&self) -> u16 {
        if self.account_holders > 0 { 401 } else { 405 }
    }

    /// The same of an upload: a link could allow it.
    pub(crate) fn refusal_of_uploads(&self) -> u16 {
        if self.link_holders > 0 && self.account_holders == 0 { 403 } else { self.refusal_of_changes() }
    }

    /// The number of clients that cannot be evicted while they get a response.
    pub(crate) fn lasting_clients(&self) -> usize {
        self.honest + external_clients(&self.fault_plan)
    }

    fn first_external(&self) -> usize {
        self.first_managing() + self.managing
    }

    fn first_managing(&self) -> usize {
        self.honest + self.hostile + self.resumable
    }

    /// When a client connects that would connect at `at_ns` if the clients did not gather.
    pub(crate) fn connects_ns(&self, at_ns: u64, random: &mut Rng) -> u64 {
        match self.signal_ns.filter(|_| self.gathers_at_signal) {
            Some(signal_ns) => signal_ns.saturating_sub(random.u64(..GATHERING_NS)),
            None => at_ns,
        }
    }

    /// What the responses to clients depend on that manage names.
    pub(crate) fn management(&self) -> Rules {
        let (disk, fault_plan) = (&self.disk, &self.fault_plan);
        let power_may_fail = fault_plan.crashes.iter().any(|crash| matches!(crash, Crash::PowerCut { .. }));
        let may_stop = !fault_plan.crashes.is_empty();
        Rules {
            policy: self.policy,
            refusal_of_changes: self.refusal_of_changes(),
            is_folder: self.is_folder,
            is_drop_box: self.is_drop_box,
            upload_bytes_max: self.upload_bytes_max,
            tags_may_weaken: may_stop || disk.time_granularity_ns > 1 || fault_plan.may_fail(),
            temporary_files_may_be_left: may_stop || fault_plan.may_fail(),
            moves_in_two_steps: !disk.rename_noreplace,
            power_may_lose_names: power_may_fail && disk.loss == disk::Loss::Unordered,
            durable: self.durable,
            disk_may_fail: fault_plan.may_fail(),
            power_may_fail,
            power_may_fail_after_kill: matches!(fault_plan.crashes[..], [Crash::Kill { .. }, Crash::PowerCut { .. }]),
        }
    }
}

/// The number of clients of names that other processes change.
fn external_clients(fault_plan: &FaultPlan) -> usize {
    if fault_plan.external > 0 { EXTERNAL_CLIENTS } else { 0 }
}

/// Chooses how bytes travel between a client and the server.
pub(crate) fn path(random: &mut Rng) -> Path {
    let (latency_ns, flight_bytes_max) = one_of(
        random,
        &[
            (0, 65_536),
            (20 * MICROSECOND, 65_536),
            (20 * MICROSECOND, 7),
            (MILLISECOND, 1448),
            (40 * MILLISECOND, 1448),
            (90 * MILLISECOND, 16_384),
        ],
    );
    Path {
        latency_ns,
        jitter_ns: latency_ns / 2,
        flight_bytes_max,
        receive_buffer_bytes: one_of(random, &[2_304, 16_384, 131_072]),
        send_buffer_bytes: one_of(random, &[4_608, 20_000, 262_144]),
        client_buffer_bytes: one_of(random, &[1_152, 65_536]),
    }
}

/// The files that exist from the start, with their lengths.
const FIXED_FILES: [(&str, usize); 9] = [
    ("empty", 0),
    ("small.txt", 180),
    ("page.html", 9_000),
    ("large.bin", 150_000),
    (".hidden", 10),
    ("404.html", 100),
    ("dir/inner", 40),
    ("dir/.hidden", 10),
    ("site/index.html", 500),
];

/// Adds the files that exist from the start to the model.
pub(crate) fn fixed_files(model: &mut FileModel) {
    for (number, (name, bytes)) in FIXED_FILES.into_iter().enumerate() {
        model.fixed.insert(name, content(1_000_000 + number as u64, bytes));
    }
}

/// A client, and when and where it connects.
pub(crate) struct NewClient {
    pub at_ns: u64,
    pub listener: usize,
    pub path: Path,
    pub client: Box<dyn Client>,
}

/// Adds clients to a run.
pub(crate) struct ClientBuilder<'a> {
    pub inner: &'a mut NetworkState,
    pub scenario: &'a Scenario,
    pub config: &'a RunConfig,
    /// The seed of the clients' random generators.
    seed: u64,
}

impl ClientBuilder<'_> {
    /// The random generator of the client with that number.
    pub(crate) fn random(&self, number: usize) -> Rng {
        Rng::with_seed(derive_seed(self.seed, number as u64))
    }

    /// Adds a client, unless the run leaves it out.
    pub(crate) fn add(&mut self, number: usize, make: impl FnOnce(&mut Rng) -> NewClient) {
        let NewClient { at_ns, listener, path, client } = make(&mut self.random(number));
        if self.config.includes(number) {
            self.inner.add_client(at_ns, listener, path, client);
        } else {
            self.inner.leave_out_client(listener, path);
        }
    }
}

/// Adds all clients of a run.
///
/// Each client draws from a generator of its own, so that leaving out others does not change it.
pub(crate) fn add_clients(
    inner: &mut NetworkState,
    scenario: &Scenario,
    config: &RunConfig,
    (model, names): (&Rc<RefCell<FileModel>>, &Shared),
    random: &mut Rng,
) {
    if scenario.account_holders > 0 {
        let reads = !scenario.is_drop_box;
        let offered = Rights { reads, uploads: UploadPolicy::Manage };
        inner.accounts = Some(RunAccounts::new(scenario.rights_of_everybody(), offered, random));
    }
    let mut builder = ClientBuilder { inner, scenario, config, seed: random.u64(..) };
    for number in 0..scenario.honest {
        builder.add(number, |random| honest(scenario, config, model, random, number));
    }
    hostile_workload::add_clients(&mut builder);
    for number in scenario.honest + scenario.hostile..scenario.first_managing() {
        builder.add(number, |random| {
            let (path, at_ns) = (path(random), random.u64(..60 * SECOND));
            let listener = random.usize(..scenario.network.listeners);
            let client = Resuming::new(&resuming::Plan::new(scenario, model, random, number), path, listener);
            NewClient { at_ns, listener, path, client: Box::new(client) }
        });
    }
    for number in scenario.first_managing()..scenario.first_external() {
        builder.add(number, |random| {
            let (path, at_ns) = (path(random), random.u64(..20 * SECOND));
            let listener = random.usize(..scenario.network.listeners);
            let requests = random.usize(4..=14).min(config.requests_max);
            let target = target_of(scenario, managed::DIRECTORY) + "/";
            let client = Managing::new(&Plan::new(names, target, scenario.is_folder, requests), path, listener);
            NewClient { at_ns, listener, path, client: Box::new(client) }
        });
    }
    for number in scenario.first_external()..scenario.first_account_holder() {
        builder.add(number, |random| {
            let (path, at_ns) = (path(random), random.u64(..90 * SECOND));
            let client = ExternalChangeClient::new(|name| target_of(scenario, name), random);
            NewClient { at_ns, listener: 0, path, client: Box::new(client) }
        });
    }
    if let Some(accounts) = builder.inner.accounts.clone() {
        for number in scenario.first_account_holder()..scenario.link_holder_numbers().start {
            builder.add(number, |random| {
                let (path, at_ns) = (path(random), random.u64(..60 * SECOND));
                let requests = random.usize(2..=12).min(config.requests_max);
                let client = AccountHolder::new(&accounts, scenario, number, requests);
                NewClient { at_ns, listener: 0, path, client: Box::new(client) }
            });
        }
        accounts.plan_changes(builder.inner, random);
    }
    add_link_holders(&mut builder, model);
    if scenario.network.descriptors < usize::MAX {
        // Descriptors run out for a while.
        for _ in 0..random.usize(..3) {
            let (at_ns, for_ns) = (random.u64(..90 * SECOND), random.u64(..20 * SECOND));
            inner.schedule(at_ns, Event::Descriptors(0));
            inner.schedule(at_ns + for_ns, Event::Descriptors(scenario.network.descriptors));
        }
    }
    if let Some(signal_ns) = scenario.signal_ns {
        inner.schedule(signal_ns, Event::Signal);
    }
    if random.u8(..4) == 0 {
        let by_ns = one_of(random, &[-3600, -7, 5, 86_400]) * SECOND as i64;
        inner.schedule(random.u64(..HOSTILE_UNTIL_NS), Event::ClockSet(by_ns));
    }
}

fn add_link_holders(builder: &mut ClientBuilder<'_>, model: &Rc<RefCell<FileModel>>) {
    let (scenario, config) = (builder.scenario, builder.config);
    if scenario.link_holders == 0 {
        return;
    }
    // From a generator of its own, so that other runs are not changed.
    let mut random = Rng::with_seed(derive_seed(builder.seed, 0x6c69_6e6b));
    let keys = RunKeys::new(&mut random);
    builder.inner.keys = Some(keys.clone());
    for number in scenario.link_holder_numbers() {
        builder.add(number, |random| {
            let (path, at_ns) = (path(random), random.u64(..60 * SECOND));
            let requests = random.usize(4..=24).min(config.requests_max);
            let client = LinkHolder::new((&keys, model), scenario, (number, requests), path);
            NewClient { at_ns, listener: 0, path, client: Box::new(client) }
        });
    }
    RunKeys::plan_changes(builder.inner, &mut random);
}

fn honest(
    scenario: &Scenario,
    config: &RunConfig,
    model: &Rc<RefCell<FileModel>>,
    random: &mut Rng,
    number: usize,
) -> NewClient {
    let (mut path, at_ns) = (path(random), random.u64(..60 * SECOND));
    let at_ns = scenario.connects_ns(at_ns, random);
    let listener = random.usize(..scenario.network.listeners);
    let count = random.usize(1..=6);
    let request = |place| generate::request(scenario, &model.borrow(), random, (number * 10 + place) as u64);
    let mut requests: Vec<Request> = (0..count).map(request).collect();
    requests.truncate(config.requests_max);
    let behaviour = generate::behaviour(scenario, &path, random);
    if behaviour.reads_every_ns > 0 {
        // With a smaller buffer the client would read more slowly than the server allows.
        path.client_buffer_bytes = 65_536;
    }
    let client = Honest::new(requests, behaviour, model, path, listener);
    NewClient { at_ns, listener, path, client: Box::new(client) }
}

/// The target of a file, by its path below the root.
pub(crate) fn target_of(scenario: &Scenario, name: &str) -> String {
    if scenario.is_folder { format!("/{name}") } else { format!("/files/{name}") }
}
