//! From arguments to a configuration. Every value is checked here, with an error that names its option.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use log::LevelFilter;
use pico_args::Arguments;

use crate::http1::Settings;
use crate::http1::limits::{HEAD_TIMEOUT_NS, IDLE_TIMEOUT_NS, SECOND_NS};
use crate::routes::{UploadPolicy, UploadSettings};
use crate::system::listen::Bind;

/// What `--help` prints.
pub const USAGE: &str = "\
Spindle shares a folder over HTTP/1.1 and takes uploads.

Usage: spindle [OPTIONS] DIR    share the folder DIR at /
       spindle [OPTIONS]        the build-your-own-HTTP-server challenge:
                                /echo/, /user-agent, and with -d also /files/

Examples:
  spindle ~/photos              only this machine can read the folder
  spindle --bind :: ~/photos    everybody on your network can read it
  spindle --bind :: --uploads create ~/inbox
                                they can also add files, but not replace any

Address:
  -b, --bind ADDRESS     listen on localhost (127.0.0.1 and ::1), on one IP
                         address, or on :: (all addresses, IPv4 included); a
                         link-local address names its interface, as in
                         fe80::1%eth0 [default: localhost]
  -p, --port PORT        listen on this port; 0 picks a free one [default: 4221]

Files:
  -d, --directory DIR    serve the files below this directory at /files/
      --uploads MODE     off, create (add files, but never replace one), or
                         replace (add and replace files)
                         [default: off with DIR, replace with --directory]
      --max-upload SIZE  refuse longer uploads; SIZE is a number of bytes, and
                         may end in K, M, G or T (powers of 1024)
                         [default: no limit]
      --fsync            confirm an upload only after it is flushed to the disk

Shared folder (with DIR):
      --site             serve DIR as a web site: index.html instead of a
                         listing, 404.html, precompressed files (.br, .zst,
                         .gz), scripts allowed; not together with uploads
      --hidden           also serve names that begin with a dot
      --qr               print the address as a QR code, for a phone's camera
      --host NAME        also serve this host name, besides IP addresses,
                         localhost and this machine's name; '*' serves every
                         name; may be repeated

Protocol:
      --no-date          send no Date field
      --strict           refuse HTTP/1.1 requests without Host, and targets
                         outside the URI grammar
      --head-timeout S   seconds for the whole head of a request [default: 10]
      --idle-timeout S   seconds to wait for a request [default: 60]

Output:
  -v, --verbose          log each exchange to standard error; with -vv also the
                         states of each connection
  -q, --quiet            log errors only [default: warnings and errors]
  -h, --help             print this help
  -V, --version          print the version

To stop the server, press Ctrl-C or send SIGTERM. Responses and uploads in
progress get up to 10 seconds to finish. A second signal stops it at once.
";

/// The port of the challenge.
const PORT: u16 = 4221;

/// The longest time-out that can be asked for, in seconds: a day.
const TIMEOUT_S_MAX: u64 = 86_400;

/// What was asked for.
#[derive(Debug)]
pub enum Command {
    /// Print [`USAGE`].
    Help,
    /// Print the version.
    Version,
    /// Serve.
    Serve(Box<Config>),
}

/// How to serve.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: Bind,
    /// The port; 0 for a free one.
    pub port: u16,
    /// What to serve at `/files/`.
    pub directory: Option<PathBuf>,
    /// What to share at `/`, in the place of all else.
    pub folder: Option<SharedFolder>,
    /// How uploads are taken.
    pub uploads: UploadSettings,
    /// How the protocol is spoken.
    pub settings: Settings,
    /// What is logged.
    pub log_level: LevelFilter,
}

/// A folder that is to be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFolder {
    /// Where it is.
    pub path: PathBuf,
    /// How it is shared.
    pub options: FolderOptions,
}

/// What says how a folder is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Whether names that begin with a dot are served.
    pub shows_hidden: bool,
    /// Whether it is served as a web site.
    pub is_site: bool,
    /// Whether the address is drawn as a QR code.
    pub draws_qr: bool,
    /// Host names that are served besides the machine's own; `*` stands for all.
    pub hosts: Vec<String>,
}

/// What was wrong with the arguments, in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl Command {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// An option that is unknown, is given twice, or has a bad value.
    pub fn from_arguments(arguments: Vec<OsString>) -> Result<Command, UsageError> {
        if let Some(argument) = arguments.iter().find(|argument| is_flag_with_value(argument.as_bytes())) {
            return Err(UsageError(format!("{}: it takes no value", argument.to_string_lossy().escape_debug())));
        }
        let mut arguments = Arguments::from_vec(arguments.into_iter().flat_map(split_at_equals_sign).collect());
        // Values are taken first, so that one that looks like a flag is still a value.
        let config = Config::from_arguments(&mut arguments);
        if arguments.contains(["-h", "--help"]) {
            return Ok(Command::Help);
        }
        if arguments.contains(["-V", "--version"]) {
            return Ok(Command::Version);
        }
        let config = config?.with_operands(arguments.finish())?;
        Ok(Command::Serve(Box::new(config)))
    }
}

/// What the options say, before it is known whether a folder is shared.
struct Options {
    config: Config,
    uploads: Option<UploadPolicy>,
    folder: FolderOptions,
}

impl Options {
    /// Adds what is no option: the folder to share, if there is one.
    fn with_operands(self, operands: Vec<OsString>) -> Result<Config, UsageError> {
        let Options { mut config, uploads, folder: options } = self;
        if let Some(option) = operands.iter().find(|operand| operand.as_bytes().starts_with(b"-")) {
            return Err(UsageError(format!("{} is no option", option.to_string_lossy().escape_debug())));
        }
        let mut operands = operands.into_iter();
        let Some(path) = operands.next() else {
            if let Some(option) = options.first_given() {
                return Err(UsageError(format!("{option} needs a folder to share: spindle {option} … DIR")));
            }
            config.uploads.policy = uploads.unwrap_or(UploadPolicy::Replace);
            return Ok(config);
        };
        let shown = path.to_string_lossy().escape_debug().to_string();
        if let Some(second) = operands.next() {
            let second = second.to_string_lossy();
            return Err(UsageError(format!(
                "one folder is shared: both {shown} and {} are given",
                second.escape_debug()
            )));
        }
        if path.is_empty() {
            return Err(UsageError("DIR: the name is empty".to_owned()));
        }
        if let Some(directory) = &config.directory {
            let directory = directory.to_string_lossy();
            return Err(UsageError(format!(
                "DIR {shown} is shared at /, --directory {} is served at /files/: give one of them",
                directory.escape_debug()
            )));
        }
        // To share is to let others read. That they may write is said.
        config.uploads.policy = uploads.unwrap_or(UploadPolicy::Off);
        if options.is_site && config.uploads.policy != UploadPolicy::Off {
            return Err(UsageError(
                "--site and --uploads exclude each other: what anybody stores would run as a part of the site"
                    .to_owned(),
            ));
        }
        config.folder = Some(SharedFolder { path: PathBuf::from(path), options });
        Ok(config)
    }
}

impl FolderOptions {
    fn from_arguments(arguments: &mut Arguments) -> Result<FolderOptions, UsageError> {
        let mut hosts = Vec::new();
        // Each round takes two arguments.
        while let Some(host) = take_option(arguments, ["", "--host"], parse_host)? {
            hosts.push(host);
        }
        Ok(FolderOptions {
            shows_hidden: flag(arguments, "--hidden")?,
            is_site: flag(arguments, "--site")?,
            draws_qr: flag(arguments, "--qr")?,
            hosts,
        })
    }

    /// The first of the options that were given.
    fn first_given(&self) -> Option<&'static str> {
        let given = [
            (self.shows_hidden, "--hidden"),
            (self.is_site, "--site"),
            (self.draws_qr, "--qr"),
            (!self.hosts.is_empty(), "--host"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }
}

impl Config {
    fn from_arguments(arguments: &mut Arguments) -> Result<Options, UsageError> {
        let bind = option(arguments, ["-b", "--bind"], str::parse)?.unwrap_or(Bind::Localhost);
        let port = option(arguments, ["-p", "--port"], parse_port)?.unwrap_or(PORT);
        let directory = path(arguments, ["-d", "--directory"])?;
        let uploads = option(arguments, ["", "--uploads"], parse_policy)?;
        let bytes_max = option(arguments, ["", "--max-upload"], parse_size)?;
        let head_timeout_ns = option(arguments, ["", "--head-timeout"], parse_seconds)?.unwrap_or(HEAD_TIMEOUT_NS);
        let idle_timeout_ns = option(arguments, ["", "--idle-timeout"], parse_seconds)?.unwrap_or(IDLE_TIMEOUT_NS);
        let folder = FolderOptions::from_arguments(arguments)?;
        let config = Config {
            bind,
            port,
            directory,
            folder: None,
            uploads: UploadSettings { policy: UploadPolicy::Off, bytes_max, durable: flag(arguments, "--fsync")? },
            settings: Settings {
                strict: flag(arguments, "--strict")?,
                send_date: !flag(arguments, "--no-date")?,
                head_timeout_ns,
                idle_timeout_ns,
            },
            log_level: log_level(arguments)?,
        };
        Ok(Options { config, uploads, folder })
    }
}

/// The options that take no value.
const FLAGS: [&str; 10] =
    ["--fsync", "--no-date", "--strict", "--hidden", "--site", "--qr", "--verbose", "--quiet", "--help", "--version"];

/// Whether it is an option that takes no value, and has one behind an equals sign: taken apart, the value would be the
/// folder to share.
fn is_flag_with_value(argument: &[u8]) -> bool {
    let option = memchr::memchr(b'=', argument).map(|equals| &argument[..equals]);
    option.is_some_and(|option| FLAGS.iter().any(|flag| flag.as_bytes() == option))
}

/// `--option=value` as two arguments. Done here because `pico-args` would take quotes off the value, and wants it to be
/// UTF-8, which the name of a directory need not be.
fn split_at_equals_sign(argument: OsString) -> Vec<OsString> {
    let bytes = argument.as_bytes();
    match memchr::memchr(b'=', bytes) {
        Some(equals) if bytes.starts_with(b"--") => {
            let (option, value) = (&bytes[..equals], &bytes[equals + 1..]);
            vec![OsString::from_vec(option.to_vec()), OsString::from_vec(value.to_vec())]
        }
        _ => vec![argument],
    }
}

/// The value of an option that is named by a short form, which may be empty, and a long one.
fn option<T>(
    arguments: &mut Arguments,
    keys: [&'static str; 2],
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, UsageError> {
    let value = take_option(arguments, keys, parse)?;
    match value.is_some() && take_os_value(arguments, keys)?.is_some() {
        true => Err(UsageError(format!("{} is given twice", keys[1]))),
        false => Ok(value),
    }
}

/// As [`option`], of one that may be given again.
fn take_option<T>(
    arguments: &mut Arguments,
    keys: [&'static str; 2],
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, UsageError> {
    let name = keys[1];
    let Some(value) = take_os_value(arguments, keys)? else { return Ok(None) };
    let shown = value.to_string_lossy();
    match value.to_str().ok_or("it is no text".to_owned()).and_then(parse) {
        Ok(value) => Ok(Some(value)),
        Err(problem) => Err(UsageError(format!("{name} {}: {problem}", shown.escape_debug()))),
    }
}

fn path(arguments: &mut Arguments, keys: [&'static str; 2]) -> Result<Option<PathBuf>, UsageError> {
    let value = take_os_value(arguments, keys)?;
    if value.is_some() && take_os_value(arguments, keys)?.is_some() {
        return Err(UsageError(format!("{} is given twice", keys[1])));
    }
    match value {
        Some(value) if value.is_empty() => Err(UsageError(format!("{}: the name is empty", keys[1]))),
        value => Ok(value.map(PathBuf::from)),
    }
}

fn take_os_value(arguments: &mut Arguments, keys: [&'static str; 2]) -> Result<Option<OsString>, UsageError> {
    let parse = |value: &std::ffi::OsStr| Ok::<_, String>(value.to_owned());
    let [short, long] = keys;
    let value = match short {
        "" => arguments.opt_value_from_os_str(long, parse),
        _ => arguments.opt_value_from_os_str([short, long], parse),
    };
    value.map_err(|_| UsageError(format!("{long} needs a value")))
}

fn flag(arguments: &mut Arguments, key: &'static str) -> Result<bool, UsageError> {
    let is_given = arguments.contains(key);
    if is_given && arguments.contains(key) {
        return Err(UsageError(format!("{key} is given twice")));
    }
    Ok(is_given)
}

fn log_level(arguments: &mut Arguments) -> Result<LevelFilter, UsageError> {
    let mut verbose = 0;
    while arguments.contains(["-v", "--verbose"]) {
        verbose += 1;
    }
    let quiet = arguments.contains(["-q", "--quiet"]);
    if quiet && arguments.contains(["-q", "--quiet"]) {
        return Err(UsageError("--quiet is given twice".to_owned()));
    }
    match (quiet, verbose) {
        (true, 0) => Ok(LevelFilter::Error),
        (true, _) => Err(UsageError("--quiet and --verbose exclude each other".to_owned())),
        (false, 0) => Ok(LevelFilter::Warn),
        (false, 1) => Ok(LevelFilter::Info),
        (false, _) => Ok(LevelFilter::Debug),
    }
}

/// The grammar is left to whoever configures the names; what no Host field can hold would be a mistake.
fn parse_host(value: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match value == "*" || !value.is_empty() && value.bytes().all(is_name) {
        true => Ok(value.to_owned()),
        false => Err("it is a host name without a port, or * for all".to_owned()),
    }
}

fn parse_port(value: &str) -> Result<u16, String> {
    digits(value).and_then(|port| u16::try_from(port).ok()).ok_or("a port is a number from 0 to 65535".to_owned())
}

fn parse_policy(value: &str) -> Result<UploadPolicy, String> {
    match value {
        "replace" => Ok(UploadPolicy::Replace),
        "create" => Ok(UploadPolicy::Create),
        "off" => Ok(UploadPolicy::Off),
        _ => Err("it is one of replace, create and off".to_owned()),
    }
}

fn parse_seconds(value: &str) -> Result<u64, String> {
    match digits(value) {
        Some(seconds @ 1..=TIMEOUT_S_MAX) => Ok(seconds * SECOND_NS),
        _ => Err(format!("a time-out is a number of seconds from 1 to {TIMEOUT_S_MAX}")),
    }
}

fn parse_size(value: &str) -> Result<u64, String> {
    let (number, doublings) = match value.as_bytes() {
        [.., b'K' | b'k'] => (&value[..value.len() - 1], 10),
        [.., b'M' | b'm'] => (&value[..value.len() - 1], 20),
        [.., b'G' | b'g'] => (&value[..value.len() - 1], 30),
        [.., b'T' | b't'] => (&value[..value.len() - 1], 40),
        _ => (value, 0),
    };
    digits(number)
        .and_then(|number| number.checked_mul(1 << doublings))
        .ok_or("a size is a number of bytes, or a number and K, M, G or T".to_owned())
}

/// Digits and nothing else: the standard library's parser takes a plus sign too.
fn digits(value: &str) -> Option<u64> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(arguments: &[&str]) -> Result<Config, String> {
        match Command::from_arguments(arguments.iter().map(OsString::from).collect()) {
            Ok(Command::Serve(config)) => Ok(*config),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn nothing_given_is_the_challenge() {
        let config = config(&[]).unwrap();
        assert_eq!((config.bind, config.port), (Bind::Localhost, 4221));
        assert_eq!(config.directory, None);
        assert_eq!(config.uploads.policy, UploadPolicy::Replace);
        assert!(config.settings.send_date && !config.settings.strict);
        assert_eq!(config.log_level, LevelFilter::Warn);
    }

    #[test]
    fn short_and_long_forms_with_and_without_equals_sign() {
        for arguments in [
            &["-p", "80", "-d", "/srv", "-b", "::1", "-vv"][..],
            &["--port=80", "--directory=/srv", "--bind=[::1]", "-v", "--verbose"],
            &["--verbose", "-v", "--bind", "::1", "--port", "80", "--directory", "/srv"],
        ] {
            let config = config(arguments).unwrap();
            assert_eq!(config.port, 80);
            assert_eq!(config.directory, Some(PathBuf::from("/srv")));
            assert_eq!(config.bind, Bind::Address("::1".parse().unwrap()));
            assert_eq!(config.log_level, LevelFilter::Debug);
        }
    }

    #[test]
    fn a_directory_need_not_be_utf_8() {
        let argument = OsString::from_vec(b"--directory=\"\xff=\"".to_vec());
        let Ok(Command::Serve(config)) = Command::from_arguments(vec![argument]) else { panic!() };
        assert_eq!(config.directory.unwrap().as_os_str().as_bytes(), b"\"\xff=\"");
    }

    #[test]
    fn sizes_and_times() {
        let max_upload = |size| config(&["--max-upload", size]).unwrap().uploads.bytes_max;
        assert_eq!(max_upload("0"), Some(0));
        assert_eq!(max_upload("1000"), Some(1000));
        assert_eq!(max_upload("2k"), Some(2048));
        assert_eq!(max_upload("3G"), Some(3 << 30));
        assert_eq!(config(&["--head-timeout", "3"]).unwrap().settings.head_timeout_ns, 3 * SECOND_NS);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arguments, named) in [
            (&["--prot", "80"][..], "--prot"),
            (&["-x"], "-x"),
            (&["--strict=yes"], "--strict=yes: it takes no value"),
            (&["--qr=", "dir"], "--qr=: it takes no value"),
            (&["dir", "other"], "other"),
            (&["dir", "--directory", "other"], "--directory other"),
            (&[""], "DIR"),
            (&["--hidden"], "--hidden"),
            (&["--host", "box"], "--host"),
            (&["--site"], "--site"),
            (&["--qr"], "--qr"),
            (&["dir", "--site", "--uploads", "create"], "--site and --uploads"),
            (&["dir", "--host", "a:80"], "a:80"),
            (&["dir", "--host", ""], "--host"),
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
            (&["--max-upload", "99999999999T"], "--max-upload"),
            (&["--idle-timeout", "0"], "--idle-timeout"),
            (&["--idle-timeout", "1.5"], "--idle-timeout"),
            (&["--directory", ""], "--directory"),
            (&["-q", "-v"], "--quiet"),
            (&["-q", "--quiet"], "--quiet is given twice"),
        ] {
            let error = config(arguments).unwrap_err();
            assert!(error.contains(named), "{arguments:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_folder_is_shared_without_uploads_unless_they_are_asked_for() {
        let shared = config(&["-p", "80", "dir", "--host", "a.example", "--hidden", "--host=*"]).unwrap();
        let folder = shared.folder.unwrap();
        assert_eq!((folder.path, shared.directory, shared.port), (PathBuf::from("dir"), None, 80));
        assert_eq!(
            folder.options,
            FolderOptions {
                shows_hidden: true,
                is_site: false,
                draws_qr: false,
                hosts: vec!["a.example".to_owned(), "*".to_owned()]
            }
        );
        assert_eq!(shared.uploads.policy, UploadPolicy::Off);
        assert_eq!(config(&["dir", "--uploads", "create"]).unwrap().uploads.policy, UploadPolicy::Create);
        assert_eq!(config(&["-d", "dir"]).unwrap().uploads.policy, UploadPolicy::Replace);
        assert_eq!(config(&["a=b"]).unwrap().folder.unwrap().path, PathBuf::from("a=b"));
    }

    #[test]
    fn help_and_version_need_nothing_else() {
        let command = |argument: &str| Command::from_arguments(vec![argument.into()]).unwrap();
        assert!(matches!(command("--help"), Command::Help));
        assert!(matches!(command("-h"), Command::Help));
        assert!(matches!(command("-V"), Command::Version));
        assert_eq!(config(&["-d", "-h"]).unwrap().directory, Some(PathBuf::from("-h")), "a value");
    }

    #[test]
    fn the_usage_names_every_option_and_fits_a_terminal() {
        for option in [
            "--bind",
            "--port",
            "--directory",
            "--uploads",
            "--max-upload",
            "--fsync",
            "--hidden",
            "--site",
            "--qr",
            "--host",
            "--no-date",
            "--strict",
            "--head-timeout",
            "--idle-timeout",
            "--verbose",
            "--quiet",
            "--help",
            "--version",
        ] {
            assert!(USAGE.contains(option), "{option}");
        }
        assert!(USAGE.lines().all(|line| line.len() <= 80));
    }
}
