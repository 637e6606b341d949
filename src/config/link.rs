//! The command `spindle link`: its arguments.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt as _};
use percent_encoding::percent_decode_str;

use super::arguments::Once;
use super::error::{UsageError, shown};
use super::values::{parse_lifetime, parse_size};
use crate::routes;
use crate::semantics::link::LinkRight;

/// What `spindle link --help` prints.
pub const LINK_USAGE: &str = "\
Makes keys, and links that they sign. A link lets whoever has it read or add
files until it expires, without an account.

Usage: spindle link --new-key FILE
       spindle link --key FILE --read --expires TIME URL
       spindle link --key FILE --create --expires TIME [--max SIZE] URL

Example:
  spindle link --new-key key
  spindle --bind :: --link-key key ~/files &
  spindle link --key key --create --expires 2d --max 1G http://HOST:4221/inbox/
                         prints a link for \"send me the file here\"

      --new-key FILE     write a new key to FILE, which must not exist yet, and
                         which only its owner can read
      --key FILE         sign with the first key in FILE, which the server has
                         with --link-key
      --read             let others read what is at URL: a file, or a folder and
                         everything in it if URL ends in a slash
      --create           let others add files to the folder at URL, which ends in
                         a slash; they can neither see nor replace any
      --expires TIME     for how long: a number with s, m, h, d or w, at most 366d
      --max SIZE         with --create, the longest file: a number of bytes, which
                         may end in K, M, G or T (powers of 1024)
                         [default: the limit of the server]
  -h, --help             print this help

Nobody can take back a link. Replacing the key ends all links that it signed. To
end no link that is in use, put a new key before the old one: the first key in
the file signs, and each of them is accepted. Then send SIGHUP to the server.
";

/// What the command is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkCommand {
    /// Print [`LINK_USAGE`].
    Help,
    /// Write a new key to this file.
    NewKey(PathBuf),
    /// Sign a link.
    Sign(LinkRequest),
}

/// A link to be signed.
#[derive(Debug, PartialEq, Eq)]
pub struct LinkRequest {
    /// The file with the key.
    pub key: PathBuf,
    /// What the link allows.
    pub right: LinkRight,
    /// For how long it is valid, in seconds.
    pub lifetime_s: u64,
    /// The address that it is for.
    pub url: FolderUrl,
}

/// The address of something in a shared folder.
#[derive(Debug, PartialEq, Eq)]
pub struct FolderUrl {
    /// The scheme and the authority: `http://host:4221`.
    pub origin: String,
    /// The decoded path: `/`, `/a/b` for a file, or `/a/b/` for a folder.
    pub path: Vec<u8>,
}

/// The arguments as given.
#[derive(Default)]
struct Arguments {
    new_key: Option<PathBuf>,
    key: Option<PathBuf>,
    reads: bool,
    creates: bool,
    lifetime_s: Option<u64>,
    bytes_max: Option<u64>,
    url: Option<FolderUrl>,
}

impl LinkCommand {
    /// Parses the arguments after `link`.
    ///
    /// # Errors
    /// If an option is unknown, missing, given twice, or has an invalid value.
    pub(super) fn from_arguments(arguments: Vec<OsString>) -> Result<LinkCommand, UsageError> {
        let mut given = Arguments::default();
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            let option = match argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(LinkCommand::Help),
                Arg::Value(operand) if given.url.is_none() => {
                    let text = operand.string().map_err(|_| UsageError::new("URL: it is not valid UTF-8"))?;
                    let url = parse_url(&text).map_err(|problem| UsageError::new(format!("URL: {problem}")))?;
                    given.url = Some(url);
                    continue;
                }
                Arg::Value(operand) => {
                    return Err(UsageError::new(format!(
                        "only one URL can be given, and {} is another",
                        shown(&operand)
                    )));
                }
                Arg::Short(short) => return Err(unknown(&format!("-{short}"))),
                Arg::Long(long) => long.to_owned(),
            };
            given.set_option(&option, &mut parser)?;
        }
        given.command()
    }
}

fn unknown(option: &str) -> UsageError {
    UsageError::new(format!("link has no option {}", option.escape_debug()))
}

impl Arguments {
    fn set_option(&mut self, option: &str, parser: &mut Parser) -> Result<(), UsageError> {
        let once = Once { option, parser };
        match option {
            "new-key" => once.path(&mut self.new_key),
            "key" => once.path(&mut self.key),
            "read" => once.flag(&mut self.reads),
            "create" => once.flag(&mut self.creates),
            "expires" => once.value(&mut self.lifetime_s, parse_lifetime),
            "max" => once.value(&mut self.bytes_max, parse_size),
            other => Err(unknown(&format!("--{other}"))),
        }
    }

    fn command(self) -> Result<LinkCommand, UsageError> {
        if let Some(path) = self.new_key {
            let has_others = self.key.is_some() || self.reads || self.creates || self.lifetime_s.is_some();
            return match has_others || self.bytes_max.is_some() || self.url.is_some() {
                true => Err(UsageError::new("link --new-key FILE takes nothing else")),
                false => Ok(LinkCommand::NewKey(path)),
            };
        }
        let right = match (self.reads, self.creates) {
            (true, false) if self.bytes_max.is_some() => {
                return Err(UsageError::new("--max needs --create: nothing is uploaded with --read"));
            }
            (true, false) => LinkRight::Read,
            (false, true) => LinkRight::Create { bytes_max: self.bytes_max },
            (true, true) => {
                return Err(UsageError::new("--read and --create cannot be combined: make two links"));
            }
            (false, false) => return Err(UsageError::new("link needs --read or --create, or --new-key FILE")),
        };
        let needs = |what: &str| UsageError::new(format!("link needs {what}"));
        let key = self.key.ok_or_else(|| needs("--key FILE"))?;
        let lifetime_s = self.lifetime_s.ok_or_else(|| needs("--expires TIME, such as --expires 2d"))?;
        let url = self.url.ok_or_else(|| needs("the URL of a file or folder"))?;
        if self.creates && !url.path.ends_with(b"/") {
            return Err(UsageError::new("--create needs the URL of a folder, which ends in a slash"));
        }
        Ok(LinkCommand::Sign(LinkRequest { key, right, lifetime_s, url }))
    }
}

/// Parses the URL of a file or folder. What need not be encoded in it may be, and spaces and letters of other scripts need
/// not be.
fn parse_url(text: &str) -> Result<FolderUrl, String> {
    let example = "expected an address such as http://host:4221/folder/";
    let (scheme, rest) = text.split_once("://").ok_or(example)?;
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err(example.to_owned());
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_authority = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(is_authority) {
        return Err(example.to_owned());
    }
    let path = if path.is_empty() { "/" } else { path };
    if let Some(mark) = path.find(['?', '#']) {
        let (mark, encoded) = if path.as_bytes()[mark] == b'?' { ("?", "%3F") } else { ("#", "%23") };
        return Err(format!("a link has no {mark} part; if a name contains {mark}, write {encoded}"));
    }
    if !has_valid_escapes(path) {
        return Err("after a percent sign there are two hexadecimal digits; write %25 for the sign itself".to_owned());
    }
    // The server's own decoding, so that it finds the same path.
    let decoded = routes::decoded_path(path.as_bytes()).ok_or("no file or folder can have this path")?;
    if percent_decode_str(path).collect::<Vec<u8>>().starts_with(b"/.spindle/") {
        return Err("this path is reserved for the server".to_owned());
    }
    Ok(FolderUrl { origin: format!("{scheme}://{authority}"), path: decoded })
}

fn has_valid_escapes(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<LinkCommand, String> {
        LinkCommand::from_arguments(arguments.iter().map(OsString::from).collect()).map_err(|error| error.to_string())
    }

    fn request(arguments: &[&str]) -> LinkRequest {
        match parse(arguments).unwrap() {
            LinkCommand::Sign(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_link_has_a_key_a_right_a_time_and_a_url() {
        let given = ["--key", "k", "--create", "--expires", "2d", "--max=1G", "http://host:4221/inbox/"];
        let right = LinkRight::Create { bytes_max: Some(1 << 30) };
        let url = FolderUrl { origin: "http://host:4221".to_owned(), path: b"/inbox/".to_vec() };
        let expected = LinkRequest { key: PathBuf::from("k"), right, lifetime_s: 2 * 86_400, url };
        assert_eq!(request(&given), expected);
        let read = request(&["https://[::1]/a", "--read", "--expires=90m", "--key=k"]);
        assert_eq!((read.right, read.lifetime_s), (LinkRight::Read, 5_400));
        assert_eq!(parse(&["--new-key", "link"]), Ok(LinkCommand::NewKey(PathBuf::from("link"))));
        assert_eq!(parse(&["--read", "-h"]), Ok(LinkCommand::Help));
    }

    #[test]
    fn the_path_of_a_url_is_decoded_as_the_server_decodes_it() {
        for (url, origin, path) in [
            ("http://h", "http://h", "/"),
            ("HTTP://h:1/", "HTTP://h:1", "/"),
            ("http://h/a%20b/%C3%A9", "http://h", "/a b/é"),
            ("http://h/a b/é", "http://h", "/a b/é"),
            ("http://h/./a/./b/", "http://h", "/a/b/"),
            ("http://h/100%25/", "http://h", "/100%/"),
        ] {
            let expected = FolderUrl { origin: origin.to_owned(), path: path.as_bytes().to_vec() };
            assert_eq!(parse_url(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        let complete = ["--key", "k", "--read", "--expires", "1h", "http://h/a"];
        assert!(parse(&complete).is_ok());
        for (arguments, named) in [
            (&[][..], "link needs --read or --create, or --new-key FILE"),
            (&["--read"], "link needs --key FILE"),
            (&["--read", "--key", "k", "http://h/"], "link needs --expires TIME"),
            (&["--read", "--key", "k", "--expires", "1h"], "link needs the URL"),
            (&["--read", "--create"], "--read and --create cannot be combined"),
            (&["--read", "--max", "1G"], "--max needs --create"),
            (&["--create", "--key", "k", "--expires", "1h", "http://h/a"], "--create needs the URL of a folder"),
            (&["--new-key", "k", "--read"], "link --new-key FILE takes nothing else"),
            (&["--new-key", "k", "http://h/"], "link --new-key FILE takes nothing else"),
            (&["--new-key", ""], "--new-key: the name is empty"),
            (&["--new-key"], "--new-key needs a value"),
            (&["--key", "a", "--key", "b"], "--key is given twice"),
            (&["--expires", "2"], "--expires 2: expected a number with s, m, h, d or w"),
            (&["--expires", "367d"], "--expires 367d: expected at most 366d"),
            (&["--expires", "0h"], "--expires 0h: expected"),
            (&["--max", "1GB"], "--max 1GB: expected a number of bytes, or a number with K, M, G or T; write 1G"),
            (&["--write"], "link has no option --write"),
            (&["-k"], "link has no option -k"),
            (&["http://h/", "http://g/"], "only one URL can be given, and http://g/ is another"),
            (&["h:4221/a"], "URL: expected an address such as http://host:4221/folder/"),
            (&["ftp://h/"], "URL: expected an address"),
            (&["http:///a"], "URL: expected an address"),
            (&["http://u:p@h/a"], "URL: expected an address"),
            (&["http://h/a?b"], "URL: a link has no ? part; if a name contains ?, write %3F"),
            (&["http://h/a#b"], "URL: a link has no # part; if a name contains #, write %23"),
            (&["http://h/100%"], "URL: after a percent sign"),
            (&["http://h/a//b"], "URL: no file or folder can have this path"),
            (&["http://h/a/../b"], "URL: no file or folder can have this path"),
            (&["http://h/.spindle/put"], "URL: this path is reserved"),
            (&["http://h/%2espindle/link/"], "URL: this path is reserved"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(named), "{arguments:?}: {error}");
        }
    }
}
