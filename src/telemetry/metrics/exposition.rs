//! Writes metrics in the text format of Prometheus, version 0.0.4, or in OpenMetrics 1.0. They differ in how they name
//! counters, and in the last line.

use std::fmt::{Display, Write};

/// The text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub(in crate::telemetry) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A text in the making.
pub(super) struct Exposition {
    format: Format,
    text: String,
}

impl Exposition {
    pub(super) fn new(format: Format) -> Exposition {
        Exposition { format, text: String::with_capacity(8 * 1024) }
    }

    /// A metric that only grows. `name` is without the suffix `_total`. `labels` are in braces, or empty.
    pub(super) fn counter<'a>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (&'a str, u64)>) {
        let suffix = if self.format == Format::Prometheus { "_total" } else { "" };
        self.head(&format!("{name}{suffix}"), "counter", help);
        for (labels, value) in samples {
            self.sample(name, "_total", labels, value);
        }
    }

    /// A metric that may go up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, "", "", value);
    }

    /// A constant with labels.
    pub(super) fn constant(&mut self, name: &str, help: &str, labels: &str) {
        self.head(name, "gauge", help);
        self.sample(name, "", labels, 1);
    }

    /// A histogram. `buckets` are the upper bounds and how many observations each bucket has, without those of the
    /// buckets below. `beyond` are those above all bounds.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: impl IntoIterator<Item = (f64, u64)>,
        beyond: u64,
        sum: f64,
    ) {
        self.head(name, "histogram", help);
        let mut count = 0;
        for (bound, observations) in buckets {
            count += observations;
            // OpenMetrics wants a point in each bound.
            self.sample(name, "_bucket", &format!("{{le=\"{bound:?}\"}}"), count);
        }
        count += beyond;
        self.sample(name, "_bucket", "{le=\"+Inf\"}", count);
        self.sample(name, "_sum", "", sum);
        self.sample(name, "_count", "", count);
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string never fails.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.text, "{name}{suffix}{labels} {value}");
    }
}
