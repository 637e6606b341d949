//! The metrics of a run: at its end, their sums are those of the records, and nothing is counted as open.

use std::rc::Rc;

use spindle::http1::message_head::HeadParser;
use spindle::routes::FileContent;
use spindle::semantics::Now;
use spindle::semantics::allowed_hosts::AllowedHosts;
use spindle::semantics::exchange_record::ExchangeRecord;
use spindle::semantics::fields::FieldSpans;
use spindle::semantics::request::{Endpoint, Request};
use spindle::semantics::response::{Body, Response};
use spindle::semantics::statistics::{LoopStatistics, RouteStatistics};
use spindle::semantics::status::Status;
use spindle::server::Usage;
use spindle::telemetry::admin::Admin;
use spindle::telemetry::metrics::Metrics;

use crate::simulation::disk::Disk;

/// What the records say.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    exchanges: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, record: &ExchangeRecord) {
        self.exchanges += 1;
        self.received_bytes += record.content_received_bytes;
        self.sent_bytes += record.content_sent_bytes;
    }
}

/// The counters of one process.
#[derive(Clone, Default)]
pub(crate) struct Counters {
    pub metrics: Rc<Metrics>,
    pub statistics: Rc<LoopStatistics>,
}

impl Counters {
    /// Checks the gauges after a turn.
    pub(crate) fn check_turn(&self, usage: &Usage) -> Result<(), String> {
        let (open, waiting) = (self.statistics.connections.get(), self.statistics.waiting_connections.get());
        if open != usage.sessions as u64 || waiting > open {
            return Err(format!("{open} connections are counted, {waiting} of them waiting: {usage:?}"));
        }
        Ok(())
    }

    /// Checks all counters after the end of a process.
    pub(crate) fn check_end(&self, sums: &Sums) -> Result<(), String> {
        let text = self.scrape();
        let sum_of = |name: &str| -> u64 {
            let samples =
                text.lines().filter_map(|line| line.strip_prefix(name)).filter_map(|rest| rest.rsplit_once(' '));
            let samples = samples.filter(|(labels, _)| labels.is_empty() || labels.starts_with('{'));
            samples.filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
        };
        for (name, expected) in [
            ("spindle_requests_total", sums.exchanges),
            ("spindle_exchanges_total", sums.exchanges),
            ("spindle_exchange_duration_seconds_count", sums.exchanges),
            ("spindle_content_received_bytes_total", sums.received_bytes),
            ("spindle_content_sent_bytes_total", sums.sent_bytes),
            ("spindle_connections_waiting", 0),
            ("spindle_uploads_in_progress", 0),
        ] {
            let counted = sum_of(name);
            if counted != expected {
                return Err(format!("{name} is {counted} at the end, not {expected}"));
            }
        }
        Ok(())
    }

    fn scrape(&self) -> String {
        let head = b"GET /metrics HTTP/1.1\r\n\r\n";
        let (mut parser, mut spans) = (HeadParser::default(), FieldSpans::default());
        assert_eq!(parser.advance(head, &mut spans), Ok(true));
        let parsed = parser.complete(head, &spans);
        let request = Request {
            method: parsed.method,
            target: parsed.target,
            version: parsed.version,
            fields: parsed.fields,
            content_bytes: Some(0),
            arrived: None,
            endpoint: Endpoint::Admin,
            sender: None,
        };
        let admin = Admin::new(Rc::clone(&self.metrics), Rc::clone(&self.statistics), AllowedHosts::Any);
        let response: Response<'_, FileContent<Disk>> =
            admin.respond(&request, &RouteStatistics::default(), &Now::default());
        assert_eq!(response.status, Status::Ok);
        let Body::Bytes(content) = response.body else { panic!("the metrics have content") };
        String::from_utf8_lossy(&content).into_owned()
    }
}
