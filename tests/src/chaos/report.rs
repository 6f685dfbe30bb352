//! The result of a run: one line of JSON, and sentences about problems.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::count::Count;
use super::crew::Done;

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// From the submit to the last counted row.
    pub seconds: f64,
    /// The seed of the schedule.
    pub seed: u64,
    /// Processes that trained.
    pub workers: usize,
    /// Counts from the store.
    #[serde(flatten)]
    pub count: Count,
    /// The faults of the fleet.
    #[serde(flatten)]
    pub done: Done,
    /// Attempts that trainers began, by their own journal.
    pub begun: usize,
    /// Attempts that began more than once.
    pub begun_twice: usize,
    /// Points and results that were acknowledged to scribes.
    pub acknowledged: usize,
    /// Those of them that are not in the store.
    pub forgotten: usize,
    /// Processes that outlived the fleet.
    pub left_behind: usize,
    /// Trials that kill their worker, and those of them that failed with a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
    /// For users.
    pub problems: Vec<String>,
}

/// Trials that kill their worker.
#[derive(Debug, Clone, Serialize)]
pub struct Poison {
    pub trials: u32,
    /// Rounds of theirs that have failed.
    pub failed: i64,
    /// Each reason once.
    pub reasons: Vec<String>,
}

impl Report {
    /// Adds the problems that the numbers show.
    pub(super) fn judge(&mut self, trials: u32, mut problems: Vec<String>) -> &mut Self {
        problems.extend(self.count.problems(i64::from(trials)));
        if self.begun_twice > 0 {
            problems.push(format!("{} attempts began more than once", self.begun_twice));
        }
        if self.forgotten > 0 {
            problems.push(format!("{} rows were acknowledged and are not there", self.forgotten));
        }
        if self.left_behind > 0 {
            problems.push(format!("{} processes outlived the fleet", self.left_behind));
        }
        if let Some(poison) = self.poison.as_ref().filter(|poison| poison.failed != i64::from(poison.trials)) {
            problems.push(format!("{} of {} poisonous trials were given up", poison.failed, poison.trials));
        }
        self.problems = problems;
        self
    }
}

/// Attempts in a trainers' journal, and how many of them it contains more than once.
pub(super) fn read_journal(path: &Path) -> (usize, usize) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut begun: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("begun ")) {
        *begun.entry(line).or_default() += 1;
    }
    (begun.len(), begun.values().filter(|times| **times > 1).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_began_twice_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "begun a 1\nbegun b 1\nended a 1\nbegun a 2\nbegun b 1\n").unwrap();
        assert_eq!(read_journal(&path), (3, 1));
        assert_eq!(read_journal(&folder.path().join("none")), (0, 0));
    }
}
