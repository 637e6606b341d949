//! Shrinks a failing run: leaves out clients and requests as long as the run still fails in the same way.

use crate::simulation::run::run;
use crate::simulation::run_config::RunConfig;

/// The most runs that are tried.
const ATTEMPTS_MAX: u32 = 300;

/// The smallest run found that fails in the same way, and its failure.
pub(crate) fn shrink(seed: u64, failure: &str) -> (RunConfig, String) {
    let whole = RunConfig::new(seed);
    let mut search = Search { kind: kind(failure), attempts: 0, smallest: (whole.clone(), failure.to_owned()) };
    let clients = run(&whole).clients;
    let mut only: Vec<usize> = (0..clients).collect();
    // A client may become superfluous only after a later one was left out, so all are tried twice.
    for _ in 0..2 {
        for client in only.clone() {
            let fewer: Vec<usize> = only.iter().copied().filter(|other| *other != client).collect();
            if search.attempt(RunConfig { only: Some(fewer.clone()), ..search.smallest.0.clone() }) {
                only = fewer;
            }
        }
    }
    for requests_max in 0..6 {
        if search.attempt(RunConfig { requests_max, ..search.smallest.0.clone() }) {
            break;
        }
    }
    search.smallest
}

struct Search {
    kind: String,
    attempts: u32,
    smallest: (RunConfig, String),
}

impl Search {
    /// Whether the run fails in the same way. If so, it is the smallest so far.
    fn attempt(&mut self, config: RunConfig) -> bool {
        self.attempts += 1;
        if self.attempts > ATTEMPTS_MAX {
            return false;
        }
        let Some(failure) = run(&config).failure.filter(|failure| kind(failure) == self.kind) else { return false };
        self.smallest = (config, failure);
        true
    }
}

/// The start of a failure's text without its numbers, to compare failures.
fn kind(failure: &str) -> String {
    failure.chars().filter(|character| !character.is_ascii_digit()).take(40).collect()
}
