//! Text of a given width, bars, and sparklines.

use sweep_shapes::text::escape;
use unicode_width::UnicodeWidthStr;

use crate::names::end_of;
use crate::prose::cut;

/// From low to high.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The width of a text in columns.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The part of a text that fits, escaped, with `…` for the rest. Words are broken only if necessary.
pub(super) fn fit(text: &str, columns: usize) -> String {
    cut(&escape(text), columns)
}

/// The end of a name, escaped.
pub(super) fn fit_name(name: &str, columns: usize) -> String {
    end_of(&escape(name), columns)
}

/// As many whole parts of a sentence as fit, and at least the beginning of the first.
pub(super) fn fit_parts(parts: &[String], columns: usize) -> String {
    let joined = |count: usize| escape(&parts[..count].join("; "));
    let whole = (1..=parts.len()).rev().map(joined).find(|text| text.width() <= columns);
    whole.unwrap_or_else(|| fit(parts.first().map_or("", String::as_str), columns))
}

/// Fitted, and padded with spaces on the right.
pub(super) fn left(text: &str, columns: usize) -> String {
    let fitted = fit(text, columns);
    let blanks = columns.saturating_sub(fitted.width());
    fitted + &" ".repeat(blanks)
}

/// How many columns a fraction fills, halves rounded down; all of them only at 1.
pub(super) fn filled(share: f64, columns: usize) -> usize {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    ((share * columns as f64) as usize).min(columns)
}

/// A sparkline: each column is the mean of its part, between the curve's minimum and maximum.
pub(super) fn spark(values: &[f64], columns: usize) -> String {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if values.is_empty() || columns == 0 {
        return String::new();
    }
    let columns = columns.min(values.len());
    let part = |column: usize| {
        let (begin, end) = (column * values.len() / columns, (column + 1) * values.len() / columns);
        let part = &values[begin..end];
        part.iter().sum::<f64>() / part.len() as f64
    };
    let parts: Vec<f64> = (0..columns).map(part).collect();
    let least = parts.iter().copied().fold(f64::INFINITY, f64::min);
    let most = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let level = |value: &f64| {
        if most <= least {
            return LEVELS[3];
        }
        LEVELS[(((value - least) / (most - least)) * 7.0).round().clamp(0.0, 7.0) as usize]
    };
    parts.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_says_so_and_wide_letters_count_twice() {
        assert_eq!(fit("filters=64", 10), "filters=64");
        assert_eq!(fit("filters=64", 7), "filter…");
        assert_eq!(fit("図書館", 6), "図書館");
        assert_eq!(fit("図書館", 5), "図書…");
        assert_eq!(fit("図書館", 4), "図…");
        assert_eq!(fit("a", 0), "");
        assert_eq!(left("図", 4), "図  ");
        assert_eq!(fit("a\u{1b}[2J", 20), "a\\u{1b}[2J", "nothing paints the screen but the screen");
        assert_eq!(width("e\u{301}"), 1);
    }

    #[test]
    fn names_keep_their_ends_and_sentences_whole_parts() {
        assert_eq!([fit_name("conv_layers=4 filters=64", 12), fit_name("a\u{7}", 4)], ["… filters=64", "…{7}"]);
        let parts = ["28 of 60 ended", "epoch 2,950 of 6,000", "30 min of slots spent"].map(str::to_owned);
        assert_eq!(fit_parts(&parts, 80), "28 of 60 ended; epoch 2,950 of 6,000; 30 min of slots spent");
        assert_eq!(
            [fit_parts(&parts, 50), fit_parts(&parts, 12)],
            ["28 of 60 ended; epoch 2,950 of 6,000", "28 of 60 …"]
        );
        assert_eq!(fit_parts(&[], 10), "");
    }

    #[test]
    fn a_curve_goes_from_its_least_to_its_most() {
        assert_eq!(spark(&[0.1, 0.2, 0.9], 10), "▁▂█");
        assert_eq!(spark(&[0.5; 3], 10), "▄▄▄");
        assert_eq!(spark(&[0.0, 0.0, 1.0, 1.0], 2), "▁█");
        assert_eq!(spark(&[f64::NAN], 10), "");
        assert_eq!(spark(&[], 10), "");
    }

    #[test]
    fn a_bar_is_full_at_the_end_only() {
        assert_eq!([filled(0.0, 10), filled(0.999, 10), filled(1.0, 10), filled(f64::NAN, 10)], [0, 9, 10, 0]);
    }
}
