//! Measures whether the time of a response tells anything about a secret, without sockets, whose noise would hide it. Run
//! by scripts/timing.sh, which explains the output.
//!
//! Usage: `timing SAMPLES`. Exits with 1 if the times of two classes of requests differ, and with 2 if it fails or would
//! not notice a difference of a few nanoseconds.

#[path = "../../benches/support/mod.rs"]
mod support;

mod classes;
mod statistics;

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use spindle::routes::Routes;
use spindle::semantics::accounts::{Accounts, Credentials};
use spindle::semantics::link::LinkKeys;
use support::InMemoryConnection;

use self::classes::{Folder, Inputs};
use self::statistics::{Difference, Samples};

/// Above this |t|, two classes differ: as it happens once in 150,000 measurements of equal classes.
const T_MAX: f64 = 4.5;

/// Measures `call` with inputs of both classes in random order.
fn measure(inputs: &Inputs, samples: usize, mut call: impl FnMut(&[u8])) -> Difference {
    let mut random = fastrand::Rng::with_seed(1);
    let mut measured = Samples::with_capacity(samples);
    // The same place for all inputs, so that no input is nearer to the processor than another one.
    let mut space = vec![0; inputs.bytes()];
    for _ in 0..samples {
        let class = usize::from(random.bool());
        space.copy_from_slice(inputs.any_of(class, &mut random));
        let begun = Instant::now();
        call(black_box(&space));
        measured.add(class, begun.elapsed());
    }
    measured.difference()
}

/// Prints a row of the table. Returns whether the classes differ.
fn report(name: &str, classes: [&str; 2], difference: &Difference) -> bool {
    let differs = difference.t.abs() > T_MAX;
    println!(
        "{name:<10}  {:<44}  {:>7.1}  {:>+7.2} ± {:<5.2}  {:>+6.1}  {}",
        classes.join(" / "),
        difference.mean_ns,
        difference.difference_ns,
        difference.uncertainty_ns,
        difference.t,
        if differs { "differ" } else { "" }
    );
    differs
}

/// The comparison that would tell how many bytes at the beginning were right. The loop is that of every naive comparison.
fn leaking_comparison(expected: &[u8], given: &[u8]) -> bool {
    for (left, right) in expected.iter().zip(given) {
        if black_box(left) != black_box(right) {
            return false;
        }
    }
    expected.len() == given.len()
}

/// Whether the measurement finds the difference of a comparison that ends at the first wrong byte.
fn finds_a_leak(samples: usize) -> bool {
    let expected = [7; 32];
    let inputs = classes::bytes_with_a_wrong_one(&expected);
    let difference = measure(&inputs, samples, |given| {
        black_box(leaking_comparison(&expected, given));
    });
    report("control", ["first byte wrong", "last byte wrong"], &difference)
}

fn compare_functions(accounts: &Accounts, keys: &LinkKeys, folder: &Folder, samples: usize) -> bool {
    let authenticate = |value: &[u8]| {
        black_box(Credentials::parse(value).ok().and_then(|credentials| accounts.authenticate(&credentials)).is_some());
    };
    let verify = |link: &[u8]| {
        black_box(keys.verify(link, classes::LINKED_PATH, classes::NOW_UNIX_S).is_ok());
    };
    let hash = measure(&folder.nearly_right_secrets(), samples, authenticate);
    let name = measure(&folder.names(), samples, authenticate);
    let signature = measure(&classes::nearly_right_links(keys), samples, verify);
    let mut differ = report("account", classes::HASH, &hash);
    differ |= report("account", classes::NAME, &name);
    differ |= report("link", classes::SIGNATURE, &signature);
    differ
}

/// Measures whole exchanges, and checks that each response has this status.
fn measure_exchanges(routes: Routes, inputs: &Inputs, status: u16, samples: usize) -> Result<Difference, String> {
    let mut connection = InMemoryConnection::new(routes).at(classes::NOW_UNIX_S * 1_000_000_000);
    let expected = format!("HTTP/1.1 {status} ");
    let mut unexpected = 0;
    let difference = measure(inputs, samples, |request| {
        connection.exchange(request, |sent| unexpected += usize::from(!sent.starts_with(expected.as_bytes())));
    });
    if unexpected > 0 {
        return Err(format!("{unexpected} responses are not {status}"));
    }
    Ok(difference)
}

fn compare_responses(folder: &Folder, samples: usize) -> Result<bool, String> {
    let mut differ = false;
    for (classes, inputs, status) in folder.requests() {
        let difference = measure_exchanges(folder.routes()?, &inputs, status, samples)?;
        differ |= report("response", classes, &difference);
    }
    let difference = measure_exchanges(folder.drop_box()?, &folder.targets(), 404, samples)?;
    differ |= report("drop box", classes::TARGET, &difference);
    Ok(differ)
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("timing: {error}");
        ExitCode::from(2)
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [samples] = &arguments[..] else { return Err("usage: timing SAMPLES".into()) };
    let samples: usize = samples.parse()?;
    println!("what        classes                                       mean ns  difference ns       t");
    let notices_leaks = finds_a_leak(samples);
    let directory = tempfile::tempdir()?;
    let folder = Folder::new(directory.path())?;
    let (accounts, keys) = (folder.accounts()?, folder.keys()?);
    let mut differ = compare_functions(&accounts, &keys, &folder, samples);
    differ |= compare_responses(&folder, samples)?;
    Ok(match (notices_leaks, differ) {
        (false, _) => {
            println!("the control was not found: this machine is too busy for a conclusion");
            ExitCode::from(2)
        }
        (true, true) => ExitCode::from(1),
        (true, false) => ExitCode::SUCCESS,
    })
}
