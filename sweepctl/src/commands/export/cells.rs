//! How single values stand in CSV, and how an array of JSON is written piece by piece.

use std::io::Write;

use serde::Serialize;
use serde_json::ser::CompactFormatter;
use sweep_shapes::text::escape;

use crate::failure::Failure;
use crate::output::write_json;

/// A JSON array that is written element by element, one a line.
pub(super) struct JsonArray<'a, W> {
    out: &'a mut W,
    empty: bool,
}

impl<'a, W: Write> JsonArray<'a, W> {
    pub(super) fn new(out: &'a mut W) -> Self {
        Self { out, empty: true }
    }

    pub(super) fn push<T: Serialize>(&mut self, element: &T) -> std::io::Result<()> {
        self.out.write_all(if self.empty { b"[\n" } else { b",\n" })?;
        self.empty = false;
        write_json(&mut *self.out, CompactFormatter, element)
    }

    pub(super) fn end(self) -> std::io::Result<()> {
        self.out.write_all(if self.empty { b"[]\n" } else { b"\n]\n" })
    }
}

pub(super) fn csv_failure(error: csv::Error, failed: &impl Fn(std::io::Error) -> Failure) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => failed(error),
        other => Failure::ours("cannot write a row").because(format!("{other:?}")),
    }
}

/// A number as it reads back; what is not finite is left empty.
pub(super) fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

pub(super) fn setting(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(_) | serde_json::Value::Array(_) => guard(&plain(value)),
        _ => plain(value),
    }
}

/// A setting as people write it, lists with semicolons; nothing in it is escaped.
pub(super) fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => {
            items.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(";")
        }
        other => other.to_string(),
    }
}

/// A text that no spreadsheet takes for a formula and no terminal acts on.
pub(super) fn guard(text: &str) -> String {
    let text = escape(text);
    match text.starts_with(['=', '+', '-', '@']) {
        true => format!("'{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_formula_and_no_number_is_touched() {
        assert_eq!(guard("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(guard("filters=64"), "filters=64");
        assert_eq!(setting(&serde_json::json!("@x")), "'@x");
        assert_eq!(setting(&serde_json::json!(-1.5)), "-1.5");
        assert_eq!(setting(&serde_json::json!(["coast", "forest"])), "coast;forest");
        assert_eq!([number(1e-7), number(f64::NAN)], ["0.0000001", ""]);
    }

    #[test]
    fn an_array_written_piece_by_piece_is_json() {
        for count in 0..3 {
            let mut text = Vec::new();
            let mut array = JsonArray::new(&mut text);
            for element in 0..count {
                array.push(&element).unwrap();
            }
            array.end().unwrap();
            let read: Vec<u32> = serde_json::from_slice(&text).unwrap();
            assert_eq!(read, (0..count).collect::<Vec<_>>());
        }
    }
}
