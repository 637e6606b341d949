//! Confines a process as the server does, and then plays the attacker in it: code that a fault has let somebody run.
//!
//! Each attack runs in a process of its own, four times: without confinement, where it must succeed, so that it would be
//! noticed if it could not work anyway; with each layer alone, which must refuse exactly what the tables in `attacks/`
//! say; and with both layers, of which one must refuse it. Then once more under `--sandbox kill`, which must end the
//! process at each call that seccomp refuses.
//!
//! This target has no harness of the standard library: that would run each attack in a second thread of the process, and a
//! process with two threads cannot, for example, create a namespace.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a test may panic and print")]

#[cfg(target_os = "linux")]
mod attacks;
#[cfg(target_os = "linux")]
mod scene;
#[cfg(target_os = "linux")]
mod trial;

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == trial::ATTACKER => trial::attack(rest),
        _ => trial::try_all(&arguments),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("only Linux confines the process");
}
