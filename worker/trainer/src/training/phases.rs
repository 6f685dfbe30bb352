//! Where a trial's time goes.

use std::time::{Duration, Instant};

/// Wall time by what was done. On a CPU each part ends when it returns; on a GPU work is queued, and only the sum tells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Phases {
    /// Batches and dropout masks, and their way to the device.
    pub data: Duration,
    /// The network and the loss.
    pub forward: Duration,
    /// Gradients.
    pub backward: Duration,
    /// Steps.
    pub optimizer: Duration,
    /// Counting what was right.
    pub metrics: Duration,
}

impl Phases {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.data + self.forward + self.backward + self.optimizer + self.metrics
    }

    /// The share that is neither forward, nor backward, nor optimizer; 0 where there was no time at all.
    pub fn share_outside(&self) -> f64 {
        let total = self.total().as_secs_f64();
        if total > 0.0 { (self.data + self.metrics).as_secs_f64() / total } else { 0.0 }
    }
}

/// Measures one part after the other.
#[derive(Debug)]
pub(super) struct Watch(Instant);

impl Watch {
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
