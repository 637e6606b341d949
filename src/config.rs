//! From arguments to a configuration. Every value is checked here, with an error that names its option.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use log::LevelFilter;
use pico_args::Arguments;

use crate::http1::Settings;
use crate::http1::limits::{HEAD_TIMEOUT_NS, IDLE_TIMEOUT_NS, SECOND_NS};
use crate::routes::{UploadPolicy, Uploads};
use crate::system::listen::Bind;

/// What `--help` prints.
pub const USAGE: &str = "\
Spindle hands out and takes in files over HTTP/1.1, in one thread.

Usage: spindle [OPTIONS]

Where to listen
  -b, --bind ADDRESS        localhost (both 127.0.0.1 and ::1), or one address;
                            :: is every address, IPv4 included; fe80::1%eth0
                            names its interface  [localhost]
  -p, --port PORT           0 takes a free one  [4221]

What to serve
  -d, --directory DIR       serve the files beneath DIR at /files/
      --uploads WHAT        replace: PUT and POST store files and replace them;
                            create: never replace; off: no uploads  [replace]
      --max-upload SIZE     the longest upload: octets, or with K, M, G or T
                            powers of 1024 of them  [what the disk holds]
      --fsync               acknowledge an upload only when it is on the disk

How to speak
      --no-date             send no Date field
      --strict              refuse an HTTP/1.1 request without Host, and a
                            target outside the URI grammar
      --head-timeout S      seconds that the head of a request may take  [10]
      --idle-timeout S      seconds that a connection may wait for one  [60]

What to say
  -v, --verbose             log each answer to standard error; -vv: also each
                            state that a connection passes through
  -q, --quiet               log errors only
  -h, --help                print this
  -V, --version             print the version

Spindle ends with SIGINT or SIGTERM: it finishes the answers that are under way,
for 10 seconds at most. A second signal ends it at once.
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
    /// How uploads are taken.
    pub uploads: Uploads,
    /// How the protocol is spoken.
    pub settings: Settings,
    /// What is logged.
    pub log_level: LevelFilter,
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
        let mut arguments = Arguments::from_vec(arguments.into_iter().flat_map(split_at_equals_sign).collect());
        // Values are taken first, so that one that looks like a flag is still a value.
        let config = Config::from_arguments(&mut arguments);
        if arguments.contains(["-h", "--help"]) {
            return Ok(Command::Help);
        }
        if arguments.contains(["-V", "--version"]) {
            return Ok(Command::Version);
        }
        let config = config?;
        match arguments.finish().first() {
            None => Ok(Command::Serve(Box::new(config))),
            Some(left) => Err(UsageError(complaint_about(&left.to_string_lossy()))),
        }
    }
}

impl Config {
    fn from_arguments(arguments: &mut Arguments) -> Result<Config, UsageError> {
        let bind = option(arguments, ["-b", "--bind"], str::parse)?.unwrap_or(Bind::Localhost);
        let port = option(arguments, ["-p", "--port"], parse_port)?.unwrap_or(PORT);
        let directory = path(arguments, ["-d", "--directory"])?;
        let policy = option(arguments, ["", "--uploads"], parse_policy)?.unwrap_or(UploadPolicy::Replace);
        let octets_max = option(arguments, ["", "--max-upload"], parse_size)?;
        let head_timeout_ns = option(arguments, ["", "--head-timeout"], parse_seconds)?.unwrap_or(HEAD_TIMEOUT_NS);
        let idle_timeout_ns = option(arguments, ["", "--idle-timeout"], parse_seconds)?.unwrap_or(IDLE_TIMEOUT_NS);
        Ok(Config {
            bind,
            port,
            directory,
            uploads: Uploads { policy, octets_max, durable: flag(arguments, "--fsync")? },
            settings: Settings {
                strict: flag(arguments, "--strict")?,
                send_date: !flag(arguments, "--no-date")?,
                head_timeout_ns,
                idle_timeout_ns,
            },
            log_level: log_level(arguments)?,
        })
    }
}

/// `--option=value` as two arguments. Done here because `pico-args` would take quotes off the value, and wants it to be
/// UTF-8, which the name of a directory need not be.
fn split_at_equals_sign(argument: OsString) -> Vec<OsString> {
    let octets = argument.as_bytes();
    match memchr::memchr(b'=', octets) {
        Some(equals) if octets.starts_with(b"--") => {
            let (option, value) = (&octets[..equals], &octets[equals + 1..]);
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
    let name = keys[1];
    let value = os_value(arguments, keys)?;
    let Some(value) = value else { return Ok(None) };
    let shown = value.to_string_lossy();
    match value.to_str().ok_or("it is no text".to_owned()).and_then(parse) {
        Ok(value) => Ok(Some(value)),
        Err(problem) => Err(UsageError(format!("{name} {}: {problem}", shown.escape_debug()))),
    }
}

fn path(arguments: &mut Arguments, keys: [&'static str; 2]) -> Result<Option<PathBuf>, UsageError> {
    match os_value(arguments, keys)? {
        Some(value) if value.is_empty() => Err(UsageError(format!("{}: the name is empty", keys[1]))),
        value => Ok(value.map(PathBuf::from)),
    }
}

fn os_value(arguments: &mut Arguments, keys: [&'static str; 2]) -> Result<Option<OsString>, UsageError> {
    let parse = |value: &std::ffi::OsStr| Ok::<_, String>(value.to_owned());
    let [short, long] = keys;
    let mut take = || {
        let value = match short {
            "" => arguments.opt_value_from_os_str(long, parse),
            _ => arguments.opt_value_from_os_str([short, long], parse),
        };
        value.map_err(|_| UsageError(format!("{long} needs a value")))
    };
    let value = take()?;
    if value.is_some() && take()?.is_some() {
        return Err(UsageError(format!("{long} is given twice")));
    }
    Ok(value)
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

fn complaint_about(left: &str) -> String {
    let shown = left.escape_debug();
    if left.starts_with('-') {
        format!("{shown} is no option")
    } else {
        format!("{shown} is not expected: everything is given by options")
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
        .ok_or("a size is a number of octets, or a number and K, M, G or T".to_owned())
}

/// Digits and nothing else: the standard library's parser takes a plus sign too.
fn digits(value: &str) -> Option<u64> {
    value.bytes().all(|octet| octet.is_ascii_digit()).then(|| value.parse().ok())?
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
        let max_upload = |size| config(&["--max-upload", size]).unwrap().uploads.octets_max;
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
            (&["file"], "file"),
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
