//! The coordinator's flags. Each key of the configuration is also a flag.

use std::path::PathBuf;

use clap::Parser;

/// The coordinator's flags. A file or the environment may set the same keys.
#[derive(Debug, Clone, Default, Parser)]
#[command(
    name = "sweep-coordinator",
    version,
    about = "Accepts sweeps, assigns their trials to workers and stores every metric"
)]
pub struct Args {
    /// Configuration file; `--print-default-config` prints a commented one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the default configuration with comments and exit
    #[arg(long, alias = "print-config")]
    pub print_default_config: bool,
    /// Check whether the coordinator that runs here with this configuration is healthy, and exit
    #[arg(long)]
    pub healthy: bool,
    /// Store: a SQLite file, or postgres://USER@HOST:PORT/DATABASE
    #[arg(long, value_name = "FILE|URL")]
    pub store: Option<String>,
    /// Folder of artifacts
    #[arg(long, value_name = "FOLDER")]
    pub artifacts: Option<String>,
    /// Address at which workers, sweepctl and other coordinators reach this one, if it differs from --listen
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Address for gRPC: workers and sweepctl
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address for HTTP: pages, API, metrics and health
    #[arg(long, value_name = "ADDRESS")]
    pub listen_http: Option<String>,
    /// Certificate of both addresses, with its intermediate certificates (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Certificate of the authority that signed the workers' certificates (PEM); workers must then present one
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<String>,
    /// File with one token of the role admin
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<String>,
    /// File with one token of the role submit
    #[arg(long, value_name = "FILE")]
    pub submit_token_file: Option<String>,
    /// File with one token of the role worker
    #[arg(long, value_name = "FILE")]
    pub worker_token_file: Option<String>,
    /// File with one token of the role read
    #[arg(long, value_name = "FILE")]
    pub read_token_file: Option<String>,
    /// Allow an address that other machines can reach although no token exists; it accepts every request
    #[arg(long)]
    pub insecure: bool,
    /// Use a PostgreSQL database with `fsync` or `full_page_writes` off, which can lose acknowledged data
    #[arg(long)]
    pub allow_unsafe_database: bool,
    /// Milliseconds without a poll after which a worker loses its trials
    #[arg(long, value_name = "MILLISECONDS")]
    pub lease_ttl_ms: Option<String>,
    /// Milliseconds to wait after a restart for workers with running attempts
    #[arg(long, value_name = "MILLISECONDS")]
    pub restart_grace_ms: Option<String>,
    /// Number of failures after which a trial has failed
    #[arg(long, value_name = "COUNT")]
    pub max_failures: Option<String>,
    /// Number of workers that a trial may lose before it is quarantined
    #[arg(long, value_name = "COUNT")]
    pub max_losses: Option<String>,
    /// Milliseconds before the first retry
    #[arg(long, value_name = "MILLISECONDS")]
    pub retry_backoff_ms: Option<String>,
    /// Retry rules by class of failure, as YAML: '{data: {retry: never}}'
    #[arg(long, value_name = "RULES")]
    pub retry: Option<String>,
    /// Number of consecutive trials that fail on a worker and succeed on others before it is suspended; 0: never
    #[arg(long, value_name = "COUNT")]
    pub suspend_after: Option<String>,
    /// Number of trials that fail with the same error, before any succeeds, after which their sweep is held back; 0:
    /// never
    #[arg(long, value_name = "COUNT")]
    pub hold_back_after: Option<String>,
    /// Milliseconds before a trial that no connected worker can run fails
    #[arg(long, value_name = "MILLISECONDS")]
    pub unplaceable_grace_ms: Option<String>,
    /// Milliseconds before a worker that could not read a data set is asked again
    #[arg(long, value_name = "MILLISECONDS")]
    pub describe_again_ms: Option<String>,
    /// Maximum number of trials of one sweep
    #[arg(long, value_name = "COUNT")]
    pub max_trials: Option<String>,
    /// Maximum number of unfinished trials of all sweeps
    #[arg(long, value_name = "COUNT")]
    pub max_live_trials: Option<String>,
    /// Maximum number of unfinished sweeps
    #[arg(long, value_name = "COUNT")]
    pub max_sweeps: Option<String>,
    /// Maximum number of connected workers
    #[arg(long, value_name = "COUNT")]
    pub max_workers: Option<String>,
    /// Pools of workers that an autoscaler starts on demand, as YAML:
    /// '[{name: gpu, slots: 1, device: cuda, memory: 40GiB}]'
    #[arg(long, value_name = "POOLS")]
    pub pools: Option<String>,
    /// Maximum numbers of concurrent streams, exports and estimates, as YAML: '{watches: 500, per_token: 50}'
    #[arg(long, value_name = "LIMITS")]
    pub limits: Option<String>,
    /// Seconds to wait at shutdown before ending what still runs
    #[arg(long, value_name = "SECONDS")]
    pub shutdown_seconds: Option<String>,
    /// Log level: error, warn, info, debug, trace, or a filter
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Start without the damaged parts of the store, and list them
    #[arg(long)]
    pub accept_loss: bool,
}

impl Args {
    /// Every key, with its value if the flag was given.
    pub(super) fn flags(&self) -> Vec<(&'static str, Option<&str>)> {
        vec![
            ("store", self.store.as_deref()),
            ("artifacts", self.artifacts.as_deref()),
            ("advertise", self.advertise.as_deref()),
            ("listen", self.listen.as_deref()),
            ("listen_http", self.listen_http.as_deref()),
            ("tls_cert", self.tls_cert.as_deref()),
            ("tls_key", self.tls_key.as_deref()),
            ("tls_client_ca", self.tls_client_ca.as_deref()),
            ("admin_token_file", self.admin_token_file.as_deref()),
            ("submit_token_file", self.submit_token_file.as_deref()),
            ("worker_token_file", self.worker_token_file.as_deref()),
            ("read_token_file", self.read_token_file.as_deref()),
            ("insecure", self.insecure.then_some("true")),
            ("allow_unsafe_database", self.allow_unsafe_database.then_some("true")),
            ("lease_ttl_ms", self.lease_ttl_ms.as_deref()),
            ("restart_grace_ms", self.restart_grace_ms.as_deref()),
            ("max_failures", self.max_failures.as_deref()),
            ("max_losses", self.max_losses.as_deref()),
            ("retry_backoff_ms", self.retry_backoff_ms.as_deref()),
            ("retry", self.retry.as_deref()),
            ("suspend_after", self.suspend_after.as_deref()),
            ("hold_back_after", self.hold_back_after.as_deref()),
            ("unplaceable_grace_ms", self.unplaceable_grace_ms.as_deref()),
            ("describe_again_ms", self.describe_again_ms.as_deref()),
            ("max_trials", self.max_trials.as_deref()),
            ("max_live_trials", self.max_live_trials.as_deref()),
            ("max_sweeps", self.max_sweeps.as_deref()),
            ("max_workers", self.max_workers.as_deref()),
            ("pools", self.pools.as_deref()),
            ("limits", self.limits.as_deref()),
            ("shutdown_seconds", self.shutdown_seconds.as_deref()),
            ("log", self.log.as_deref()),
        ]
    }
}
