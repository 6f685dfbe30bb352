//! The tree of a spec's text, and of other YAML files that become specs. Every key and value has its line and column.
//! Only this module uses the YAML parser. Reading any bytes takes bounded time and memory and ends in a tree or in
//! problems.

mod overrides;
mod parse;
mod scalar;

pub(crate) use overrides::apply;
pub use parse::parse;

use crate::problem::Problem;

/// The longest spec that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// The most values of a spec. Values that aliases repeat count each time.
pub(crate) const MAX_NODES: usize = 100_000;
/// The deepest nesting of lists and mappings.
pub(crate) const MAX_DEPTH: usize = 32;

/// A place in the text, counted from 1 in lines and characters; 0 for a value that came from an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// From 1; 0 for an override.
    pub line: u32,
    /// From 1; 0 for an override.
    pub column: u32,
}

impl Mark {
    /// The position of a value that is not in the text.
    pub(crate) const OVERRIDE: Self = Self { line: 0, column: 0 };
    /// The beginning of the text.
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    pub(crate) fn problem(self, path: &str, message: impl Into<String>, hint: Option<String>) -> Problem {
        Problem { line: self.line, column: self.column, path: path.to_owned(), message: message.into(), hint }
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its first character.
    pub mark: Mark,
    pub value: Value,
    /// The number of characters after `mark` at which the text begins, if the file contains it literally: 1 after a
    /// quote.
    pub(crate) verbatim: Option<u32>,
}

/// A value as YAML's core schema reads it.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A text, in quotes or not.
    Text(String),
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Mapping(Vec<Entry>),
}

/// A key, its place and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    /// The first character of the key.
    pub mark: Mark,
    pub node: Node,
}

impl Node {
    pub(crate) fn new(mark: Mark, value: Value) -> Self {
        Self { mark, value, verbatim: None }
    }

    /// The place of a letter of its text, counted from 0; of the whole value where that is not known.
    pub(crate) fn mark_of(&self, letter: usize) -> Mark {
        let letter = u32::try_from(letter).unwrap_or(u32::MAX);
        match self.verbatim {
            Some(before) if self.mark != Mark::OVERRIDE => {
                Mark { column: self.mark.column.saturating_add(before).saturating_add(letter), ..self.mark }
            }
            _ => self.mark,
        }
    }

    /// Whether it has no quotes in the file.
    pub fn is_plain(&self) -> bool {
        self.verbatim == Some(0)
    }

    /// The value in a few words, for a problem's "found".
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => format!("{value:?}"),
            Value::Text(text) => quoted(text),
            Value::List(items) if items.is_empty() => "an empty list".into(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Mapping(_) => "a mapping".into(),
        }
    }
}

/// `text` in quotes, shortened if it is long, with control characters of terminals escaped.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut out: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push_str("...");
    }
    format!("\"{out}\"")
}
