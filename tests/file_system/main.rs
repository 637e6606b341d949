//! Tests of the contract of `FileSystem`. They run on the simulated disk and on real file systems, because the
//! simulation must behave as a kernel does. The real ones are the file system of the temporary directory, and those that
//! this machine can mount.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod directories;
mod files;
mod fixture;
mod lookups;
mod names;
mod power_loss;

#[path = "../simulation/disk/mod.rs"]
mod disk;

#[path = "../mounted/mod.rs"]
mod mounted;

#[cfg(target_os = "linux")]
#[test]
fn the_contract_holds_on_each_file_system_that_can_be_mounted() {
    mounted::run_on_each_file_system(&["on_linux", "on_any_system"], 60);
}
