//! Giving up root: the process becomes another user, and keeps no capability.

use std::os::fd::BorrowedFd;

use rustix::fs::{Access, AtFlags, accessat};
use rustix::process::geteuid;

/// Whether the process runs as root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Whether the process may create files in the directory.
pub fn may_write(directory: BorrowedFd<'_>) -> bool {
    // The real user is the effective one, also after `become_user`.
    accessat(directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty()).is_ok()
}

/// Becomes the user of this name, with its groups, and gives up every capability. Neither can be taken back, not even by
/// a program that the process would start.
///
/// # Errors
/// If there is no such user, if it is root itself, or if the process may not become another one. One line.
#[cfg(target_os = "linux")]
pub fn become_user(name: &str) -> Result<(), String> {
    use std::ffi::CString;

    use nix::unistd::{User, initgroups, setresgid, setresuid};

    let shown = name.escape_debug();
    let user = User::from_name(name)
        .map_err(|error| format!("cannot look up the user {shown}: {}", error.desc()))?
        .ok_or(format!("there is no user {shown}"))?;
    if user.uid.is_root() {
        return Err(format!("the user {shown} is root, and would keep all privileges"));
    }
    if !is_root() {
        return Err(format!("only root can become the user {shown}"));
    }
    let failed = |what: &str, error: nix::Error| format!("cannot become the user {shown}: {what}: {}", error.desc());
    // The sets that only a process with capabilities can change come first.
    give_up_capabilities_of_programs().map_err(|error| format!("cannot give up capabilities: {error}"))?;
    let c_name = CString::new(name).map_err(|_| format!("there is no user {shown}"))?;
    initgroups(&c_name, user.gid).map_err(|error| failed("its groups", error))?;
    setresgid(user.gid, user.gid, user.gid).map_err(|error| failed("its group", error))?;
    setresuid(user.uid, user.uid, user.uid).map_err(|error| failed("its number", error))?;
    give_up_capabilities().map_err(|error| format!("cannot give up capabilities: {error}"))
}

/// As on Linux.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn become_user(name: &str) -> Result<(), String> {
    Err(format!("cannot become the user {}: only on Linux", name.escape_debug()))
}

/// Empties the sets from which programs that the process starts get capabilities.
#[cfg(target_os = "linux")]
fn give_up_capabilities_of_programs() -> rustix::io::Result<()> {
    use rustix::io::Errno;
    use rustix::thread::{CapabilitySet, clear_ambient_capability_set, remove_capability_from_bounding_set};

    clear_ambient_capability_set()?;
    for bit in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            // The kernel knows no capability of this number, and none of a higher one.
            Err(Errno::INVAL) => break,
            removed => removed?,
        }
    }
    Ok(())
}

/// Empties the sets of the process itself. Becoming another user has done so already, unless a bit of the process's
/// security settings prevents that.
#[cfg(target_os = "linux")]
fn give_up_capabilities() -> rustix::io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}
