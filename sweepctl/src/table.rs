//! Tables for people: headed columns, numbers to the right, as wide as the terminal and no wider.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, TableStyle, Width, presets};

use sweep_shapes::text::escape;

/// No lines but one under the header: it reads well in a terminal, a log and an issue.
const STYLE: TableStyle = presets::NOTHING;

/// Narrower than this no table is made, whatever the terminal says.
const LEAST_WIDTH: u16 = 40;

/// Columns, then rows of as many cells. Every cell is escaped, line by line.
#[derive(Debug)]
pub(crate) struct Table {
    inner: comfy_table::Table,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    numeric: bool,
    /// Its longest word so far: numbers are not broken.
    longest_word: usize,
}

/// The lines of a cell.
pub(crate) struct Lines(Vec<String>);

impl From<String> for Lines {
    fn from(text: String) -> Self {
        Self(vec![text])
    }
}

impl<const LINES: usize> From<[String; LINES]> for Lines {
    fn from(lines: [String; LINES]) -> Self {
        Self(lines.into())
    }
}

impl Table {
    /// Headings; one that ends in `#` heads a column of numbers, and the `#` is not shown.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
        let column = |heading: &&str| Column { numeric: heading.ends_with('#'), longest_word: 0 };
        let mut table = Self { inner, columns: headings.iter().map(column).collect() };
        let headings = headings.iter().map(|heading| heading.trim_end_matches('#').to_owned());
        let header = table.cells(headings, true);
        table.inner.set_header(header);
        table
    }

    pub(crate) fn row<I: IntoIterator<Item: Into<Lines>>>(&mut self, cells: I) {
        let cells = self.cells(cells, false);
        self.inner.add_row(cells);
    }

    /// A row that stands out, where colours are on.
    pub(crate) fn strong_row<I: IntoIterator<Item: Into<Lines>>>(&mut self, cells: I) {
        let cells = self.cells(cells, true);
        self.inner.add_row(cells);
    }

    fn cells<I: IntoIterator<Item: Into<Lines>>>(&mut self, cells: I, strong: bool) -> Vec<Cell> {
        let cell = |(lines, column): (I::Item, &mut Column)| {
            let lines: Vec<String> = lines.into().0.iter().map(|line| escape(line)).collect();
            let words = lines.iter().flat_map(|line| line.split(' ')).map(|word| word.chars().count());
            column.longest_word = words.fold(column.longest_word, usize::max);
            let alignment = if column.numeric { CellAlignment::Right } else { CellAlignment::Left };
            let cell = Cell::new(lines.join("\n")).set_alignment(alignment);
            if strong { cell.add_attribute(Attribute::Bold) } else { cell }
        };
        cells.into_iter().zip(&mut self.columns).map(cell).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The text: in as many columns as there are; elsewhere a row is a line.
    pub(crate) fn render(mut self, coloured: bool) -> String {
        match available_width() {
            Some(width) => {
                self.inner.set_width(width);
                for (column, shown) in self.columns.iter().zip(self.inner.column_iter_mut()) {
                    if column.numeric {
                        let least = u16::try_from(column.longest_word).unwrap_or(u16::MAX);
                        let least = least.saturating_add(shown.padding_width());
                        shown.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
                    }
                }
            }
            None => {
                self.inner.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        if coloured {
            self.inner.enforce_styling();
        } else {
            self.inner.force_no_tty();
        }
        let text = self.inner.to_string();
        text.lines().map(without_margin).collect::<Vec<_>>().join("\n")
    }
}

/// A line without the blank that every row begins with, also where its style stands before that.
fn without_margin(line: &str) -> String {
    let style = if line.starts_with('\u{1b}') { line.find('m').map_or(0, |end| end + 1) } else { 0 };
    let (style, text) = line.split_at(style);
    format!("{style}{}", text.strip_prefix(' ').unwrap_or(text).trim_end())
}

/// How many columns of characters there are: what `COLUMNS` says, or what the terminal has; nothing in a file or a pipe.
pub(crate) fn available_width() -> Option<u16> {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<u16>().ok());
    let terminal = || if std::io::stdout().is_terminal() { comfy_table::Table::new().width() } else { None };
    asked.or_else(terminal).map(|width| width.max(LEAST_WIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_names_cannot_paint() {
        let mut table = Table::new(&["name", "params#"]);
        table.row(["a\u{1b}[0m".to_owned(), "9".to_owned()]);
        table.row(["b".to_owned(), "1,000".to_owned()]);
        assert!(!table.is_empty());
        let text = table.render(false);
        assert_eq!(text, "name        params\na\\u{1b}[0m       9\nb            1,000");
    }

    #[test]
    fn a_row_that_stands_out_stands_where_the_others_do() {
        assert_eq!(without_margin(" a  b "), "a  b");
        assert_eq!(without_margin("\u{1b}[1m a\u{1b}[0m"), "\u{1b}[1ma\u{1b}[0m");
        assert_eq!(without_margin("a"), "a");
    }
}
