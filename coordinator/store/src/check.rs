//! `store check`: reads everything in a store and reports what is wrong with it. It changes no row: at most it rolls back a
//! change that a killed process left unfinished, as the next start would.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::Serialize;
use sweep_spec::Digest;

use super::location::Location;
use super::{Error, private, sqlite};

/// Findings that are kept; more are counted.
pub(crate) const MAX_PROBLEMS: usize = 1_000;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The store.
    pub path: String,
    /// Its newest migration.
    pub layout: i64,
    /// Transactions that it holds.
    pub commits: u64,
    /// Transactions that were acknowledged, as the file beside it says.
    pub acknowledged: Option<u64>,
    /// Rows of each table.
    pub rows: Vec<(String, u64)>,
    /// Artifacts whose content was read.
    pub artifacts: u64,
    /// What is prepared and has not begun. It is no damage.
    pub prepared: Vec<Prepared>,
    /// What is wrong, at most a thousand.
    pub problems: Vec<Problem>,
    /// How much is wrong.
    pub problems_found: u64,
    /// What is as it should not be, and is no damage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Rows that were written ahead of a commit that has not come: the coordinator stopped or lost power in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prepared {
    /// Of which sweep.
    pub sweep: u64,
    /// What, in words, and what becomes of it.
    pub what: String,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The table, `file` or `artifacts`.
    pub place: String,
    /// What, in words.
    pub what: String,
}

impl Report {
    /// Whether no problems.
    pub fn is_sound(&self) -> bool {
        self.problems_found == 0
    }

    /// Adds a problem to the report.
    pub fn problem(&mut self, place: &str, what: impl Into<String>) {
        self.problems_found += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { place: place.to_owned(), what: what.into() });
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: layout {}, {} commits", self.path, self.layout, self.commits)?;
        let width = self.rows.iter().map(|(table, _)| table.len()).max().unwrap_or(0).max(9);
        for (table, rows) in &self.rows {
            writeln!(f, "  {table:width$}  {rows:>10}")?;
        }
        writeln!(f, "  {:width$}  {:>10}", "(files)", self.artifacts)?;
        for Prepared { sweep, what } in &self.prepared {
            writeln!(f, "sweep {sweep}: {what}")?;
        }
        for problem in &self.problems {
            writeln!(f, "{}: {}", problem.place, problem.what)?;
        }
        let more = self.problems_found.saturating_sub(self.problems.len() as u64);
        if more > 0 {
            writeln!(f, "and {more} more")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        match self.problems_found {
            0 => write!(f, "no problems"),
            1 => write!(f, "1 problem"),
            count => write!(f, "{count} problems"),
        }
    }
}

/// Reads everything in the store at `path`, and the artifacts beside it.
///
/// # Errors
/// As `check_with`.
pub async fn check(path: &Path) -> Result<Report, Error> {
    check_with(path, &Location::File(path.to_owned()).artifacts()).await
}

/// Reads everything in the store at `path`, and the artifacts in `artifacts`.
///
/// # Errors
/// The file is not a store, has a newer version, is in use, or cannot be opened. Damage inside it is in the report.
pub async fn check_with(path: &Path, artifacts: &Path) -> Result<Report, Error> {
    let notes = private::findings(path, artifacts);
    Ok(Report { notes, ..sqlite::check::check(path, artifacts).await? })
}

/// Reads everything in a copy of a store that no process writes to, and its artifacts in `artifacts`. Writes no file, so
/// that a copy on a read-only disk can be checked. Artifacts in `missing` need no file: the copy was made without them.
///
/// # Errors
/// The file is not a store, has a newer version, or cannot be opened. Damage inside it is in the report.
pub async fn check_copy(path: &Path, artifacts: &Path, missing: &HashSet<Digest>) -> Result<Report, Error> {
    sqlite::check::check_copy(path, artifacts, missing).await
}
