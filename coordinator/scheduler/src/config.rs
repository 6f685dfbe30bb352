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
    /// After a restart, how long a name is reserved for the worker that had it.
    pub name_grace_ms: u64,
    /// Retries by class of failure.
    pub rules: Rules,
    /// Workers that one round may lose before the trial is quarantined: the round has failed, and only a user's retry
    /// starts another.
    pub max_losses: u32,
    /// Trials in a row that fail on a worker and succeed on others, after which the worker is suspended; 0 for never.
    pub suspend_after: u32,
    /// Trials of a sweep that fail in the same way before any succeeds, after which the rest is held back; 0 for never.
    pub hold_back_after: u32,
    /// How long trials are kept that no connected worker can ever run, before they fail with the reason.
    pub unplaceable_grace_ms: u64,
    /// How long after a failed description a worker is asked to describe the data set again.
    pub describe_again_ms: u64,
    /// Trials of a cancelled sweep that one event releases. The first event may release more: it continues until it has
    /// cancelled a round, because a restarted coordinator recognises the cancellation only by a cancelled round.
    pub release_batch: usize,
    /// A sweep that waits is passed over so often for each sweep that waits, at most, by those of a higher priority; 0 for any
    /// number.
    pub starvation_limit: u32,
    /// Pools of workers that an autoscaler may start. A trial counts for the first pool that fits it.
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
