//! The metrics: counts what exchange records report, and writes that and the statistics of the loop and the routes.

mod exposition;

use std::cell::Cell;

use self::exposition::Exposition;
pub(super) use self::exposition::Format;
use crate::semantics::Now;
use crate::semantics::exchange_record::{ExchangeRecord, Outcome};
use crate::semantics::method::Method;
use crate::semantics::statistics::{LoopStatistics, RouteStatistics};

/// The methods that are counted separately. All others are counted as the last.
const METHODS: [Method; 12] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Move,
    Method::Mkcol,
    Method::Options,
    Method::Trace,
    Method::Connect,
    Method::Unknown,
];

/// The classes of status codes. The first is for exchanges without a response.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The ways in which an exchange ends.
const OUTCOMES: [&str; 5] = ["complete", "cut_off", "timed_out", "refused", "server_closed"];

/// The upper bounds of the durations' buckets, in microseconds.
const DURATION_BOUNDS_US: [u64; 12] =
    [100, 500, 1000, 5000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000, 300_000_000];

const NS_PER_US: u64 = 1000;
const US_PER_S: f64 = 1_000_000.0;
const NS_PER_S: f64 = 1_000_000_000.0;

/// The counters. Shared by reference: the observer of exchange records counts, and a scrape reads.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: [[Cell<u64>; CLASSES.len()]; METHODS.len()],
    outcomes: [Cell<u64>; OUTCOMES.len()],
    received_bytes: Cell<u64>,
    sent_bytes: Cell<u64>,
    durations: [Cell<u64>; DURATION_BOUNDS_US.len()],
    durations_beyond: Cell<u64>,
    durations_sum_ns: Cell<u64>,
    /// Uploads whose content is being received.
    uploads_in_progress: Cell<u64>,
    uploads_finished: Cell<u64>,
    /// Lines of the access log that were lost.
    lines_lost: Cell<u64>,
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get().saturating_add(count));
}

impl Metrics {
    pub(super) fn set_lines_lost(&self, lines: u64) {
        self.lines_lost.set(lines);
    }

    /// Counts an exchange that has ended.
    pub fn exchange_ended(&self, record: &ExchangeRecord) {
        let row = METHODS.iter().position(|known| *known == record.method).unwrap_or(METHODS.len() - 1);
        let class = record.status.map_or(0, |status| usize::from(status / 100).min(CLASSES.len() - 1));
        add(&self.requests[row][class], 1);
        let outcome = match record.outcome {
            Outcome::Complete => 0,
            Outcome::CutOff => 1,
            Outcome::TimedOut => 2,
            Outcome::Refused(_) => 3,
            Outcome::ServerClosed => 4,
        };
        add(&self.outcomes[outcome], 1);
        add(&self.received_bytes, record.content_received_bytes);
        add(&self.sent_bytes, record.content_sent_bytes);
        let bucket = DURATION_BOUNDS_US.iter().position(|bound_us| record.total_ns <= bound_us * NS_PER_US);
        add(bucket.map_or(&self.durations_beyond, |bucket| &self.durations[bucket]), 1);
        add(&self.durations_sum_ns, record.total_ns);
    }

    /// Counts an upload whose content begins.
    pub fn upload_begun(&self) {
        add(&self.uploads_in_progress, 1);
    }

    /// Counts an upload whose content does not continue. Each call follows one of
    /// [`upload_begun`](Metrics::upload_begun).
    pub fn upload_ended(&self) {
        self.uploads_in_progress.set(self.uploads_in_progress.get().saturating_sub(1));
    }

    /// Counts an upload whose content was accepted.
    pub fn upload_accepted(&self) {
        add(&self.uploads_finished, 1);
    }

    /// All metrics as text.
    pub(super) fn text(
        &self,
        format: Format,
        loop_statistics: &LoopStatistics,
        routes: &RouteStatistics,
        now: &Now,
    ) -> String {
        let mut text = Exposition::new(format);
        text.constant(
            "spindle_build_info",
            "The version of the server.",
            concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
        );
        self.write_exchanges(&mut text);
        write_loop(&mut text, loop_statistics, now);
        text.gauge("spindle_uploads_in_progress", "Uploads that are being received.", self.uploads_in_progress.get());
        text.gauge(
            "spindle_uploads_pending",
            "Unfinished resumable uploads that this process has begun or was asked for.",
            routes.uploads_pending,
        );
        text.counter(
            "spindle_uploads_refused",
            "Resumable uploads that were refused because there were too many unfinished ones.",
            [("", routes.uploads_refused)],
        );
        let finished = [("", self.uploads_finished.get())];
        text.counter("spindle_uploads_accepted", "Requests whose uploaded content was accepted.", finished);
        let (hits, misses) = (("{result=\"hit\"}", routes.cache_hits), ("{result=\"miss\"}", routes.cache_misses));
        text.counter("spindle_file_cache_requests", "Look-ups in the cache of open files.", [hits, misses]);
        text.counter(
            "spindle_log_lines_lost",
            "Lines of the access log that could not be written.",
            [("", self.lines_lost.get())],
        );
        text.finish()
    }

    fn write_exchanges(&self, text: &mut Exposition) {
        let mut samples = Vec::new();
        for (method, row) in METHODS.iter().zip(&self.requests) {
            let method = if *method == Method::Unknown { "other" } else { method.as_str() };
            for (class, count) in CLASSES.iter().zip(row) {
                // Of the others there may never be one.
                if count.get() > 0 || method == "GET" {
                    samples.push((format!("{{method=\"{method}\",class=\"{class}\"}}"), count.get()));
                }
            }
        }
        let samples = samples.iter().map(|(labels, count)| (labels.as_str(), *count));
        text.counter("spindle_requests", "Exchanges that have ended, by method and class of the status code.", samples);
        let labels = OUTCOMES.map(|outcome| format!("{{outcome=\"{outcome}\"}}"));
        let samples = labels.iter().zip(&self.outcomes).map(|(labels, count)| (labels.as_str(), count.get()));
        text.counter("spindle_exchanges", "How exchanges have ended.", samples);
        let received = [("", self.received_bytes.get())];
        text.counter("spindle_content_received_bytes", "Bytes of content that clients sent.", received);
        let sent = [("", self.sent_bytes.get())];
        text.counter("spindle_content_sent_bytes", "Bytes of content that were sent to clients.", sent);
        text.histogram(
            "spindle_exchange_duration_seconds",
            "The time from a request's complete head to the last byte of its response.",
            DURATION_BOUNDS_US
                .iter()
                .map(|bound_us| *bound_us as f64 / US_PER_S)
                .zip(self.durations.iter().map(Cell::get)),
            self.durations_beyond.get(),
            self.durations_sum_ns.get() as f64 / NS_PER_S,
        );
    }
}

fn write_loop(text: &mut Exposition, loop_statistics: &LoopStatistics, now: &Now) {
    let started_s = loop_statistics.started_unix_ns.get() as f64 / NS_PER_S;
    text.gauge("process_start_time_seconds", "When the server was started, in seconds since 1970.", started_s);
    text.gauge("spindle_connections", "Open connections of clients.", loop_statistics.connections.get());
    text.gauge(
        "spindle_connections_waiting",
        "Open connections of clients without a request in progress.",
        loop_statistics.waiting_connections.get(),
    );
    text.gauge(
        "spindle_connections_limit",
        "The most connections of clients that may be open.",
        loop_statistics.connections_max.get(),
    );
    text.counter(
        "spindle_connections_accepted",
        "Connections that were accepted.",
        [("", loop_statistics.accepted.get())],
    );
    text.counter(
        "spindle_connections_evicted",
        "Connections that were closed to make room for others.",
        [
            ("{reason=\"idle\"}", loop_statistics.evicted_idle.get()),
            ("{reason=\"share\"}", loop_statistics.evicted_by_share.get()),
            ("{reason=\"limit\"}", loop_statistics.evicted_by_limit.get()),
        ],
    );
    text.counter(
        "spindle_connections_refused",
        "Connections that were refused because their clients held too many.",
        [
            ("{reason=\"share\"}", loop_statistics.refused_by_share.get()),
            ("{reason=\"limit\"}", loop_statistics.refused_by_limit.get()),
        ],
    );
    text.counter(
        "spindle_accept_errors",
        "Failed attempts to accept a connection, for lack of descriptors for example.",
        [("", loop_statistics.accept_errors.get())],
    );
    let seconds = |longest_ns: u64| longest_ns as f64 / NS_PER_S;
    text.gauge(
        "spindle_turn_longest_seconds",
        "The longest turn of the event loop within the last one to two minutes.",
        seconds(loop_statistics.turns.longest_ns(now.monotonic_ns)),
    );
    text.gauge(
        "spindle_disk_call_longest_seconds",
        "The longest call that may have waited for the disk within the last one to two minutes.",
        seconds(loop_statistics.disk_calls.longest_ns(now.monotonic_ns)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_written_in_both_formats() {
        let metrics = Metrics::default();
        let mut record = ExchangeRecord::default();
        record.status = Some(206);
        record.total_ns = 2_000_000_000;
        record.content_sent_bytes = 5;
        metrics.exchange_ended(&record);
        let (loop_statistics, routes) =
            (LoopStatistics::default(), RouteStatistics { cache_hits: 3, ..RouteStatistics::default() });
        loop_statistics.connections.set(4);
        let text = metrics.text(Format::Prometheus, &loop_statistics, &routes, &Now::default());
        for line in [
            "# TYPE spindle_requests_total counter",
            "spindle_requests_total{method=\"other\",class=\"2xx\"} 1",
            "spindle_content_sent_bytes_total 5",
            "spindle_exchange_duration_seconds_bucket{le=\"1.0\"} 0",
            "spindle_exchange_duration_seconds_bucket{le=\"5.0\"} 1",
            "spindle_exchange_duration_seconds_bucket{le=\"+Inf\"} 1",
            "spindle_exchange_duration_seconds_sum 2",
            "spindle_connections 4",
            "spindle_file_cache_requests_total{result=\"hit\"} 3",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is missing in\n{text}");
        }
        let open = metrics.text(Format::OpenMetrics, &loop_statistics, &routes, &Now::default());
        assert!(open.contains("# TYPE spindle_requests counter\n"), "{open}");
        assert!(open.contains("spindle_requests_total{"), "{open}");
        assert!(open.ends_with("\n# EOF\n") && !text.contains("EOF"), "{open}");
    }
}
