//! The layers of a configuration: values by key, a later layer over an earlier one, and every value held against what is
//! expected of it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sweep_scheduler::{Pool, PoolName};
use sweep_spec::retry::{Changes, MAX_FAILURES};
use sweep_trust::bounded;

use super::{GivenTokens, MAX_FILE_BYTES, Role};
use crate::engine::Limits;
use crate::listen::tls;
use crate::service::streams;

/// The most slots of a pool's worker, and the most workers of a pool.
const MAX_POOL_SLOTS: u32 = 1024;
const MAX_POOL_WORKERS: u32 = 100_000;

/// Whether the value of a key is a list or a mapping.
fn is_nested(key: &str) -> bool {
    matches!(key, "retry" | "pools" | "limits")
}

/// The largest of `limits`.
const MAX_LIMIT: usize = 100_000;

/// `limits` as the configuration has them.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLimits {
    watches: Option<usize>,
    exports: Option<usize>,
    estimates: Option<usize>,
    per_token: Option<usize>,
}

/// A pool as the configuration has it.
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

/// Values by key, each with where it came from.
pub(super) struct Layers {
    pub(super) values: BTreeMap<String, (String, String)>,
    pub(super) errors: Vec<String>,
}

impl Layers {
    pub(super) fn read(&mut self, text: &str, source: &str) {
        let parsed: Result<Option<BTreeMap<String, serde_yaml::Value>>, _> = serde_yaml::from_str(text);
        match parsed {
            Ok(values) => values.into_iter().flatten().for_each(|(key, value)| self.set(key, value, source)),
            Err(error) => self.errors.push(format!("{source}: {error}")),
        }
    }

    pub(super) fn set(&mut self, key: String, value: serde_yaml::Value, source: &str) {
        let text = match value {
            serde_yaml::Value::Bool(value) => value.to_string(),
            serde_yaml::Value::Number(value) => value.to_string(),
            serde_yaml::Value::String(value) => value,
            value @ (serde_yaml::Value::Mapping(_) | serde_yaml::Value::Sequence(_)) if is_nested(&key) => {
                match serde_yaml::to_string(&value) {
                    Ok(text) => text,
                    Err(error) => return self.errors.push(format!("{source}: `{key}`: {error}")),
                }
            }
            _ => return self.errors.push(format!("{source}: `{key}`: expected one plain value")),
        };
        if source == "default" || self.values.contains_key(&key) {
            self.values.insert(key, (text, source.to_owned()));
        } else {
            self.errors.push(format!("{source}: unknown key `{key}`"));
        }
    }

    pub(super) fn file(&mut self, path: &Path) {
        let source = path.display().to_string();
        let problem = match bounded::read(path, MAX_FILE_BYTES).map(String::from_utf8) {
            Err(error) if error.kind() == ErrorKind::FileTooLarge => format!("longer than {MAX_FILE_BYTES} bytes"),
            Err(error) => error.to_string(),
            Ok(Err(_)) => "it is not UTF-8".to_owned(),
            Ok(Ok(text)) => return self.read(&text, &source),
        };
        self.errors.push(format!("{source}: {problem}"));
    }

    /// `pools`: a list in a file, its text elsewhere.
    pub(super) fn pools(&mut self) -> Option<Vec<Pool>> {
        let (text, source) = self.values.get("pools")?;
        let problem = |problem: String| format!("{source}: `pools`: {problem}");
        let written: Option<Vec<WrittenPool>> = match serde_yaml::from_str(text) {
            Ok(written) => written,
            Err(error) => {
                self.errors.push(problem(error.to_string()));
                return None;
            }
        };
        let mut pools: Vec<Pool> = Vec::new();
        let mut problems = Vec::new();
        for one in written.unwrap_or_default() {
            match one.read() {
                Ok(pool) if pools.iter().any(|other| other.name == pool.name) => {
                    problems.push(problem(format!("`{}` occurs twice", pool.name)));
                }
                Ok(pool) => pools.push(pool),
                Err(found) => problems.push(problem(found)),
            }
        }
        let sound = problems.is_empty();
        self.errors.extend(problems);
        sound.then_some(pools)
    }

    /// `limits`: a mapping in a file, its text elsewhere.
    pub(super) fn streams(&mut self) -> Option<streams::Limits> {
        let (text, source) = self.values.get("limits")?;
        let written: Option<WrittenLimits> = match serde_yaml::from_str(text) {
            Ok(written) => written,
            Err(error) => {
                self.errors.push(format!("{source}: `limits`: {error}"));
                return None;
            }
        };
        let WrittenLimits { watches, exports, estimates, per_token } = written.unwrap_or_default();
        let (usual, mut problems) = (streams::Limits::default(), Vec::new());
        let mut limit = |name: &str, written: Option<usize>, usual: usize| match written {
            Some(limit) if !(1..=MAX_LIMIT).contains(&limit) => {
                problems.push(format!("{source}: `limits`: expected `{name}` from 1 to {MAX_LIMIT}, found {limit}"));
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
        self.errors.extend(problems);
        sound.then_some(limits)
    }

    /// How much there may be at a time.
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

    /// A file, where one is named.
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
                self.errors.push("`tls_client_ca` needs `tls_cert` and `tls_key`".to_owned());
                None
            }
            (Some(_), None) | (None, Some(_)) => {
                self.errors.push("`tls_cert` and `tls_key` are needed together".to_owned());
                None
            }
        }
    }

    /// Files of tokens, each with the role that its token has.
    pub(super) fn tokens(&mut self) -> Option<GivenTokens> {
        let roles = [Role::Admin, Role::Submit, Role::Worker, Role::Read];
        let mut files = Vec::new();
        for role in roles {
            files.extend(self.named(&format!("{role}_token_file"))?.map(|path| (role, path)));
        }
        Some(GivenTokens { files, digests: Vec::new() })
    }

    /// `retry`: a mapping in a file, its text elsewhere.
    pub(super) fn rules(&mut self) -> Option<Changes> {
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

    pub(super) fn take<T: std::str::FromStr>(
        &mut self,
        key: &str,
        expected: &str,
        fits: impl Fn(&T) -> bool,
    ) -> Option<T> {
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
