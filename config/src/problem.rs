//! A problem of a configuration with its source, and all of them as lines of text.

use std::fmt;

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A file's path, or the name of a variable or a flag; `None` where several keys contradict each other.
    pub source: Option<String>,
    /// The message, with the key first if there is one.
    pub text: String,
}

impl Problem {
    /// A problem of one source.
    pub fn new(source: impl Into<String>, text: impl Into<String>) -> Self {
        Self { source: Some(source.into()), text: text.into() }
    }

    /// A problem of several keys together.
    pub fn of_several(text: impl Into<String>) -> Self {
        Self { source: None, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// All problems of a configuration, shown one per line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
