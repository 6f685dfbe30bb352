//! Configuration: an embedded, commented default file; file < environment < flag; validated whole, every error at once.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use sweep_spec::retry::{Changes, MAX_FAILURES, Rules};

use crate::engine::Limits;
use crate::store::location::Location;

/// The default file, with comments.
pub const DEFAULT: &str = include_str!("coordinator.yaml");
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
    /// Addresses other than loopback may be listened on.
    pub insecure: bool,
    /// A session that does not poll for this long has ended.
    pub lease_ttl_ms: u64,
    /// How long attempts are waited for after a restart.
    pub restart_grace_ms: u64,
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
    /// How long trials are kept that no connected worker can ever run.
    pub unplaceable_grace_ms: u64,
    /// How long after a failure a worker is asked again what is in a data set.
    pub describe_again_ms: u64,
    /// Trials of one sweep, sweeps that have not ended, connected workers: the most of each.
    pub limits: Limits,
    /// How long everything may take to end.
    pub shutdown_seconds: u64,
    /// What is logged.
    pub log: String,
    /// Goes on without what is damaged in the store. A flag alone: it is meant for one start.
    pub accept_loss: bool,
}

/// The coordinator's flags. Each may also stand in a file or in the environment.
#[derive(Debug, Clone, Default, Parser)]
#[command(
    name = "sweep-coordinator",
    version,
    about = "Expands sweeps to trials, shards them across workers, keeps every metric"
)]
pub struct Args {
    /// A configuration file; `--print-config` shows one with comments
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the default configuration and leave
    #[arg(long)]
    pub print_config: bool,
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
    /// Listen on an address that other machines can reach, without authentication
    #[arg(long)]
    pub insecure: bool,
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
    /// Milliseconds that trials are kept that no connected worker can run
    #[arg(long, value_name = "MILLISECONDS")]
    pub unplaceable_grace_ms: Option<String>,
    /// Milliseconds after which a worker is asked again what is in a data set
    #[arg(long, value_name = "MILLISECONDS")]
    pub describe_again_ms: Option<String>,
    /// The most trials of one sweep
    #[arg(long, value_name = "COUNT")]
    pub max_trials: Option<String>,
    /// The most sweeps that have not ended
    #[arg(long, value_name = "COUNT")]
    pub max_sweeps: Option<String>,
    /// The most workers that are connected
    #[arg(long, value_name = "COUNT")]
    pub max_workers: Option<String>,
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
    fn flags(&self) -> Vec<(&'static str, Option<&str>)> {
        vec![
            ("store", self.store.as_deref()),
            ("artifacts", self.artifacts.as_deref()),
            ("advertise", self.advertise.as_deref()),
            ("listen", self.listen.as_deref()),
            ("listen_http", self.listen_http.as_deref()),
            ("insecure", self.insecure.then_some("true")),
            ("lease_ttl_ms", self.lease_ttl_ms.as_deref()),
            ("restart_grace_ms", self.restart_grace_ms.as_deref()),
            ("max_failures", self.max_failures.as_deref()),
            ("max_losses", self.max_losses.as_deref()),
            ("retry_backoff_ms", self.retry_backoff_ms.as_deref()),
            ("retry", self.retry.as_deref()),
            ("suspend_after", self.suspend_after.as_deref()),
            ("unplaceable_grace_ms", self.unplaceable_grace_ms.as_deref()),
            ("describe_again_ms", self.describe_again_ms.as_deref()),
            ("max_trials", self.max_trials.as_deref()),
            ("max_sweeps", self.max_sweeps.as_deref()),
            ("max_workers", self.max_workers.as_deref()),
            ("shutdown_seconds", self.shutdown_seconds.as_deref()),
            ("log", self.log.as_deref()),
        ]
    }
}

/// Everything that is wrong with a configuration, each with where it came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Errors(pub Vec<String>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Values by key, each with where it came from.
struct Layers {
    values: BTreeMap<String, (String, String)>,
    errors: Vec<String>,
}

impl Layers {
    fn read(&mut self, text: &str, source: &str) {
        let parsed: Result<Option<BTreeMap<String, serde_yaml::Value>>, _> = serde_yaml::from_str(text);
        match parsed {
            Ok(values) => values.into_iter().flatten().for_each(|(key, value)| self.set(key, value, source)),
            Err(error) => self.errors.push(format!("{source}: {error}")),
        }
    }

    fn set(&mut self, key: String, value: serde_yaml::Value, source: &str) {
        let text = match value {
            serde_yaml::Value::Bool(value) => value.to_string(),
            serde_yaml::Value::Number(value) => value.to_string(),
            serde_yaml::Value::String(value) => value,
            value @ serde_yaml::Value::Mapping(_) if key == "retry" => match serde_yaml::to_string(&value) {
                Ok(text) => text,
                Err(error) => return self.errors.push(format!("{source}: `{key}`: {error}")),
            },
            _ => return self.errors.push(format!("{source}: `{key}`: expected one plain value")),
        };
        if source == "default" || self.values.contains_key(&key) {
            self.values.insert(key, (text, source.to_owned()));
        } else {
            self.errors.push(format!("{source}: unknown key `{key}`"));
        }
    }

    fn file(&mut self, path: &Path) {
        let source = path.display().to_string();
        let size = std::fs::metadata(path).map(|metadata| metadata.len());
        match size
            .and_then(|size| if size > MAX_FILE_BYTES { Ok(None) } else { std::fs::read_to_string(path).map(Some) })
        {
            Ok(Some(text)) => self.read(&text, &source),
            Ok(None) => self.errors.push(format!("{source}: longer than {MAX_FILE_BYTES} bytes")),
            Err(error) => self.errors.push(format!("{source}: {error}")),
        }
    }

    /// How much there may be at a time.
    fn limits(&mut self) -> Option<Limits> {
        let most = "a count from 1 to 10000000";
        let trials = self.take("max_trials", most, |value| (1..=10_000_000).contains(value));
        let count = "a count from 1 to 100000";
        let fits = |value: &usize| (1..=100_000).contains(value);
        let (sweeps, workers) = (self.take("max_sweeps", count, fits), self.take("max_workers", count, fits));
        Some(Limits { trials: trials?, sweeps: sweeps?, workers: workers? })
    }

    /// `retry`: a mapping in a file, its text elsewhere.
    fn rules(&mut self) -> Option<Changes> {
        let (text, source) = self.values.get("retry")?;
        let parsed: Result<Option<Changes>, _> = serde_yaml::from_str(text);
        let changes = match parsed {
            Ok(changes) => changes.unwrap_or_default(),
            Err(error) => {
                self.errors.push(format!("{source}: `retry`: {error}"));
                return None;
            }
        };
        if changes.values().any(|change| change.failures.is_some_and(|count| !(1..=MAX_FAILURES).contains(&count))) {
            self.errors.push(format!("{source}: `retry`: expected `failures` from 1 to {MAX_FAILURES}"));
            return None;
        }
        Some(changes)
    }

    fn take<T: std::str::FromStr>(&mut self, key: &str, expected: &str, fits: impl Fn(&T) -> bool) -> Option<T> {
        let (text, source) = self.values.get(key)?;
        let value = text.trim().parse().ok().filter(fits);
        if value.is_none() {
            // What looks like a URL may hold a password.
            let shown: String = text.chars().take(80).collect();
            let found = if text.contains("://") { "something else".to_owned() } else { format!("`{shown}`") };
            self.errors.push(format!("{source}: `{key}`: expected {expected}, found {found}"));
        }
        value
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
                "{source}: `store`: a database has no folder beside it: name one with `artifacts` that every coordinator \
                 of this store can reach"
            ));
        }
        let listen = layers.take::<SocketAddr>("listen", address, |_| true);
        let listen_http = layers.take::<SocketAddr>("listen_http", address, |_| true);
        let insecure = layers.take::<bool>("insecure", "true or false", |_| true);
        let lease = "a number of milliseconds from 100 to 86400000";
        let lease_ttl_ms = layers.take("lease_ttl_ms", lease, |value| *value >= 100 && is_milliseconds(value));
        let restart_grace_ms = layers.take("restart_grace_ms", MILLISECONDS, is_milliseconds);
        let max_failures = layers.take("max_failures", count, is_count);
        let max_losses = layers.take("max_losses", count, is_count);
        let retry_backoff_ms = layers.take("retry_backoff_ms", MILLISECONDS, is_milliseconds);
        let retry = layers.rules();
        let suspend_after = layers.take("suspend_after", "a count from 0 to 1000000", |value| *value <= 1_000_000);
        let unplaceable_grace_ms = layers.take("unplaceable_grace_ms", MILLISECONDS, is_milliseconds);
        let describe_again_ms = layers.take("describe_again_ms", MILLISECONDS, is_milliseconds);
        let limits = layers.limits();
        let shutdown = "a number of seconds from 1 to 3600";
        let shutdown_seconds = layers.take("shutdown_seconds", shutdown, |value| (1..=3600).contains(value));
        let filter = |text: &String| text.parse::<tracing_subscriber::EnvFilter>().is_ok();
        let log = layers.take::<String>("log", "a level or a filter", filter);
        if let (Some(listen), Some(listen_http), Some(false)) = (listen, listen_http, insecure) {
            for (key, address) in [("listen", listen), ("listen_http", listen_http)] {
                if !address.ip().is_loopback() {
                    let source = layers.values.get(key).map_or("", |(_, source)| source.as_str());
                    layers.errors.push(format!(
                        "{source}: `{key}`: {address} can be reached by other machines and nothing is authenticated; \
                         if that is meant, add --insecure"
                    ));
                }
            }
        }
        let config = || {
            Some(Self {
                store: store?,
                artifacts: artifacts.filter(|path| !path.is_empty()).map(PathBuf::from),
                advertise: advertise.filter(|address| !address.is_empty()),
                listen: listen?,
                listen_http: listen_http?,
                insecure: insecure?,
                lease_ttl_ms: lease_ttl_ms?,
                restart_grace_ms: restart_grace_ms?,
                max_failures: max_failures?,
                max_losses: max_losses?,
                retry_backoff_ms: retry_backoff_ms?,
                retry: retry?,
                suspend_after: suspend_after?,
                unplaceable_grace_ms: unplaceable_grace_ms?,
                describe_again_ms: describe_again_ms?,
                limits: limits?,
                shutdown_seconds: shutdown_seconds?,
                log: log?,
                accept_loss: false,
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
            rules: Rules::new(self.max_failures, self.retry_backoff_ms).with(&self.retry),
            max_losses: self.max_losses,
            suspend_after: self.suspend_after,
            unplaceable_grace_ms: self.unplaceable_grace_ms,
            describe_again_ms: self.describe_again_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_embedded_file_is_whole_and_listens_on_loopback() {
        let config = Config::defaults().unwrap();
        assert!(config.listen.ip().is_loopback() && config.listen_http.ip().is_loopback());
        assert_eq!((config.listen.port(), config.listen_http.port()), (7733, 7734));
        let keys: BTreeMap<String, serde_yaml::Value> = serde_yaml::from_str(DEFAULT).unwrap();
        let flags: Vec<_> = Args::default().flags().into_iter().map(|(key, _)| key.to_owned()).collect();
        assert_eq!(keys.len(), flags.len(), "every key is also a flag");
        assert!(flags.iter().all(|flag| keys.contains_key(flag)));
    }

    #[test]
    fn a_flag_beats_the_environment_and_that_beats_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordinator.yaml");
        std::fs::write(&path, "max_failures: 5\nmax_losses: 6\nlog: debug\n").unwrap();
        let args = Args { config: Some(path), log: Some("warn".into()), ..Args::default() };
        let environment =
            environment(&[("SWEEP_COORDINATOR_MAX_LOSSES", "7"), ("SWEEP_COORDINATOR_LOG", "trace"), ("OTHER", "1")]);
        let config = Config::from_layers(&args, environment).unwrap();
        assert_eq!((config.max_failures, config.max_losses, config.log.as_str()), (5, 7, "warn"));
    }

    #[test]
    fn every_error_is_told_at_once_with_where_it_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordinator.yaml");
        std::fs::write(&path, "max_failure: 5\nstore: [a]\nlease_ttl_ms: -3\n").unwrap();
        let args = Args { config: Some(path), listen: Some("here".into()), ..Args::default() };
        let environment = environment(&[("SWEEP_COORDINATOR_SHUTDOWN_SECONDS", "soon")]);
        let Errors(errors) = Config::from_layers(&args, environment).unwrap_err();
        let all = errors.join("\n");
        for part in [
            "unknown key `max_failure`",
            "`store`: expected one plain value",
            "found `-3`",
            "--listen: `listen`",
            "SWEEP_COORDINATOR_SHUTDOWN_SECONDS",
        ] {
            assert!(all.contains(part), "{part} is missing in\n{all}");
        }
        assert_eq!(errors.len(), 5);
    }

    #[test]
    fn a_variable_that_names_no_key_is_left_alone_and_can_be_told() {
        let foreign = "SWEEP_COORDINATOR_PORT_7733_TCP";
        let environment = environment(&[(foreign, "tcp://10.0.0.1:7733"), ("SWEEP_COORDINATOR_MAX_LOSSES", "7")]);
        let config = Config::from_layers(&Args::default(), environment.clone()).unwrap();
        assert_eq!(config.max_losses, 7);
        assert_eq!(unknown_variables(environment.into_iter().map(|(name, _)| name)), [foreign]);
    }

    #[test]
    fn a_database_needs_a_folder_and_its_password_is_not_told() {
        let args = Args { store: Some("postgres://me:secret@host/study".into()), ..Args::default() };
        let Errors(errors) = Config::from_layers(&args, []).unwrap_err();
        assert!(errors[0].contains("`artifacts`") && errors.len() == 1, "{errors:?}");
        let folder = Args { artifacts: Some("/shared".into()), advertise: Some("c1:7733".into()), ..args };
        let config = Config::from_layers(&folder, []).unwrap();
        assert_eq!((config.artifacts(), config.advertise.as_deref()), (PathBuf::from("/shared"), Some("c1:7733")));
        let wrong = Args { store: Some("postgres://me:secret@host:x/study".into()), ..Args::default() };
        let told = format!("{config:?} {}", Config::from_layers(&wrong, []).unwrap_err());
        assert!(told.contains("postgres://me@host:5432/study") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn an_address_that_others_reach_is_refused_without_insecure() {
        let args = Args { listen: Some("0.0.0.0:1".into()), listen_http: Some("[::]:2".into()), ..Args::default() };
        let Errors(errors) = Config::from_layers(&args, []).unwrap_err();
        assert_eq!(errors.len(), 2);
        assert!(errors[0].contains("--insecure"));
        assert!(Config::from_layers(&Args { insecure: true, ..args }, []).is_ok());
    }
}
