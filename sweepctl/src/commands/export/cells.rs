//! Writes a JSON array element by element, and converts errors of CSV rows.

use std::io::Write;

use serde::Serialize;
use serde_json::ser::CompactFormatter;

use crate::failure::Failure;
use crate::output::write_json;

/// A JSON array that is written element by element, one per line.
pub(in crate::commands) struct JsonArray<'a, W> {
    out: &'a mut W,
    empty: bool,
}

impl<'a, W: Write> JsonArray<'a, W> {
    pub(in crate::commands) fn new(out: &'a mut W) -> Self {
        Self { out, empty: true }
    }

    pub(in crate::commands) fn push<T: Serialize>(&mut self, element: &T) -> std::io::Result<()> {
        self.out.write_all(if self.empty { b"[\n" } else { b",\n" })?;
        self.empty = false;
        write_json(&mut *self.out, CompactFormatter, element)
    }

    pub(in crate::commands) fn end(self) -> std::io::Result<()> {
        self.out.write_all(if self.empty { b"[]\n" } else { b"\n]\n" })
    }
}

pub(super) fn csv_failure(error: csv::Error, failed: &impl Fn(std::io::Error) -> Failure) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => failed(error),
        other => Failure::internal("cannot write a row").because(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
