//! Runs of some thousand seeds, and of seeds that once failed. `mod.rs` explains the simulation. scripts/simulate.sh
//! runs more seeds.
#![allow(dead_code, reason = "the campaign uses more of the simulation")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "mod.rs"]
mod simulation;

use simulation::run::run;
use simulation::run_config::RunConfig;

/// How many seeds each of the tests below runs. The tests run in parallel.
const SEEDS: u64 = 1250;

fn run_seeds(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        if let Some(failure) = run(&RunConfig::new(seed)).failure {
            panic!("{failure}\nscripts/simulate.sh --seed {seed} prints the trace");
        }
    }
}

macro_rules! ranges_of_seeds {
    ($($name:ident $number:literal;)*) => {
        $(
            #[test]
            fn $name() {
                run_seeds($number * SEEDS..($number + 1) * SEEDS);
            }
        )*
    };
}

ranges_of_seeds! {
    runs_of_generated_seeds_violate_no_invariant_0 0;
    runs_of_generated_seeds_violate_no_invariant_1 1;
    runs_of_generated_seeds_violate_no_invariant_2 2;
    runs_of_generated_seeds_violate_no_invariant_3 3;
}

/// Seeds that once found a bug, with the bug. Changes to the simulation change what a seed generates, so they may
/// no longer find it.
const REGRESSIONS: &[(u64, &str)] = &[
    (
        73_316_539_214_875,
        "after a slow disk call, an upload timed out before its deadline, because its entry in the deadlines was too early",
    ),
    (2_172_410, "the write-stall timeout started before the disk call of half a minute that produced the response"),
    (
        2_328_551,
        "deadlines were judged after the last of many full polls, although it reported only what had arrived before the first",
    ),
    (2_144_121, "an archive that shutdown cut off ended with a half-close instead of a reset, and looked complete"),
    (89_463_102_023_310, "a client that read nothing got more time whenever its next piece was not in memory"),
    (89_463_102_057_609, "the same, while it went on to send requests"),
];

#[test]
fn seeds_that_once_failed_violate_no_invariant() {
    run_seeds(REGRESSIONS.iter().map(|(seed, _)| *seed));
}

#[test]
fn a_seed_always_gives_the_same_run() {
    for seed in [3, 1_000_003] {
        assert_eq!(run(&RunConfig::new(seed)).digest, run(&RunConfig::new(seed)).digest, "seed {seed}");
    }
}

#[test]
fn leaving_out_clients_does_not_change_the_others() {
    let seed = 5;
    let whole = run(&RunConfig::new(seed));
    // One request: with more of them a client may connect again.
    let alone = run(&RunConfig { only: Some(vec![0]), requests_max: 1, ..RunConfig::new(seed) });
    assert!(whole.clients > 1 && alone.clients == whole.clients && alone.failure.is_none(), "{:?}", alone.failure);
    assert_eq!(alone.coverage.of("client", "honest"), 1);
}
