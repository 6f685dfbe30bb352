//! The layout of a table: visible columns, their widths, and the text of each cell. Pure: the width is an argument.

use unicode_width::UnicodeWidthStr;

use super::{Kind, Table};
use crate::names;
use crate::prose::{cut, wrapped};

/// The minimum width of names, and their width before a less important column is added.
const NAME_LEAST: usize = 12;
const NAME_COMFORT: usize = 24;
/// The minimum width of text when another column needs space.
const TEXT_LEAST: usize = 28;
/// Text up to this width is shown in one line if possible.
const SHORT_TEXT: usize = 24;
/// The most that a single name takes from other columns.
const NAME_MOST: usize = 40;

/// The parameters of a layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// `None` for as many columns as a row needs.
    pub(super) width: Option<usize>,
    /// Spaces between two columns.
    pub(super) gap: usize,
    /// Every row is one line, as on a screen: text that does not fit is cut.
    pub(super) one_line: bool,
}

/// The layout of a table.
#[derive(Debug)]
pub(super) struct Layout {
    room: Room,
    pub(super) shown: Vec<Shown>,
    /// Headings of the columns that are not visible.
    pub(super) left_out: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) column: usize,
    pub(super) width: usize,
}

/// The widths that a column needs.
#[derive(Debug, Clone, Copy)]
struct Needs {
    /// The minimum; below it the column is not shown.
    least: usize,
    /// Up to this width the column has priority over optional columns.
    comfort: usize,
    /// The width at which every cell is one line.
    natural: usize,
    kind: Kind,
    /// All cells are empty.
    empty: bool,
}

impl Layout {
    pub(super) fn of(table: &Table, room: Room) -> Self {
        let natural = |column: usize| Shown { column, width: natural(table, column) };
        let shown: Vec<Shown> = (0..table.columns.len()).map(natural).collect();
        let whole = shown.iter().map(|shown| shown.width + room.gap).sum::<usize>().saturating_sub(room.gap);
        let Some(width) = room.width.filter(|width| whole > *width) else {
            return Self { room, shown, left_out: Vec::new() };
        };
        let needs = (0..table.columns.len()).map(|column| Needs::of(table, column, room.one_line)).collect();
        let needs = Needed { columns: needs, width, gap: room.gap };
        let chosen = needs.chosen(table);
        let missing = (0..table.columns.len()).filter(|column| !chosen.contains(column));
        let missing = missing.filter(|column| !needs.columns[*column].empty);
        let left_out = missing.map(|column| table.columns[column].heading.clone()).collect();
        Self { room, shown: needs.widths(&chosen), left_out }
    }

    /// The lines of every heading.
    pub(super) fn headings(&self, table: &Table) -> Vec<Vec<String>> {
        self.shown.iter().map(|shown| self.lines(&table.columns[shown.column].heading, shown.width)).collect()
    }

    /// The lines of every cell, row by row.
    pub(super) fn rows(&self, table: &Table) -> Vec<Vec<Vec<String>>> {
        let mut rows: Vec<Vec<Vec<String>>> = table.rows.iter().map(|_| Vec::new()).collect();
        for Shown { column, width } in &self.shown {
            let cells = cells(table, *column);
            let lines: Vec<Vec<String>> = match table.columns[*column].kind {
                Kind::Name => match names::shortened(&cells, *width) {
                    Some(shortened) => shortened.into_iter().map(|name| vec![name]).collect(),
                    // Names that are not distinct in one line take several.
                    None if self.room.one_line => cells.iter().map(|cell| vec![names::end_of(cell, *width)]).collect(),
                    None => cells.iter().map(|cell| wrapped(cell, *width)).collect(),
                },
                Kind::Number | Kind::Text => cells.iter().map(|cell| self.lines(cell, *width)).collect(),
            };
            rows.iter_mut().zip(lines).for_each(|(row, lines)| row.push(lines));
        }
        rows
    }

    fn lines(&self, text: &str, width: usize) -> Vec<String> {
        if self.room.one_line { vec![cut(text, width)] } else { wrapped(text, width) }
    }
}

fn cells(table: &Table, column: usize) -> Vec<&str> {
    table.rows.iter().map(|row| row.cells.get(column).map_or("", String::as_str)).collect()
}

fn natural(table: &Table, column: usize) -> usize {
    let heading = table.columns[column].heading.width();
    cells(table, column).iter().map(|cell| cell.width()).fold(heading, usize::max)
}

impl Needs {
    fn of(table: &Table, column: usize, one_line: bool) -> Self {
        let (heading, kind) = (table.columns[column].heading.as_str(), table.columns[column].kind);
        let cells = cells(table, column);
        let widest = cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
        let longest_word = |text: &str| text.split(' ').map(UnicodeWidthStr::width).max().unwrap_or(0);
        let headed = if one_line { heading.width() } else { longest_word(heading) }.min(NAME_MOST);
        let (least, comfort) = match kind {
            Kind::Number => (widest, widest),
            Kind::Name => {
                let least = names::least_width(&cells, widest.min(NAME_LEAST), widest.min(NAME_MOST));
                let least = least.unwrap_or(widest.min(NAME_COMFORT));
                (least, least.max(widest.min(NAME_COMFORT)))
            }
            Kind::Text if one_line => (widest.min(SHORT_TEXT), widest.min(SHORT_TEXT)),
            Kind::Text => {
                let word = cells.iter().map(|cell| longest_word(cell)).max().unwrap_or(0);
                let least = word.min(TEXT_LEAST).max(two_lines(&cells, widest.min(TEXT_LEAST)));
                (least, if widest <= SHORT_TEXT { widest } else { least })
            }
        };
        let empty = !cells.is_empty() && cells.iter().all(|cell| cell.is_empty());
        let natural = natural(table, column);
        Self { least: least.max(headed), comfort: comfort.max(headed), natural, kind, empty }
    }
}

/// The least width, within a bound, at which no text needs more than two lines.
fn two_lines(cells: &[&str], most: usize) -> usize {
    let half = cells.iter().map(|cell| cell.width().div_ceil(2)).max().unwrap_or(0).min(most);
    (half..most).find(|width| cells.iter().all(|cell| wrapped(cell, *width).len() <= 2)).unwrap_or(most)
}

/// The needs of all columns, and the available width.
#[derive(Debug)]
struct Needed {
    columns: Vec<Needs>,
    width: usize,
    gap: usize,
}

impl Needed {
    /// The visible columns in order: all required ones, and the most important optional ones as long as all fit.
    fn chosen(&self, table: &Table) -> Vec<usize> {
        let importance = |column: &usize| {
            let heading = table.columns[*column].heading.as_str();
            table.optional.iter().rev().position(|name| *name == heading)
        };
        let (mut chosen, mut others): (Vec<usize>, Vec<usize>) =
            (0..self.columns.len()).partition(|column| importance(column).is_none());
        while chosen.len() > 1 && self.taken(&chosen, |needs| needs.least) > self.width {
            chosen.pop();
        }
        others.sort_by_key(importance);
        for column in others.into_iter().filter(|column| !self.columns[*column].empty) {
            chosen.push(column);
            if self.taken(&chosen, |needs| needs.comfort) > self.width {
                // A less important column does not replace it.
                chosen.pop();
                break;
            }
        }
        chosen.sort_unstable();
        chosen
    }

    fn taken(&self, columns: &[usize], of: impl Fn(&Needs) -> usize) -> usize {
        let columns_and_gaps = columns.iter().map(|column| of(&self.columns[*column]) + self.gap).sum::<usize>();
        columns_and_gaps.saturating_sub(self.gap)
    }

    /// Distributes the remaining width: first to short texts, then to names, to longer texts, and to headings.
    fn widths(&self, chosen: &[usize]) -> Vec<Shown> {
        let mut shown: Vec<Shown> =
            chosen.iter().map(|&column| Shown { column, width: self.columns[column].least.min(self.width) }).collect();
        let mut left = self.width.saturating_sub(self.taken(chosen, |needs| needs.least));
        let turns: [fn(&Needs) -> bool; 4] = [
            |needs| needs.kind == Kind::Text && needs.natural <= SHORT_TEXT,
            |needs| needs.kind == Kind::Name,
            |needs| needs.kind == Kind::Text,
            |needs| needs.kind == Kind::Number,
        ];
        for takes in turns {
            for one in shown.iter_mut().filter(|one| takes(&self.columns[one.column])) {
                let more = self.columns[one.column].natural.saturating_sub(one.width).min(left);
                one.width += more;
                left -= more;
            }
        }
        shown
    }
}
