//! The settings and the limits of an engine.

use sweep_spec::spec::PRIORITIES;

use crate::clock::Clock;
use crate::convert::Invalid;
use crate::engine::error::Error;

/// The most objects that the coordinator keeps at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Trials of one sweep.
    pub trials: u64,
    /// Unfinished trials of all sweeps together.
    pub live_trials: u64,
    /// Unfinished sweeps.
    pub sweeps: usize,
    /// Connected workers, which is also the number of parked polls.
    pub workers: usize,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// The scheduler's settings.
    pub scheduler: sweep_scheduler::Config,
    pub limits: Limits,
    /// The clock for leases, deadlines and costs.
    pub clock: Clock,
    /// Whether the engine was started for one question: then the audit log gets no row about the start.
    pub asked_once: bool,
}

/// Whether a sweep may have this priority.
pub(super) fn check_priority(priority: i32) -> Result<(), Error> {
    if PRIORITIES.contains(&priority) {
        return Ok(());
    }
    let (least, most) = (PRIORITIES.start(), PRIORITIES.end());
    let problem = format!("expected a whole number from {least} to {most}, found {priority}");
    Err(Invalid { field: "priority", problem }.into())
}
