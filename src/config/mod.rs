//! The command line: from the arguments to a [`Config`]. Every error is one line that names its option.

mod account;
mod arguments;
mod checks;
mod error;
mod link;
mod usage;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use log::LevelFilter;

pub use self::account::{ACCOUNT_USAGE, AccountCommand};
use self::arguments::{Arguments, Parsed};
pub use self::error::UsageError;
pub use self::link::{FolderUrl, LINK_USAGE, LinkCommand, LinkRequest};
pub use self::usage::USAGE;
use crate::http1::Settings;
use crate::http1::limits::{HEAD_TIMEOUT_NS, IDLE_TIMEOUT_NS};
use crate::routes::{FolderKind, UploadSettings};
use crate::semantics::proxies::Proxies;
use crate::semantics::rights::UploadPolicy;
use crate::system::confinement::Sandbox;
use crate::system::listen::{ListenAddress, ListenOptions};
use crate::telemetry::LogFormat;

/// How long an unfinished resumable upload is kept by default, in seconds: a day.
const UPLOAD_AGE_S_MAX: u64 = 86_400;

/// The default limit on unfinished resumable uploads.
const UPLOADS_PENDING_MAX: usize = 1000;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Print [`USAGE`].
    Help,
    /// Print the version.
    Version,
    /// Make a key or a link.
    Link(LinkCommand),
    /// Make an account.
    Account(AccountCommand),
    /// Serve.
    Serve(Box<Config>),
}

/// The configuration of the server.
#[derive(Debug)]
pub struct Config {
    /// Where to listen, at least once.
    pub listen: Vec<ListenAddress>,
    /// Where to serve the administrator's resources.
    pub admin: Vec<ListenAddress>,
    /// Host names under which the folder and the administrator's resources are served, in addition to the machine's own;
    /// `*` matches every name.
    pub hosts: Vec<String>,
    /// How long to go on after a shutdown was requested, in nanoseconds.
    pub shutdown_delay_ns: u64,
    /// The most connections of one address.
    pub connections_per_address_max: Option<usize>,
    /// How the listeners are opened.
    pub listen_options: ListenOptions,
    /// The directory to serve at `/files/`.
    pub directory: Option<PathBuf>,
    /// The folder to share at `/`, instead of all other routes.
    pub folder: Option<SharedFolder>,
    /// The file that says who may do what.
    pub accounts: Option<PathBuf>,
    /// The file with the keys of links.
    pub link_key: Option<PathBuf>,
    /// Which uploads are allowed without a link, if there are no accounts.
    pub uploads_for_everybody: UploadPolicy,
    /// Which uploads are allowed at most, and how they are stored.
    pub uploads: UploadSettings,
    /// The user to become once the listeners are open.
    pub user: Option<String>,
    /// How the process is confined.
    pub sandbox: Sandbox,
    /// The settings of the protocol.
    pub settings: Settings,
    /// The least severe level that is logged.
    pub log_level: LevelFilter,
    /// Where a line is written for each exchange.
    pub access_log: Option<AccessLogTarget>,
    /// The format of both logs.
    pub log_format: LogFormat,
}

/// Where the access log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// To standard output.
    StandardOutput,
    /// To the file at this path.
    File(PathBuf),
}

/// A folder to share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFolder {
    /// The path of the folder.
    pub path: PathBuf,
    /// How it is shared.
    pub options: FolderOptions,
}

/// The options of a shared folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Whether names that begin with a dot are served.
    pub shows_hidden: bool,
    /// What others find in it.
    pub kind: FolderKind,
    /// Whether the banner contains the address as a QR code.
    pub draws_qr: bool,
}

impl Command {
    /// Parses the arguments, which must not include the program's name.
    ///
    /// # Errors
    /// If an option is unknown, given twice, or has an invalid value, or if options contradict each other. `--help` and
    /// `--version` take effect where they are found, so a later error is not reported.
    pub fn from_arguments(mut arguments: Vec<OsString>) -> Result<Command, UsageError> {
        if arguments.first().is_some_and(|first| first == "link") {
            arguments.remove(0);
            let command = LinkCommand::from_arguments(arguments).map(Command::Link);
            return command.map_err(|error| error.with_help("link --help lists the options"));
        }
        if arguments.first().is_some_and(|first| first == "account") {
            arguments.remove(0);
            let command = AccountCommand::from_arguments(arguments).map(Command::Account);
            return command.map_err(|error| error.with_help("account --help lists the rights"));
        }
        match Arguments::parse(arguments)? {
            Parsed::Help => Ok(Command::Help),
            Parsed::Version => Ok(Command::Version),
            Parsed::Arguments(arguments) => Ok(Command::Serve(Box::new(Config::from_arguments(*arguments)?))),
        }
    }
}

impl Config {
    /// Applies the defaults, and checks the options against each other.
    fn from_arguments(arguments: Arguments) -> Result<Config, UsageError> {
        let log_level = arguments.log_level()?;
        let policy = arguments.upload_policy()?;
        let uploads_for_everybody = arguments.uploads_for_everybody(policy);
        let kind = arguments.folder_kind(policy)?;
        arguments.check_upload_options(policy)?;
        let listen = arguments.listen_addresses()?;
        let listen_options = arguments.listen_options(&listen)?;
        let options = FolderOptions { kind, ..arguments.options };
        Ok(Config {
            listen,
            listen_options,
            admin: arguments.admin,
            hosts: arguments.hosts,
            shutdown_delay_ns: arguments.shutdown_delay_ns.unwrap_or(0),
            connections_per_address_max: arguments.connections_per_address_max,
            directory: arguments.directory,
            link_key: arguments.link_key,
            folder: arguments.folder.map(|path| SharedFolder { path, options }),
            accounts: arguments.accounts,
            uploads_for_everybody,
            uploads: UploadSettings {
                policy,
                bytes_max: arguments.upload_bytes_max,
                durable: arguments.fsync,
                age_s_max: arguments.upload_age_s_max.unwrap_or(UPLOAD_AGE_S_MAX),
                pending_max: arguments.uploads_pending_max.unwrap_or(UPLOADS_PENDING_MAX),
            },
            user: arguments.user,
            sandbox: arguments.sandbox.unwrap_or_default(),
            settings: Settings {
                strict: arguments.strict,
                send_date: !arguments.no_date,
                head_timeout_ns: arguments.head_timeout_ns.unwrap_or(HEAD_TIMEOUT_NS),
                idle_timeout_ns: arguments.idle_timeout_ns.unwrap_or(IDLE_TIMEOUT_NS),
                rate: arguments.rate,
                proxies: Proxies { protocol: arguments.proxy_protocol, trusted: arguments.trusted_proxies },
            },
            log_level,
            access_log: arguments.access_log,
            log_format: arguments.log_format.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;
