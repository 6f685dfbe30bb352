//! The problems of a spec, each with its position, the expected and the found value, and a hint.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the spec, counted from 1; 0 where the value came from an override.
    pub line: u32,
    /// Column in the spec, in characters, counted from 1; 0 where the value came from an override.
    pub column: u32,
    /// The key, such as `stages[0].vary.filters`; empty for the spec as a whole.
    pub path: String,
    /// The expected and the found value.
    pub message: String,
    /// The next step for the user.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// All problems of a spec, in the order of their positions. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The problems one a line, each behind the name of the file, such as
    /// ``sweeps/x.yaml:12:7: stages[0].vary.conv_layer: unknown factor; did you mean `conv_layers`?``.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { problems: self, file: Some(file) }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        InFile { problems: self, file: None }.fmt(f)
    }
}

struct InFile<'a> {
    problems: &'a Problems,
    file: Option<&'a str>,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match (problem.line, self.file) {
                (0, _) => f.write_str("override: ")?,
                (line, Some(file)) => write!(f, "{file}:{line}:{}: ", problem.column)?,
                (line, None) => write!(f, "{line}:{}: ", problem.column)?,
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// A hint at the name among `known` that `found` was probably meant to be.
pub(crate) fn did_you_mean(found: &str, known: &[&str]) -> Option<String> {
    nearest(found, known).map(|name| format!("did you mean `{name}`?"))
}

/// The name among `known` that is fewest edits from `found`, if few enough: a third of its length.
fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    // A long name is no slip of the fingers, and comparing it would take long.
    const LONGEST: usize = 64;
    let found: Vec<char> = found.to_lowercase().replace('-', "_").chars().take(LONGEST + 1).collect();
    if found.len() > LONGEST {
        return None;
    }
    let near = known.iter().map(|name| (edits(&found, &name.chars().collect::<Vec<_>>()), *name));
    let (distance, name) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.chars().count().max(found.len()) / 3).max(1)).then_some(name)
}

/// The insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn edits(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && from[row - 1] == *other && *letter == to[column - 1];
            if swapped {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_nearest() {
        let known = ["conv_layers", "filters", "dropout", "epochs"];
        assert_eq!(nearest("conv_layer", &known), Some("conv_layers"));
        assert_eq!(nearest("Conv-Layers", &known), Some("conv_layers"));
        assert_eq!(nearest("flitres", &known), Some("filters"));
        assert_eq!(nearest("epoch", &known), Some("epochs"));
        assert_eq!(nearest("something_else", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest(&"é".repeat(100_000), &known), None);
    }

    #[test]
    fn problems_print_one_a_line_behind_their_place() {
        let problem = |line, hint: Option<&str>| Problem {
            line,
            column: line * 7,
            path: "stages[0].vary.conv_layer".into(),
            message: "unknown factor".into(),
            hint: hint.map(str::to_owned),
        };
        let problems = Problems(vec![problem(12, Some("did you mean `conv_layers`?")), problem(0, None)]);
        assert_eq!(
            problems.in_file("sweeps/x.yaml").to_string(),
            "sweeps/x.yaml:12:84: stages[0].vary.conv_layer: unknown factor; did you mean `conv_layers`?\n\
             override: stages[0].vary.conv_layer: unknown factor"
        );
        assert!(problems.to_string().starts_with("12:84: stages"));
    }
}
