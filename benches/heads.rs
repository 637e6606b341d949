//! Measures the heads parsed per second, by this crate, which validates every byte, and by `httparse`.
//!
//! Run with `cargo bench --bench heads`. The relevant column is the number of heads per second.

mod support;

use std::mem::MaybeUninit;

use divan::Bencher;
use divan::counter::ItemsCount;
use spindle::http1::limits::FIELD_LINES_MAX;
use spindle::http1::message_head::HeadParser;
use spindle::semantics::fields::FieldSpans;

use support::corpus::HEADS;

/// Repetitions that are timed together, because reading the clock takes long compared with a single one.
const SAMPLE: u32 = 1_000;

fn main() {
    divan::main();
}

/// The names of the heads, and `all` for all of them in turn.
fn names() -> impl Iterator<Item = &'static str> {
    HEADS.iter().map(|(name, _)| *name).chain(["all"])
}

fn heads(name: &str) -> Vec<&'static [u8]> {
    HEADS.iter().filter(|(other, _)| name == "all" || name == *other).map(|(_, head)| *head).collect()
}

#[divan::bench(args = names(), sample_size = SAMPLE)]
fn spindle(bencher: Bencher<'_, '_>, name: &str) {
    let heads = heads(name);
    let mut spans = FieldSpans::with_capacity(FIELD_LINES_MAX);
    bencher.counter(ItemsCount::new(heads.len())).bench_local(|| {
        for head in &heads {
            let head = divan::black_box(*head);
            let mut reader = HeadParser::default();
            assert_eq!(reader.advance(head, &mut spans), Ok(true));
            let complete = reader.complete(head, &spans);
            assert_eq!(divan::black_box(complete).bytes, head.len());
        }
    });
}

#[divan::bench(args = names(), sample_size = SAMPLE)]
fn httparse(bencher: Bencher<'_, '_>, name: &str) {
    let heads = heads(name);
    bencher.counter(ItemsCount::new(heads.len())).bench_local(|| {
        for head in &heads {
            let head = divan::black_box(*head);
            let mut fields = [const { MaybeUninit::uninit() }; FIELD_LINES_MAX];
            let mut request = httparse::Request::new(&mut []);
            let read = request.parse_with_uninit_headers(head, &mut fields);
            divan::black_box(&request);
            assert_eq!(read, Ok(httparse::Status::Complete(head.len())));
        }
    });
}
