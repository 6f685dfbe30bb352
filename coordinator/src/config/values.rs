//! The values of all keys as text, and the readers that check each of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_yaml::Value;
use sweep_config::{Input, Layers, Problem, Problems, Setting};
use sweep_scheduler::{Pool, PoolName};
use sweep_spec::retry::{Changes, MAX_FAILURES};

use super::{GivenTokens, Role};
use crate::engine::Limits;
use crate::listen::tls;
use crate::service::streams;

/// The most slots of a pool's worker, and the most workers of a pool.
const MAX_POOL_SLOTS: u32 = 1024;
const MAX_POOL_WORKERS: u32 = 100_000;

/// Whether the value of a key may be a list or a mapping.
fn is_nested(key: &str) -> bool {
    matches!(key, "retry" | "pools" | "limits")
}

/// The largest value in `limits`.
const MAX_LIMIT: usize = 100_000;

/// `limits` as written.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLimits {
    watches: Option<usize>,
    exports: Option<usize>,
    estimates: Option<usize>,
    per_token: Option<usize>,
}

/// A pool as written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPool {
    name: String,
    slots: u32,
    device: String,
    memory: Option<Memory>,
    max_workers: Option<u32>,
}

/// Bytes, or a text such as `8GiB`.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Memory {
    Bytes(u64),
    Text(String),
}

impl WrittenPool {
    fn read(self) -> Result<Pool, String> {
        let Self { name, slots, device, memory, max_workers } = self;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
            return Err(format!("expected a `name` of up to 128 letters, digits, '-', '_' and '.', found {name:?}"));
        }
        if !(1..=MAX_POOL_SLOTS).contains(&slots) {
            return Err(format!("`{name}`: expected `slots` of one worker from 1 to {MAX_POOL_SLOTS}, found {slots}"));
        }
        if !matches!(device.as_str(), "cpu" | "cuda") {
            return Err(format!("`{name}`: expected `device` as cpu or cuda, found {device:?}"));
        }
        let memory_bytes = match memory {
            None => None,
            Some(Memory::Bytes(bytes)) if bytes > 0 => Some(bytes),
            Some(Memory::Bytes(_)) => {
                return Err(format!("`{name}`: expected `memory` of one slot such as 8GiB, found 0"));
            }
            Some(Memory::Text(text)) => Some(
                sweep_spec::bytes::parse(&text)
                    .ok_or_else(|| format!("`{name}`: expected `memory` of one slot such as 8GiB, found {text:?}"))?,
            ),
        };
        if max_workers.is_some_and(|most| !(1..=MAX_POOL_WORKERS).contains(&most)) {
            return Err(format!("`{name}`: expected `max_workers` from 1 to {MAX_POOL_WORKERS}"));
        }
        Ok(Pool { name: PoolName(name), slots, device, memory_bytes, max_workers })
    }
}

/// A value as text: of a list or a mapping, its YAML.
fn plain(setting: &Setting) -> Result<String, Problem> {
    match setting.input() {
        Input::Text(text) => Ok(text.to_owned()),
        Input::Yaml(Value::String(text)) => Ok(text.clone()),
        Input::Yaml(Value::Bool(value)) => Ok(value.to_string()),
        Input::Yaml(Value::Number(value)) => Ok(value.to_string()),
        Input::Yaml(value @ (Value::Mapping(_) | Value::Sequence(_))) if is_nested(setting.key) => {
            serde_yaml::to_string(value).map_err(|error| setting.problem(error))
        }
        Input::Yaml(_) => Err(setting.problem("expected one plain value")),
    }
}

/// The strongest value of each key with its source, and all problems so far.
pub(super) struct Values {
    values: BTreeMap<&'static str, (Setting, String)>,
    problems: Vec<Problem>,
}

impl Values {
    pub(super) fn of(layers: Layers) -> Self {
        let mut values = Self { values: BTreeMap::new(), problems: Vec::new() };
        for entry in layers.into_entries() {
            match entry.and_then(|setting| Ok((plain(&setting)?, setting))) {
                Ok((text, setting)) => drop(values.values.insert(setting.key, (setting, text))),
                Err(problem) => values.problems.push(problem),
            }
        }
        values
    }

    /// Records a problem of the value of a key.
    pub(super) fn refuse(&mut self, key: &str, text: &str) {
        self.problems.extend(self.values.get(key).map(|(setting, _)| setting.problem(text)));
    }

    /// The configuration, unless something is wrong with it.
    pub(super) fn finish<T>(self, config: Option<T>) -> Result<T, Problems> {
        config.filter(|_| self.problems.is_empty()).ok_or(Problems(self.problems))
    }

    /// `pools`: a list in a file, YAML in a variable or a flag.
    pub(super) fn pools(&mut self) -> Option<Vec<Pool>> {
        let (setting, text) = self.values.get("pools")?;
        let written: Option<Vec<WrittenPool>> = match serde_yaml::from_str(text) {
            Ok(written) => written,
            Err(error) => {
                self.problems.push(setting.problem(error));
                return None;
            }
        };
        let mut pools: Vec<Pool> = Vec::new();
        let mut problems = Vec::new();
        for one in written.unwrap_or_default() {
            match one.read() {
                Ok(pool) if pools.iter().any(|other| other.name == pool.name) => {
                    problems.push(setting.problem(format!("`{}` occurs twice", pool.name)));
                }
                Ok(pool) => pools.push(pool),
                Err(found) => problems.push(setting.problem(found)),
            }
        }
        let sound = problems.is_empty();
        self.problems.extend(problems);
        sound.then_some(pools)
    }

    /// `limits`: a mapping in a file, YAML in a variable or a flag.
    pub(super) fn streams(&mut self) -> Option<streams::Limits> {
        let (setting, text) = self.values.get("limits")?;
        let written: Option<WrittenLimits> = match serde_yaml::from_str(text) {
            Ok(written) => written,
            Err(error) => {
                self.problems.push(setting.problem(error));
                return None;
            }
        };
        let WrittenLimits { watches, exports, estimates, per_token } = written.unwrap_or_default();
        let (usual, mut problems) = (streams::Limits::default(), Vec::new());
        let mut limit = |name: &str, written: Option<usize>, usual: usize| match written {
            Some(limit) if !(1..=MAX_LIMIT).contains(&limit) => {
                let text = format!("expected `{name}` from 1 to {MAX_LIMIT}, found {limit}");
                problems.push(setting.problem(text));
                usual
            }
            Some(limit) => limit,
            None => usual,
        };
        let limits = streams::Limits {
            watches: limit("watches", watches, usual.watches),
            exports: limit("exports", exports, usual.exports),
            estimates: limit("estimates", estimates, usual.estimates),
            per_token: limit("per_token", per_token, usual.per_token),
        };
        let sound = problems.is_empty();
        self.problems.extend(problems);
        sound.then_some(limits)
    }

    /// Maximum numbers of trials, sweeps and workers.
    pub(super) fn limits(&mut self) -> Option<Limits> {
        let most = "a count from 1 to 10000000";
        let trials = self.take("max_trials", most, |value| (1..=10_000_000).contains(value));
        let most = "a count from 1 to 100000000";
        let live_trials = self.take("max_live_trials", most, |value| (1..=100_000_000).contains(value));
        let count = "a count from 1 to 100000";
        let fits = |value: &usize| (1..=100_000).contains(value);
        let (sweeps, workers) = (self.take("max_sweeps", count, fits), self.take("max_workers", count, fits));
        Some(Limits { trials: trials?, live_trials: live_trials?, sweeps: sweeps?, workers: workers? })
    }

    /// The path of a file; `Some(None)` if the key is empty.
    fn named(&mut self, key: &str) -> Option<Option<PathBuf>> {
        let path = self.take::<String>(key, "the path of a file", |_| true)?;
        Some((!path.is_empty()).then(|| PathBuf::from(path)))
    }

    /// `tls_cert`, `tls_key` and `tls_client_ca`.
    pub(super) fn tls(&mut self) -> Option<Option<tls::Files>> {
        let (certificate, key) = (self.named("tls_cert"), self.named("tls_key"));
        let client_authority = self.named("tls_client_ca")?;
        match (certificate?, key?) {
            (Some(certificate), Some(key)) => Some(Some(tls::Files { certificate, key, client_authority })),
            (None, None) if client_authority.is_none() => Some(None),
            (None, None) => {
                self.problems.push(Problem::of_several("`tls_client_ca` needs `tls_cert` and `tls_key`"));
                None
            }
            (Some(_), None) | (None, Some(_)) => {
                self.problems.push(Problem::of_several("`tls_cert` and `tls_key` are needed together"));
                None
            }
        }
    }

    /// Files with one token each, with the role of the token.
    pub(super) fn tokens(&mut self) -> Option<GivenTokens> {
        let roles = [Role::Admin, Role::Submit, Role::Worker, Role::Read];
        let mut files = Vec::new();
        for role in roles {
            files.extend(self.named(&format!("{role}_token_file"))?.map(|path| (role, path)));
        }
        Some(GivenTokens { files, digests: Vec::new() })
    }

    /// `retry`: a mapping in a file, YAML in a variable or a flag.
    pub(super) fn rules(&mut self) -> Option<Changes> {
        let (setting, text) = self.values.get("retry")?;
        let parsed: Result<Option<Changes>, _> = serde_yaml::from_str(text);
        let changes = match parsed {
            Ok(changes) => changes.unwrap_or_default(),
            Err(error) => {
                self.problems.push(setting.problem(error));
                return None;
            }
        };
        if changes.values().any(|change| change.failures.is_some_and(|count| !(1..=MAX_FAILURES).contains(&count))) {
            self.problems.push(setting.problem(format!("expected `failures` from 1 to {MAX_FAILURES}")));
            return None;
        }
        Some(changes)
    }

    /// Parses the value of a key; `expected` describes what `fits` accepts.
    pub(super) fn take<T: std::str::FromStr>(
        &mut self,
        key: &str,
        expected: &str,
        fits: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let (setting, text) = self.values.get(key)?;
        let value = text.trim().parse().ok().filter(fits);
        if value.is_none() {
            // A URL may contain a password.
            let shown: String = text.chars().take(80).collect();
            let found = if text.contains("://") { "something else".to_owned() } else { format!("`{shown}`") };
            self.problems.push(setting.problem(format!("expected {expected}, found {found}")));
        }
        value
    }
}
