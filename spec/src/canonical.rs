//! One spelling for one value: JSON with sorted keys, no spaces, and numbers in their shortest form that reads back.
//! Hashes are taken of this and of nothing else.

use serde::Serialize;
use serde_json::Value;

/// The canonical JSON of `value`: object keys are sorted by code point, and a whole number is written the same whether
/// it was an integer or a float (`1.0` and `1` are one level).
///
/// # Errors
/// `serde_json` cannot represent the value: a map has keys that are not strings, or a number is not finite.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    write(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<(), serde_json::Error> {
    match value {
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) if float.fract() == 0.0 && float.abs() < 9.0e15 => out.push_str(&format!("{:.0}", float + 0.0)),
            _ => out.push_str(&number.to_string()),
        },
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Sorted here: whether `Map` is sorted depends on a feature that any dependency may switch on.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key)?);
                out.push(':');
                write(member, out)?;
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => out.push_str(&serde_json::to_string(value)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_numbers_are_shortest() {
        let value = serde_json::json!({ "b": [1.0, 0.1, 1e-7], "a": { "z": null, "y": true } });
        assert_eq!(to_string(&value).unwrap(), r#"{"a":{"y":true,"z":null},"b":[1,0.1,1e-7]}"#);
    }
}
