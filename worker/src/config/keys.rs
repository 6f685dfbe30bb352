//! The keys of the configuration, each with the function that reads it from YAML or from text.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_yaml::Value;
use sweep_config::Input;

use super::{Config, Slots};
use crate::machine;

/// The most slots of one worker.
pub(crate) const MAX_SLOTS: u32 = 1024;

/// The longest name of a worker, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// A week: the longest time that a key may set.
const MAX_SECONDS: f64 = 604_800.0;

/// The key whose flag may repeat.
pub(super) const DATA_ROOT: &str = "data_root";

pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) read: fn(&mut Config, &Input<'_>) -> Result<(), String>,
}

pub(super) const KEYS: &[Key] = &[
    Key { name: "coordinator", read: |config, input| list(input).map(|value| config.coordinator = value) },
    Key { name: "token_file", read: |config, input| folder(input).map(|value| config.token_file = value) },
    Key { name: "ca_file", read: |config, input| folder(input).map(|value| config.ca_file = value) },
    Key { name: "client_cert", read: |config, input| folder(input).map(|value| config.client_cert = value) },
    Key { name: "client_key", read: |config, input| folder(input).map(|value| config.client_key = value) },
    Key { name: "name", read: read_name },
    Key { name: "slots", read: |config, input| slots(input).map(|value| config.slots = value) },
    Key { name: "pool", read: read_pool },
    Key { name: "idle_exit", read: |config, input| duration_or_never(input).map(|value| config.idle_exit = value) },
    Key { name: "slot_memory", read: |config, input| memory(input).map(|value| config.slot_memory = value) },
    Key { name: DATA_ROOT, read: |config, input| folders(input).map(|value| config.data_roots = value) },
    Key { name: "state_dir", read: |config, input| folder(input).map(|value| config.state_dir = value) },
    Key { name: "checkpoint_store", read: |config, input| text(input).map(|value| config.checkpoint_store = value) },
    Key {
        name: "checkpoint_every_epochs",
        read: |config, input| {
            integer(input, 0, 1_000_000)
                .map(|value| config.checkpoint_every_epochs = u32::try_from(value).unwrap_or(u32::MAX))
        },
    },
    Key { name: "cache_dir", read: |config, input| folder(input).map(|value| config.cache_dir = value) },
    Key { name: "labels", read: |config, input| labels(input).map(|value| config.labels = value) },
    Key {
        name: "trainer_command",
        read: |config, input| command_words(input).map(|value| config.trainer_command = value),
    },
    Key {
        name: "trainer_environment",
        read: |config, input| list(input).map(|value| config.trainer_environment = value),
    },
    Key { name: "listen_http", read: read_listen_http },
    Key { name: "insecure", read: |config, input| boolean(input).map(|value| config.insecure = value) },
    Key {
        name: "report_batch_points",
        read: |config, input| integer(input, 1, 10_000).map(|value| config.report_batch_points = value as usize),
    },
    Key {
        name: "trainer_start_seconds",
        read: |config, input| seconds(input).map(|value| config.trainer_start = value),
    },
    Key {
        name: "trainer_grace_seconds",
        read: |config, input| seconds(input).map(|value| config.trainer_grace = value),
    },
    Key { name: "trainer_idle_seconds", read: |config, input| seconds(input).map(|value| config.trainer_idle = value) },
    Key {
        name: "trainer_silence_seconds",
        read: |config, input| seconds(input).map(|value| config.trainer_silence = value),
    },
    Key {
        name: "trials_per_trainer",
        read: |config, input| {
            integer(input, 1, 1_000_000_000)
                .map(|value| config.trials_per_trainer = u32::try_from(value).unwrap_or(u32::MAX))
        },
    },
    Key { name: "retry_max_seconds", read: |config, input| seconds(input).map(|value| config.retry_max = value) },
    Key { name: "shutdown_seconds", read: |config, input| seconds(input).map(|value| config.shutdown = value) },
];

/// Names of earlier releases, each with its current name.
pub(super) const EARLIER_NAMES: &[(&str, &str)] = &[("http_listen", "listen_http")];

/// The problem of a worker's name, if it is invalid. Names appear in file names, metric labels and tables.
pub(super) fn name_problem(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(plain) && !name.starts_with('.');
    (!good).then(|| {
        let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
        format!("expected up to {MAX_NAME_BYTES} letters, digits, '-', '_' and '.', not a dot first; found {shown:?}")
    })
}

fn read_name(config: &mut Config, input: &Input<'_>) -> Result<(), String> {
    let name = text(input)?;
    config.name = if name.is_empty() { machine::host_name() } else { name };
    Ok(())
}

/// A pool's name follows the rules of a worker's name; empty means none.
fn read_pool(config: &mut Config, input: &Input<'_>) -> Result<(), String> {
    let name = text(input)?;
    match name_problem(&name).filter(|_| !name.is_empty()) {
        Some(problem) => Err(problem),
        None => {
            config.pool = Some(name).filter(|name| !name.is_empty());
            Ok(())
        }
    }
}

fn read_listen_http(config: &mut Config, input: &Input<'_>) -> Result<(), String> {
    let address = text(input).or_else(|error| match input {
        // YAML reads a bare `off` as text, but some YAML writers produce `false`.
        Input::Yaml(Value::Bool(false)) => Ok("off".to_owned()),
        Input::Yaml(_) | Input::Text(_) => Err(error),
    })?;
    config.listen_http = match address.as_str() {
        "off" => None,
        other => Some(other.parse().map_err(|_| format!("expected an address and a port, or off; found {other:?}"))?),
    };
    Ok(())
}

fn shown(value: &Value) -> String {
    let text = serde_yaml::to_string(value).unwrap_or_default();
    text.trim().chars().take(80).collect()
}

fn text(input: &Input<'_>) -> Result<String, String> {
    match input {
        Input::Text(text) => Ok((*text).to_owned()),
        Input::Yaml(Value::String(text)) => Ok(text.clone()),
        Input::Yaml(other) => Err(format!("expected a text, found {}", shown(other))),
    }
}

fn folder(input: &Input<'_>) -> Result<Option<PathBuf>, String> {
    text(input).map(|path| Some(path).filter(|path| !path.is_empty()).map(PathBuf::from))
}

/// A list of folders. In YAML a single text is one folder; in a variable colons separate folders, as in PATH.
fn folders(input: &Input<'_>) -> Result<Vec<PathBuf>, String> {
    let found: Vec<PathBuf> = match input {
        Input::Text(text) => std::env::split_paths(text).collect(),
        Input::Yaml(Value::String(text)) => vec![PathBuf::from(text)],
        Input::Yaml(Value::Sequence(items)) => {
            items.iter().map(|item| text(&Input::Yaml(item)).map(PathBuf::from)).collect::<Result<_, _>>()?
        }
        Input::Yaml(other) => return Err(format!("expected a folder or a list of folders, found {}", shown(other))),
    };
    let found: Vec<PathBuf> = found.into_iter().filter(|path| !path.as_os_str().is_empty()).collect();
    if found.is_empty() { Err("at least one folder is needed".to_owned()) } else { Ok(found) }
}

fn number<T: std::str::FromStr>(input: &Input<'_>, expected: &str) -> Result<T, String> {
    let text = match input {
        Input::Text(text) => text.trim().to_owned(),
        Input::Yaml(Value::Number(number)) => number.to_string(),
        Input::Yaml(other) => return Err(format!("expected {expected}, found {}", shown(other))),
    };
    text.parse().map_err(|_| format!("expected {expected}, found {text:?}"))
}

fn integer(input: &Input<'_>, least: u64, most: u64) -> Result<u64, String> {
    let expected = format!("a whole number from {least} to {most}");
    let value = number(input, &expected)?;
    if (least..=most).contains(&value) { Ok(value) } else { Err(format!("expected {expected}, found {value}")) }
}

fn seconds(input: &Input<'_>) -> Result<Duration, String> {
    let expected = format!("seconds from 0 to {MAX_SECONDS}");
    let value: f64 = number(input, &expected)?;
    if (0.0..=MAX_SECONDS).contains(&value) {
        Ok(Duration::from_secs_f64(value))
    } else {
        Err(format!("expected {expected}, found {value}"))
    }
}

/// A time with a unit, such as 90s, 10m or 2h, or plain seconds; `None` for `none` and `never`.
fn duration_or_never(input: &Input<'_>) -> Result<Option<Duration>, String> {
    let written = match input {
        Input::Text(text) => text.trim().to_owned(),
        Input::Yaml(Value::String(text)) => text.trim().to_owned(),
        Input::Yaml(Value::Number(number)) => number.to_string(),
        Input::Yaml(other) => return Err(format!("expected a time such as 10m, or never, found {}", shown(other))),
    };
    let wrong = || format!("expected a time such as 90s, 10m or 2h, up to a week, or never; found {written:?}");
    if written == "never" {
        return Ok(None);
    }
    let digits = written.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match written.get(digits.len()..) {
        Some("" | "s") => 1.0,
        Some("m") => 60.0,
        Some("h") => 3_600.0,
        Some("d") => 86_400.0,
        Some(_) | None => return Err(wrong()),
    };
    let seconds = digits.parse::<f64>().map_err(|_| wrong())? * unit;
    match seconds {
        0.0 => Ok(None),
        seconds if (0.0..=MAX_SECONDS).contains(&seconds) => Ok(Some(Duration::from_secs_f64(seconds))),
        _ => Err(wrong()),
    }
}

fn boolean(input: &Input<'_>) -> Result<bool, String> {
    match input {
        Input::Text("true") | Input::Yaml(Value::Bool(true)) => Ok(true),
        Input::Text("false") | Input::Yaml(Value::Bool(false)) => Ok(false),
        Input::Text(other) => Err(format!("expected true or false, found {other:?}")),
        Input::Yaml(other) => Err(format!("expected true or false, found {}", shown(other))),
    }
}

/// A list of texts, or one text separated by commas.
fn list(input: &Input<'_>) -> Result<Vec<String>, String> {
    let split =
        |text: &str| text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    match input {
        Input::Text(text) => Ok(split(text)),
        Input::Yaml(Value::String(text)) => Ok(split(text)),
        Input::Yaml(Value::Sequence(items)) => items.iter().map(|item| text(&Input::Yaml(item))).collect(),
        Input::Yaml(other) => Err(format!("expected a list of texts, found {}", shown(other))),
    }
}

/// A list of texts, or one text separated by spaces.
fn command_words(input: &Input<'_>) -> Result<Vec<String>, String> {
    let split = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    match input {
        Input::Text(text) => Ok(split(text)),
        Input::Yaml(Value::String(text)) => Ok(split(text)),
        Input::Yaml(_) => list(input),
    }
}

fn slots(input: &Input<'_>) -> Result<Slots, String> {
    let count = |input: &Input<'_>| integer(input, 1, u64::from(MAX_SLOTS)).map(|n| Slots::Count(n as u32));
    match input {
        Input::Text("auto") => Ok(Slots::Auto),
        Input::Yaml(Value::String(text)) => slots(&Input::Text(text)),
        Input::Yaml(Value::Number(_)) => count(input),
        Input::Text(text) if text.trim().parse::<i64>().is_ok() => count(input),
        Input::Text(_) | Input::Yaml(_) => {
            let devices = list(input).map_err(|_| "expected auto, a number or a list of devices".to_owned())?;
            if devices.is_empty() || devices.len() > MAX_SLOTS as usize {
                return Err(format!("expected from 1 to {MAX_SLOTS} devices, found {}", devices.len()));
            }
            Ok(Slots::Devices(devices))
        }
    }
}

fn memory(input: &Input<'_>) -> Result<Option<u64>, String> {
    let text = match input {
        Input::Text(text) => (*text).to_owned(),
        Input::Yaml(Value::String(text)) => text.clone(),
        Input::Yaml(Value::Number(number)) => number.to_string(),
        Input::Yaml(other) => return Err(format!("expected auto or bytes such as 8GiB, found {}", shown(other))),
    };
    if text == "auto" {
        return Ok(None);
    }
    let bytes = sweep_spec::bytes::parse(&text);
    bytes.map(Some).ok_or_else(|| format!("expected auto or bytes such as 8GiB, found {text:?}"))
}

fn labels(input: &Input<'_>) -> Result<BTreeMap<String, String>, String> {
    let expected = || "expected labels such as {zone: a}".to_owned();
    match input {
        Input::Text(_) => {
            let pairs = list(input)?;
            pairs
                .iter()
                .map(|pair| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or_else(expected))
                .collect()
        }
        Input::Yaml(Value::Mapping(members)) => {
            let label = |(key, value): (&Value, &Value)| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()));
            members.iter().map(|member| label(member).ok_or_else(expected)).collect()
        }
        Input::Yaml(_) => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_with_its_unit() {
        assert_eq!(memory(&Input::Text("8GiB")), Ok(Some(8 << 30)));
        assert_eq!(memory(&Input::Text("512 MiB")), Ok(Some(512 << 20)));
        assert_eq!(memory(&Input::Text("1000")), Ok(Some(1000)));
        assert_eq!(memory(&Input::Text("auto")), Ok(None));
        for bad in ["", "GiB", "0", "-1", "1e9", "8GB", "99999999TiB", "é"] {
            assert!(memory(&Input::Text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn slots_are_auto_a_number_or_devices() {
        assert_eq!(slots(&Input::Text("auto")), Ok(Slots::Auto));
        assert_eq!(slots(&Input::Text("4")), Ok(Slots::Count(4)));
        assert_eq!(slots(&Input::Text("cuda:1")), Ok(Slots::Devices(vec!["cuda:1".into()])));
        for bad in ["0", "-1", "9999999999", ""] {
            assert!(slots(&Input::Text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_finite_and_not_negative() {
        for bad in ["-1", "NaN", "inf", "1e300", "soon"] {
            assert!(seconds(&Input::Text(bad)).is_err(), "{bad}");
        }
        assert_eq!(seconds(&Input::Text("0.5")), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn a_worker_may_wait_for_a_while_or_for_ever() {
        let minutes = |text: &str| duration_or_never(&Input::Text(text)).unwrap().map(|time| time.as_secs_f64() / 60.0);
        for (text, expected) in [("10m", 10.0), ("90s", 1.5), ("2h", 120.0), ("30", 0.5), ("1.5m", 1.5), ("1d", 1440.0)]
        {
            assert_eq!(minutes(text), Some(expected), "{text}");
        }
        assert_eq!((minutes("never"), minutes("0")), (None, None));
        for bad in ["", "m", "-1m", "soon", "8d", "NaN", "10 minutes"] {
            assert!(duration_or_never(&Input::Text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_can_be_a_folder_and_a_label() {
        for bad in ["", "a b", "../up", ".", "ü", &"x".repeat(129)] {
            assert!(name_problem(bad).is_some(), "{bad}");
        }
        assert_eq!(name_problem("gpu-7.rack_2"), None);
    }
}
