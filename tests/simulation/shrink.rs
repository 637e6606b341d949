//! Makes a run that fails smaller: clients and requests are left out as long as the same thing fails.

use crate::simulation::run::run;
use crate::simulation::run_config::RunConfig;

/// Runs that are tried at most.
const ATTEMPTS_MAX: u32 = 300;

/// The least run of a seed that was found to fail in the same way, and how that fails.
pub(crate) fn shrink(seed: u64, failure: &str) -> (RunConfig, String) {
    let whole = RunConfig::new(seed);
    let mut search = Search { kind: kind(failure), attempts: 0, least: (whole.clone(), failure.to_owned()) };
    let clients = run(&whole).clients;
    let mut only: Vec<usize> = (0..clients).collect();
    // A failure may need two that could not be left out before a third was: once more for these.
    for _ in 0..2 {
        for client in only.clone() {
            let fewer: Vec<usize> = only.iter().copied().filter(|other| *other != client).collect();
            if search.attempt(RunConfig { only: Some(fewer.clone()), ..search.least.0.clone() }) {
                only = fewer;
            }
        }
    }
    for requests_max in 0..6 {
        if search.attempt(RunConfig { requests_max, ..search.least.0.clone() }) {
            break;
        }
    }
    search.least
}

struct Search {
    kind: String,
    attempts: u32,
    least: (RunConfig, String),
}

impl Search {
    /// Whether that run fails in the same way, and is the least one so far.
    fn attempt(&mut self, config: RunConfig) -> bool {
        self.attempts += 1;
        if self.attempts > ATTEMPTS_MAX {
            return false;
        }
        let Some(failure) = run(&config).failure.filter(|failure| kind(failure) == self.kind) else { return false };
        self.least = (config, failure);
        true
    }
}

/// What failed, without its numbers and what is behind them.
fn kind(failure: &str) -> String {
    failure.chars().filter(|character| !character.is_ascii_digit()).take(40).collect()
}
