//! The command line: from the arguments to a [`Config`]. Every error is one line that names its option.

mod account;
mod arguments;
mod link;
mod values;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use log::LevelFilter;

pub use self::account::{ACCOUNT_USAGE, AccountCommand};
use self::arguments::{Arguments, Parsed};
pub use self::link::{FolderUrl, LINK_USAGE, LinkCommand, LinkRequest};
use crate::http1::Settings;
use crate::http1::limits::{HEAD_TIMEOUT_NS, IDLE_TIMEOUT_NS};
use crate::routes::{FolderKind, UploadSettings};
use crate::semantics::proxies::Proxies;
use crate::semantics::rights::UploadPolicy;
use crate::system::confinement::Sandbox;
use crate::system::listen::{ListenAddress, ListenOptions};
use crate::telemetry::LogFormat;

/// What `--help` prints.
pub const USAGE: &str = "\
Spindle shares a folder over HTTP/1.1 and takes uploads.

Usage: spindle [OPTIONS] DIR    share the folder DIR at /
       spindle [OPTIONS]        the build-your-own-HTTP-server challenge:
                                /echo/, /user-agent, and with -d also /files/
       spindle account NAME RIGHTS
                                make an account: print its line and its secret
       spindle link --help      make links that let others in for a while

Examples:
  spindle ~/photos              only this machine can read the folder
  spindle --bind :: ~/photos    everybody on your network can read it
  spindle --bind :: --uploads create ~/inbox
                                they can also add files, but not replace any
  spindle --bind :: --uploads create --no-list ~/inbox
                                they can add files, but not see any
  spindle account alice read,create >> accounts
  spindle --accounts accounts ~/files
                                Alice, and nobody else, can read and add files

Address:
  -b, --bind ADDRESS     listen on localhost (127.0.0.1 and ::1), on one IP
                         address, or on :: (all addresses, IPv4 included); a
                         link-local address names its interface, as in
                         fe80::1%eth0 [default: localhost]
  -p, --port PORT        listen on this port; 0 picks a free one [default: 4221]
      --listen WHERE     listen there instead of on --bind and --port: on
                         ADDRESS:PORT, on the Unix socket unix:PATH, or on the
                         inherited sockets fd:NAME or fd:3; may be repeated
      --unix-mode MODE   the permissions of the Unix sockets [default: 666]
      --reuse-port       share the TCP port with other processes that give this
                         option; the system distributes the connections

Administration:
      --admin WHERE      serve /metrics (for Prometheus), /healthz and /readyz
                         there, and nowhere else; WHERE as for --listen
      --shutdown-delay S
                         after SIGTERM, respond 503 at /readyz and go on for S
                         seconds before the shutdown begins [default: 0]

Behind a proxy:
      --proxy-protocol FROM
                         connections from FROM (an IP address, a network such
                         as 10.0.0.0/8, or unix) begin with a PROXY protocol
                         header, which names the client; may be repeated
      --trusted-proxy FROM
                         believe requests from FROM about their clients'
                         addresses (Forwarded, X-Forwarded-For); may be repeated

Files:
  -d, --directory DIR    serve the files below this directory at /files/, under
                         every host name, names that begin with a dot included
      --uploads MODE     off, create (add files, but never replace one), replace
                         (add and replace files), or manage (also delete and
                         move files, and create directories)
                         [default: off with DIR, replace with --directory, and
                         what FILE says with --accounts FILE]
      --max-upload SIZE  refuse longer files; SIZE is a number of bytes, and
                         may end in K, M, G or T (powers of 1024)
                         [default: no limit]
      --upload-max-age S
                         seconds to keep an unfinished resumable upload after
                         its last byte [default: 86400, a day]
      --uploads-pending N
                         keep at most N unfinished resumable uploads
                         [default: 1000]
      --fsync            confirm an upload only after it is flushed to the disk

Shared folder (with DIR):
      --site             serve DIR as a web site: index.html instead of a
                         listing, 404.html, precompressed files (.br, .zst,
                         .gz), scripts allowed; not together with uploads
      --no-list          serve DIR as a drop box: others can add files, as
                         --uploads says, but neither list nor download any
      --hidden           also serve names that begin with a dot
      --qr               print the address as a QR code, for a phone's camera
      --host NAME        also serve this host name, besides IP addresses,
                         localhost and this machine's name; '*' serves every
                         name; may be repeated; without DIR, for --admin

Who may come in (with DIR):
      --accounts FILE    let others do only what FILE says: NAME RIGHTS HASH for
                         each account, as spindle account prints it, and
                         * RIGHTS for everybody; RIGHTS is a list of read,
                         create, replace and manage, of which --uploads is the
                         upper bound; SIGHUP reads FILE again
      --link-key FILE    accept links signed by the keys in FILE, which 'spindle
                         link' makes; SIGHUP reads FILE again

Confinement:
      --user NAME        as root: become this user once the addresses are
                         open, and give up all privileges
      --sandbox MODE     on: the server can open no file but its own, start no
                         program and make no connection, as far as the kernel
                         can enforce that; kill: a system call that it never
                         needs also ends it; off [default: on]

Protocol:
      --no-date          send no Date field
      --strict           refuse HTTP/1.1 requests without Host, and targets
                         outside the URI grammar
      --head-timeout S   seconds for the whole head of a request [default: 10]
      --idle-timeout S   seconds to wait for a request [default: 60]

Limits:
      --connections-per-address N
                         allow an IP address, or an IPv6 network (/64), only N
                         connections at a time; a further one replaces an idle
                         one, or else gets a 503 [default: no limit]
      --rate SIZE        send and receive at most SIZE bytes a second on each
                         connection; SIZE as for --max-upload
                         [default: no limit]

Output:
      --access-log FILE  append a line for each request to FILE, or write it to
                         standard output if FILE is -; SIGHUP opens FILE anew
      --log-format FORMAT
                         of the access log: combined (as Apache and nginx) or
                         json, which also applies to the messages on standard
                         error [default: combined]
  -v, --verbose          log each request and its response to standard error;
                         with -vv also the states of each connection
  -q, --quiet            log errors only [default: warnings, errors and
                         what SIGHUP has read again]
  -h, --help             print this help
  -V, --version          print the version

To stop the server, press Ctrl-C or send SIGTERM. Responses and uploads in
progress get up to 10 seconds to finish. A second signal stops it at once.
";

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

/// An error in the arguments, described in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError {
    problem: String,
    help: &'static str,
}

impl UsageError {
    fn new(problem: impl Into<String>) -> UsageError {
        UsageError { problem: problem.into(), help: "--help lists the options" }
    }

    /// Which arguments print the help for what was meant, and what that lists.
    pub fn help(&self) -> &'static str {
        self.help
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for UsageError {}

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
            return command.map_err(|error| UsageError { help: "link --help lists the options", ..error });
        }
        if arguments.first().is_some_and(|first| first == "account") {
            arguments.remove(0);
            let command = AccountCommand::from_arguments(arguments).map(Command::Account);
            return command.map_err(|error| UsageError { help: "account --help lists the rights", ..error });
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

/// An argument as error messages show it: control characters are escaped, so that it cannot forge a line.
fn shown(argument: &OsStr) -> String {
    argument.to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    use super::arguments::LONG_NAMES;
    use super::*;
    use crate::http1::limits::SECOND_NS;
    use crate::system::listen::Bind;

    fn config(arguments: &[&str]) -> Result<Config, String> {
        match Command::from_arguments(arguments.iter().map(OsString::from).collect()) {
            Ok(Command::Serve(config)) => Ok(*config),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_arguments_the_challenge_is_served() {
        let config = config(&[]).unwrap();
        assert_eq!(config.listen, [ListenAddress::Tcp(Bind::Localhost, 4221)]);
        assert_eq!(config.directory, None);
        assert_eq!(config.uploads.policy, UploadPolicy::Replace);
        assert!(config.settings.send_date && !config.settings.strict);
        assert_eq!(config.log_level, LevelFilter::Warn);
        assert_eq!((config.access_log, config.log_format), (None, LogFormat::Combined));
    }

    #[test]
    fn values_follow_short_and_long_options_in_every_usual_form() {
        for arguments in [
            &["-p", "80", "-d", "/srv", "-b", "::1", "-vv"][..],
            &["--port=80", "--directory=/srv", "--bind=[::1]", "-v", "--verbose"],
            &["--verbose", "-v", "--bind", "::1", "--port", "80", "--directory", "/srv"],
            &["-p80", "-d/srv", "-b=::1", "-vv"],
            &["-vvp80", "-d/srv", "-b::1"],
        ] {
            let config = config(arguments).unwrap();
            assert_eq!(config.directory, Some(PathBuf::from("/srv")));
            assert_eq!(config.listen, [ListenAddress::Tcp(Bind::Address("::1".parse().unwrap()), 80)]);
            assert_eq!(config.log_level, LevelFilter::Debug);
        }
    }

    #[test]
    fn listen_may_be_repeated_and_replaces_bind_and_port() {
        let config = config(&["--listen", "unix:/run/s", "--listen=localhost:80", "--unix-mode=660"]).unwrap();
        let expected = ["unix:/run/s", "localhost:80"].map(|value| value.parse().unwrap());
        assert_eq!(config.listen, expected);
        assert_eq!(config.listen_options.unix_mode, "660".parse().unwrap());
    }

    #[test]
    fn a_directory_need_not_be_utf_8() {
        for argument in [&b"--directory=\"\xff=\""[..], b"-d\"\xff=\""] {
            let argument = OsString::from_vec(argument.to_vec());
            let Ok(Command::Serve(config)) = Command::from_arguments(vec![argument]) else { panic!() };
            assert_eq!(config.directory.unwrap().as_os_str().as_bytes(), b"\"\xff=\"");
        }
    }

    #[test]
    fn a_value_that_looks_like_an_option_is_a_value() {
        assert_eq!(config(&["-dshare", "-p0"]).unwrap().directory, Some(PathBuf::from("share")), "not -h");
        assert_eq!(config(&["--host", "-d", "dir"]).unwrap().hosts, ["-d"]);
        assert_eq!(config(&["-d", "-h"]).unwrap().directory, Some(PathBuf::from("-h")));
        assert_eq!(config(&["--", "-dir"]).unwrap().folder.unwrap().path, PathBuf::from("-dir"));
    }

    #[test]
    fn the_access_log_goes_to_a_file_or_to_standard_output() {
        let access_log = |file| config(&["--access-log", file, "--log-format=json"]).unwrap();
        assert_eq!(access_log("-").access_log, Some(AccessLogTarget::StandardOutput));
        assert_eq!(access_log("./-").access_log, Some(AccessLogTarget::File(PathBuf::from("./-"))));
        assert_eq!(access_log("-v").access_log, Some(AccessLogTarget::File(PathBuf::from("-v"))));
        assert_eq!(access_log("-").log_format, LogFormat::Json);
    }

    #[test]
    fn limits_are_off_by_default() {
        let default = config(&[]).unwrap();
        assert_eq!((default.connections_per_address_max, default.settings.rate), (None, None));
        let limited = config(&["--connections-per-address=6", "--rate", "1M"]).unwrap();
        let rate = std::num::NonZeroU64::new(1 << 20).map(crate::http1::Rate::new);
        assert_eq!((limited.connections_per_address_max, limited.settings.rate), (Some(6), rate));
    }

    #[test]
    fn sizes_and_times() {
        let max_upload = |size| config(&["-ddir", "--max-upload", size]).unwrap().uploads.bytes_max;
        assert_eq!(max_upload("0"), Some(0));
        assert_eq!(max_upload("1000"), Some(1000));
        assert_eq!(max_upload("2k"), Some(2048));
        assert_eq!(max_upload("3G"), Some(3 << 30));
        assert_eq!(config(&["--head-timeout", "3"]).unwrap().settings.head_timeout_ns, 3 * SECOND_NS);
    }

    fn assert_error(arguments: &[&str], named: &str) {
        let error = config(arguments).unwrap_err();
        assert!(error.contains(named), "{arguments:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn an_error_leads_to_the_help_of_its_command() {
        for (arguments, help) in [
            (&["--prot", "80"][..], "--help lists the options"),
            (&["-p", "80", "link"], "--help lists the options"),
            (&["link", "--read"], "link --help lists the options"),
            (&["link", "--prot"], "link --help lists the options"),
            (&["account", "alice"], "account --help lists the rights"),
        ] {
            let error = Command::from_arguments(arguments.iter().map(OsString::from).collect()).unwrap_err();
            assert_eq!(error.help(), help, "{arguments:?}: {error}");
        }
    }

    #[test]
    fn an_error_names_the_option_and_the_value() {
        for (arguments, named) in [
            (&["--prot", "80"][..], "--prot"),
            (&["-x"], "-x"),
            (&["--strict=yes"], "--strict=yes: the option takes no value"),
            (&["--qr=", "dir"], "--qr=: the option takes no value"),
            (&["dir", "other"], "other"),
            (&["dir", "--directory", "other"], "--directory other"),
            (&[""], "DIR"),
            (&["--hidden"], "--hidden"),
            (&["--host", "box"], "--host"),
            (&["--site"], "--site"),
            (&["--accounts", "file"], "--accounts needs a folder to share: spindle --accounts … DIR"),
            (&["--accounts", "a", "-d", "dir"], "spindle --accounts … DIR, without --directory"),
            (&["--accounts", "", "dir"], "--accounts: the name is empty"),
            (&["--qr"], "--qr needs a folder to share: spindle --qr … DIR"),
            (&["--qr", "-d", "dir"], "spindle --qr … DIR, without --directory"),
            (&["dir", "--site", "--uploads", "create"], "--site and --uploads"),
            (&["dir", "--host", "a:80"], "a:80"),
            (&["dir", "--host", ""], "--host \"\": expected"),
            (&["dir", "--host", "a b"], "--host \"a b\": expected"),
            (&["--bind", "localhost:"], "--bind \"localhost:\": expected"),
            (&["dir", "--hidden", "--hidden"], "--hidden is given twice"),
            (&["--port"], "--port"),
            (&["--port", "65536"], "65536"),
            (&["--port", "+80"], "+80"),
            (&["--port", ""], "--port"),
            (&["--port", "1", "--port", "2"], "--port is given twice"),
            (&["--strict", "--strict"], "--strict is given twice"),
            (&["--bind", "example.org"], "example.org"),
            (&["--uploads", "on"], "--uploads"),
            (&["--max-upload", "1X"], "1X"),
            (&["--max-upload", "K"], "K"),
            (&["--max-upload", "99999999999T"], "--max-upload 99999999999T: expected at most 16777215T"),
            (&["--idle-timeout", "0"], "--idle-timeout"),
            (&["--idle-timeout", "1.5"], "--idle-timeout"),
            (&["--connections-per-address", "0"], "--connections-per-address 0: expected a whole number from 1 to"),
            (&["--rate", "1023"], "--rate 1023: expected at least 1024 bytes"),
            (&["--rate", "1MB"], "--rate 1MB: expected a number of bytes, or a number with K, M, G or T; write 1M"),
            (&["--directory", ""], "--directory"),
            (&["--uploads", "create"], "--uploads needs a directory"),
            (&["--max-upload", "1G"], "--max-upload needs a directory"),
            (&["--upload-max-age", "1"], "--upload-max-age needs a directory"),
            (&["--uploads-pending", "1"], "--uploads-pending needs a directory"),
            (&["--fsync"], "--fsync needs a directory"),
            (&["--access-log", ""], "--access-log: the name is empty"),
            (&["--access-log", "a", "--access-log", "b"], "--access-log is given twice"),
            (&["--log-format", "JSON"], "--log-format JSON: expected combined or json"),
            (&["-vvv"], "--verbose can be given at most twice"),
            (&["-v", "--verbose", "-v"], "--verbose can be given at most twice"),
            (&["-q", "-v"], "--quiet"),
            (&["-q", "--quiet"], "--quiet is given twice"),
        ] {
            assert_error(arguments, named);
        }
    }

    #[test]
    fn an_option_that_needs_uploads_is_an_error_without_them() {
        for (arguments, named) in [
            (&["dir", "--fsync"][..], "--fsync needs uploads: give also --uploads create, replace or manage"),
            (&["dir", "--max-upload", "1G"], "--max-upload needs uploads"),
            (&["dir", "--upload-max-age", "1"], "--upload-max-age needs uploads"),
            (&["dir", "--uploads-pending", "1"], "--uploads-pending needs uploads"),
            (&["dir", "--uploads", "off", "--fsync"], "--fsync and --uploads off cannot be combined"),
            (&["-d", "dir", "--uploads", "off", "--max-upload", "1"], "--max-upload and --uploads off cannot"),
            (&["dir", "--site", "--max-upload", "1G"], "--site and --max-upload cannot be combined"),
        ] {
            assert_error(arguments, named);
        }
    }

    #[test]
    fn a_drop_box_needs_a_folder_and_uploads_and_is_no_site() {
        for (arguments, named) in [
            (&["--no-list", "--uploads", "create"][..], "--no-list needs a folder to share: spindle --no-list … DIR"),
            (&["--no-list", "-d", "dir"], "spindle --no-list … DIR, without --directory"),
            (&["dir", "--no-list"], "--no-list needs uploads: give also --uploads create, replace or manage"),
            (&["dir", "--no-list", "--uploads", "off"], "--no-list and --uploads off cannot be combined"),
            (&["dir", "--no-list", "--site"], "--site and --no-list cannot be combined"),
            (&["dir", "--no-list", "--no-list"], "--no-list is given twice"),
        ] {
            assert_error(arguments, named);
        }
    }

    #[test]
    fn a_long_name_with_one_hyphen_is_corrected() {
        for (arguments, named) in [
            (&["-port", "80"][..], "unknown option -port; did you mean --port?"),
            (&["-v", "-port=80"], "unknown option -port; did you mean --port?"),
            (&["-host", "box", "dir"], "unknown option -host; did you mean --host?"),
        ] {
            assert_error(arguments, named);
        }
    }

    #[test]
    fn an_error_in_the_listeners_names_the_option_and_the_value() {
        for (arguments, named) in [
            (&["--admin", "80"][..], "--admin 80: expected ADDRESS:PORT"),
            (&["--shutdown-delay", "-1"], "--shutdown-delay -1: expected"),
            (&["--listen", "80"], "--listen 80: expected ADDRESS:PORT"),
            (&["--listen", "[::1]:80", "--port", "80"], "--listen replaces --port"),
            (&["--listen", "[::1]:80", "-b", "::1"], "--listen replaces --bind"),
            (&["--listen", "[::1]:80", "--unix-mode", "660"], "--unix-mode needs a Unix socket"),
            (&["--listen", "unix:s", "--reuse-port"], "--reuse-port needs a TCP port"),
            (&["--port", "0", "--reuse-port"], "--reuse-port needs a port other than 0"),
            (&["--listen", "unix:s", "--unix-mode", "1660"], "--unix-mode 1660: expected"),
        ] {
            let error = config(arguments).unwrap_err();
            assert!(error.contains(named), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn a_host_name_may_be_that_of_the_administrators_resources_alone() {
        assert_eq!(config(&["--admin", "[::1]:0", "--host", "box"]).unwrap().hosts, ["box"]);
        assert_eq!(config(&["-d", "dir", "--host", "box", "--admin", "[::1]:0"]).unwrap().hosts, ["box"]);
    }

    #[test]
    fn a_folder_is_shared_without_uploads_unless_they_are_asked_for() {
        let shared = config(&["-p", "80", "dir", "--host", "a.example", "--hidden", "--host=*"]).unwrap();
        let folder = shared.folder.unwrap();
        assert_eq!(shared.hosts, ["a.example", "*"]);
        assert_eq!((folder.path, shared.directory), (PathBuf::from("dir"), None));
        assert_eq!(shared.listen, [ListenAddress::Tcp(Bind::Localhost, 80)]);
        assert_eq!(folder.options, FolderOptions { shows_hidden: true, kind: FolderKind::Listed, draws_qr: false });
        assert_eq!(shared.uploads.policy, UploadPolicy::Off);
        assert_eq!(config(&["dir", "--uploads", "create"]).unwrap().uploads.policy, UploadPolicy::Create);
        assert_eq!(config(&["dir", "--uploads", "manage"]).unwrap().uploads.policy, UploadPolicy::Manage);
        assert_eq!(config(&["-d", "dir"]).unwrap().uploads.policy, UploadPolicy::Replace);
        assert_eq!(config(&["a=b"]).unwrap().folder.unwrap().path, PathBuf::from("a=b"));
    }

    #[test]
    fn links_can_add_files_although_others_cannot() {
        let policies =
            |arguments| config(arguments).map(|config| (config.uploads_for_everybody, config.uploads.policy));
        let (off, create, replace) = (UploadPolicy::Off, UploadPolicy::Create, UploadPolicy::Replace);
        assert_eq!(policies(&["dir", "--link-key", "k"]), Ok((off, create)));
        assert_eq!(policies(&["dir", "--link-key", "k", "--max-upload", "1G", "--no-list"]), Ok((off, create)));
        assert_eq!(policies(&["dir", "--link-key", "k", "--uploads", "off"]), Ok((off, off)));
        assert_eq!(policies(&["dir", "--link-key", "k", "--site"]), Ok((off, off)));
        assert_eq!(policies(&["dir", "--link-key", "k", "--uploads", "replace"]), Ok((replace, replace)));
        assert_error(&["--link-key", "k", "-d", "dir"], "--link-key needs a folder to share");
    }

    #[test]
    fn a_folder_that_is_named_like_a_command_is_shared_by_a_longer_path() {
        assert_eq!(config(&["./link"]).unwrap().folder.unwrap().path, PathBuf::from("./link"));
        assert_error(
            &["-p0", "link"],
            "DIR link: that is a command, which comes first; a folder of this name is shared as ./link",
        );
        assert!(matches!(Command::from_arguments(vec!["link".into(), "--help".into()]), Ok(Command::Link(_))));
    }

    #[test]
    fn a_drop_box_takes_uploads() {
        for policy in ["create", "replace", "manage"] {
            let config = config(&["--no-list", "--uploads", policy, "--fsync", "--max-upload=1", "dir"]).unwrap();
            assert_eq!(config.folder.unwrap().options.kind, FolderKind::DropBox);
            assert!(config.uploads.durable);
        }
        let kind = |arguments| config(arguments).unwrap().folder.unwrap().options.kind;
        assert_eq!(kind(&["dir", "--site", "--uploads", "off"]), FolderKind::Site);
        assert_eq!(kind(&["dir", "--uploads", "create"]), FolderKind::Listed);
    }

    #[test]
    fn a_value_or_an_operand_may_look_like_a_long_name_with_one_hyphen() {
        assert_eq!(config(&["-d", "-port"]).unwrap().directory, Some(PathBuf::from("-port")));
        assert_eq!(config(&["--", "-port"]).unwrap().folder.unwrap().path, PathBuf::from("-port"));
    }

    #[test]
    fn help_and_version_need_nothing_else() {
        let command = |argument: &str| Command::from_arguments(vec![argument.into()]).unwrap();
        assert!(matches!(command("--help"), Command::Help));
        assert!(matches!(command("-h"), Command::Help));
        assert!(matches!(command("-V"), Command::Version));
        assert!(matches!(command("-vh"), Command::Help));
    }

    #[test]
    fn the_usage_names_every_option_and_fits_a_terminal() {
        for name in LONG_NAMES {
            assert!(USAGE.contains(&format!(" --{name} ")), "{name}");
            let parsed = config(&[&format!("--{name}"), "1"]);
            assert!(!parsed.is_err_and(|error| error.contains("unknown")), "{name}");
        }
        let in_usage = USAGE.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for name in in_usage.map(|name| name.trim_end_matches([',', ':', ']'])) {
            assert!(LONG_NAMES.contains(&name), "{name}");
        }
        assert!(USAGE.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn an_unknown_option_is_corrected_if_one_is_similar() {
        for (given, meant) in [
            ("--upload", "--uploads"),
            ("--prot=80", "--port"),
            ("--PORT=80", "--port"),
            ("--dir", "--directory"),
            ("--idle-time", "--idle-timeout"),
            ("--max-uploads", "--max-upload"),
            ("--hosts", "--host"),
        ] {
            let error = config(&[given]).unwrap_err();
            assert!(error.ends_with(&format!("; did you mean {meant}?")), "{given}: {error}");
        }
        for given in ["--x", "--serve", "--http", "--cgi", "--="] {
            let error = config(&[given]).unwrap_err();
            assert_eq!(error, format!("unknown option {}", given.trim_end_matches('=')));
        }
    }
}
