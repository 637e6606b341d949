//! Some thousand runs of the whole server, each from its seed; and those that once failed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]

#[path = "mod.rs"]
mod simulation;

use simulation::run::run;

#[test]
fn whatever_happens_honest_clients_get_what_they_must() {
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    for seed in 0..300 {
        let outcome = run(seed, root.path(), false);
        if let Some(failure) = outcome.failure {
            println!("seed {seed}: {failure}");
        }
    }
}
