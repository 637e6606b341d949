//! The attacks, each with the layers that refuse it.

mod files;
mod kernel;
mod network;
mod processes;

use std::fmt;

use spindle::system::confinement::FolderUse;

use crate::scene::Scene;

/// Which layers refuse an attack by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Each,
    Landlock,
    Seccomp,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Each => "refused by each layer",
            Refused::Landlock => "refused by Landlock",
            Refused::Seccomp => "refused by seccomp",
        })
    }
}

/// Succeeds, or returns the number of the error that has refused it.
type Perform = fn(&Scene) -> Result<(), i32>;

/// An attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) refused: Refused,
    /// What the server does in its folder.
    pub(crate) usage: FolderUse,
    pub(crate) perform: Perform,
}

/// An attack on a server that takes uploads.
const fn attack(name: &'static str, refused: Refused, perform: Perform) -> Attack {
    Attack { name, refused, usage: FolderUse::Upload, perform }
}

/// All attacks.
pub(crate) fn all() -> Vec<&'static Attack> {
    [files::ATTACKS, network::ATTACKS, processes::ATTACKS, kernel::ATTACKS].into_iter().flatten().collect()
}

/// The number of an error.
fn number(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

fn errno(error: rustix::io::Errno) -> i32 {
    error.raw_os_error()
}
