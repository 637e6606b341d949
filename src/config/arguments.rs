//! The arguments, each parsed, before defaults apply and before options are checked against each other.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use super::error::{UsageError, quoted, shown};
use super::values::{
    parse_age, parse_bind, parse_connections, parse_count, parse_delay, parse_host, parse_log_format, parse_policy,
    parse_port, parse_rate, parse_seconds, parse_size, parse_user,
};
use super::{AccessLogTarget, FolderOptions};
use crate::http1::Rate;
use crate::semantics::proxies::Network;
use crate::semantics::rights::UploadPolicy;
use crate::system::confinement::Sandbox;
use crate::system::listen::{Bind, ListenAddress, UnixSocketMode};
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
    pub(super) bind: Option<Bind>,
    pub(super) port: Option<u16>,
    pub(super) listen: Vec<ListenAddress>,
    pub(super) unix_mode: Option<UnixSocketMode>,
    pub(super) reuse_port: bool,
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
    pub(super) is_site: bool,
    pub(super) is_drop_box: bool,
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
    pub(super) verbose: u32,
    pub(super) quiet: bool,
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
