//! The coordinator's configuration: an embedded default file, a file, the environment and flags; later sources override
//! earlier ones. All problems are reported together; afterwards the configuration is passed by value.

mod args;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use sweep_config::{Keys, Layers, Problems};
use sweep_scheduler::Pool;
use sweep_spec::retry::{Changes, Rules};
use sweep_store::location::Location;

pub use args::Args;
use values::Values;

use crate::access::Role;
use crate::access::refresh::GivenTokens;
use crate::engine::Limits;
use crate::listen::tls;
use crate::service::streams;

/// The default configuration as a commented file.
pub const DEFAULT: &str = include_str!("../coordinator.yaml");
const PREFIX: &str = "SWEEP_COORDINATOR_";

/// All settings of a coordinator, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The location of the store.
    pub store: Location,
    /// The folder of artifacts; `None` is the folder beside the store's file.
    pub artifacts: Option<PathBuf>,
    /// Address at which others connect to this coordinator, if it differs from `listen`.
    pub advertise: Option<String>,
    /// Address of gRPC.
    pub listen: SocketAddr,
    /// Address of HTTP.
    pub listen_http: SocketAddr,
    /// Whether the coordinator may listen on another address than loopback while no token exists.
    pub insecure: bool,
    /// Whether a PostgreSQL database that can lose acknowledged data is accepted.
    pub allow_unsafe_database: bool,
    /// Certificate and key of both addresses; `None` is plain text.
    pub tls: Option<tls::Files>,
    /// Tokens in addition to those in the store.
    pub tokens: GivenTokens,
    /// Milliseconds without a poll after which a session ends.
    pub lease_ttl_ms: u64,
    /// Milliseconds to wait after a restart for running attempts.
    pub restart_grace_ms: u64,
    /// Whether names of workers stay reserved after a restart. No key sets it: it is false only for a coordinator whose one
    /// worker runs in its own process.
    pub keeps_names: bool,
    /// Failures after which a round has failed.
    pub max_failures: u32,
    /// Attempts of one round that may be lost with their workers.
    pub max_losses: u32,
    /// Milliseconds before the first retry.
    pub retry_backoff_ms: u64,
    /// Retry rules that differ from the defaults, by class of failure.
    pub retry: Changes,
    /// Consecutive trials that fail on a worker and succeed on others before the worker is suspended.
    pub suspend_after: u32,
    /// Trials that fail with the same error, before any succeeds, after which their sweep is held back; 0 for never.
    pub hold_back_after: u32,
    /// Milliseconds before a trial that no connected worker can run fails.
    pub unplaceable_grace_ms: u64,
    /// Milliseconds before a worker that could not read a data set is asked again.
    pub describe_again_ms: u64,
    /// Maximum numbers of trials, sweeps and workers.
    pub limits: Limits,
    /// Pools of workers that an autoscaler starts on demand.
    pub pools: Vec<Pool>,
    /// Maximum numbers of concurrent streams, exports and estimates.
    pub streams: streams::Limits,
    /// Seconds to wait at shutdown before ending what still runs.
    pub shutdown_seconds: u64,
    /// Filter of the log.
    pub log: String,
    /// Whether to start without the damaged parts of the store. Only a flag sets it, because it is meant for one start.
    pub accept_loss: bool,
    /// Whether the program that embeds the coordinator asks one question of a store: the coordinator serves no pages and
    /// leaves its start out of the audit log. No key sets it.
    pub asked_once: bool,
}

/// Every key is also a flag.
fn keys() -> Keys {
    let names = Args::default().flags().into_iter().map(|(key, _)| key).collect();
    Keys { prefix: PREFIX, names, earlier: &[] }
}

/// The variables of `names` that have our prefix and set no key, perhaps because they are misspelt.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let keys = keys();
    names.into_iter().filter(|name| keys.is_unknown_variable(name)).collect()
}

fn is_host_and_port(text: &str) -> bool {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(['/', ' ']));
    parts.is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

const MILLISECONDS: &str = "a number of milliseconds from 1 to 86400000";

fn is_milliseconds(value: &u64) -> bool {
    (1..=86_400_000).contains(value)
}

impl Config {
    /// Reads the file that `args` names, the environment and the flags.
    ///
    /// # Errors
    /// All problems.
    pub fn load(args: &Args) -> Result<Self, Problems> {
        let environment = std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value)));
        let lossy = environment.map(|(key, value)| (key, value.to_string_lossy().into_owned()));
        Self::from_layers(args, lossy)
    }

    /// The default configuration.
    ///
    /// # Errors
    /// The embedded file is invalid, which a test excludes.
    pub fn defaults() -> Result<Self, Problems> {
        Self::from_layers(&Args::default(), [])
    }

    /// Like [`Config::load`], with the environment as an argument.
    ///
    /// # Errors
    /// All problems.
    pub fn from_layers(args: &Args, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, Problems> {
        let mut layers = Layers::new(keys());
        layers.yaml(DEFAULT, "default");
        if let Some(path) = &args.config {
            layers.file(path);
        }
        layers.environment(environment);
        for (key, value) in args.flags() {
            if let Some(value) = value {
                layers.flag(key, value);
            }
        }
        Ok(Self { accept_loss: args.accept_loss, ..Self::check(Values::of(layers))? })
    }

    fn check(mut values: Values) -> Result<Self, Problems> {
        let address = "an address such as 127.0.0.1:7733";
        let count = "a count from 1 to 1000000";
        let is_count = |value: &u32| (1..=1_000_000).contains(value);
        let place = "the path of a file, or postgres://USER@HOST:PORT/DATABASE";
        let store = values.take::<Location>("store", place, |_| true);
        let artifacts = values.take::<String>("artifacts", "the path of a folder", |_| true);
        let advertise =
            values.take::<String>("advertise", "HOST:PORT", |text| text.is_empty() || is_host_and_port(text));
        if let (Some(Location::Postgres(_)), Some("")) = (&store, artifacts.as_deref()) {
            let text = "with a database, set `artifacts` to a folder that every coordinator of this store can reach";
            values.refuse("store", text);
        }
        let listen = values.take::<SocketAddr>("listen", address, |_| true);
        let listen_http = values.take::<SocketAddr>("listen_http", address, |_| true);
        let insecure = values.take::<bool>("insecure", "true or false", |_| true);
        let allow_unsafe_database = values.take::<bool>("allow_unsafe_database", "true or false", |_| true);
        let lease = "a number of milliseconds from 100 to 86400000";
        let lease_ttl_ms = values.take("lease_ttl_ms", lease, |value| *value >= 100 && is_milliseconds(value));
        let restart_grace_ms = values.take("restart_grace_ms", MILLISECONDS, is_milliseconds);
        let max_failures = values.take("max_failures", count, is_count);
        let max_losses = values.take("max_losses", count, is_count);
        let retry_backoff_ms = values.take("retry_backoff_ms", MILLISECONDS, is_milliseconds);
        let retry = values.rules();
        let suspend_after = values.take("suspend_after", "a count from 0 to 1000000", |value| *value <= 1_000_000);
        let hold_back_after = values.take("hold_back_after", "a count from 0 to 1000", |value| *value <= 1_000);
        let unplaceable_grace_ms = values.take("unplaceable_grace_ms", MILLISECONDS, is_milliseconds);
        let describe_again_ms = values.take("describe_again_ms", MILLISECONDS, is_milliseconds);
        let limits = values.limits();
        let (pools, streams) = (values.pools(), values.streams());
        let shutdown = "a number of seconds from 1 to 3600";
        let shutdown_seconds = values.take("shutdown_seconds", shutdown, |value| (1..=3600).contains(value));
        let filter = |text: &String| text.parse::<tracing_subscriber::EnvFilter>().is_ok();
        let log = values.take::<String>("log", "a level or a filter", filter);
        let tls = values.tls();
        let tokens = values.tokens();
        let config = || {
            Some(Self {
                store: store?,
                artifacts: artifacts.filter(|path| !path.is_empty()).map(PathBuf::from),
                advertise: advertise.filter(|address| !address.is_empty()),
                listen: listen?,
                listen_http: listen_http?,
                insecure: insecure?,
                allow_unsafe_database: allow_unsafe_database?,
                tls: tls?,
                tokens: tokens?,
                lease_ttl_ms: lease_ttl_ms?,
                restart_grace_ms: restart_grace_ms?,
                keeps_names: true,
                max_failures: max_failures?,
                max_losses: max_losses?,
                retry_backoff_ms: retry_backoff_ms?,
                retry: retry?,
                suspend_after: suspend_after?,
                hold_back_after: hold_back_after?,
                unplaceable_grace_ms: unplaceable_grace_ms?,
                describe_again_ms: describe_again_ms?,
                limits: limits?,
                pools: pools?,
                streams: streams?,
                shutdown_seconds: shutdown_seconds?,
                log: log?,
                accept_loss: false,
                asked_once: false,
            })
        };
        values.finish(config())
    }

    /// The folder of artifacts: the configured one, or one beside the store.
    pub fn artifacts(&self) -> PathBuf {
        self.artifacts.clone().unwrap_or_else(|| self.store.artifacts())
    }

    /// Address at which others connect to this coordinator.
    pub fn address(&self, listens: SocketAddr) -> String {
        self.advertise.clone().unwrap_or_else(|| listens.to_string())
    }

    /// Maximum numbers of trials, sweeps and workers.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The scheduler's part.
    pub fn scheduler(&self) -> sweep_scheduler::Config {
        sweep_scheduler::Config {
            lease_ttl_ms: self.lease_ttl_ms,
            restart_grace_ms: self.restart_grace_ms,
            name_grace_ms: if self.keeps_names { self.restart_grace_ms } else { 0 },
            rules: Rules::new(self.max_failures, self.retry_backoff_ms).with(&self.retry),
            max_losses: self.max_losses,
            suspend_after: self.suspend_after,
            hold_back_after: self.hold_back_after,
            unplaceable_grace_ms: self.unplaceable_grace_ms,
            describe_again_ms: self.describe_again_ms,
            pools: self.pools.clone(),
            ..sweep_scheduler::Config::default()
        }
    }
}

#[cfg(test)]
mod tests;
