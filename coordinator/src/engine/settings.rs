//! The settings and the limits of an engine.

use sweep_spec::spec::PRIORITIES;

use crate::clock::Clock;
use crate::convert::Invalid;
use crate::engine::error::Error;

/// How much there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Trials of one sweep.
    pub trials: u64,
    /// Trials of all sweeps together that have not ended.
    pub live_trials: u64,
    /// Sweeps that have not ended.
    pub sweeps: usize,
    /// Workers that are connected, and so parked polls.
    pub workers: usize,
}

/// What an engine goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The scheduler's numbers.
    pub scheduler: sweep_scheduler::Config,
    /// How much there may be at a time.
    pub limits: Limits,
    /// Where it reads the time.
    pub clock: Clock,
    /// It was started for one question, and leaves its start out of the audit log.
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
