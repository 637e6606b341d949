//! A campaign: runs of one seed after another on all cores, started by scripts/simulate.sh. It reports failures, and
//! how often each event and fault occurred.
#![allow(dead_code, reason = "only the tests of main.rs use the digest")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "mod.rs"]
mod simulation;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use simulation::coverage::Coverage;
use simulation::expected;
use simulation::network::SECOND;
use simulation::run::run;
use simulation::run_config::RunConfig;
use simulation::shrink::shrink;

const USAGE: &str = "\
usage: simulate [SECONDS] [--seed FIRST | --seeds FROM..TO] [--until-failure]
       simulate --seed N [--only CLIENT,…] [--requests N]
";

/// A campaign of at least so many runs must have seen everything that is expected.
const RUNS_FOR_ALL: u64 = 100_000;

/// The most failures that are shrunk and printed.
const FAILURES_SHOWN: usize = 5;

/// How often the progress is printed.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// The longest that one run may take, on a machine with other work. Most runs take a few milliseconds.
const RUN_MAX: Duration = Duration::from_secs(60);

/// The command-line options.
struct Options {
    seconds: Option<u64>,
    from: u64,
    to: u64,
    until_failure: bool,
    /// A single run to replay, in place of a campaign.
    replay: Option<RunConfig>,
}

fn parse_options() -> Result<Options, Box<dyn std::error::Error>> {
    use lexopt::prelude::*;
    let (mut seed, mut only, mut range, mut seconds) = (None, None, None, None);
    let (mut requests_max, mut until_failure) = (usize::MAX, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seed") => seed = Some(parser.value()?.parse()?),
            Long("only") => only = Some(parser.value()?.parse_with(|only| only.split(',').map(str::parse).collect())?),
            Long("requests") => requests_max = parser.value()?.parse()?,
            Long("seeds") => range = Some(parser.value()?.parse_with(parse_range)?),
            Long("until-failure") => until_failure = true,
            Value(value) if seconds.is_none() => seconds = Some(value.parse()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let first = seed.unwrap_or_else(|| fastrand::Rng::with_seed(clock_seed()).u64(..1 << 48));
    let (from, to) = range.unwrap_or((first, u64::MAX));
    let replay = (seed.is_some() && seconds.is_none()).then_some(RunConfig {
        seed: first,
        only,
        requests_max,
        is_printed: true,
    });
    let seconds = if range.is_some() { seconds } else { Some(seconds.unwrap_or(60)) };
    Ok(Options { seconds, from, to, until_failure, replay })
}

fn parse_range(range: &str) -> Result<(u64, u64), Box<dyn std::error::Error + Send + Sync>> {
    let (from, to) = range.split_once("..").ok_or("a range is FROM..TO")?;
    Ok((from.parse()?, to.parse()?))
}

fn clock_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// The results of the runs so far.
#[derive(Default)]
struct Totals {
    runs: u64,
    simulated_ns: u128,
    coverage: Coverage,
    failures: BTreeMap<u64, String>,
}

impl Totals {
    fn add(&mut self, other: Totals) {
        self.runs += other.runs;
        self.simulated_ns += other.simulated_ns;
        self.coverage.add(&other.coverage);
        self.failures.extend(other.failures);
    }
}

/// What the threads share.
struct Campaign {
    options: Options,
    begun: Instant,
    next_seed: AtomicU64,
    is_over: AtomicBool,
    totals: Mutex<Totals>,
    /// For each thread, its current seed, and when it began in milliseconds; `u64::MAX` if the thread has ended.
    runs: Vec<(AtomicU64, AtomicU64)>,
}

impl Campaign {
    fn work(&self, thread: usize) {
        let mut own = Totals::default();
        while !self.is_over.load(Ordering::Relaxed) {
            let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
            if seed >= self.options.to {
                break;
            }
            let (running, since) = &self.runs[thread];
            running.store(seed, Ordering::Relaxed);
            since.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
            let outcome = run(&RunConfig::new(seed));
            own.runs += 1;
            own.simulated_ns += u128::from(outcome.simulated_ns);
            own.coverage.add(&outcome.coverage);
            if let Some(failure) = outcome.failure {
                own.failures.insert(seed, failure.replace('\n', " "));
                if self.options.until_failure {
                    self.is_over.store(true, Ordering::Relaxed);
                }
            }
            if own.runs == 50 || !own.failures.is_empty() {
                self.totals.lock().unwrap().add(std::mem::take(&mut own));
            }
        }
        self.runs[thread].1.store(u64::MAX, Ordering::Relaxed);
        self.totals.lock().unwrap().add(own);
    }

    /// Waits for the threads, prints progress, and ends the campaign when its time is over.
    fn watch(&self) {
        let mut reported = Instant::now();
        while self.runs.iter().any(|(_, since)| since.load(Ordering::Relaxed) != u64::MAX) {
            std::thread::sleep(Duration::from_millis(20));
            let elapsed = self.begun.elapsed();
            if self.options.seconds.is_some_and(|seconds| elapsed.as_secs() >= seconds) {
                self.is_over.store(true, Ordering::Relaxed);
            }
            for (seed, since) in &self.runs {
                let since = Duration::from_millis(since.load(Ordering::Relaxed));
                if elapsed > since.saturating_add(RUN_MAX) {
                    println!("FAILED seed {}: does not end", seed.load(Ordering::Relaxed));
                    std::process::exit(1);
                }
            }
            if reported.elapsed() >= PROGRESS_EVERY {
                reported = Instant::now();
                let totals = self.totals.lock().unwrap();
                println!("{:>5} s: {} runs, {} failures", elapsed.as_secs(), totals.runs, totals.failures.len());
            }
        }
    }

    fn report(self) -> bool {
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut totals = self.totals.into_inner().unwrap();
        let misses = expected::complete(&mut totals.coverage);
        if !self.options.until_failure {
            print_coverage(&totals.coverage);
        }
        for (seed, failure) in totals.failures.iter().take(FAILURES_SHOWN) {
            println!("FAILED seed {seed}: {failure}");
            if !self.options.until_failure {
                let (config, failure) = shrink(*seed, failure);
                println!("       scripts/simulate.sh {}\n       {failure}", config.arguments());
            }
        }
        println!(
            "{} runs from seed {} on in {seconds:.1} s: {:.0} a second, {:.0} simulated hours a second; {} failures",
            totals.runs,
            self.options.from,
            totals.runs as f64 / seconds,
            totals.simulated_ns as f64 / SECOND as f64 / 3600.0 / seconds,
            totals.failures.len()
        );
        let must_have_all = totals.runs >= RUNS_FOR_ALL && !self.options.until_failure;
        if misses && must_have_all {
            println!("FAILED: expected events never happened");
        }
        totals.failures.is_empty() && !(misses && must_have_all)
    }
}

fn print_coverage(coverage: &Coverage) {
    let mut last = "";
    for (kind, what, count) in coverage.iter() {
        if kind != last {
            println!("{kind}:");
            last = kind;
        }
        println!("  {count:>12}  {what}{}", if count == 0 { "  NEVER HAPPENED" } else { "" });
    }
}

fn show(config: &RunConfig) {
    let outcome = run(config);
    match outcome.failure {
        None => println!("seed {}: passed", config.seed),
        Some(failure) => println!("FAILED seed {}: {failure}", config.seed),
    }
}

fn main() -> ExitCode {
    let options = match parse_options() {
        Ok(options) => options,
        Err(error) => {
            eprint!("simulate: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(config) = &options.replay {
        show(config);
        return ExitCode::SUCCESS;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("from seed {} on, on {threads} threads", options.from);
    let campaign = Campaign {
        next_seed: AtomicU64::new(options.from),
        options,
        begun: Instant::now(),
        is_over: AtomicBool::new(false),
        totals: Mutex::default(),
        runs: (0..threads).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect(),
    };
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let campaign = &campaign;
            scope.spawn(move || campaign.work(thread));
        }
        campaign.watch();
    });
    if campaign.report() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
