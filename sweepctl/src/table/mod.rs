//! Tables for people: columns with headings, numbers aligned right, no wider than the terminal. Words are not broken: a
//! column that does not fit is left out, the least important first, and a note names it.

mod layout;

use std::io::IsTerminal;
use std::os::fd::AsFd;

use sweep_shapes::text::escape;
use unicode_width::UnicodeWidthStr;

use crate::output::STRONG;
use layout::{Layout, Room};

/// The minimum width of a table, even on a narrower terminal.
const LEAST_WIDTH: usize = 40;

/// Spaces between two columns of a table; one is enough on a screen.
const GAP: usize = 2;
const SCREEN_GAP: usize = 1;

/// Columns, then rows of as many cells. Every cell is escaped.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// Columns that may be left out, by heading, the least important first.
    optional: Vec<&'static str>,
}

#[derive(Debug)]
struct Column {
    heading: String,
    kind: Kind,
}

/// How a cell that does not fit is shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Not at all; aligned right.
    Number,
    /// Shortened so that it stays distinct from its neighbours.
    Name,
    /// Wrapped at spaces.
    Text,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    strong: bool,
}

/// A table as text.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Headings of the columns that did not fit.
    pub(crate) left_out: Vec<String>,
}

/// A table with one line per row: each text is as wide as its column.
#[derive(Debug)]
pub(crate) struct Grid {
    /// The visible columns.
    pub(crate) columns: Vec<usize>,
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// Headings; a trailing `#` marks a column of numbers and is not shown.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let column = |heading: &&str| Column {
            heading: escape(heading.trim_end_matches('#')),
            kind: if heading.ends_with('#') { Kind::Number } else { Kind::Text },
        };
        Self { columns: headings.iter().map(column).collect(), rows: Vec::new(), optional: Vec::new() }
    }

    /// Headings of columns of names, which may be shortened.
    pub(crate) fn names(mut self, headings: &[&str]) -> Self {
        let headings: Vec<String> = headings.iter().map(|heading| escape(heading)).collect();
        for column in self.columns.iter_mut().filter(|column| headings.contains(&column.heading)) {
            column.kind = Kind::Name;
        }
        self
    }

    /// Headings of columns that may be left out, the least important first.
    pub(crate) fn optional(mut self, headings: &[&'static str]) -> Self {
        self.optional.extend(headings);
        self
    }

    pub(crate) fn row<I: IntoIterator<Item: Into<String>>>(&mut self, cells: I) {
        self.push(cells, false);
    }

    /// A row in bold, if colours are on.
    pub(crate) fn strong_row<I: IntoIterator<Item: Into<String>>>(&mut self, cells: I) {
        self.push(cells, true);
    }

    fn push<I: IntoIterator<Item: Into<String>>>(&mut self, cells: I, strong: bool) {
        let cells = cells.into_iter().map(|cell| escape(&cell.into())).collect();
        self.rows.push(Row { cells, strong });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, at most as wide as the terminal; elsewhere with one line per row.
    pub(crate) fn render(&self, coloured: bool) -> Rendered {
        self.render_in(available_width(), coloured)
    }

    fn render_in(&self, width: Option<usize>, coloured: bool) -> Rendered {
        let width = width.map(|width| width.max(LEAST_WIDTH));
        let layout = Layout::of(self, Room { width, gap: GAP, one_line: false });
        let mut lines = Vec::new();
        self.push_lines(&layout, layout.headings(self), coloured, &mut lines);
        for (cells, row) in layout.rows(self).into_iter().zip(&self.rows) {
            self.push_lines(&layout, cells, coloured && row.strong, &mut lines);
        }
        Rendered { text: lines.join("\n"), left_out: layout.left_out }
    }

    /// The table on a screen with `width` columns.
    pub(crate) fn grid(&self, width: usize) -> Grid {
        let layout = Layout::of(self, Room { width: Some(width), gap: SCREEN_GAP, one_line: true });
        let padded = |cells: Vec<Vec<String>>| {
            let cells = cells.into_iter().zip(&layout.shown);
            cells.map(|(cell, shown)| self.padded(&cell.concat(), shown.column, shown.width)).collect()
        };
        Grid {
            columns: layout.shown.iter().map(|shown| shown.column).collect(),
            headings: padded(layout.headings(self)),
            rows: layout.rows(self).into_iter().map(padded).collect(),
        }
    }

    fn padded(&self, text: &str, column: usize, width: usize) -> String {
        let blanks = " ".repeat(width.saturating_sub(text.width()));
        match self.columns[column].kind {
            Kind::Number => blanks + text,
            Kind::Name | Kind::Text => text.to_owned() + &blanks,
        }
    }

    /// Adds the lines of a row.
    fn push_lines(&self, layout: &Layout, cells: Vec<Vec<String>>, strong: bool, lines: &mut Vec<String>) {
        let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for number in 0..height {
            let mut line = String::new();
            for (place, (cell, shown)) in cells.iter().zip(&layout.shown).enumerate() {
                if place > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                let text = cell.get(number).map_or("", String::as_str);
                line.push_str(&self.padded(text, shown.column, shown.width));
            }
            let line = line.trim_end();
            lines.push(if strong { format!("{STRONG}{line}{STRONG:#}") } else { line.to_owned() });
        }
    }
}

/// The width of stdout: `COLUMNS`, or the terminal's; `None` for a file or a pipe.
pub(crate) fn available_width() -> Option<usize> {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<u16>().ok());
    asked.map(usize::from).or_else(|| terminal_width(&std::io::stdout()))
}

/// The width of the terminal behind a stream.
pub(crate) fn terminal_width(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let size = stream.is_terminal().then(|| rustix::termios::tcgetwinsize(stream.as_fd()).ok())??;
    // A terminal of unknown size reports 0.
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nine configurations as on a leaderboard.
    fn board() -> Table {
        let headings = ["rank#", "configuration", "train acc#", "val acc#", "params#", "delta#", "verdict"];
        let mut table = Table::new(&headings).names(&["configuration"]).optional(&["train acc", "params", "delta"]);
        for number in 0..9 {
            let verdict = ["helps", "no difference shown", "-"][number % 3];
            table.row([
                (number + 1).to_string(),
                format!("conv_layers=4 batch_norm=true max_pool=false dropout=0.{number}"),
                "0.9000 ± 0.0040".to_owned(),
                "0.8463 ± 0.0040".to_owned(),
                "6,256,392".to_owned(),
                "+0.0453".to_owned(),
                verdict.to_owned(),
            ]);
        }
        table
    }

    #[test]
    fn numbers_stand_to_the_right_and_names_cannot_paint() {
        let mut table = Table::new(&["name", "params#"]);
        table.row(["a\u{1b}[0m", "9"]);
        table.row(["b", "1,000"]);
        assert!(!table.is_empty());
        let shown = table.render_in(None, false);
        assert_eq!(shown.text, "name        params\na\\u{1b}[0m       9\nb            1,000");
        assert!(shown.left_out.is_empty());
    }

    #[test]
    fn a_row_that_stands_out_stands_where_the_others_do() {
        let mut table = Table::new(&["a", "b"]);
        table.strong_row(["1", "2"]);
        table.row(["3", "4"]);
        assert_eq!(table.render_in(None, true).text, "\u{1b}[1ma  b\u{1b}[0m\n\u{1b}[1m1  2\u{1b}[0m\n3  4");
    }

    #[test]
    fn at_every_width_no_line_is_wider_no_number_is_broken_and_all_names_differ() {
        let table = board();
        for width in 40..200 {
            let Rendered { text, left_out } = table.render_in(Some(width), false);
            for line in text.lines() {
                assert!(line.width() <= width, "{width}:\n{text}");
            }
            assert_eq!(text.matches("0.8463 ± 0.0040").count(), 9, "{width}:\n{text}");
            for number in 0..9 {
                assert_eq!(text.matches(&format!("dropout=0.{number}")).count(), 1, "{width}:\n{text}");
            }
            assert!(left_out.iter().all(|heading| table.optional.contains(&heading.as_str())) || width < 60, "{width}");
        }
    }

    #[test]
    fn columns_leave_by_importance_and_come_back_with_the_room() {
        let table = board();
        let left_out = |width| table.render_in(Some(width), false).left_out;
        assert_eq!(left_out(60), ["train acc", "params", "delta"]);
        assert_eq!(left_out(80), ["train acc", "params"]);
        assert_eq!(left_out(200), Vec::<String>::new());
        let lines = table.render_in(Some(80), false).text.lines().count();
        assert!((10..=19).contains(&lines), "{lines} lines");
    }

    #[test]
    fn long_words_are_shortened_and_sentences_are_broken_at_blanks() {
        let mut table = Table::new(&["when", "what"]);
        table.row(["now", "the device has 8 GiB, 9 were asked for by a trial that asks for too much of it"]);
        table.row(["then", &"x".repeat(100)]);
        let text = table.render_in(Some(40), false).text;
        let expected = format!(
            "when  what\nnow   the device has 8 GiB, 9 were asked\n      for by a trial that asks for too\n      much of it\nthen  …{}",
            "x".repeat(33)
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_table_that_cannot_fit_loses_its_last_columns_and_says_so() {
        let mut table = Table::new(&["one#", "two#", "three#"]);
        table.row(["1".repeat(20), "2".repeat(20), "3".repeat(20)]);
        let shown = table.render_in(Some(50), false);
        assert_eq!(shown.left_out, ["three"]);
        assert!(shown.text.contains(&"2".repeat(20)) && !shown.text.contains('3'));
    }
}
