//! Readers of single values: numbers within bounds, texts that are safe to print, and names from a fixed list.

use std::ops::RangeInclusive;

use super::{At, Reader, known};
use crate::levels::{Factor, Kind, Level};
use crate::problem::did_you_mean;
use crate::yaml::{Value, quoted};

/// The longest name of a sweep, stage, extra or class, in characters.
const MAX_NAME: usize = 100;
/// The longest path of a data set, in characters.
const MAX_PATH: usize = 1000;

/// The bounds of a number that is not a count.
pub(super) struct Bounds {
    pub(super) min: f64,
    pub(super) max: f64,
    /// Whether the least itself is allowed.
    pub(super) min_included: bool,
    /// Whether the most itself is allowed.
    pub(super) max_included: bool,
}

impl Bounds {
    /// (0, 1)
    pub(super) const INNER: Self = Self { min: 0.0, max: 1.0, min_included: false, max_included: false };
    /// [0, 1)
    pub(super) const SHARE: Self = Self { min: 0.0, max: 1.0, min_included: true, max_included: false };
    /// (0, 1]
    pub(super) const SMALL: Self = Self { min: 0.0, max: 1.0, min_included: false, max_included: true };

    fn hold(&self, value: f64) -> bool {
        let above = if self.min_included { value >= self.min } else { value > self.min };
        let below = if self.max_included { value <= self.max } else { value < self.max };
        above && below
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let least = if self.min_included { "at least" } else { "above" };
        let most = if self.max_included { "at most" } else { "below" };
        write!(f, "a number {least} {} and {most} {}", self.min, self.max)
    }
}

impl At<'_> {
    /// A whole number within `range`.
    pub(super) fn integer(&self, reader: &mut Reader, range: RangeInclusive<u64>) -> Option<u64> {
        if let Value::Int(value) = self.node.value
            && let Ok(value) = u64::try_from(value)
            && range.contains(&value)
        {
            return Some(value);
        }
        self.expected(reader, format_args!("a whole number from {} to {}", range.start(), range.end()));
        None
    }

    /// A whole number within `range`.
    pub(super) fn small(&self, reader: &mut Reader, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.integer(reader, u64::from(*range.start())..=u64::from(*range.end()))?;
        u32::try_from(value).ok()
    }

    /// A whole number that may be negative.
    pub(super) fn signed(&self, reader: &mut Reader, range: RangeInclusive<i32>) -> Option<i32> {
        if let Value::Int(value) = self.node.value
            && let Ok(value) = i32::try_from(value)
            && range.contains(&value)
        {
            return Some(value);
        }
        self.expected(reader, format_args!("a whole number from {} to {}", range.start(), range.end()));
        None
    }

    /// A finite number within `bounds`.
    pub(super) fn number(&self, reader: &mut Reader, bounds: &Bounds) -> Option<f64> {
        let value = match self.node.value {
            Value::Float(value) => Some(value),
            Value::Int(value) => Some(value as f64),
            _ => None,
        };
        // Adding zero makes one value of the two zeros that floats have; NaN is within no bounds.
        let value = value.filter(|&value| bounds.hold(value)).map(|value| value + 0.0);
        if value.is_none() {
            self.expected(reader, bounds);
        }
        value
    }

    pub(super) fn boolean(&self, reader: &mut Reader) -> Option<bool> {
        if let Value::Bool(value) = self.node.value {
            return Some(value);
        }
        let hint = match &self.node.value {
            Value::Text(text) => match text.to_lowercase().as_str() {
                "yes" | "on" | "true" => Some("write `true`".to_owned()),
                "no" | "off" | "false" => Some("write `false`".to_owned()),
                _ => None,
            },
            _ => None,
        };
        self.report(reader, format!("expected true or false, found {}", self.node.describe()), hint);
        None
    }

    /// The value of one of `names`.
    pub(super) fn choice<T: Copy>(&self, reader: &mut Reader, names: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let Value::Text(text) = &self.node.value else {
            self.report(reader, format!("{}, found {}", known(&words), self.node.describe()), None);
            return None;
        };
        let chosen = names.iter().find(|(name, _)| name == text).map(|(_, value)| *value);
        if chosen.is_none() {
            self.report(reader, format!("{}, found {}", known(&words), quoted(text)), did_you_mean(text, &words));
        }
        chosen
    }

    pub(super) fn text(&self, reader: &mut Reader, what: &str) -> Option<&str> {
        match &self.node.value {
            Value::Text(text) => return Some(text),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Null => {
                let found = self.node.describe();
                let hint = Some("put it in quotes".to_owned());
                self.report(reader, format!("expected {what}, found {found}"), hint);
            }
            Value::List(_) | Value::Mapping(_) => self.expected(reader, what),
        }
        None
    }

    /// A name that can be printed anywhere: not empty, not long, nothing that a terminal would obey.
    pub(super) fn name(&self, reader: &mut Reader) -> Option<String> {
        let text = self.text(reader, "a name")?;
        let problem = if text.is_empty() {
            Some("expected a name, found an empty string".to_owned())
        } else if text.chars().count() > MAX_NAME {
            Some(format!("expected a name of at most {MAX_NAME} characters, found {}", text.chars().count()))
        } else if text.chars().any(is_unprintable) {
            Some(format!("expected a name without control characters, found {}", quoted(text)))
        } else if text.trim() != text {
            Some(format!("expected a name without spaces around it, found {}", quoted(text)))
        } else {
            None
        };
        match problem {
            Some(problem) => {
                self.report(reader, problem, None);
                None
            }
            None => Some(text.to_owned()),
        }
    }

    /// A path that stays below where it starts, with `.` and doubled slashes taken out.
    pub(super) fn path(&self, reader: &mut Reader) -> Option<String> {
        let text = self.text(reader, "a path")?;
        let drive = text.as_bytes().get(1) == Some(&b':');
        let problem = if text.is_empty() {
            Some("expected a path, found an empty string".to_owned())
        } else if text.chars().count() > MAX_PATH {
            Some(format!("expected a path of at most {MAX_PATH} characters, found {}", text.chars().count()))
        } else if text.chars().any(is_unprintable) {
            Some(format!("expected a path without control characters, found {}", quoted(text)))
        } else if text.starts_with(['/', '\\', '~']) || drive {
            Some(format!("expected a path relative to the worker's data root, found {}", quoted(text)))
        } else if text.contains('\\') {
            Some(format!("expected a path with `/` between folders, found {}", quoted(text)))
        } else if text.split('/').any(|part| part == "..") {
            Some(format!("expected a path without `..`, found {}", quoted(text)))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.report(reader, problem, None);
            return None;
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
    }

    /// A level of `factor`.
    pub(super) fn level(&self, reader: &mut Reader, factor: Factor) -> Option<Level> {
        if factor.kind() == Kind::Bool {
            return self.boolean(reader).map(Level::Bool);
        }
        let level = match self.node.value {
            Value::Int(value) => u64::try_from(value).ok().map(Level::Int),
            Value::Float(value) => Some(Level::Fraction(value)),
            _ => None,
        };
        let accepted = level.and_then(|level| factor.accept(level));
        if accepted.is_none() {
            self.expected(reader, factor.kind());
        }
        accepted
    }
}

/// Control characters, and the invisible ones that reorder or hide text.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
