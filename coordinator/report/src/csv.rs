//! The rows as CSV: a header, then a line for each row. An absent value is empty; a number is written so that it reads
//! back unchanged.

use csv::Writer;

use crate::Error;
use crate::rows::{COLUMNS, Value, rows};
use crate::view::View;

pub(crate) fn render(view: &View<'_>) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.iter().map(|column| column.name))?;
    for row in rows(view) {
        writer.write_record(row.iter().map(cell))?;
    }
    writer.into_inner().map_err(|error| Error::Csv(error.into_error().into()))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Text(text) => text.as_deref().map(guard).unwrap_or_default(),
        Value::Whole(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        Value::Number(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        Value::Flag(flag) => flag.map(|flag| flag.to_string()).unwrap_or_default(),
    }
}

/// Changes a text so that no spreadsheet takes it for a formula. Control characters are written as escapes.
fn guard(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len() + 1);
    if text.starts_with(['=', '+', '-', '@']) {
        guarded.push('\'');
    }
    for character in text.chars() {
        if character.is_control() {
            guarded.extend(character.escape_default());
        } else {
            guarded.push(character);
        }
    }
    guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_formula_and_no_number_is_touched() {
        assert_eq!(guard("=HYPERLINK(1)\n"), "'=HYPERLINK(1)\\n");
        assert_eq!(guard("filters=64"), "filters=64");
        assert_eq!(cell(&Value::Number(Some(-1.5e-8))), "-0.000000015");
        assert_eq!([cell(&Value::Number(None)), cell(&Value::Flag(Some(true)))], ["", "true"]);
    }
}
