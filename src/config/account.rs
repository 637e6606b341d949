//! The command `spindle account`: its arguments.

use std::ffi::OsString;

use lexopt::{Arg, Parser};

use super::error::{UsageError, shown};
use crate::semantics::accounts::{NAME_EXPECTED, RIGHTS_EXPECTED, is_valid_name, parse_rights};
use crate::semantics::rights::Rights;

/// What `spindle account --help` prints.
pub const ACCOUNT_USAGE: &str = "\
Makes an account: prints its line for the file of --accounts to standard output,
and its secret, which is stored nowhere, to standard error.

Usage: spindle account NAME RIGHTS

Example:
  spindle account alice read,create >> accounts
                         adds the line to the file, and shows the secret

  NAME                   letters and digits, and after the first also - . _ @ +
  RIGHTS                 a list of read, create (add files), replace (also replace
                         files) and manage (also delete and move files, and
                         create directories)
  -h, --help             print this help

The secret is made by the machine, so that nobody can guess it. If it is lost,
replace the line by a new one. To end an account, remove its line. Then send
SIGHUP to the server.
";

/// What the command is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum AccountCommand {
    /// Print [`ACCOUNT_USAGE`].
    Help,
    /// Make an account.
    Make {
        /// Its name.
        name: String,
        /// What its owner may do.
        rights: Rights,
    },
}

impl AccountCommand {
    /// Parses the arguments after `account`.
    ///
    /// # Errors
    /// If one is missing, malformed or unknown.
    pub(super) fn from_arguments(arguments: Vec<OsString>) -> Result<AccountCommand, UsageError> {
        let mut operands = Vec::new();
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(AccountCommand::Help),
                Arg::Value(operand) => operands.push(operand),
                Arg::Short(_) | Arg::Long(_) => {
                    return Err(UsageError::new("account has no option other than --help"));
                }
            }
        }
        let [name, rights] = &operands[..] else {
            return Err(UsageError::new(
                "account needs two arguments: spindle account NAME RIGHTS (a folder of this name is shared as ./account)"
                    .to_owned(),
            ));
        };
        let valid_name = name.to_str().filter(|name| is_valid_name(name));
        let valid_name =
            valid_name.ok_or_else(|| UsageError::new(format!("NAME {}: expected {NAME_EXPECTED}", shown(name))))?;
        let valid_rights = rights.to_str().and_then(parse_rights);
        let expected = || UsageError::new(format!("RIGHTS {}: expected {RIGHTS_EXPECTED}", shown(rights)));
        Ok(AccountCommand::Make { name: valid_name.to_owned(), rights: valid_rights.ok_or_else(expected)? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::Command;
    use crate::semantics::rights::UploadPolicy;

    fn command(arguments: &[&str]) -> Result<Command, String> {
        let arguments = arguments.iter().map(OsString::from).collect();
        Command::from_arguments(arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn an_account_has_a_name_and_rights() {
        let Ok(Command::Account(made)) = command(&["account", "alice", "read,create"]) else { panic!() };
        let rights = Rights { reads: true, uploads: UploadPolicy::Create };
        assert_eq!(made, AccountCommand::Make { name: "alice".to_owned(), rights });
        for arguments in [&["account", "--help"][..], &["account", "alice", "-h"]] {
            assert!(matches!(command(arguments), Ok(Command::Account(AccountCommand::Help))));
        }
    }

    #[test]
    fn a_wrong_argument_is_named() {
        for (arguments, named) in [
            (&["account"][..], "spindle account NAME RIGHTS (a folder of this name is shared as ./account)"),
            (&["account", "alice"], "account needs two arguments"),
            (&["account", "a", "read", "b"], "account needs two arguments"),
            (&["account", "a:b", "read"], "NAME a:b: expected a name of at most 64 bytes"),
            (&["account", "*", "read"], "NAME *: expected"),
            (&["account", "a\nb", "read"], "NAME a\\nb: expected"),
            (&["account", "a", "write"], "RIGHTS write: expected a list of read, create, replace and manage"),
            (&["account", "a", ""], "RIGHTS : expected"),
            (&["account", "--accounts", "a"], "account has no option other than --help"),
        ] {
            let error = command(arguments).unwrap_err();
            assert!(error.contains(named) && !error.contains('\n'), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn a_folder_with_the_name_of_a_command_is_shared_by_a_path() {
        for arguments in [&["./account"][..], &["--", "account"], &["-p", "80", "./account"]] {
            assert!(matches!(command(arguments), Ok(Command::Serve(_))), "{arguments:?}");
        }
        for name in ["account", "link"] {
            let error = command(&["-p", "80", name]).unwrap_err();
            assert!(error.contains(&format!("DIR {name}: that is a command, which comes first")), "{error}");
            assert!(error.ends_with(&format!("a folder of this name is shared as ./{name}")), "{error}");
        }
    }
}
