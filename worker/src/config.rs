//! The worker's configuration: defaults, then a file, then the environment, then flags; later sources override earlier
//! ones. All problems are reported together; afterwards the configuration is passed by value.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sweep_config::{Keys, Layers, Problem};

use crate::credentials::Token;
use crate::machine::folders::{UserFolder, user_folder};
use crate::{checkpoints, environment, machine};

mod keys;

pub(crate) use keys::MAX_SLOTS;
use keys::{DATA_ROOT, EARLIER_NAMES, KEYS};

/// The default configuration as a commented file.
pub const DEFAULT_YAML: &str = include_str!("default.yaml");

/// Prefix of environment variables that set keys: `SWEEP_WORKER_DATA_ROOT` sets `data_root`.
pub const ENVIRONMENT_PREFIX: &str = "SWEEP_WORKER_";

/// The key that only the environment sets, as `SWEEP_WORKER_TOKEN`: others may read a file, and flags appear in the
/// list of processes.
const TOKEN: &str = "token";

/// The slots that a worker offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slots {
    /// One per GPU; one per core on a machine without GPUs.
    Auto,
    /// This many, spread over the GPUs, or on the CPU.
    Count(u32),
    /// One on each of these devices, which may repeat.
    Devices(Vec<String>),
}

/// All settings of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Addresses of the coordinators, as URIs.
    pub coordinator: Vec<String>,
    /// The token of every call; never in a file or a flag.
    pub token: Option<Token>,
    /// The file with the token.
    pub token_file: Option<PathBuf>,
    /// Certificate of the authority that signs coordinators; replaces the machine's trusted authorities.
    pub ca_file: Option<PathBuf>,
    /// The worker's certificate (PEM).
    pub client_cert: Option<PathBuf>,
    /// The key of that certificate (PEM).
    pub client_key: Option<PathBuf>,
    /// Unique in the fleet and stable over restarts.
    pub name: String,
    pub slots: Slots,
    /// A pool of the coordinator's configuration.
    pub pool: Option<String>,
    /// Idle time after which the worker drains and exits; `None` disables it.
    pub idle_exit: Option<Duration>,
    /// Memory of each slot in bytes; `None` derives it from the device.
    pub slot_memory: Option<u64>,
    /// Folders that contain data sets. Links may lead only into these folders.
    pub data_roots: Vec<PathBuf>,
    /// Folder of the journal and the lock; `None`: a folder in the user's state folder, by the worker's name.
    pub state_dir: Option<PathBuf>,
    /// Folder or URL for checkpoints that other workers can use; empty keeps them in the state folder.
    pub checkpoint_store: String,
    /// Epochs between two checkpoints; 0 disables them.
    pub checkpoint_every_epochs: u32,
    /// Folder of decoded images; `None`: in the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// Key-value pairs that the coordinator shows.
    pub labels: BTreeMap<String, String>,
    /// Command that starts a trainer; empty: the default of the embedding program.
    pub trainer_command: Vec<String>,
    /// Environment variables that trainers get in addition to the usual ones; a trailing `*` matches a prefix.
    pub trainer_environment: Vec<String>,
    /// Address of the metrics server, if any.
    pub listen_http: Option<SocketAddr>,
    /// Whether `listen_http` may be another address than loopback.
    pub insecure: bool,
    /// The most points in one report.
    pub report_batch_points: usize,
    /// Timeout for a trainer's hello after its start.
    pub trainer_start: Duration,
    /// Time between SIGTERM and SIGKILL for a trainer.
    pub trainer_grace: Duration,
    /// Idle time after which a trainer is stopped.
    pub trainer_idle: Duration,
    /// Time without output during a trial after which a trainer counts as hung; zero disables it.
    pub trainer_silence: Duration,
    /// Trials after which a trainer is replaced.
    pub trials_per_trainer: u32,
    /// The longest delay between two tries to reach the coordinator.
    pub retry_max: Duration,
    /// Time limit of the whole shutdown.
    pub shutdown: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            coordinator: vec!["http://127.0.0.1:7733".to_owned()],
            token: None,
            token_file: None,
            ca_file: None,
            client_cert: None,
            client_key: None,
            name: machine::host_name(),
            slots: Slots::Auto,
            pool: None,
            idle_exit: None,
            slot_memory: None,
            data_roots: vec![PathBuf::from(".")],
            state_dir: None,
            checkpoint_store: String::new(),
            checkpoint_every_epochs: 1,
            cache_dir: None,
            labels: BTreeMap::new(),
            trainer_command: Vec::new(),
            trainer_environment: Vec::new(),
            listen_http: Some(SocketAddr::from(([127, 0, 0, 1], 9465))),
            insecure: false,
            report_batch_points: 512,
            trainer_start: Duration::from_secs(60),
            trainer_grace: Duration::from_secs(10),
            trainer_idle: Duration::from_secs(300),
            trainer_silence: Duration::from_secs(21_600),
            trials_per_trainer: 1000,
            retry_max: Duration::from_secs(10),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// All problems of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the worker's configuration is invalid")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

fn keys() -> Keys {
    Keys { prefix: ENVIRONMENT_PREFIX, names: KEYS.iter().map(|key| key.name).collect(), earlier: EARLIER_NAMES }
}

impl Config {
    /// Applies `file`, then `environment`, then `flags` (key and text) to the defaults. The flag of `data_root` may
    /// repeat, with one folder each.
    ///
    /// # Errors
    /// All problems, in that order.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, Problems> {
        let keys = keys();
        let environment: Vec<_> = environment.into_iter().collect();
        let is_token = |variable: &str| keys.of_variable(variable).as_deref() == Some(TOKEN);
        let token = environment.iter().rfind(|(variable, text)| is_token(variable) && !text.trim().is_empty());
        let mut config = Self { token: token.map(|(_, text)| Token::new(text)), ..Self::default() };

        let mut layers = Layers::new(keys);
        if let Some(path) = file {
            layers.file(path);
        }
        layers.environment(environment);
        let mut roots = Vec::new();
        for (key, text) in flags {
            if key == DATA_ROOT && !text.is_empty() {
                roots.push(PathBuf::from(text));
            } else {
                layers.flag(key, text);
            }
        }
        let mut problems = config.apply(layers);
        if !roots.is_empty() {
            config.data_roots = roots;
        }
        // An unreadable key has kept its default, so these checks report nothing wrong about it.
        problems.extend(config.validate().err().into_iter().flat_map(|Problems(more)| more));
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    /// Sets the keys of all layers in their order.
    fn apply(&mut self, layers: Layers) -> Vec<Problem> {
        let mut problems = Vec::new();
        for entry in layers.into_entries() {
            let applied = entry.and_then(|setting| {
                let key = KEYS.iter().find(|key| key.name == setting.key);
                key.map_or(Ok(()), |key| (key.read)(self, &setting.input()).map_err(|text| setting.problem(text)))
            });
            problems.extend(applied.err());
        }
        problems
    }

    /// Checks the keys against each other, after each was read.
    ///
    /// # Errors
    /// All problems.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Vec::new();
        let mut problem = |text: String| problems.push(Problem::new("configuration", text));
        if self.coordinator.is_empty() {
            problem("`coordinator`: at least one address is needed".to_owned());
        }
        for address in &self.coordinator {
            if let Err(error) = tonic::transport::Endpoint::from_shared(address.clone()) {
                problem(format!(
                    "`coordinator`: expected an address such as http://host:7733, found {address:?} ({error})"
                ));
            }
        }
        if let Some(text) = keys::name_problem(&self.name) {
            problem(format!("`name`: {text}"));
        }
        if let Some(address) = self.listen_http.filter(|address| !address.ip().is_loopback() && !self.insecure) {
            problem(format!(
                "`listen_http`: other machines could read the metrics at {address}: use a loopback address, or allow it with --insecure"
            ));
        }
        if let Some(text) = checkpoints::problem(&self.checkpoint_store) {
            problem(format!("`checkpoint_store`: {text}"));
        }
        for text in self.trainer_environment.iter().filter_map(|name| environment::problem(name)) {
            problem(format!("`trainer_environment`: {text}"));
        }
        if self.client_cert.is_some() != self.client_key.is_some() {
            problem("one of `client_cert` and `client_key` is missing: set both or none".to_owned());
        }
        if self.data_roots.is_empty() {
            problem("`data_root`: at least one folder is needed".to_owned());
        }
        if self.slots == Slots::Devices(Vec::new()) {
            problem("`slots`: at least one device is needed".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    /// The folder of this worker's state.
    pub fn state_folder(&self) -> PathBuf {
        self.state_place().path
    }

    pub(crate) fn state_place(&self) -> UserFolder {
        let usual = || user_folder("XDG_STATE_HOME", ".local/state").join("sweep");
        let usual = || usual().join(format!("worker-{}", self.name));
        self.state_dir.as_deref().map_or_else(usual, UserFolder::named)
    }

    /// The folder of this machine's decoded images.
    pub fn cache_folder(&self) -> PathBuf {
        self.cache_place().path
    }

    pub(crate) fn cache_place(&self) -> UserFolder {
        self.cache_dir
            .as_deref()
            .map_or_else(|| user_folder("XDG_CACHE_HOME", ".cache").join("sweep"), UserFolder::named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_name_of_a_key_is_read() {
        let file = written("http_listen: 127.0.0.1:1\n");
        let loaded = Config::load(Some(file.path()), [], []).unwrap();
        assert_eq!(loaded.listen_http, Some(([127, 0, 0, 1], 1).into()));
    }

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_commented_file_says_what_the_defaults_are() {
        let file = written(DEFAULT_YAML);
        let loaded = Config::load(Some(file.path()), [], []).unwrap();
        assert_eq!(loaded, Config::default());
        let members: serde_yaml::Mapping = serde_yaml::from_str(DEFAULT_YAML).unwrap();
        let names: Vec<_> = members.keys().map(|key| key.as_str().unwrap()).collect();
        assert_eq!(names, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = written("slots: 2\nname: from-file\nlabels: {zone: a}\ntrainer_command: [sweepctl, trainer]\n");
        let environment = [
            ("SWEEP_WORKER_SLOTS".to_owned(), "3".to_owned()),
            ("SWEEP_WORKER_NAME".to_owned(), "from-environment".to_owned()),
            ("SWEEP_WORKER_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned()),
        ];
        let config = Config::load(Some(file.path()), environment, [("slots", "cuda:0,cpu".to_owned())]).unwrap();
        assert_eq!(config.slots, Slots::Devices(vec!["cuda:0".to_owned(), "cpu".to_owned()]));
        assert_eq!(config.name, "from-environment");
        assert_eq!(config.labels["zone"], "a");
        assert_eq!(config.trainer_command, ["sweepctl", "trainer"]);
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let file = written("slots: 0\nslotz: 1\ndata_root: 5\nlisten_http: 0.0.0.0:1\nname: 'a b'\nlabels: [x]\n");
        let environment = [("SWEEP_WORKER_SLOT_MEMORY".to_owned(), "8 potatoes".to_owned())];
        let flags = [("coordinator", "not an address".to_owned())];
        let problems = Config::load(Some(file.path()), environment, flags).unwrap_err();
        let text = problems.to_string();
        for part in [
            "`slots`",
            "`slotz`",
            "`data_root`",
            "`listen_http`",
            "`name`",
            "`labels`",
            "`slot_memory`",
            "`coordinator`",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert_eq!(problems.0.len(), 8, "{text}");
    }

    #[test]
    fn data_roots_are_several_in_a_file_a_variable_and_flags() {
        let roots = |file: &str, variable: Option<&str>, flags: &[&str]| {
            let file = written(file);
            let variable = variable.map(|text| ("SWEEP_WORKER_DATA_ROOT".to_owned(), text.to_owned()));
            let flags = flags.iter().map(|text| ("data_root", (*text).to_owned()));
            let config = Config::load(Some(file.path()), variable, flags).unwrap();
            config.data_roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(roots("", None, &[]), ["."]);
        assert_eq!(roots("data_root: /a:b,c\n", None, &[]), ["/a:b,c"], "one text in a file is one folder");
        assert_eq!(roots("data_root: [/a, /b]\n", None, &[]), ["/a", "/b"]);
        assert_eq!(roots("data_root: /a\n", Some("/c:/d"), &[]), ["/c", "/d"]);
        assert_eq!(roots("data_root: /a\n", Some("/c:/d"), &["/e:f", "/g"]), ["/e:f", "/g"]);
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        for text in ["- a\n", "a: [", "a: 1\na: 2\n"] {
            let file = written(text);
            let problems = Config::load(Some(file.path()), [], []).unwrap_err();
            assert!(problems.to_string().contains(&file.path().display().to_string()));
        }
        assert!(Config::load(Some(Path::new("/no/such/file")), [], []).is_err());
    }

    #[test]
    fn another_address_than_loopback_needs_insecure() {
        let open = ("listen_http", "0.0.0.0:9465".to_owned());
        assert!(Config::load(None, [], [open.clone()]).is_err());
        assert!(Config::load(None, [], [open, ("insecure", "true".to_owned())]).is_ok());
    }
}
