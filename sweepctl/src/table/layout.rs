//! Which columns of a table are shown, how wide, and what stands in each cell. Pure: the width is an argument.

use unicode_width::UnicodeWidthStr;

use super::{Kind, Table};
use crate::names;
use crate::prose::{cut, wrapped};

/// Names have at least so much room, and so much before a less important column comes.
const NAME_LEAST: usize = 12;
const NAME_COMFORT: usize = 24;
/// Text is not squeezed into less than this for the sake of another column.
const TEXT_LEAST: usize = 28;
/// A text of no more than this is shown in one line if there is any room.
const SHORT_TEXT: usize = 24;
/// No single name claims more than this from the other columns.
const NAME_MOST: usize = 40;

/// What a table is laid out for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// As many columns as a row needs, if it is not given.
    pub(super) width: Option<usize>,
    /// Columns of blanks between two columns.
    pub(super) gap: usize,
    /// A row is a line, as on a screen: text that does not fit is cut.
    pub(super) one_line: bool,
}

/// How a table is laid out.
#[derive(Debug)]
pub(super) struct Layout {
    room: Room,
    pub(super) shown: Vec<Shown>,
    /// Headings of the columns that are not.
    pub(super) left_out: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) column: usize,
    pub(super) width: usize,
}

/// What a column needs.
#[derive(Debug, Clone, Copy)]
struct Needs {
    /// With less it is not shown.
    least: usize,
    /// With less it comes before columns that are optional.
    comfort: usize,
    /// With this every cell is one line.
    natural: usize,
    kind: Kind,
    /// No cell says anything.
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
                    // What cannot be told apart in one line takes several.
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

/// The least width, within a bound, in which no text needs more than two lines.
fn two_lines(cells: &[&str], most: usize) -> usize {
    let half = cells.iter().map(|cell| cell.width().div_ceil(2)).max().unwrap_or(0).min(most);
    (half..most).find(|width| cells.iter().all(|cell| wrapped(cell, *width).len() <= 2)).unwrap_or(most)
}

/// What all columns need, and what there is.
#[derive(Debug)]
struct Needed {
    columns: Vec<Needs>,
    width: usize,
    gap: usize,
}

impl Needed {
    /// The columns that are shown, in their order: those that may not be left out, and of the others the most important for
    /// as long as everything has room.
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
                // What is less important does not come instead.
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

    /// What is left over goes to short texts first, then to names, to longer texts, and to headings.
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
