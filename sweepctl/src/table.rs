//! Tables for people: headed columns, numbers to the right, as wide as the terminal and no wider.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, TableStyle, presets};

use crate::text::escape;

/// No lines but one under the header: it reads well in a terminal, a log and an issue.
const STYLE: TableStyle = presets::NOTHING;

/// Narrower than this no table is made, whatever the terminal says.
const LEAST_WIDTH: u16 = 40;

/// Columns, then rows of as many cells. Every cell is escaped.
#[derive(Debug)]
pub(crate) struct Table {
    inner: comfy_table::Table,
    numeric: Vec<bool>,
}

impl Table {
    /// Headings; one that ends in `#` heads a column of numbers, and the `#` is not shown.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let numeric: Vec<bool> = headings.iter().map(|heading| heading.ends_with('#')).collect();
        let mut inner = comfy_table::Table::new();
        inner.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
        let cells = headings.iter().zip(&numeric).map(|(heading, numeric)| {
            let cell = Cell::new(heading.trim_end_matches('#')).add_attribute(Attribute::Bold);
            aligned(cell, *numeric)
        });
        inner.set_header(cells.collect::<Vec<_>>());
        Self { inner, numeric }
    }

    pub(crate) fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.styled_row(cells, false);
    }

    /// A row that stands out, where colours are on.
    pub(crate) fn strong_row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.styled_row(cells, true);
    }

    fn styled_row<I: IntoIterator<Item = String>>(&mut self, cells: I, strong: bool) {
        let cells = cells.into_iter().zip(&self.numeric).map(|(text, numeric)| {
            let cell = aligned(Cell::new(escape(&text)), *numeric);
            if strong { cell.add_attribute(Attribute::Bold) } else { cell }
        });
        self.inner.add_row(cells.collect::<Vec<_>>());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The text: in as many columns as `COLUMNS` says, or the terminal has; elsewhere a row is a line.
    pub(crate) fn render(mut self, coloured: bool) -> String {
        let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<u16>().ok());
        let terminal = if std::io::stdout().is_terminal() { self.inner.width() } else { None };
        match asked.or(terminal) {
            Some(width) => self.inner.set_width(width.max(LEAST_WIDTH)),
            None => self.inner.set_content_arrangement(ContentArrangement::Disabled),
        };
        if coloured {
            self.inner.enforce_styling();
        } else {
            self.inner.force_no_tty();
        }
        let text = self.inner.to_string();
        text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
    }
}

fn aligned(cell: Cell, numeric: bool) -> Cell {
    cell.set_alignment(if numeric { CellAlignment::Right } else { CellAlignment::Left })
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
}
