//! Values of CSV cells. Texts come from users, so they are written such that no spreadsheet evaluates them as a
//! formula.

use crate::text::escape;

/// A number with all digits; empty if it is not finite.
pub fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

pub fn setting(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(_) | serde_json::Value::Array(_) => guard(&plain(value)),
        _ => plain(value),
    }
}

/// A setting as people write it, lists with semicolons; nothing in it is escaped.
pub fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => {
            items.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(";")
        }
        other => other.to_string(),
    }
}

/// A text that no spreadsheet takes for a formula and no terminal acts on.
pub fn guard(text: &str) -> String {
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
        // A tab or a line break in front would hide the sign from us and not from a spreadsheet.
        assert_eq!([guard("\t=1"), guard("\r=1")], ["\\t=1", "\\r=1"]);
        assert_eq!(setting(&serde_json::json!("@x")), "'@x");
        assert_eq!(setting(&serde_json::json!(-1.5)), "-1.5");
        assert_eq!(setting(&serde_json::json!(["coast", "forest"])), "coast;forest");
        assert_eq!([number(1e-7), number(f64::NAN)], ["0.0000001", ""]);
    }
}
