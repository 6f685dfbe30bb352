//! Formats single values: numbers, durations, sizes, and texts of users.

/// `text` with all characters escaped that a terminal would act on or hide: control characters, and those that reverse
/// or hide the text next to them.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        if is_active(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
        escaped
    })
}

/// Like `escape`, for a log: line breaks and tabs stay.
pub fn escape_log(text: &str) -> String {
    text.split('\n')
        .map(|line| line.split('\t').map(escape).collect::<Vec<_>>().join("\t"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether a terminal acts on the character instead of showing it.
pub fn is_active(character: char) -> bool {
    let turns =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    character.is_control() || turns
}

/// `6256392` as `6,256,392`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count of operations or bytes in three digits and an SI prefix: `1.23 G`.
pub fn si(number: u64) -> String {
    const PREFIXES: [&str; 7] = ["", " k", " M", " G", " T", " P", " E"];
    let mut value = number as f64;
    let mut prefix = 0;
    while value >= 999.5 && prefix + 1 < PREFIXES.len() {
        value /= 1000.0;
        prefix += 1;
    }
    let decimals = if prefix == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}{}", PREFIXES[prefix])
}

/// Bytes in three digits and a binary prefix: `1.23 GiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// Longer durations are not shown in days.
const CENTURY: f64 = 100.0 * 365.25 * 86_400.0;

/// `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".into();
    }
    if seconds > CENTURY {
        return "more than 100 years".into();
    }
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    let whole = seconds.round() as u64;
    let (large, small) = match whole {
        0..60 => return format!("{whole} s"),
        60..3_600 => ((whole / 60, "min"), (whole % 60, "s")),
        3_600..86_400 => ((whole / 3_600, "h"), (whole % 3_600 / 60, "min")),
        _ => ((whole / 86_400, "d"), (whole % 86_400 / 3_600, "h")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        _ => format!("{} {} {} {}", large.0, large.1, small.0, small.1),
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub fn now_unix_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How long ago a moment was, in milliseconds since the epoch: `3 min 20 s ago`.
pub fn ago(unix_ms: i64) -> String {
    if unix_ms <= 0 {
        return "-".into();
    }
    let seconds = ((now_unix_ms() - unix_ms) as f64 / 1000.0).max(0.0).floor();
    format!("{} ago", if seconds < 1.0 { "0 s".to_owned() } else { duration(seconds) })
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `1 trial`, `2 trials`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(0), count(999), count(6_256_392)], ["0", "999", "6,256,392"]);
        assert_eq!([si(12), si(1234), si(999_999), si(u64::MAX)], ["12", "1.23 k", "1.00 M", "18.4 E"]);
        assert_eq!([bytes(1), bytes(1536), bytes(u64::MAX)], ["1 B", "1.50 KiB", "16.0 EiB"]);
        assert_eq!([plural(1, "trial"), plural(0, "trial")], ["1 trial", "0 trials"]);
    }

    #[test]
    fn durations_read_well() {
        let said = [0.25, 0.9999, 59.6, 61.0, 3_600.0, 90_000.0].map(duration);
        assert_eq!(said, ["250 ms", "1 s", "1 min", "1 min 1 s", "1 h", "1 d 1 h"]);
        assert_eq!([duration(f64::INFINITY), duration(f64::NAN), duration(-1.0)], ["?"; 3]);
        assert_eq!([duration(0.0), duration(1e30)], ["0 ms", "more than 100 years"]);
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_gets_through() {
        assert_eq!(escape("a\u{1b}[31m\u{9b}b\u{202e}é\n"), "a\\u{1b}[31m\\u{9b}b\\u{202e}é\\n");
        assert_eq!(escape_log("a\tb\r\nc\u{7}"), "a\tb\\r\nc\\u{7}");
    }
}
