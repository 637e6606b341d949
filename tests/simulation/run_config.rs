//! Which run to make: a seed, possibly reduced to some of its clients and requests.

/// The parameters of a run. Everything else is generated from the seed.
#[derive(Clone, Debug)]
pub(crate) struct RunConfig {
    pub seed: u64,
    /// The numbers of the clients that take part; `None` for all. Each client draws from a random generator of its own,
    /// so that the others behave the same without it.
    pub only: Option<Vec<usize>>,
    /// The most requests that each honest client sends.
    pub requests_max: usize,
    /// Whether the trace is printed.
    pub is_printed: bool,
}

impl RunConfig {
    /// The complete run of a seed.
    pub(crate) fn new(seed: u64) -> RunConfig {
        RunConfig { seed, only: None, requests_max: usize::MAX, is_printed: false }
    }

    /// Whether the client with that number takes part.
    pub(crate) fn includes(&self, client: usize) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&client))
    }

    /// The arguments with which scripts/simulate.sh repeats this run.
    pub(crate) fn arguments(&self) -> String {
        let mut arguments = format!("--seed {}", self.seed);
        if let Some(only) = &self.only {
            let only: Vec<String> = only.iter().map(usize::to_string).collect();
            arguments += &format!(" --only {}", only.join(","));
        }
        if self.requests_max < usize::MAX {
            arguments += &format!(" --requests {}", self.requests_max);
        }
        arguments
    }
}
