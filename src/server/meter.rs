//! What a drive costs, in time.

/// Measures what drives cost. The clock is not read after each of them, so most costs are estimates, which are scaled by
/// what the last readings have shown.
#[derive(Debug)]
pub(super) struct Meter {
    read_ns: u64,
    /// The estimates since the clock was read, not scaled, in nanoseconds.
    estimated_ns: u64,
    /// How long drives took for each nanosecond that was estimated, times [`Meter::ONE`].
    scale: u64,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter { read_ns: 0, estimated_ns: 0, scale: Meter::ONE }
    }
}

impl Meter {
    /// The scale at which an estimate is what a drive takes.
    const ONE: u64 = 256;
    const SCALE_MAX: u64 = 16 * Meter::ONE;

    /// The clock was read, and what happened since the reading before was no drive.
    pub(super) fn restart(&mut self, now_ns: u64) {
        (self.read_ns, self.estimated_ns) = (now_ns, 0);
    }

    /// The clock was read, and there were only drives since the reading before.
    pub(super) fn calibrate(&mut self, now_ns: u64) {
        let took_ns = now_ns.saturating_sub(self.read_ns);
        if let Some(scale) = took_ns.saturating_mul(Meter::ONE).checked_div(self.estimated_ns) {
            self.scale = (7 * self.scale + scale.min(Meter::SCALE_MAX)) / 8;
        }
        self.restart(now_ns);
    }

    /// The cost of a drive in nanoseconds. `began_ns` and `ended_ns` are the last readings of the clock before it began
    /// and before it ended.
    pub(super) fn cost_ns(&mut self, began_ns: u64, ended_ns: u64, estimate_ns: u64) -> u64 {
        if self.read_ns != began_ns {
            self.restart(began_ns);
        }
        let cost_ns = self.scaled(estimate_ns);
        if began_ns == ended_ns {
            self.estimated_ns = self.estimated_ns.saturating_add(estimate_ns);
            return cost_ns;
        }
        // The reading before was followed by other drives, which have been counted.
        let measured_ns = ended_ns.saturating_sub(began_ns).saturating_sub(self.scaled(self.estimated_ns));
        self.restart(ended_ns);
        measured_ns.max(cost_ns)
    }

    fn scaled(&self, estimate_ns: u64) -> u64 {
        estimate_ns.saturating_mul(self.scale) / Meter::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_that_are_estimated_follow_what_the_clock_shows() {
        let mut meter = Meter::default();
        for turn in 0..100 {
            meter.restart(turn * 1_000_000);
            for _ in 0..10 {
                meter.cost_ns(turn * 1_000_000, turn * 1_000_000, 4_000);
            }
            meter.calibrate(turn * 1_000_000 + 10 * 20_000);
        }
        let cost_ns = meter.cost_ns(7, 7, 4_000);
        assert!((19_000..=20_000).contains(&cost_ns), "{cost_ns}");
        let measured_ns = meter.cost_ns(7, 120_007, 4_000);
        assert_eq!(measured_ns, 120_000 - cost_ns, "the drive before had been counted");
    }
}
