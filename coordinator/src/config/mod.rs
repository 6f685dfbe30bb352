//! Configuration: an embedded, commented default file; file < environment < flag; validated whole, every error at once.

mod args;
mod layers;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use sweep_scheduler::Pool;
use sweep_spec::retry::{Changes, Rules};
use sweep_store::location::Location;

pub use args::Args;
use layers::Layers;

use crate::access::Role;
use crate::access::refresh::GivenTokens;
use crate::engine::Limits;
use crate::listen::tls;
use crate::service::streams;

/// The default file, with comments.
pub const DEFAULT: &str = include_str!("../coordinator.yaml");
const PREFIX: &str = "SWEEP_COORDINATOR_";
/// The largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A coordinator's configuration, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the store is.
    pub store: Location,
    /// The folder of artifacts, if it does not lie beside the store's file.
    pub artifacts: Option<PathBuf>,
    /// Where others dial this coordinator, if that is not where it listens.
    pub advertise: Option<String>,
    /// Where gRPC listens.
    pub listen: SocketAddr,
    /// Where HTTP listens.
    pub listen_http: SocketAddr,
    /// Addresses other than loopback may be listened on although nobody needs a token.
    pub insecure: bool,
    /// A PostgreSQL database may lose what it acknowledged.
    pub allow_unsafe_database: bool,
    /// What connections are made secret with.
    pub tls: Option<tls::Files>,
    /// Tokens beside those in the store.
    pub tokens: GivenTokens,
    /// A session that does not poll for this long has ended.
    pub lease_ttl_ms: u64,
    /// How long attempts are waited for after a restart.
    pub restart_grace_ms: u64,
    /// After a restart, names are kept for the workers that held them. No key: only a coordinator whose one worker is in its
    /// own process keeps none.
    pub keeps_names: bool,
    /// Failures of one round after which it has failed.
    pub max_failures: u32,
    /// Attempts of one round that may be lost with their workers.
    pub max_losses: u32,
    /// The wait before the second try.
    pub retry_backoff_ms: u64,
    /// What is done about failures of some classes otherwise.
    pub retry: Changes,
    /// Trials in a row that fail on a worker and succeed on others, after which it is taken out of service.
    pub suspend_after: u32,
    /// Trials of a sweep that fail alike before any has succeeded, after which the rest is held back; 0 for never.
    pub hold_back_after: u32,
    /// How long trials are kept that no connected worker can ever run.
    pub unplaceable_grace_ms: u64,
    /// How long after a failure a worker is asked again what is in a data set.
    pub describe_again_ms: u64,
    /// Trials of one sweep, sweeps that have not ended, connected workers: the most of each.
    pub limits: Limits,
    /// Workers that something outside starts when trials wait.
    pub pools: Vec<Pool>,
    /// Answers that take long: the most at a time.
    pub streams: streams::Limits,
    /// How long everything may take to end.
    pub shutdown_seconds: u64,
    /// What is logged.
    pub log: String,
    /// Goes on without what is damaged in the store. A flag alone: it is meant for one start.
    pub accept_loss: bool,
    /// Whoever embeds it asks one question of a store: it serves no pages, and its start is not in the audit log. No key
    /// sets it.
    pub asked_once: bool,
}

/// Everything that is wrong with a configuration, each with where it came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Errors(pub Vec<String>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The key that a variable of the environment would set.
fn key_of(variable: &str) -> Option<String> {
    variable.strip_prefix(PREFIX).map(str::to_ascii_lowercase)
}

/// The variables of `names` that look like ours and set nothing: perhaps misspelt.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known: Vec<_> = Args::default().flags().into_iter().map(|(key, _)| key).collect();
    names.into_iter().filter(|name| key_of(name).is_some_and(|key| !known.contains(&key.as_str()))).collect()
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
    /// What these flags, the environment and the file come to.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(args: &Args) -> Result<Self, Errors> {
        let environment = std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value)));
        let lossy = environment.map(|(key, value)| (key, value.to_string_lossy().into_owned()));
        Self::from_layers(args, lossy)
    }

    /// The defaults.
    ///
    /// # Errors
    /// The embedded file is wrong; a test says that it is not.
    pub fn defaults() -> Result<Self, Errors> {
        Self::from_layers(&Args::default(), [])
    }

    /// As [`Config::load`], with the environment as an argument.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn from_layers(args: &Args, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, Errors> {
        let mut layers = Layers { values: BTreeMap::new(), errors: Vec::new() };
        layers.read(DEFAULT, "default");
        if let Some(path) = &args.config {
            layers.file(path);
        }
        for (name, value) in environment {
            // Unknown ones are not ours to refuse: Kubernetes makes such names for a service called sweep-coordinator.
            let key = key_of(&name).filter(|key| layers.values.contains_key(key));
            let Some(key) = key else { continue };
            layers.set(key, serde_yaml::Value::String(value), &name);
        }
        for (key, value) in args.flags() {
            let Some(value) = value else { continue };
            let source = format!("--{}", key.replace('_', "-"));
            layers.set(key.to_owned(), serde_yaml::Value::String(value.to_owned()), &source);
        }
        Ok(Self { accept_loss: args.accept_loss, ..Self::check(layers)? })
    }

    fn check(mut layers: Layers) -> Result<Self, Errors> {
        let address = "an address such as 127.0.0.1:7733";
        let count = "a count from 1 to 1000000";
        let is_count = |value: &u32| (1..=1_000_000).contains(value);
        let place = "the path of a file, or postgres://USER@HOST:PORT/DATABASE";
        let store = layers.take::<Location>("store", place, |_| true);
        let artifacts = layers.take::<String>("artifacts", "the path of a folder", |_| true);
        let advertise =
            layers.take::<String>("advertise", "HOST:PORT", |text| text.is_empty() || is_host_and_port(text));
        if let (Some(Location::Postgres(_)), Some("")) = (&store, artifacts.as_deref()) {
            let source = layers.values.get("store").map_or("", |(_, source)| source.as_str());
            layers.errors.push(format!(
                "{source}: `store`: with a database, set `artifacts` to a folder that every coordinator of this store \
                can reach"
            ));
        }
        let listen = layers.take::<SocketAddr>("listen", address, |_| true);
        let listen_http = layers.take::<SocketAddr>("listen_http", address, |_| true);
        let insecure = layers.take::<bool>("insecure", "true or false", |_| true);
        let allow_unsafe_database = layers.take::<bool>("allow_unsafe_database", "true or false", |_| true);
        let lease = "a number of milliseconds from 100 to 86400000";
        let lease_ttl_ms = layers.take("lease_ttl_ms", lease, |value| *value >= 100 && is_milliseconds(value));
        let restart_grace_ms = layers.take("restart_grace_ms", MILLISECONDS, is_milliseconds);
        let max_failures = layers.take("max_failures", count, is_count);
        let max_losses = layers.take("max_losses", count, is_count);
        let retry_backoff_ms = layers.take("retry_backoff_ms", MILLISECONDS, is_milliseconds);
        let retry = layers.rules();
        let suspend_after = layers.take("suspend_after", "a count from 0 to 1000000", |value| *value <= 1_000_000);
        let hold_back_after = layers.take("hold_back_after", "a count from 0 to 1000", |value| *value <= 1_000);
        let unplaceable_grace_ms = layers.take("unplaceable_grace_ms", MILLISECONDS, is_milliseconds);
        let describe_again_ms = layers.take("describe_again_ms", MILLISECONDS, is_milliseconds);
        let limits = layers.limits();
        let (pools, streams) = (layers.pools(), layers.streams());
        let shutdown = "a number of seconds from 1 to 3600";
        let shutdown_seconds = layers.take("shutdown_seconds", shutdown, |value| (1..=3600).contains(value));
        let filter = |text: &String| text.parse::<tracing_subscriber::EnvFilter>().is_ok();
        let log = layers.take::<String>("log", "a level or a filter", filter);
        let tls = layers.tls();
        let tokens = layers.tokens();
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
        match config() {
            Some(config) if layers.errors.is_empty() => Ok(config),
            _ => Err(Errors(layers.errors)),
        }
    }

    /// The folder of artifacts: the one that was named, or one beside the store.
    pub fn artifacts(&self) -> PathBuf {
        let mut name = match (&self.artifacts, self.store.file()) {
            (Some(folder), _) => return folder.clone(),
            (None, Some(file)) => file.as_os_str().to_owned(),
            (None, None) => std::ffi::OsString::from("sweep"),
        };
        name.push(".artifacts");
        PathBuf::from(name)
    }

    /// Where others dial this coordinator, which listens there.
    pub fn address(&self, listens: SocketAddr) -> String {
        self.advertise.clone().unwrap_or_else(|| listens.to_string())
    }

    /// How much there may be at a time.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The scheduler's numbers.
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
