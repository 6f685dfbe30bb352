//! The scheduler's few numbers.

use sweep_spec::retry::Rules;

use crate::pool::Pool;

/// Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A session that does not poll for this long has ended, and its attempts are lost.
    pub lease_ttl_ms: u64,
    /// After a restart, how long the attempts that workers may still run are waited for.
    pub restart_grace_ms: u64,
    /// After a restart, how long names are kept for the workers that held them.
    pub name_grace_ms: u64,
    /// What is done about failures, by class.
    pub rules: Rules,
    /// Workers that may be lost under one round before it is quarantined: it has failed, and only somebody's word tries
    /// it again.
    pub max_losses: u32,
    /// Trials in a row that fail on a worker and succeed on others, after which it is taken out of service; 0 for never.
    pub suspend_after: u32,
    /// Trials of a sweep that fail alike before any has succeeded, after which the rest is held back; 0 for never.
    pub hold_back_after: u32,
    /// How long trials are kept that no connected worker can ever run, before they fail with the reason.
    pub unplaceable_grace_ms: u64,
    /// How long after a failure a worker is asked again what is in a data set.
    pub describe_again_ms: u64,
    /// Trials of a sweep that one event releases when the sweep is cancelled. The first event releases more if these would
    /// leave nothing in the store that a restart could see: then it goes on up to the first trial whose round it cancels.
    pub release_batch: usize,
    /// A sweep that waits is passed over so often for each sweep that waits, at most, by those of a higher priority; 0 for any
    /// number.
    pub starvation_limit: u32,
    /// Workers that may be started for what waits; a trial counts for the first that fits it.
    pub pools: Vec<Pool>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl_ms: 30_000,
            restart_grace_ms: 60_000,
            name_grace_ms: 60_000,
            rules: Rules::new(3, 1_000),
            max_losses: 5,
            suspend_after: 3,
            hold_back_after: 3,
            unplaceable_grace_ms: 600_000,
            describe_again_ms: 60_000,
            release_batch: 10_000,
            starvation_limit: 16,
            pools: Vec::new(),
        }
    }
}
