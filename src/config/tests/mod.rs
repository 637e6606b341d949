//! Which arguments are accepted, what they mean, and what the errors say about the others.

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
    let policies = |arguments| config(arguments).map(|config| (config.uploads_for_everybody, config.uploads.policy));
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
