//! The only module that prints. stdout is data: a table, a text or JSON. stderr is for people: progress, hints,
//! failures.

use std::io::{self, BufWriter, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use sweep_shapes::text::is_active;

use crate::failure::Failure;
use crate::prose::fitted;
use crate::table::{Table, available_width, terminal_width};

/// The format of stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    // For people.
    #[default]
    Text,
    // For programs.
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    // On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    // Always.
    Always,
    // Never.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
}

pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const WARNING: Style = AnsiColor::Magenta.on_default();
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();

/// The output streams and their settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    color: Color,
}

impl Output {
    pub(crate) fn new(format: Format, color: Color) -> Self {
        Self { format, color }
    }

    /// Whether stdout carries JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether stderr is a terminal that can show progress bars.
    pub(crate) fn stderr_is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether a user at a capable terminal can press keys.
    pub(crate) fn is_interactive(&self) -> bool {
        let knows = std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
        knows && io::stdin().is_terminal()
    }

    /// Whether stderr is coloured.
    pub(crate) fn stderr_is_coloured(&self) -> bool {
        match self.color {
            Color::Auto => AutoStream::choice(&io::stderr()) != ColorChoice::Never,
            Color::Always => true,
            Color::Never => false,
        }
    }

    fn stdout_is_coloured(&self) -> bool {
        match self.color {
            Color::Auto => AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            Color::Always => true,
            Color::Never => false,
        }
    }

    /// Prints data as text, without styles if colours are off.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = AutoStream::new(io::stdout(), self.color.into()).lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::writing)
    }

    /// Prints data as sentences, wrapped to the width of a table.
    pub(crate) fn prose(&self, text: &str) -> Result<(), Failure> {
        self.text(&fitted(text, available_width()))
    }

    /// Prints data as a table, with a note about columns that did not fit.
    pub(crate) fn table(&self, table: Table) -> Result<(), Failure> {
        self.tables([(None, table)])
    }

    /// Prints data as tables below headings, with one note at the end about columns that did not fit.
    pub(crate) fn tables(&self, tables: impl IntoIterator<Item = (Option<String>, Table)>) -> Result<(), Failure> {
        let mut left_out: Vec<String> = Vec::new();
        for (number, (heading, table)) in tables.into_iter().enumerate() {
            let rendered = table.render(self.stdout_is_coloured());
            if let Some(heading) = heading {
                let gap = if number > 0 { "\n" } else { "" };
                self.prose(&format!("{gap}{STRONG}{heading}{STRONG:#}"))?;
            }
            self.text(&rendered.text)?;
            left_out.extend(rendered.left_out);
        }
        let mut seen = std::collections::BTreeSet::new();
        left_out.retain(|heading| seen.insert(heading.clone()));
        if !left_out.is_empty() {
            let columns = left_out.join(", ");
            self.say(&format!("columns left out: {columns}; use --output json or a wider terminal"));
        }
        Ok(())
    }

    /// Prints data as indented JSON.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let mut out = self.data();
        write_json(&mut out, PrettyFormatter::new(), value).map_err(Failure::writing)?;
        out.write_all(b"\n").and_then(|()| out.flush()).map_err(Failure::writing)
    }

    /// Prints data as one line of JSON.
    pub(crate) fn json_line<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let mut out = self.data();
        write_json(&mut out, CompactFormatter, value).map_err(Failure::writing)?;
        out.write_all(b"\n").and_then(|()| out.flush()).map_err(Failure::writing)
    }

    /// stdout itself, buffered, for incremental output.
    pub(crate) fn data(&self) -> BufWriter<io::StdoutLock<'static>> {
        BufWriter::new(io::stdout().lock())
    }

    /// Prints a message to stderr, wrapped on a terminal.
    pub(crate) fn say(&self, text: &str) {
        self.say_line(&fitted(text, terminal_width(&io::stderr())));
    }

    /// Prints an unwrapped line to stderr. A closed stderr is not a failure.
    fn say_line(&self, text: &str) {
        let mut stderr = AutoStream::new(io::stderr(), self.color.into()).lock();
        writeln!(stderr, "{text}").ok();
    }

    /// Prints a failure in the requested format.
    pub(crate) fn fail(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        if self.is_json() {
            let mut line = Vec::new();
            write_json(&mut line, CompactFormatter, &failure.report()).ok();
            self.say_line(&String::from_utf8_lossy(&line));
            return;
        }
        for line in failure.to_string().lines() {
            let mut painted = line.to_owned();
            for (word, style) in [("error:", ERROR), ("hint:", HINT)] {
                if let Some(rest) = line.strip_prefix(word) {
                    painted = format!("{style}{word}{style:#}{rest}");
                }
            }
            self.say(&painted);
        }
    }
}

/// Writes JSON in which names cannot control the terminal: escapes the control characters that `serde_json` leaves.
pub(crate) fn write_json<W: Write, F: Formatter, T: Serialize>(out: W, format: F, value: &T) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Escaping(format))).map_err(io::Error::from)
}

struct Escaping<F>(F);

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, character)| is_active(*character)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(found))?;
            rest = &rest[at + found.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }
    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }
    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }
    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }
    fn end_object_key<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_key(writer)
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }
    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_escapes_what_a_terminal_acts_on_and_reads_back() {
        let value = serde_json::json!({ "name": "a\u{9b}31m\u{202e}\u{1b}\"é" });
        let mut text = Vec::new();
        write_json(&mut text, CompactFormatter, &value).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, r#"{"name":"a\u009b31m\u202e\u001b\"é"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
