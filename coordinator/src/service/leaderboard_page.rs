//! Selects and sorts the rows of one page of a leaderboard, which may have fifty thousand. Nothing is ranked here.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde::Deserialize;
use sweep_analysis::leaderboard::Row;
use sweep_analysis::result::Estimate;
use utoipa::ToSchema;

use crate::engine::{Analysed, Error};

/// The order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Key {
    /// By rank.
    #[default]
    Rank,
    Position,
    Configuration,
    TrainAccuracy,
    ValAccuracy,
    TrainLoss,
    ValLoss,
    TestAccuracy,
    TestLoss,
    Params,
    Flops,
    Ratio,
    Seconds,
    /// The difference from the start of the stage.
    Delta,
}

/// The number of a row that the rows are sorted by.
type Number = Box<dyn Fn(&Row) -> Option<f64>>;

/// A page of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) key: Key,
    /// The largest number first; by rank, the worst row first.
    pub(crate) descending: bool,
    /// Starts after the configuration at this position.
    pub(crate) after: Option<u32>,
    /// Only configurations whose name contains this text, in lower case; all if it is empty.
    pub(crate) containing: String,
    pub(crate) limit: usize,
}

impl Part {
    /// The rows, the position after which the next page starts (if there is one), and the number of rows on all pages.
    pub(crate) fn of<'a>(&self, analysed: &'a Analysed) -> Result<(Vec<&'a Row>, Option<u32>, usize), Error> {
        let mut rows: Vec<&Row> = analysed.board.rows.iter().filter(|row| self.contains(row)).collect();
        self.order(analysed, &mut rows);
        let start = match self.after {
            None => 0,
            Some(after) => {
                let found = rows.iter().position(|row| row.position == after);
                found.ok_or_else(|| Error::not_found(format!("row at position {after} to continue after")))? + 1
            }
        };
        let rest = rows.get(start..).unwrap_or_default();
        let shown: Vec<&Row> = rest.iter().take(self.limit).copied().collect();
        let next = shown.last().filter(|_| shown.len() < rest.len()).map(|row| row.position);
        Ok((shown, next, rows.len()))
    }

    fn contains(&self, row: &Row) -> bool {
        self.containing.is_empty()
            || row.label.to_lowercase().contains(&self.containing)
            || row.name.to_lowercase().contains(&self.containing)
    }

    fn order(&self, analysed: &Analysed, rows: &mut [&Row]) {
        let number: Number = match self.key {
            Key::Rank => {
                if self.descending {
                    rows.reverse();
                }
                return;
            }
            Key::Configuration => {
                let name = |row: &Row| (row.label.clone(), row.name.clone(), row.position);
                rows.sort_by_cached_key(|row| name(row));
                if self.descending {
                    rows.reverse();
                }
                return;
            }
            Key::Position => Box::new(|row| Some(f64::from(row.position))),
            Key::TrainAccuracy => Box::new(|row| mean(row.train_accuracy)),
            Key::ValAccuracy => Box::new(|row| mean(row.val_accuracy)),
            Key::TrainLoss => Box::new(|row| mean(row.train_loss)),
            Key::ValLoss => Box::new(|row| mean(row.val_loss)),
            Key::TestAccuracy => Box::new(|row| mean(row.test_accuracy)),
            Key::TestLoss => Box::new(|row| mean(row.test_loss)),
            Key::Params => Box::new(|row| Some(row.params as f64)),
            Key::Flops => Box::new(|row| Some(row.flops as f64)),
            Key::Ratio => Box::new(|row| mean(row.ratio)),
            Key::Seconds => Box::new(|row| mean(row.seconds)),
            Key::Delta => {
                let mut deltas: HashMap<u32, Option<f64>> = HashMap::new();
                for one in &analysed.analysis.comparisons {
                    // A configuration of several stages has the comparison of the first, as in its row.
                    deltas.entry(one.position).or_insert(one.delta);
                }
                Box::new(move |row| deltas.get(&row.position).copied().flatten().filter(|_| !row.baseline))
            }
        };
        by_number(rows, |row| number(row), self.descending);
    }
}

/// Sorts rows by a number. Rows without one come last in both directions.
pub(crate) fn by_number<T>(rows: &mut [T], number: impl Fn(&T) -> Option<f64>, descending: bool) {
    let turned = |order: Ordering| if descending { order.reverse() } else { order };
    rows.sort_by(|a, b| match (number(a), number(b)) {
        (Some(a), Some(b)) => turned(a.total_cmp(&b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
}

fn mean(estimate: Option<Estimate>) -> Option<f64> {
    estimate.map(|estimate| estimate.mean).filter(|mean| !mean.is_nan())
}
