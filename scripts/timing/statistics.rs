//! The statistics of two classes of samples.

use std::time::Duration;

/// The part of the samples that counts: the fastest ones. The others were interrupted.
const COUNTED: f64 = 0.9;

/// The times of two classes, in nanoseconds.
pub(crate) struct Samples(Vec<(u64, usize)>);

/// How two classes differ.
pub(crate) struct Difference {
    /// The mean of both.
    pub(crate) mean_ns: f64,
    /// The mean of the second class minus that of the first.
    pub(crate) difference_ns: f64,
    /// Half the width of the 95 % confidence interval of that.
    pub(crate) uncertainty_ns: f64,
    /// Welch's t.
    pub(crate) t: f64,
}

impl Samples {
    pub(crate) fn with_capacity(samples: usize) -> Samples {
        Samples(Vec::with_capacity(samples))
    }

    pub(crate) fn add(&mut self, class: usize, took: Duration) {
        self.0.push((u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), class));
    }

    /// The difference of the classes, without the slowest samples of both together: a limit for each class by itself could
    /// hide a difference.
    pub(crate) fn difference(mut self) -> Difference {
        let counted = (self.0.len() as f64 * COUNTED) as usize;
        self.0.sort_unstable();
        // All samples of the same time count, or none, so that the order of the classes does not matter.
        let limit_ns = self.0.get(counted).map_or(u64::MAX, |(ns, _)| *ns);
        let times_of = |class: usize| {
            let of_class = self.0.iter().filter(move |(ns, of)| *of == class && *ns < limit_ns);
            of_class.map(|(ns, _)| *ns as f64).collect::<Vec<f64>>()
        };
        let [(first, first_error), (second, second_error)] = [times_of(0), times_of(1)].map(|times| moments(&times));
        let error = (first_error + second_error).sqrt();
        Difference {
            mean_ns: f64::midpoint(first, second),
            difference_ns: second - first,
            uncertainty_ns: 1.96 * error,
            t: (second - first) / error,
        }
    }
}

/// The mean, and the square of its standard error.
fn moments(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|ns| (ns - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance / count)
}
