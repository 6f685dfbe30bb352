//! Typed reading of the tree. Every reader reports its problems and continues, so that all problems of a spec are found
//! in one pass. A value that could not be read is `None`, and checks that depend on it are skipped.

mod budget;
mod condition;
mod dataset;
mod design;
mod fraction;
mod protocol;
mod retry;
mod seeds;
mod spec;
mod stage;
mod study;
mod value;

pub(crate) use spec::spec;

use crate::problem::{Problem, did_you_mean};
use crate::yaml::{Entry, Mark, Node, Value, quoted};

/// The most problems that are reported; a text that is no spec at all has one on every line.
const MAX_PROBLEMS: usize = 100;

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    pub(crate) fn report(&mut self, mark: Mark, path: &str, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(mark.problem(path, message, hint));
    }

    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// The problems in the order of the text, cut where they are too many to be read.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        let more = self.problems.len().saturating_sub(MAX_PROBLEMS);
        if more > 0 {
            self.problems.truncate(MAX_PROBLEMS);
            let last = self.problems.last().map_or(Mark::START, |last| Mark { line: last.line, column: last.column });
            self.problems.push(last.problem("", format!("{more} more problems are not shown"), None));
        }
        self.problems
    }
}

/// A value and the path that leads to it.
#[derive(Debug, Clone)]
pub(crate) struct At<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
}

impl<'a> At<'a> {
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// Reports something about this value.
    pub(crate) fn report(&self, reader: &mut Reader, message: impl Into<String>, hint: Option<String>) {
        reader.report(self.node.mark, &self.path, message, hint);
    }

    /// Reports that this value differs from the expected one.
    pub(crate) fn expected(&self, reader: &mut Reader, what: impl std::fmt::Display) {
        self.report(reader, format!("expected {what}, found {}", self.node.describe()), None);
    }

    /// The values of a list that may not be empty.
    pub(crate) fn list(&self, reader: &mut Reader, what: &str) -> Option<Vec<At<'a>>> {
        match &self.node.value {
            Value::List(items) if !items.is_empty() => {
                let at = |(index, node)| At { node, path: format!("{}[{index}]", self.path) };
                Some(items.iter().enumerate().map(at).collect())
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                let found = self.node.describe();
                let hint = Some(format!("write `[{found}]`"));
                self.report(reader, format!("expected a list of {what}, found {found}"), hint);
                None
            }
            Value::List(_) | Value::Null | Value::Text(_) | Value::Mapping(_) => {
                self.expected(reader, format_args!("a list of {what}"));
                None
            }
        }
    }

    /// The keys and values of a mapping.
    pub(crate) fn section(&self, reader: &mut Reader, what: &str) -> Option<Section<'a>> {
        match &self.node.value {
            Value::Mapping(entries) => Some(Section { at: self.clone(), entries, asked: Vec::new() }),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
                self.expected(reader, what);
                None
            }
        }
    }

    /// The value of this index, if this is a list.
    fn item(&self, index: usize) -> Option<At<'a>> {
        let Value::List(items) = &self.node.value else { return None };
        items.get(index).map(|node| At { node, path: format!("{}[{index}]", self.path) })
    }

    fn below(&self, entry: &'a Entry) -> At<'a> {
        At { node: &entry.node, path: join(&self.path, &entry.key) }
    }
}

/// The path of a key. A key that is not a plain word is quoted, and shortened if it is long.
fn join(path: &str, key: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let key = if key.len() <= 64 && !key.is_empty() && key.chars().all(plain) { key.to_owned() } else { quoted(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A mapping that is read key by key. Keys that were not read by the end are unknown.
pub(crate) struct Section<'a> {
    pub(crate) at: At<'a>,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The value of `key`, if it is there.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<At<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.at.below(entry))
    }

    /// The value of `key`; its absence is a problem.
    pub(crate) fn required(&mut self, reader: &mut Reader, key: &'static str) -> Option<At<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.at.report(reader, format!("key `{key}` is missing"), None);
        }
        found
    }

    /// Every key with its place and its value, for mappings whose keys are not fixed.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Mark, At<'a>)> {
        let at = self.at.clone();
        self.entries.iter().map(move |entry| (entry.key.as_str(), entry.mark, at.below(entry)))
    }

    /// Reports every key that was not read as an unknown `what`.
    pub(crate) fn finish(self, reader: &mut Reader, what: &str) {
        for entry in self.entries {
            if !self.asked.contains(&entry.key.as_str()) {
                let hint = did_you_mean(&entry.key, &self.asked).or_else(|| Some(known(&self.asked)));
                reader.report(entry.mark, &join(&self.at.path, &entry.key), format!("unknown {what}"), hint);
            }
        }
    }
}

/// The known names, for a hint where none is near.
pub(crate) fn known(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("expected one of {}", names.join(", "))
}
