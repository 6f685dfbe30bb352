//! The scheduler's few numbers.

/// Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A session that does not poll for this long has ended, and its attempts are lost.
    pub lease_ttl_ms: u64,
    /// After a restart, how long the attempts that workers may still run are waited for.
    pub restart_grace_ms: u64,
    /// Failures of one round after which it has failed.
    pub max_failures: u32,
    /// Attempts of one round that may be lost with their workers before it has failed.
    pub max_losses: u32,
    /// The wait before the second try; it doubles with every further failure, up to `MAX_BACKOFF_DOUBLINGS` times.
    pub retry_backoff_ms: u64,
    /// How long trials are kept that no connected worker can ever run, before they fail with the reason.
    pub unplaceable_grace_ms: u64,
    /// How long after a failure a worker is asked again what is in a data set.
    pub describe_again_ms: u64,
}

/// How often `Config::retry_backoff_ms` doubles.
pub(crate) const MAX_BACKOFF_DOUBLINGS: u32 = 6;

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl_ms: 30_000,
            restart_grace_ms: 60_000,
            max_failures: 3,
            max_losses: 10,
            retry_backoff_ms: 1_000,
            unplaceable_grace_ms: 600_000,
            describe_again_ms: 60_000,
        }
    }
}
