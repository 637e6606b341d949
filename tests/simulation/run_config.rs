//! What is run: a seed, or what is left of its run where somebody looks for the cause of a failure.

/// A run to be made.
#[derive(Clone, Debug)]
pub(crate) struct RunConfig {
    pub seed: u64,
    /// The numbers of the clients that take part; `None`: all. Leaving out some changes nothing of what the others do of
    /// themselves.
    pub only: Option<Vec<usize>>,
    /// How many requests each honest client sends at most.
    pub requests_max: usize,
    /// Whether what happens is printed as it does.
    pub is_printed: bool,
}

impl RunConfig {
    /// All of a seed's run.
    pub(crate) fn new(seed: u64) -> RunConfig {
        RunConfig { seed, only: None, requests_max: usize::MAX, is_printed: false }
    }

    /// Whether the client with that number takes part.
    pub(crate) fn includes(&self, client: usize) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&client))
    }

    /// What makes scripts/simulate.sh run it again.
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
