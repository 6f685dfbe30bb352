//! Formats a single number the same way in every sentence, table, screen, page and document. Its width is bounded: a
//! number that would be wider is written with an exponent.

/// Digits before the point of the largest number that is written without an exponent.
const MOST_DIGITS: usize = 6;

/// The most characters of `fixed` with this many decimals: sign, leading digits, point and decimals; or sign, one
/// digit, point, decimals and an exponent such as `e-324`.
pub const fn widest(decimals: usize) -> usize {
    decimals + 8
}

/// `0.8621` with four decimals. From a million on, `1.0000e+34`. A number that rounds to zero has no sign.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    let text = format!("{value:.decimals$}");
    if text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.')) {
        return text.trim_start_matches('-').to_owned();
    }
    let digits = text.trim_start_matches('-').split('.').next().unwrap_or_default().len();
    if digits > MOST_DIGITS { scientific(value, decimals) } else { text }
}

/// The same with a sign before everything that is a number.
pub fn signed(value: f64, decimals: usize) -> String {
    with_sign(fixed(value, decimals))
}

/// `1.391028e-08` with six decimals, as the reference study prints its ratios.
pub fn scientific(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    // Zero has one form.
    let text = format!("{:.decimals$e}", value + 0.0);
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `scientific` with a sign before everything that is a number.
pub fn scientific_signed(value: f64, decimals: usize) -> String {
    with_sign(scientific(value, decimals))
}

/// A p-value: `0.0312`, and `1.5e-05` where four decimals would show nothing.
pub fn probability(p: f64) -> String {
    if p > 0.0 && p < 0.0001 { scientific(p, 1) } else { fixed(p, 4) }
}

/// A share as a percentage: `83 %`. A share that is neither none nor all is not rounded to 0 or to 100.
pub fn percent(share: f64) -> String {
    match share {
        0.0..0.005 if share > 0.0 => "less than 1 %".to_owned(),
        0.995..1.0 => "more than 99 %".to_owned(),
        _ => format!("{} %", fixed(100.0 * share, 0)),
    }
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

/// `1 seed`, `6 seeds`.
pub fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

fn with_sign(text: String) -> String {
    if text.starts_with(['-', 'N']) { text } else { format!("+{text}") }
}

const fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTREMES: [f64; 16] = [
        0.0,
        -0.0,
        1.0,
        1e6,
        999_999.999_99,
        -999_999.999_99,
        1e34,
        -1e34,
        -1e-9,
        1e-9,
        f64::MIN_POSITIVE / 4.0,
        5e-324,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];

    #[test]
    fn a_number_is_never_wider_than_its_bound() {
        for value in EXTREMES.into_iter().chain([f64::NAN]) {
            for decimals in 0..=6 {
                for text in [fixed(value, decimals), signed(value, decimals), scientific(value, decimals)] {
                    assert!(text.len() <= widest(decimals), "{value:e} with {decimals} decimals is {text}");
                }
            }
        }
    }

    #[test]
    fn extremes_read_as_what_they_are() {
        let shown = |value: f64| fixed(value, 4);
        assert_eq!([shown(0.0), shown(-0.0), shown(-1e-9), shown(5e-324)], ["0.0000"; 4]);
        assert_eq!([shown(1.0), shown(999_999.0), shown(1e6)], ["1.0000", "999999.0000", "1.0000e+06"]);
        assert_eq!([shown(999_999.999_99), shown(-1e34)], ["1.0000e+06", "-1.0000e+34"]);
        assert_eq!([shown(f64::NAN), shown(f64::INFINITY), shown(f64::NEG_INFINITY)], ["NaN", "inf", "-inf"]);
        assert_eq!(fixed(1e34, 0), "1e+34");
    }

    #[test]
    fn differences_have_a_sign() {
        assert_eq!([signed(0.25, 4), signed(-0.000_01, 4), signed(-0.25, 4)], ["+0.2500", "+0.0000", "-0.2500"]);
        assert_eq!([signed(1e34, 4), signed(f64::NAN, 4), signed(f64::INFINITY, 4)], ["+1.0000e+34", "NaN", "+inf"]);
        assert_eq!([scientific_signed(1.5e-8, 3), scientific_signed(-1.5e-8, 3)], ["+1.500e-08", "-1.500e-08"]);
    }

    #[test]
    fn the_reference_s_ratios_come_out_to_their_digits() {
        assert_eq!(scientific(1.391_028e-8, 6), "1.391028e-08");
        assert_eq!(scientific(7.705_007e-7, 6), "7.705007e-07");
        assert_eq!(
            [scientific(1.0, 6), scientific(-0.0, 2), scientific(5e-324, 2)],
            ["1.000000e+00", "0.00e+00", "4.94e-324"]
        );
    }

    #[test]
    fn counts_are_grouped_and_one_is_no_plural() {
        assert_eq!([count(0), count(999), count(u64::MAX)], ["0", "999", "18,446,744,073,709,551,615"]);
        assert_eq!(
            [0, 1, 2, 1_000_000].map(|number| plural(number, "trial")),
            ["0 trials", "1 trial", "2 trials", "1,000,000 trials"]
        );
    }

    #[test]
    fn probabilities_keep_their_digits_and_shares_are_not_rounded_to_nothing_or_all() {
        let said = [0.031_25, 0.000_015, 0.0, 1.0].map(probability);
        assert_eq!(said, ["0.0312", "1.5e-05", "0.0000", "1.0000"]);
        let said = [0.0, 0.001, 0.5, 0.999, 1.0, 12.0, f64::NAN, 1e34].map(percent);
        let expected = ["0 %", "less than 1 %", "50 %", "more than 99 %", "100 %", "1200 %", "NaN %", "1e+36 %"];
        assert_eq!(said, expected);
    }
}
