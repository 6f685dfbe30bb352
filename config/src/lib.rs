//! The layers of a program's configuration: an embedded default file, a file, the environment and flags, weakest first.
//!
//! This crate reads the layers, finds unknown keys, and keeps the source of every value and of every problem. The programs
//! own their keys: they read the values, so that a message can name what a key expects.
//!
//! No crate for configurations replaces it: figment and config deserialize all layers into one struct and stop at the first
//! value that does not fit, whereas a person wants all problems at once, each with its source.

mod problem;

use std::io::ErrorKind;
use std::path::Path;

use serde_yaml::Value;
use sweep_trust::bounded;

pub use problem::{Problem, Problems};

/// The largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The keys of a program, and the prefix of the environment variables that set them.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// `SWEEP_WORKER_` where `SWEEP_WORKER_DATA_ROOT` sets `data_root`.
    pub prefix: &'static str,
    /// The current names.
    pub names: Vec<&'static str>,
    /// Names of earlier releases, each with its current name. They are still read.
    pub earlier: &'static [(&'static str, &'static str)],
}

impl Keys {
    /// The current name of a key; `None` if it is unknown.
    fn current(&self, written: &str) -> Option<&'static str> {
        let renamed = self.earlier.iter().find(|(earlier, _)| *earlier == written).map(|(_, current)| *current);
        let name = renamed.unwrap_or(written);
        self.names.iter().find(|known| **known == name).copied()
    }

    /// The key that a variable would set, known or not; `None` if the variable has another prefix.
    pub fn of_variable(&self, variable: &str) -> Option<String> {
        variable.strip_prefix(self.prefix).map(str::to_ascii_lowercase)
    }

    /// Whether a variable has the prefix and sets no key, perhaps because it is misspelt.
    pub fn is_unknown_variable(&self, variable: &str) -> bool {
        self.of_variable(variable).is_some_and(|key| self.current(&key).is_none())
    }
}

/// A value in its source's notation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
    /// From a file.
    Yaml(&'a Value),
    /// From a variable or a flag.
    Text(&'a str),
}

#[derive(Debug, Clone, PartialEq)]
enum Written {
    Yaml(Value),
    Text(String),
}

/// One value of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The current name of the key.
    pub key: &'static str,
    /// The name that the source uses, for messages.
    pub name: String,
    /// A file's path, or the name of a variable or a flag.
    pub source: String,
    written: Written,
}

impl Setting {
    /// The value.
    pub fn input(&self) -> Input<'_> {
        match &self.written {
            Written::Yaml(value) => Input::Yaml(value),
            Written::Text(text) => Input::Text(text),
        }
    }

    /// A problem of this value; `text` says what was expected.
    pub fn problem(&self, text: impl std::fmt::Display) -> Problem {
        Problem::new(&self.source, format!("`{}`: {text}", self.name))
    }
}

/// The settings of all layers in the order in which they apply: a later one of the same key replaces an earlier one.
#[derive(Debug)]
pub struct Layers {
    keys: Keys,
    entries: Vec<Result<Setting, Problem>>,
}

impl Layers {
    /// No layers yet.
    pub fn new(keys: Keys) -> Self {
        Self { keys, entries: Vec::new() }
    }

    /// Adds a file.
    pub fn file(&mut self, path: &Path) {
        let source = path.display().to_string();
        let problem = match bounded::read(path, MAX_FILE_BYTES).map(String::from_utf8) {
            Ok(Ok(text)) => return self.yaml(&text, &source),
            Ok(Err(_)) => "is not UTF-8".to_owned(),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => format!("larger than {MAX_FILE_BYTES} bytes"),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.entries.push(Err(Problem::new(source, problem)));
    }

    /// Adds the text of a file.
    pub fn yaml(&mut self, text: &str, source: &str) {
        let problem = match serde_yaml::from_str(text) {
            Ok(Value::Null) => return,
            Ok(Value::Mapping(members)) => return members.into_iter().for_each(|member| self.member(member, source)),
            Ok(_) => "expected keys and values".to_owned(),
            Err(error) => error.to_string(),
        };
        self.entries.push(Err(Problem::new(source, problem)));
    }

    fn member(&mut self, (key, value): (Value, Value), source: &str) {
        match key.as_str() {
            Some(key) => self.set(key, Written::Yaml(value), source),
            None => self.entries.push(Err(Problem::new(source, "a key is not a text"))),
        }
    }

    /// Adds those of these variables that set a key. Kubernetes sets others with the prefix: `SWEEP_WORKER_PORT` for a
    /// service called `sweep-worker`.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (variable, text) in variables {
            let key = self.keys.of_variable(&variable).filter(|key| self.keys.current(key).is_some());
            if let Some(key) = key {
                self.set(&key, Written::Text(text), &variable);
            }
        }
    }

    /// Adds the flag of a key: `--data-root` for `data_root`.
    pub fn flag(&mut self, key: &str, text: impl Into<String>) {
        self.set(key, Written::Text(text.into()), &format!("--{}", key.replace('_', "-")));
    }

    fn set(&mut self, name: &str, written: Written, source: &str) {
        self.entries.push(match self.keys.current(name) {
            Some(key) => Ok(Setting { key, name: name.to_owned(), source: source.to_owned(), written }),
            None => {
                let known = self.keys.names.join(", ");
                Err(Problem::new(source, format!("unknown key `{name}`; the keys are {known}")))
            }
        });
    }

    /// Every setting and every problem, in the order in which the layers were added.
    pub fn into_entries(self) -> Vec<Result<Setting, Problem>> {
        self.entries
    }
}

#[cfg(test)]
mod tests;
