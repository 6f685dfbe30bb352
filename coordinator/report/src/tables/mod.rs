//! Tables for every format: columns, text cells, and notes below. A format adds rules and escapes.

pub(crate) mod factors;
pub(crate) mod findings;
pub(crate) mod leaderboard;

use sweep_analysis::prose::against;
use sweep_analysis::result::{Comparison, Verdict};

use crate::view::View;
use crate::words::number;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    /// Whether narrow formats leave the column out.
    pub(crate) wide: bool,
}

/// The content of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    Text,
    /// Numbers, aligned to the right.
    Number,
}

/// A row, with one cell for each column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    /// Whether the other rows are compared with this one.
    pub(crate) reference: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

/// The meaning of a cell, for a colour beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
    Quiet,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: Vec<Column>) -> Self {
        Self { title: title.into(), columns, ..Self::default() }
    }

    /// The table without its `wide` columns.
    pub(crate) fn narrow(&self) -> Self {
        let kept: Vec<bool> = self.columns.iter().map(|column| !column.wide).collect();
        let row = |row: &Row| {
            let cells = row.cells.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(cell, _)| cell.clone()).collect();
            Row { cells, reference: row.reference }
        };
        Self {
            title: self.title.clone(),
            columns: self.columns.iter().filter(|column| !column.wide).cloned().collect(),
            rows: self.rows.iter().map(row).collect(),
            notes: self.notes.clone(),
        }
    }
}

pub(crate) fn name(title: impl Into<String>) -> Column {
    Column { title: title.into(), kind: Kind::Name, wide: false }
}

pub(crate) fn text(title: impl Into<String>) -> Column {
    Column { title: title.into(), kind: Kind::Text, wide: false }
}

pub(crate) fn number(title: impl Into<String>) -> Column {
    Column { title: title.into(), kind: Kind::Number, wide: false }
}

impl Column {
    pub(crate) fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

/// A verdict as a cell.
pub(crate) fn verdict(comparison: &Comparison) -> Cell {
    let verdict = &comparison.verdict;
    let tone = match verdict {
        Verdict::Helps => Tone::Good,
        Verdict::Hurts => Tone::Bad,
        Verdict::NoDifferenceShown | Verdict::AfterSelection | Verdict::Open(_) => Tone::Quiet,
    };
    let text = match verdict {
        Verdict::Open(why) if !why.is_empty() => format!("{}: {why}", verdict.word()),
        _ => verdict.word().to_owned(),
    };
    Cell { text, tone }
}

/// Difference, interval, corrected p and verdict: the cells of the columns of `judged_columns`.
pub(crate) fn judged(view: &View<'_>, comparison: &Comparison) -> [Cell; 4] {
    let delta = comparison.delta.map_or_else(|| number::ABSENT.to_owned(), |delta| view.unit.delta(delta));
    let interval = comparison.t_interval.or(comparison.bca_interval);
    [delta.into(), view.unit.interval(interval).into(), number::p(comparison.adjusted_p).into(), verdict(comparison)]
}

pub(crate) fn judged_columns() -> [Column; 4] {
    [number("Δ"), number("95 % interval"), number("p"), text("Verdict")]
}

/// The note on the columns of `judged_columns`, for a family of comparisons.
pub(crate) fn judged_note(view: &View<'_>, family: &[Comparison]) -> String {
    format!(
        "Δ is the mean difference over seeds in {} from {}, with an interval by Student's t; p is the p-value of the \
         paired sign-flip test, corrected by Holm over {}. Verdicts follow from p alone.",
        leaderboard::title(view.analysis.metric),
        against(view.study, family),
        crate::words::plural(view.analysis.comparisons.len(), "comparison"),
    )
}
