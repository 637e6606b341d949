//! Measures the exchanges per second on a kept connection without a socket: all of the work except the system calls.
//!
//! Run with `cargo bench --bench exchanges`. The relevant column is the number of exchanges per second.

mod support;

use divan::Bencher;
use divan::counter::ItemsCount;
use spindle::routes::Routes;

use support::InMemoryConnection;
use support::corpus::{BROWSER_PICTURE, ECHO, SHORTEST};

/// Requests that a pipelining client sends at a time.
const PIPELINED: usize = 16;

/// Repetitions that are timed together, because reading the clock takes long compared with a single one.
const SAMPLE: u32 = 1_000;

fn main() {
    divan::main();
}

#[divan::bench(sample_size = SAMPLE)]
fn root(bencher: Bencher<'_, '_>) {
    exchanges(bencher, SHORTEST, 1);
}

#[divan::bench(sample_size = SAMPLE)]
fn root_pipelined(bencher: Bencher<'_, '_>) {
    exchanges(bencher, SHORTEST, PIPELINED);
}

#[divan::bench(sample_size = SAMPLE)]
fn user_agent_of_a_browser(bencher: Bencher<'_, '_>) {
    exchanges(bencher, BROWSER_PICTURE, 1);
}

#[divan::bench(sample_size = SAMPLE)]
fn echo(bencher: Bencher<'_, '_>) {
    exchanges(bencher, ECHO, 1);
}

fn exchanges(bencher: Bencher<'_, '_>, request: &[u8], depth: usize) {
    let requests = request.repeat(depth);
    let mut connection = InMemoryConnection::new(Routes::new(None));
    bencher.counter(ItemsCount::new(depth)).bench_local(|| {
        connection.exchange(divan::black_box(&requests), |bytes| {
            divan::black_box(bytes);
        });
    });
}
