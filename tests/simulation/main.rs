//! Some thousand runs of the whole server, each from its seed; and those that once failed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]

#[path = "mod.rs"]
mod simulation;

use simulation::run::run;

#[test]
fn whatever_happens_honest_clients_get_what_they_must() {
    for seed in std::env::var("FROM").ok().and_then(|from| from.parse().ok()).unwrap_or(0)
        ..std::env::var("TO").ok().and_then(|from| from.parse().ok()).unwrap_or(1000)
    {
        let outcome = run(seed, false);
        if let Some(failure) = outcome.failure {
            println!("seed {seed}: {failure}");
        }
    }
}

#[test]
fn one_seed_that_somebody_wants_to_see() {
    if let Some(seed) = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        println!("{:?}", run(seed, true).failure);
    }
}
