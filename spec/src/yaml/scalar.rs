//! Plain scalars by YAML 1.2's core schema: null, truth values, whole numbers, other numbers, and text for the rest.

use super::Value;

/// The value of the plain scalar `text`.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let radix = |digits: &str, radix| {
        let all = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        all.then(|| i128::from_str_radix(digits, radix).map_or(Value::Float(f64::INFINITY), Value::Int))
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        // What no machine word holds is as absurd as infinity, and is refused with it.
        return text.parse().map_or_else(|_| text.parse().ok().map(Value::Float), |whole| Some(Value::Int(whole)));
    }
    looks_like_float(unsigned).then(|| text.parse().ok().map(Value::Float)).flatten()
}

/// `(\.[0-9]+ | [0-9]+ (\.[0-9]*)?) ([eE] [-+]? [0-9]+)?`
fn looks_like_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    let exponent_is_well = exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_is_well
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        format!("{:?}", resolve(text))
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, expected) in [
            ("~", "Null"),
            ("true", "Bool(true)"),
            ("yes", "Text(\"yes\")"),
            ("64", "Int(64)"),
            ("-1", "Int(-1)"),
            ("+1", "Int(1)"),
            ("007", "Int(7)"),
            ("0x1F", "Int(31)"),
            ("0o17", "Int(15)"),
            ("0x", "Text(\"0x\")"),
            ("0x-1", "Text(\"0x-1\")"),
            ("1.0e-6", "Float(1e-6)"),
            ("1e-6", "Float(1e-6)"),
            (".5", "Float(0.5)"),
            ("5.", "Float(5.0)"),
            ("-.inf", "Float(-inf)"),
            (".nan", "Float(NaN)"),
            ("nan", "Text(\"nan\")"),
            ("inf", "Text(\"inf\")"),
            (".", "Text(\".\")"),
            ("-", "Text(\"-\")"),
            ("1e", "Text(\"1e\")"),
            ("1_000", "Text(\"1_000\")"),
            ("é", "Text(\"é\")"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(shown(&"9".repeat(400)), "Float(inf)");
    }
}
