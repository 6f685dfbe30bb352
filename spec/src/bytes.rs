//! Amounts of memory as people write them.

/// Bytes of a text such as `8GiB`, `512 MiB` or `1000`; Kubernetes' `8Gi` means the same. `None` for anything else, for
/// nothing, and for more than there can be.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit: u64 = match text.get(digits.len()..)?.trim() {
        "" | "B" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        "TiB" | "Ti" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_number_and_its_unit_are_read() {
        for (text, bytes) in [("8GiB", 8 << 30), ("8Gi", 8 << 30), (" 512 MiB ", 512 << 20), ("1000", 1000), ("1B", 1)]
        {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for bad in ["", "GiB", "0", "-1", "1e9", "8GB", "99999999TiB", "é", "8 potatoes"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
