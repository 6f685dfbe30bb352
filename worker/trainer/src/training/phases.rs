//! Training time by phase.

use std::time::{Duration, Instant};

/// Wall time by phase. On a CPU the parts are exact; on a GPU work is queued, and only the sum is meaningful.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Phases {
    /// Batches and dropout masks, with their transfer to the device.
    pub data: Duration,
    /// The network and the loss.
    pub forward: Duration,
    pub backward: Duration,
    pub optimizer: Duration,
    /// Evaluating predictions.
    pub metrics: Duration,
}

impl Phases {
    pub fn total(&self) -> Duration {
        self.data + self.forward + self.backward + self.optimizer + self.metrics
    }

    /// The fraction that is neither forward, nor backward, nor optimizer; 0 if no time has passed.
    pub fn share_outside(&self) -> f64 {
        let total = self.total().as_secs_f64();
        if total > 0.0 { (self.data + self.metrics).as_secs_f64() / total } else { 0.0 }
    }
}

/// Measures one phase after the other.
#[derive(Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Adds the time since the last lap.
    pub(super) fn lap(&mut self, phase: &mut Duration) {
        let now = Instant::now();
        *phase += now.duration_since(self.0);
        self.0 = now;
    }
}
