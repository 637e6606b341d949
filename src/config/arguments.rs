//! The arguments, each parsed, before defaults apply and before options are checked against each other.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};
use log::LevelFilter;

use super::values::{
    parse_age, parse_bind, parse_connections, parse_count, parse_delay, parse_host, parse_log_format, parse_policy,
    parse_port, parse_rate, parse_seconds, parse_size, parse_user,
};
use super::{AccessLogTarget, FolderOptions, UsageError, shown};
use crate::http1::Rate;
use crate::routes::FolderKind;
use crate::semantics::proxies::Network;
use crate::semantics::rights::UploadPolicy;
use crate::system::confinement::Sandbox;
use crate::system::listen::{Bind, ListenAddress, ListenOptions, UnixSocketMode};
use crate::telemetry::LogFormat;

/// The long names of all options, from which an unknown one is corrected.
pub(super) const LONG_NAMES: [&str; 36] = [
    "accounts",
    "bind",
    "port",
    "listen",
    "unix-mode",
    "reuse-port",
    "admin",
    "shutdown-delay",
    "proxy-protocol",
    "trusted-proxy",
    "directory",
    "uploads",
    "max-upload",
    "upload-max-age",
    "uploads-pending",
    "fsync",
    "site",
    "no-list",
    "hidden",
    "qr",
    "host",
    "link-key",
    "user",
    "sandbox",
    "no-date",
    "strict",
    "head-timeout",
    "idle-timeout",
    "connections-per-address",
    "rate",
    "access-log",
    "log-format",
    "verbose",
    "quiet",
    "help",
    "version",
];

/// The default port: that of the challenge.
const PORT: u16 = 4221;

/// The result of parsing the arguments.
pub(super) enum Parsed {
    /// `--help` was given.
    Help,
    /// `--version` was given.
    Version,
    Arguments(Box<Arguments>),
}

/// The arguments as given.
#[derive(Default)]
pub(super) struct Arguments {
    bind: Option<Bind>,
    port: Option<u16>,
    listen: Vec<ListenAddress>,
    unix_mode: Option<UnixSocketMode>,
    reuse_port: bool,
    pub(super) admin: Vec<ListenAddress>,
    pub(super) shutdown_delay_ns: Option<u64>,
    pub(super) proxy_protocol: Vec<Network>,
    pub(super) trusted_proxies: Vec<Network>,
    pub(super) directory: Option<PathBuf>,
    /// The operand DIR.
    pub(super) folder: Option<PathBuf>,
    pub(super) options: FolderOptions,
    pub(super) accounts: Option<PathBuf>,
    pub(super) hosts: Vec<String>,
    pub(super) link_key: Option<PathBuf>,
    is_site: bool,
    is_drop_box: bool,
    pub(super) uploads: Option<UploadPolicy>,
    pub(super) upload_bytes_max: Option<u64>,
    pub(super) upload_age_s_max: Option<u64>,
    pub(super) uploads_pending_max: Option<usize>,
    pub(super) fsync: bool,
    pub(super) user: Option<String>,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) no_date: bool,
    pub(super) strict: bool,
    pub(super) head_timeout_ns: Option<u64>,
    pub(super) idle_timeout_ns: Option<u64>,
    pub(super) connections_per_address_max: Option<usize>,
    pub(super) rate: Option<Rate>,
    pub(super) access_log: Option<AccessLogTarget>,
    pub(super) log_format: Option<LogFormat>,
    verbose: u32,
    quiet: bool,
}

impl Arguments {
    pub(super) fn parse(arguments: Vec<OsString>) -> Result<Parsed, UsageError> {
        let mut parsed = Arguments::default();
        let mut parser = Parser::from_args(arguments);
        let mut has_options = true;
        loop {
            has_options &= check_hyphens(&mut parser, has_options)?;
            let Some(argument) = parser.next()? else { break };
            let option = match argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(Parsed::Help),
                Arg::Short('V') | Arg::Long("version") => return Ok(Parsed::Version),
                Arg::Value(operand) => {
                    if has_options {
                        check_command(&operand)?;
                    }
                    parsed.set_folder(operand)?;
                    continue;
                }
                Arg::Short(short) => long_name(short)?.to_owned(),
                Arg::Long(long) => long.to_owned(),
            };
            parsed.set_option(&option, &mut parser)?;
        }
        Ok(Parsed::Arguments(Box::new(parsed)))
    }

    /// Sets the option with this long name, whose value the parser has yet to return.
    fn set_option(&mut self, option: &str, parser: &mut Parser) -> Result<(), UsageError> {
        let once = Once { option, parser };
        match option {
            "bind" => once.value(&mut self.bind, parse_bind),
            "port" => once.value(&mut self.port, parse_port),
            "listen" => once.repeated(&mut self.listen, str::parse),
            "unix-mode" => once.value(&mut self.unix_mode, str::parse),
            "reuse-port" => once.flag(&mut self.reuse_port),
            "admin" => once.repeated(&mut self.admin, str::parse),
            "shutdown-delay" => once.value(&mut self.shutdown_delay_ns, parse_delay),
            "proxy-protocol" => once.repeated(&mut self.proxy_protocol, str::parse),
            "trusted-proxy" => once.repeated(&mut self.trusted_proxies, str::parse),
            "directory" => once.path(&mut self.directory),
            "uploads" => once.value(&mut self.uploads, parse_policy),
            "max-upload" => once.value(&mut self.upload_bytes_max, parse_size),
            "upload-max-age" => once.value(&mut self.upload_age_s_max, parse_age),
            "uploads-pending" => once.value(&mut self.uploads_pending_max, parse_count),
            "fsync" => once.flag(&mut self.fsync),
            "accounts" => once.path(&mut self.accounts),
            "site" => once.flag(&mut self.is_site),
            "no-list" => once.flag(&mut self.is_drop_box),
            "hidden" => once.flag(&mut self.options.shows_hidden),
            "qr" => once.flag(&mut self.options.draws_qr),
            "host" => once.repeated(&mut self.hosts, parse_host),
            "link-key" => once.path(&mut self.link_key),
            "user" => once.value(&mut self.user, parse_user),
            "sandbox" => once.value(&mut self.sandbox, str::parse),
            "no-date" => once.flag(&mut self.no_date),
            "strict" => once.flag(&mut self.strict),
            "head-timeout" => once.value(&mut self.head_timeout_ns, parse_seconds),
            "idle-timeout" => once.value(&mut self.idle_timeout_ns, parse_seconds),
            "connections-per-address" => once.value(&mut self.connections_per_address_max, parse_connections),
            "rate" => once.value(&mut self.rate, parse_rate),
            "access-log" => {
                let mut path = self.access_log.take().map(|_| PathBuf::new());
                once.path(&mut path)?;
                self.access_log = path.map(access_log_target);
                Ok(())
            }
            "log-format" => once.value(&mut self.log_format, parse_log_format),
            "verbose" => {
                self.verbose += 1;
                Ok(())
            }
            "quiet" => once.flag(&mut self.quiet),
            unknown => Err(unknown_option(unknown)),
        }
    }

    fn set_folder(&mut self, operand: OsString) -> Result<(), UsageError> {
        if let Some(first) = &self.folder {
            let (first, second) = (shown(first.as_os_str()), shown(&operand));
            return Err(UsageError::new(format!(
                "only one folder can be shared, and both {first} and {second} are given"
            )));
        }
        if operand.is_empty() {
            return Err(UsageError::new("DIR: the name is empty"));
        }
        self.folder = Some(PathBuf::from(operand));
        Ok(())
    }

    /// An option that was given and that only a shared folder has.
    fn folder_option(&self) -> Option<&'static str> {
        let given = [
            (self.options.shows_hidden, "--hidden"),
            (self.is_site, "--site"),
            (self.is_drop_box, "--no-list"),
            (self.options.draws_qr, "--qr"),
            (self.accounts.is_some(), "--accounts"),
            (self.link_key.is_some(), "--link-key"),
            // The administrator's listeners check host names as well.
            (!self.hosts.is_empty() && self.admin.is_empty(), "--host"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// Which uploads are allowed at most.
    ///
    /// # Errors
    /// If an option needs a folder or a directory that is not given, or if both are given.
    pub(super) fn upload_policy(&self) -> Result<UploadPolicy, UsageError> {
        match (&self.folder, &self.directory) {
            (Some(folder), Some(directory)) => Err(UsageError::new(format!(
                "DIR {} is shared at /, and --directory {} is served at /files/: give only one of them",
                shown(folder.as_os_str()),
                shown(directory.as_os_str())
            ))),
            // Sharing a folder lets others read it. Letting them write needs an explicit option: accounts and links say
            // which uploads are allowed. A site has none.
            (Some(_), None) => Ok(self.uploads.unwrap_or(match (&self.accounts, &self.link_key) {
                _ if self.is_site => UploadPolicy::Off,
                (Some(_), _) => UploadPolicy::Manage,
                (None, Some(_)) => UploadPolicy::Create,
                (None, None) => UploadPolicy::Off,
            })),
            (None, directory) => match (self.folder_option(), self.upload_option()) {
                (Some(option), _) => {
                    let without = if directory.is_some() { ", without --directory" } else { "" };
                    Err(UsageError::new(format!("{option} needs a folder to share: spindle {option} … DIR{without}")))
                }
                (None, Some(option)) if directory.is_none() => {
                    Err(UsageError::new(format!("{option} needs a directory: give DIR, or --directory DIR")))
                }
                _ => Ok(self.uploads.unwrap_or(UploadPolicy::Replace)),
            },
        }
    }

    /// Which uploads are allowed without a link, if `policy` is what is allowed at most.
    pub(super) fn uploads_for_everybody(&self, policy: UploadPolicy) -> UploadPolicy {
        if self.uploads.is_none() && self.link_key.is_some() { UploadPolicy::Off } else { policy }
    }

    /// What others find in the folder.
    ///
    /// # Errors
    /// If that contradicts what they may do in it.
    pub(super) fn folder_kind(&self, policy: UploadPolicy) -> Result<FolderKind, UsageError> {
        match (self.is_site, self.is_drop_box) {
            (false, false) => Ok(FolderKind::Listed),
            (true, true) => Err(UsageError::new("--site and --no-list cannot be combined: nobody could read the site")),
            (true, false) if policy == UploadPolicy::Off => Ok(FolderKind::Site),
            (true, false) => Err(UsageError::new(
                "--site and --uploads cannot be combined: uploaded scripts would run as a part of the site".to_owned(),
            )),
            (false, true) if policy == UploadPolicy::Off => Err(self.needs_uploads("--no-list")),
            (false, true) => Ok(FolderKind::DropBox),
        }
    }

    /// Checks that no option for uploads is given if there are none.
    pub(super) fn check_upload_options(&self, policy: UploadPolicy) -> Result<(), UsageError> {
        match self.upload_detail() {
            Some(option) if policy == UploadPolicy::Off => Err(self.needs_uploads(option)),
            _ => Ok(()),
        }
    }

    /// The error that `option` has no effect, because there are no uploads.
    fn needs_uploads(&self, option: &str) -> UsageError {
        UsageError::new(if self.is_site {
            format!("--site and {option} cannot be combined: a web site takes no uploads")
        } else if self.uploads.is_some() {
            format!("{option} and --uploads off cannot be combined: the server would take no uploads")
        } else {
            format!("{option} needs uploads: give also --uploads create, replace or manage")
        })
    }

    /// An option that was given and that only matters if there is a directory to upload to.
    fn upload_option(&self) -> Option<&'static str> {
        self.uploads.map(|_| "--uploads").or_else(|| self.upload_detail())
    }

    /// An option that was given and that says how uploads are handled.
    fn upload_detail(&self) -> Option<&'static str> {
        let given = [
            (self.upload_bytes_max.is_some(), "--max-upload"),
            (self.upload_age_s_max.is_some(), "--upload-max-age"),
            (self.uploads_pending_max.is_some(), "--uploads-pending"),
            (self.fsync, "--fsync"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// Where to listen: by `--listen`, or else by `--bind` and `--port`.
    pub(super) fn listen_addresses(&self) -> Result<Vec<ListenAddress>, UsageError> {
        if self.listen.is_empty() {
            let bind = self.bind.unwrap_or(Bind::Localhost);
            return Ok(vec![ListenAddress::Tcp(bind, self.port.unwrap_or(PORT))]);
        }
        let replaced = [(self.bind.is_some(), "--bind"), (self.port.is_some(), "--port")];
        match replaced.into_iter().find_map(|(is_given, option)| is_given.then_some(option)) {
            Some(option) => Err(UsageError::new(format!("--listen replaces {option}: give only one of them"))),
            None => Ok(self.listen.clone()),
        }
    }

    pub(super) fn listen_options(&self, listen: &[ListenAddress]) -> Result<ListenOptions, UsageError> {
        let has_unix = listen.iter().chain(&self.admin).any(|address| matches!(address, ListenAddress::Unix(_)));
        if self.unix_mode.is_some() && !has_unix {
            return Err(UsageError::new(
                "--unix-mode needs a Unix socket: --listen unix:PATH, or --admin unix:PATH".to_owned(),
            ));
        }
        if self.reuse_port {
            let ports = || listen.iter().filter_map(ListenAddress::port);
            if ports().next().is_none() {
                return Err(UsageError::new("--reuse-port needs a TCP port to listen on"));
            }
            // Each process would get another one.
            if ports().any(|port| port == 0) {
                return Err(UsageError::new("--reuse-port needs a port other than 0"));
            }
        }
        Ok(ListenOptions { unix_mode: self.unix_mode.unwrap_or_default(), reuse_port: self.reuse_port })
    }

    pub(super) fn log_level(&self) -> Result<LevelFilter, UsageError> {
        match (self.quiet, self.verbose) {
            (true, 0) => Ok(LevelFilter::Error),
            (true, _) => Err(UsageError::new("--quiet and --verbose cannot be combined")),
            (false, 0) => Ok(LevelFilter::Warn),
            (false, 1) => Ok(LevelFilter::Info),
            (false, 2) => Ok(LevelFilter::Debug),
            (false, _) => Err(UsageError::new("--verbose can be given at most twice")),
        }
    }
}

fn access_log_target(path: PathBuf) -> AccessLogTarget {
    match path.as_os_str() == "-" {
        true => AccessLogTarget::StandardOutput,
        false => AccessLogTarget::File(path),
    }
}

/// Refuses a folder with the name of a command: the command would be meant, with options before it.
fn check_command(operand: &OsStr) -> Result<(), UsageError> {
    match operand.to_str() {
        Some(name @ ("account" | "link")) => Err(UsageError::new(format!(
            "DIR {name}: that is a command, which comes first; a folder of this name is shared as ./{name}"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a long name with one hyphen: `-port 80` would be read as `-p ort`. Returns whether options may follow: they do
/// not after `--`.
fn check_hyphens(parser: &mut Parser, has_options: bool) -> Result<bool, UsageError> {
    // There are no whole arguments between the options of `-vq`.
    let Some(next) = parser.try_raw_args().and_then(|arguments| arguments.peek().map(OsStr::to_owned)) else {
        return Ok(true);
    };
    if !has_options || next == "--" {
        return Ok(false);
    }
    let name = next.to_str().and_then(|next| next.strip_prefix('-')).and_then(|next| next.split('=').next());
    match name.filter(|name| LONG_NAMES.contains(name)) {
        Some(name) => Err(UsageError::new(format!("unknown option -{name}; did you mean --{name}?"))),
        None => Ok(true),
    }
}

/// The long name of a short option.
fn long_name(short: char) -> Result<&'static str, UsageError> {
    match short {
        'b' => Ok("bind"),
        'p' => Ok("port"),
        'd' => Ok("directory"),
        'v' => Ok("verbose"),
        'q' => Ok("quiet"),
        _ => Err(UsageError::new(format!("unknown option -{}", short.escape_debug()))),
    }
}

/// Names the option that may be meant: one that begins so, or differs in few letters.
fn unknown_option(option: &str) -> UsageError {
    let given = option.to_ascii_lowercase();
    let distance = |name: &&str| strsim::osa_distance(&given, name);
    let is_prefix = |name: &&str| !given.is_empty() && name.starts_with(&given);
    let is_similar = |name: &&str| is_prefix(name) || !given.is_empty() && distance(name) <= name.len() / 3;
    let suggestion = LONG_NAMES.into_iter().filter(is_similar).min_by_key(distance);
    let option = option.escape_debug();
    UsageError::new(match suggestion {
        Some(name) => format!("unknown option --{option}; did you mean --{name}?"),
        None => format!("unknown option --{option}"),
    })
}

/// An option that was found, and may be given once.
pub(super) struct Once<'a> {
    pub(super) option: &'a str,
    pub(super) parser: &'a mut Parser,
}

impl Once<'_> {
    pub(super) fn value<T>(self, to: &mut Option<T>, parse: fn(&str) -> Result<T, String>) -> Result<(), UsageError> {
        let value = self.parser.value()?;
        let parsed = value.to_str().ok_or("it is not valid UTF-8".to_owned()).and_then(parse);
        let parsed =
            parsed.map_err(|problem| UsageError::new(format!("--{} {}: {problem}", self.option, quoted(&value))))?;
        self.set(to, parsed)
    }

    /// Unlike the others, such an option may be given more than once.
    fn repeated<T>(self, to: &mut Vec<T>, parse: fn(&str) -> Result<T, String>) -> Result<(), UsageError> {
        let mut value = None;
        self.value(&mut value, parse)?;
        to.extend(value);
        Ok(())
    }

    pub(super) fn path(self, to: &mut Option<PathBuf>) -> Result<(), UsageError> {
        let value = self.parser.value()?;
        if value.is_empty() {
            return Err(UsageError::new(format!("--{}: the name is empty", self.option)));
        }
        self.set(to, PathBuf::from(value))
    }

    pub(super) fn flag(self, to: &mut bool) -> Result<(), UsageError> {
        let mut given = to.then_some(());
        *to = true;
        self.set(&mut given, ())
    }

    fn set<T>(self, to: &mut Option<T>, value: T) -> Result<(), UsageError> {
        match to.replace(value) {
            None => Ok(()),
            Some(_) => Err(UsageError::new(format!("--{} is given twice", self.option))),
        }
    }
}

/// A value as error messages show it, in quotation marks if the message could be misread without them.
fn quoted(value: &OsStr) -> String {
    let text = shown(value);
    match text.is_empty() || text.ends_with(':') || text.contains(char::is_whitespace) {
        true => format!("\"{text}\""),
        false => text,
    }
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> UsageError {
        UsageError::new(match error {
            lexopt::Error::MissingValue { option: Some(option) } => format!("{option} needs a value"),
            lexopt::Error::UnexpectedValue { option, value } => {
                format!("{}={}: the option takes no value", option.escape_debug(), shown(&value))
            }
            other => other.to_string().escape_debug().to_string(),
        })
    }
}
