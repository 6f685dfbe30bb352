//! The coordinator's flags, each of which is also a key.

use std::path::PathBuf;

use clap::Parser;

/// The coordinator's flags. Each may also stand in a file or in the environment.
#[derive(Debug, Clone, Default, Parser)]
#[command(
    name = "sweep-coordinator",
    version,
    about = "Expands sweeps to trials, shards them across workers, keeps every metric"
)]
pub struct Args {
    /// A configuration file; `--print-default-config` shows one with comments
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the default configuration and leave
    #[arg(long, alias = "print-config")]
    pub print_default_config: bool,
    /// Ask the coordinator that runs here with this configuration whether it is healthy, and leave
    #[arg(long)]
    pub healthy: bool,
    /// The store: a SQLite file, or postgres://USER@HOST:PORT/DATABASE
    #[arg(long, value_name = "FILE|URL")]
    pub store: Option<String>,
    /// The folder of artifacts
    #[arg(long, value_name = "FOLDER")]
    pub artifacts: Option<String>,
    /// Where workers, sweepctl and other coordinators dial this one, if not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Where gRPC listens
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where HTTP listens: metrics and health
    #[arg(long, value_name = "ADDRESS")]
    pub listen_http: Option<String>,
    /// The certificate that both addresses show, with those between it and an authority (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// The authority that signed workers' certificates: workers must show one (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<String>,
    /// A file with one token that may do everything
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<String>,
    /// A file with one token that may submit and change sweeps
    #[arg(long, value_name = "FILE")]
    pub submit_token_file: Option<String>,
    /// A file with one token for workers
    #[arg(long, value_name = "FILE")]
    pub worker_token_file: Option<String>,
    /// A file with one token that may look
    #[arg(long, value_name = "FILE")]
    pub read_token_file: Option<String>,
    /// Listen on an address that other machines can reach although there is no token: whoever reaches it may do everything
    #[arg(long)]
    pub insecure: bool,
    /// Use a PostgreSQL database with `fsync` or `full_page_writes` off, which can lose what it acknowledged
    #[arg(long)]
    pub allow_unsafe_database: bool,
    /// Milliseconds after which a worker that does not poll has lost its trials
    #[arg(long, value_name = "MILLISECONDS")]
    pub lease_ttl_ms: Option<String>,
    /// Milliseconds that attempts are waited for after a restart
    #[arg(long, value_name = "MILLISECONDS")]
    pub restart_grace_ms: Option<String>,
    /// Failures of one trial after which it has failed
    #[arg(long, value_name = "COUNT")]
    pub max_failures: Option<String>,
    /// Workers that one trial may lose
    #[arg(long, value_name = "COUNT")]
    pub max_losses: Option<String>,
    /// Milliseconds before the second try
    #[arg(long, value_name = "MILLISECONDS")]
    pub retry_backoff_ms: Option<String>,
    /// What is done about failures of some classes otherwise, as YAML: '{data: {retry: never}}'
    #[arg(long, value_name = "RULES")]
    pub retry: Option<String>,
    /// Trials in a row that fail on a worker and succeed on others before it is taken out of service; 0: never
    #[arg(long, value_name = "COUNT")]
    pub suspend_after: Option<String>,
    /// Trials of a sweep that fail alike before any has succeeded until the rest is held back; 0: never
    #[arg(long, value_name = "COUNT")]
    pub hold_back_after: Option<String>,
    /// Milliseconds that trials are kept that no connected worker can run
    #[arg(long, value_name = "MILLISECONDS")]
    pub unplaceable_grace_ms: Option<String>,
    /// Milliseconds after which a worker is asked again what is in a data set
    #[arg(long, value_name = "MILLISECONDS")]
    pub describe_again_ms: Option<String>,
    /// The most trials of one sweep
    #[arg(long, value_name = "COUNT")]
    pub max_trials: Option<String>,
    /// The most trials of all sweeps together that have not ended
    #[arg(long, value_name = "COUNT")]
    pub max_live_trials: Option<String>,
    /// The most sweeps that have not ended
    #[arg(long, value_name = "COUNT")]
    pub max_sweeps: Option<String>,
    /// The most workers that are connected
    #[arg(long, value_name = "COUNT")]
    pub max_workers: Option<String>,
    /// Workers that an autoscaler starts when trials wait, as YAML: '[{name: gpu, slots: 1, device: cuda, memory: 40GiB}]'
    #[arg(long, value_name = "POOLS")]
    pub pools: Option<String>,
    /// The most streams, exports and estimates at a time, as YAML: '{watches: 500, per_token: 50}'
    #[arg(long, value_name = "LIMITS")]
    pub limits: Option<String>,
    /// Seconds that everything may take to end
    #[arg(long, value_name = "SECONDS")]
    pub shutdown_seconds: Option<String>,
    /// What is logged: error, warn, info, debug, trace or a filter
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Start although the store is damaged: go on without what is, and list it
    #[arg(long)]
    pub accept_loss: bool,
}

impl Args {
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
