//! The program: parses the arguments, sets up the logger and the sockets, runs the server, and sets the exit code.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use log::{LevelFilter, error, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spindle::banner::{self, Url};
use spindle::config::{
    ACCOUNT_USAGE, AccessLogTarget, AccountCommand, Command, Config, LINK_USAGE, LinkCommand, SharedFolder, USAGE,
};
use spindle::http1::limits::RESPONSE_CONTENT_BYTES_MAX;
use spindle::link_command;
use spindle::routes::{
    ARCHIVE_DESCRIPTORS, ARCHIVES_MAX, FileRoutes, FolderKind, FolderRoutes, FolderSettings, Links, Routes,
};
use spindle::semantics::accounts::{Secret, account_line};
use spindle::semantics::allowed_hosts::AllowedHosts;
use spindle::semantics::observer::Observer;
use spindle::semantics::request::Endpoint;
use spindle::semantics::rights::{Rights, UploadPolicy};
use spindle::server::{ADMIN_CONNECTIONS_MAX, GROUP_UPLOADS_MAX, Server};
use spindle::service::RootService;
use spindle::storage::{self, Directory, FLUSHED_AT_ONCE_MAX, SMALL_FILE_BYTES_MAX};
use spindle::system::accounts_file::AccountsFile;
use spindle::system::confinement::{self, Confinement, Files, FolderUse};
use spindle::system::key_file::KeyFile;
use spindle::system::listen::{self, ListenAddress, Listener, LocalAddress};
use spindle::system::log_output::{LogFile, StandardOutput};
use spindle::system::service_manager::ServiceManager;
use spindle::system::signals::Signals;
use spindle::system::{MioWorld, clock, machine};
use spindle::telemetry::access_log::{AccessLog, LogOutput};
use spindle::telemetry::admin::Admin;
use spindle::telemetry::metrics::Metrics;
use spindle::telemetry::server_log::{ServerLog, without_error_number};
use spindle::telemetry::{LogFormat, Telemetry};

/// Descriptors that neither connections nor listeners use: standard streams, poll, signals, the directory, two for an
/// unfinished cleanup, and two while the access log is opened anew.
const DESCRIPTORS_RESERVED: u64 = 14;

/// Each connection has its socket and may open two files: the content of an upload, and the directory that it goes to.
const DESCRIPTORS_PER_CONNECTION: u64 = 3;

/// One of this many descriptors may be a directory or a file of an archive.
const DESCRIPTORS_PER_ARCHIVE_DESCRIPTOR: u64 = 4;

/// The most files that are kept open between requests.
const OPEN_FILES_MAX: u64 = 64;
/// One of this many descriptors may be such a file.
const DESCRIPTORS_PER_OPEN_FILE: u64 = 128;

/// The connection limit where descriptors are unlimited.
const CONNECTIONS_MAX: u64 = 1 << 20;

/// The most memory of an idle connection: at most 2.5 MiB for ten thousand of them, kernel memory not counted. The poll's
/// sockets have 16 bytes more in a debug build.
const SESSION_BYTES_MAX: usize = if cfg!(debug_assertions) { 256 + 16 } else { 256 };
const _: () = assert!(Server::<MioWorld, RootService>::SESSION_BYTES <= SESSION_BYTES_MAX);
// The routes respond with a small file's bytes from memory, so those must fit into a response.
const _: () = assert!(SMALL_FILE_BYTES_MAX <= RESPONSE_CONTENT_BYTES_MAX);
// A group of uploads is to take about as long as one.
const _: () = assert!(FLUSHED_AT_ONCE_MAX >= GROUP_UPLOADS_MAX);

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
    match Command::from_arguments(arguments) {
        Ok(Command::Help) => print(USAGE),
        Ok(Command::Version) => print(concat!("spindle ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Link(LinkCommand::Help)) => print(LINK_USAGE),
        Ok(Command::Link(command)) => link(&command),
        Ok(Command::Account(AccountCommand::Help)) => print(ACCOUNT_USAGE),
        Ok(Command::Account(AccountCommand::Make { name, rights })) => make_account(&name, rights),
        Ok(Command::Serve(config)) => match serve(*config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                print_error(&format!("spindle: {}\n", without_error_number(&problem)));
                ExitCode::from(1)
            }
        },
        Err(problem) => {
            print_error(&format!("spindle: {problem}\nspindle: {}\n", problem.help()));
            ExitCode::from(2)
        }
    }
}

/// Makes a key or a link.
fn link(command: &LinkCommand) -> ExitCode {
    start_logging(LevelFilter::Warn, LogFormat::Combined);
    match link_command::run(command, clock::unix_ns() / 1_000_000_000, system_random) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(line)) => print(&line),
        Err(problem) => {
            print_error(&format!("spindle: {}\n", without_error_number(&problem)));
            ExitCode::from(1)
        }
    }
}

/// Makes an account. Its line goes to standard output, where it can be appended to a file, and its secret to standard
/// error, where somebody sees it. So the secret is in no file, unless that is wanted.
fn make_account(name: &str, rights: Rights) -> ExitCode {
    let Some(random) = system_random() else {
        print_error("spindle: the system has no random numbers\n");
        return ExitCode::from(1);
    };
    let secret = Secret::from_random(u128::from_be_bytes(random));
    let code = print(&account_line(name, rights, secret.hash()));
    // Without the line, the secret would be that of no account.
    if code == ExitCode::SUCCESS {
        print_error(&format!("The secret of {name}, which is shown only here: {}\n", secret.expose()));
    }
    code
}

/// Writes to standard error. Unlike `eprintln!`, does not panic if that fails, so that the exit code still reports the
/// error.
fn print_error(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}

fn serve(config: Config) -> Result<(), String> {
    start_logging(config.log_level, config.log_format);
    confinement::prevent_core_dumps();
    let seed = system_random().ok_or("the system has no random numbers")?;
    let mut random = fastrand::Rng::with_seed(u64::from_be_bytes(seed));
    raise_descriptor_limit();
    let signals = Signals::register().map_err(|error| format!("cannot handle signals: {error}"))?;
    let listeners =
        listen::open(&config.listen, &config.admin, config.listen_options).map_err(|error| error.to_string())?;
    let manager = ServiceManager::from_environment();
    // Before any file is opened, so that each that SIGHUP opens anew is known to be accessible to that user.
    config.user.as_deref().map_or(Ok(()), confinement::become_user).map_err(|error| format!("--user: {error}"))?;
    let directory = open_served_directory(&config, random.u64(..))?;
    let access_log = open_access_log(&config)?;
    let Capacity { connections_max, open_files_max, archives_max } = capacity(listeners.len(), &config)?;
    let banner = banner(&listeners, &config).map_err(|error| format!("cannot read a listener's address: {error}"))?;
    let files = directory.clone().map(|directory| {
        FileRoutes::new(directory, config.uploads, open_files_max, random.u64(..), Box::new(upload_id))
    });
    let hosts = AllowedHosts::new(&config.hosts, machine::host_name().as_deref());
    let routes = routes(files, archives_max, &hosts, &config)?;
    warn_of_clear_text(&config, &listeners);
    let world = MioWorld::new(listeners, signals, manager.clone()).map_err(|error| format!("cannot start: {error}"))?;
    let server = server(world, routes, access_log, hosts, connections_max, &config);
    let confinement = confine(&config, directory.as_ref(), open_files_max)?;
    print_banner(&format!("{banner}{confinement}\n"), &config);
    manager.report_ready(banner.lines().next().unwrap_or_default());
    server.run().map_err(|error| format!("the event loop failed: {error}"))
}

/// What clients can ask for.
fn routes(
    files: Option<FileRoutes>,
    archives_max: usize,
    hosts: &AllowedHosts,
    config: &Config,
) -> Result<Routes, String> {
    let routes = match (files, &config.folder) {
        (Some(files), Some(folder)) => {
            let folder = FolderRoutes::new(files, sharing(folder, hosts.clone()));
            Routes::shared_folder(folder.with_archives_max(archives_max))
        }
        (files, _) => Routes::new(files),
    };
    with_links(with_accounts(routes, config)?, config)
}

/// The server of these routes, of what the administrator can ask for, and of the logs.
fn server(
    world: MioWorld,
    routes: Routes,
    access_log: Option<AccessLog>,
    hosts: AllowedHosts,
    connections_max: usize,
    config: &Config,
) -> Server<MioWorld, RootService> {
    let has_admin = !config.admin.is_empty();
    let (metrics, statistics) = (Rc::new(Metrics::default()), Rc::default());
    let admin = has_admin.then(|| Admin::new(Rc::clone(&metrics), Rc::clone(&statistics), hosts));
    // Without a listener that shows them, requests need not be counted.
    let telemetry = Telemetry::new(access_log, has_admin.then(|| Rc::clone(&metrics)));
    let observer = telemetry.map(|telemetry| Box::new(telemetry) as Box<dyn Observer>);
    let service = RootService::new(routes, admin, metrics);
    Server::new(world, connections_max, config.settings.clone(), service, observer)
        .with_statistics(statistics)
        .with_connections_per_group(config.connections_per_address_max)
        .with_shutdown_delay(config.shutdown_delay_ns)
}

/// Creates the thread that closes long files, if files are served, and with `--fsync` those that flush uploads. Up to
/// `closed_files_max` files may wait to be closed. Without the threads the event loop closes and flushes files itself.
fn start_threads(config: &Config, closed_files_max: Option<usize>) {
    if let Some(Err(error)) = closed_files_max.map(storage::start_closer) {
        warn!("the thread that closes long files cannot be created: {error}");
    }
    if config.uploads.durable
        && let Err(error) = storage::start_flushers()
    {
        warn!("not all threads that flush uploads can be created: {error}");
    }
}

/// Confines the process to what the server needs from now on.
fn confine(config: &Config, directory: Option<&Directory>, open_files_max: usize) -> Result<Confinement, String> {
    let usage = match config.uploads.policy {
        UploadPolicy::Off => FolderUse::Read,
        UploadPolicy::Create | UploadPolicy::Replace => FolderUse::Upload,
        UploadPolicy::Manage => FolderUse::Manage,
    };
    let log = match &config.access_log {
        Some(AccessLogTarget::File(path)) => vec![path.clone()],
        Some(AccessLogTarget::StandardOutput) | None => Vec::new(),
    };
    let sockets = config.listen.iter().chain(&config.admin).filter_map(|address| match address {
        ListenAddress::Unix(path) => Some(path.clone()),
        ListenAddress::Tcp(..) | ListenAddress::Inherited(_) => None,
    });
    let files = Files {
        folder: directory.map(|directory| (directory.as_fd(), usage)),
        appended: log,
        read: config.accounts.iter().chain(&config.link_key).cloned().collect(),
        sockets: sockets.collect(),
    };
    if confinement::is_root() {
        warn!("running as root; with --user NAME the server gives that up once its addresses are open");
    }
    confinement::confine(config.sandbox.into(), &files, || start_threads(config, directory.map(|_| open_files_max)))
}

/// The server also runs if its banner cannot be written. Standard output has nothing but the access log, if that is
/// written there.
fn print_banner(banner: &str, config: &Config) {
    let _ = match config.access_log {
        Some(AccessLogTarget::StandardOutput) => io::stderr().write_all(banner.as_bytes()),
        _ => io::stdout().write_all(banner.as_bytes()),
    };
}

/// Opens the directory that is served, if there is one. Warns if the banner would offer uploads that cannot be stored in it.
///
/// # Errors
/// If that fails, or the user of `--user` could not store uploads in it.
fn open_served_directory(config: &Config, seed: u64) -> Result<Option<Directory>, String> {
    let path = config.folder.as_ref().map(|folder| &folder.path).or(config.directory.as_ref());
    let Some(path) = path else { return Ok(None) };
    let directory = open_directory(path, seed).map_err(|error| error.to_string())?;
    if config.uploads.policy == UploadPolicy::Off || confinement::may_write(directory.as_fd()) {
        return Ok(Some(directory));
    }
    match &config.user {
        // Accounts and links may allow no uploads, or those to directories in it.
        _ if config.accounts.is_some() || config.uploads_for_everybody == UploadPolicy::Off => {}
        Some(user) => {
            let user = user.escape_debug();
            return Err(format!(
                "--user: the user {user} cannot write to the directory {path:?}, so every upload would fail"
            ));
        }
        None => warn!("the server may not write to the directory {path:?}: uploads to it will be refused"),
    }
    Ok(Some(directory))
}

/// Opens the directory. Also fails if the server has no permission to use the names in it: then every request would be
/// refused. A directory that can only not be listed is opened, because its files can be served.
fn open_directory(path: &Path, seed: u64) -> io::Result<Directory> {
    let directory = Directory::open(path, seed)?;
    match path.join(".").symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(io::Error::new(error.kind(), format!("no permission to use the files in the directory {path:?}")))
        }
        _ => Ok(directory),
    }
}

/// Lets nobody do more than the accounts say, if there is a file with accounts.
///
/// # Errors
/// If the file cannot be used, or others could read or replace it because it is in the folder that is shared.
fn with_accounts(routes: Routes, config: &Config) -> Result<Routes, String> {
    let (Some(path), Some(folder)) = (&config.accounts, &config.folder) else { return Ok(routes) };
    if canonical(path).starts_with(canonical(&folder.path)) {
        return Err(format!("the accounts file {path:?} is in the folder that is shared: move it to another one"));
    }
    routes.with_accounts(Box::new(AccountsFile::new(path)))
}

/// Accepts links, if there is a file with keys.
///
/// # Errors
/// If the file cannot be used, or others could read or replace it because it is in the folder that is shared.
fn with_links(routes: Routes, config: &Config) -> Result<Routes, String> {
    let (Some(path), Some(folder)) = (&config.link_key, &config.folder) else { return Ok(routes) };
    if canonical(path).starts_with(canonical(&folder.path)) {
        return Err(format!("the key file {path:?} is in the folder that is shared: move it to another one"));
    }
    Ok(routes.with_links(Links::new(Box::new(KeyFile::new(path)))?, config.uploads_for_everybody))
}

/// Warns if secrets of accounts and links cross a network without encryption.
fn warn_of_clear_text(config: &Config, listeners: &[(Endpoint, Listener)]) {
    let proxies = &config.settings.proxies;
    let is_behind_proxy = !proxies.protocol.is_empty() || !proxies.trusted.is_empty();
    if is_behind_proxy || config.accounts.is_none() && config.link_key.is_none() {
        return;
    }
    let is_exposed = |listener: &Listener| match listener.local_address() {
        Ok(LocalAddress::Tcp(address)) => !address.ip().to_canonical().is_loopback(),
        Ok(LocalAddress::Unix(_)) => false,
        Err(_) => true,
    };
    let mut public = listeners.iter().filter(|(endpoint, _)| *endpoint == Endpoint::Public);
    if public.any(|(_, listener)| is_exposed(listener)) {
        let what = if config.accounts.is_some() { "accounts" } else { "links" };
        warn!("{what} without encryption: whoever can read the network learns their secrets; use a proxy with TLS");
    }
}

fn open_access_log(config: &Config) -> Result<Option<AccessLog>, String> {
    let output: Box<dyn LogOutput> = match &config.access_log {
        None => return Ok(None),
        Some(AccessLogTarget::StandardOutput) => {
            Box::new(StandardOutput::open().map_err(|error| format!("cannot write to standard output: {error}"))?)
        }
        Some(AccessLogTarget::File(path)) => {
            let file = LogFile::open(path);
            Box::new(file.map_err(|error| format!("cannot open the access log {path:?}: {error}"))?)
        }
    };
    Ok(Some(AccessLog::new(output, config.log_format)))
}

fn sharing(folder: &SharedFolder, hosts: AllowedHosts) -> FolderSettings {
    FolderSettings {
        // The root directory has no name.
        name: canonical(&folder.path).file_name().map_or(b"files".to_vec(), |name| name.as_bytes().to_vec()),
        shows_hidden: folder.options.shows_hidden,
        kind: folder.options.kind,
        hosts,
    }
}

fn banner(listeners: &[(Endpoint, Listener)], config: &Config) -> io::Result<String> {
    let is_drop_box = config.folder.as_ref().is_some_and(|folder| folder.options.kind == FolderKind::DropBox);
    let permissions = match (config.uploads_for_everybody, is_drop_box) {
        _ if config.accounts.is_some() => "the accounts file says who may do what",
        (UploadPolicy::Off, false) => "others may read",
        (UploadPolicy::Off, true) => "others may do nothing",
        (UploadPolicy::Create, false) => "others may read, and add files",
        (UploadPolicy::Replace, false) => "others may read, add and replace files",
        (UploadPolicy::Manage, false) => "others may read, add, replace, delete and move files",
        (UploadPolicy::Create, true) => "others may add files, but cannot see any",
        (UploadPolicy::Replace, true) => "others may add and replace files, but cannot see any",
        (UploadPolicy::Manage, true) => "others may add, replace, delete and move files, but cannot see any",
    };
    let permissions = match config.link_key {
        Some(_) => format!("{permissions}; links are accepted"),
        None => permissions.to_owned(),
    };
    let urls_of =
        |endpoint| urls(listeners.iter().filter(move |(of, _)| *of == endpoint).map(|(_, listener)| listener));
    let urls = urls_of(Endpoint::Public)?;
    let banner = match (&config.folder, &config.directory) {
        (Some(SharedFolder { path, options }), _) => {
            banner::of_folder(&canonical(path), &permissions, &urls, options.draws_qr)
        }
        (None, Some(path)) => banner::of_directory(&canonical(path), &permissions, &urls),
        (None, None) => banner::of_no_files(&urls),
    };
    Ok(banner + &banner::of_admin(&urls_of(Endpoint::Admin)?))
}

/// The absolute path without links, as far as the system can tell.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The URLs at which other machines and this one reach the listeners.
fn urls<'a>(listeners: impl Iterator<Item = &'a Listener>) -> io::Result<Vec<Url>> {
    let (interfaces, name) = (machine::interface_addresses(), machine::host_name());
    let mut urls = Vec::new();
    for listener in listeners {
        match listener.local_address()? {
            LocalAddress::Tcp(address) => {
                let reached = machine::urls_of(address, &interfaces, name.as_deref());
                urls.extend(reached.into_iter().map(|(url, is_local)| Url { url, is_local }));
            }
            LocalAddress::Unix(path) => urls.push(Url::of_unix_socket(path.as_deref())),
        }
    }
    Ok(urls)
}

/// Logs to standard error.
fn start_logging(level: LevelFilter, format: LogFormat) {
    let logger = ServerLog::new(format, level, clock::unix_ns, Box::new(io::stderr()));
    // This fails only if a logger is set already.
    let _ = log::set_boxed_logger(Box::new(logger));
    // Notices are logged although they are not as severe as the level. The logger decides.
    log::set_max_level(level.max(LevelFilter::Info));
    std::panic::set_hook(Box::new(|panic| {
        error!("panic: {panic}");
    }));
}

/// The program's only source of randomness, apart from the keys of hash maps; `None` if the system has none. It is used
/// for:
///
/// - the seed of a generator at start-up. The generator gives a seed of their own to storage, for the names of
///   temporary files, and to the file routes, for the boundaries of `multipart/byteranges`, so that a test can repeat
///   both. Another process in the same directory should not draw the same names; if it does, storage tries another. No
///   client may guess a boundary before it is sent, since it could upload a file that contains it.
/// - the identifier of each resumable upload. The generator would not do: a client that sees some of its numbers could
///   compute the next ones, and a client that knows the identifier can write to the upload.
fn system_random<const BYTES: usize>() -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

fn upload_id() -> Option<u128> {
    system_random().map(u128::from_be_bytes)
}

/// The limits that follow from the limit on descriptors.
struct Capacity {
    connections_max: usize,
    open_files_max: usize,
    archives_max: usize,
}

/// Raises the soft limit on descriptors to the hard limit.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        warn!("cannot raise the limit on descriptors: {error}");
    }
}

/// Computes how many connections of clients, open files and archives the limit on descriptors allows, beside the `listeners`
/// and the administrator's connections. All of them together never need more, whatever clients do: without a descriptor no
/// connection can be accepted, and so nobody could get in.
///
/// # Errors
/// If it does not allow a single connection.
fn capacity(listeners: usize, config: &Config) -> Result<Capacity, String> {
    let others = listeners + if config.admin.is_empty() { 0 } else { ADMIN_CONNECTIONS_MAX };
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let open_files = (descriptors / DESCRIPTORS_PER_OPEN_FILE).min(OPEN_FILES_MAX);
    let for_archives = config.folder.as_ref().map_or(0, |_| descriptors / DESCRIPTORS_PER_ARCHIVE_DESCRIPTOR);
    let archives = (for_archives / ARCHIVE_DESCRIPTORS as u64).clamp(1, ARCHIVES_MAX as u64);
    // As many again may wait to be closed.
    let files = 2 * open_files + for_archives.min(archives * ARCHIVE_DESCRIPTORS as u64);
    let reserved = DESCRIPTORS_RESERVED + files + others as u64;
    let left = descriptors.saturating_sub(reserved);
    // Each resumable upload that is being received has one more descriptor, for the file with its state.
    let resumable_max = match config.uploads.policy {
        UploadPolicy::Off => 0,
        UploadPolicy::Create | UploadPolicy::Replace | UploadPolicy::Manage => config.uploads.pending_max as u64,
    };
    let if_all_are_resumable = left / (DESCRIPTORS_PER_CONNECTION + 1);
    let connections = if_all_are_resumable.max(left.saturating_sub(resumable_max) / DESCRIPTORS_PER_CONNECTION);
    if connections == 0 {
        return Err(format!("the limit on descriptors (ulimit -n) is {descriptors}: too low for a single connection"));
    }
    Ok(Capacity {
        connections_max: usize::try_from(connections.min(CONNECTIONS_MAX)).unwrap_or(usize::MAX),
        open_files_max: usize::try_from(open_files).unwrap_or(usize::MAX),
        archives_max: archives as usize,
    })
}
