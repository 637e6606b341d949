//! The server's own service. It notes the methods of the requests.

use std::rc::Rc;

use spindle::routes::{FileContent, FileRoutes, FolderRoutes, FolderSettings, Links, Routes, UploadSettings};
use spindle::semantics::Now;
use spindle::semantics::accounts::{AccountSource, Accounts};
use spindle::semantics::allowed_hosts::AllowedHosts;
use spindle::semantics::method::Method;
use spindle::semantics::request::Request;
use spindle::semantics::response::Response;
use spindle::semantics::service::{CommitGroup, Reply, Service};
use spindle::service::{CountedSink, RootService};
use spindle::storage::{Directory, FileRange};
use spindle::telemetry::metrics::Metrics;

use super::super::driver::CountingService;
use super::disk::Disk;
use super::links::FixedKeys;
use super::options::Options;

/// The identifiers of resumable uploads are this, twice this and so on, so that an input can name them. The names of the two
/// files of an upload are made of the halves, which therefore differ.
const UPLOAD_ID: u128 = 0x1_0000_0000_0000_0100;

/// The routes of the server, with a disk.
pub(super) struct FolderService {
    service: RootService<Disk>,
    calls: usize,
    /// The methods of the requests on the current connection.
    methods: Vec<Method>,
}

/// Accounts that never change.
struct FixedAccounts(String);

impl AccountSource for FixedAccounts {
    fn read(&mut self) -> Result<Accounts, String> {
        Accounts::parse(self.0.as_bytes()).map_err(|error| error.to_string())
    }
}

impl FolderService {
    pub(super) fn new(disk: &Disk, options: &Options) -> FolderService {
        let directory = Directory::open_in(disk.clone(), Disk::root_path(), 1).expect("the directory exists");
        let uploads = UploadSettings {
            policy: options.policy,
            bytes_max: options.upload_bytes_max,
            durable: options.durable,
            age_s_max: 60,
            pending_max: options.pending_max,
        };
        let mut id = 0;
        let next_id = move || {
            id += UPLOAD_ID;
            Some(id)
        };
        let files = FileRoutes::new(directory, uploads, 16, 1, Box::new(next_id));
        let routes = match options.kind {
            None => Routes::new(Some(files)),
            Some(kind) => {
                let sharing = FolderSettings {
                    name: b"shared".to_vec(),
                    shows_hidden: options.shows_hidden,
                    kind,
                    hosts: AllowedHosts::new(&["a".to_owned()], None),
                };
                Routes::shared_folder(FolderRoutes::new(files, sharing))
            }
        };
        let routes = match options.accounts() {
            None => routes,
            Some(text) => routes.with_accounts(Box::new(FixedAccounts(text))).expect("accounts"),
        };
        let routes = if options.accepts_links {
            let links = Links::new(Box::new(FixedKeys)).expect("keys");
            routes.with_links(links, options.policy_for_everybody)
        } else {
            routes
        };
        let service = RootService::new(routes, None, Rc::new(Metrics::default()));
        FolderService { service, calls: 0, methods: Vec::new() }
    }

    pub(super) fn begin_connection(&mut self) {
        self.methods.clear();
    }

    pub(super) fn methods(&self) -> &[Method] {
        &self.methods
    }
}

impl Service for FolderService {
    type Source = FileContent<Disk>;
    type Sink = CountedSink<Disk>;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, FileContent<Disk>, CountedSink<Disk>> {
        self.calls += 1;
        self.methods.push(request.method);
        self.service.call(request, now)
    }

    fn commit<K>(&mut self, group: CommitGroup<K, Self>, now: &Now) -> Vec<(K, Response<'static, FileContent<Disk>>)> {
        self.service.commit(group, now)
    }
}

impl CountingService for FolderService {
    fn calls(&self) -> usize {
        self.calls
    }

    fn read(file: &FileRange<Disk>, space: &mut [u8]) -> Option<usize> {
        file.read_at(space).ok()
    }
}
