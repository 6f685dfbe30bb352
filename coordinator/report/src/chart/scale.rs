//! Ranges and ticks. Ranges are never empty and never infinite, even if the values are.

/// Numbers beyond this limit are drawn at the limit, because the width of an axis must be finite too.
const LARGEST: f64 = 1e300;
/// From this value on, numbers of an axis are written with an exponent.
const EXPONENT_FROM: f64 = 1e5;
/// An axis whose numbers are all smaller than this is written with an exponent.
const EXPONENT_BELOW: f64 = 1e-3;

/// A range that contains all finite values with some margin; `None` if no value is finite.
pub(crate) fn range(values: impl Iterator<Item = f64>, room: f64) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite()).map(|value| value.clamp(-LARGEST, LARGEST));
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return None;
    }
    let width = high - low;
    // All values are equal, or so close that no number lies between them: the range shows them in the middle.
    let least = (low.abs().max(high.abs()) * 1e-12).max(1e-12);
    let pad = if width > least { width * room } else { (low.abs() * 0.05).max(1e-9) };
    Some((low - pad, high + pad))
}

/// The number format of an axis: enough decimals to tell its ticks apart, or an exponent if there would be many
/// decimals or zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AxisText {
    decimals: usize,
    exponent: bool,
}

impl AxisText {
    /// The format for an axis from `low` to `high`.
    pub(crate) fn of((low, high): (f64, f64)) -> Self {
        let largest = low.abs().max(high.abs());
        let exponent = !(EXPONENT_BELOW..EXPONENT_FROM).contains(&largest) && largest > 0.0;
        let power = |value: f64| value.log10().floor();
        let above = if exponent { power(largest) } else { 0.0 };
        // With about five ticks, their step needs one decimal more than the power of ten of the range.
        let decimals = (1.0 + above - power(high - low)).clamp(0.0, 6.0);
        Self { decimals: if decimals.is_nan() { 0 } else { decimals as usize }, exponent }
    }

    pub(crate) fn write(self, value: f64) -> String {
        let digits = self.decimals;
        let text = match self.exponent {
            _ if value == 0.0 && self.exponent => "0".to_owned(),
            false => format!("{value:.digits$}"),
            true => {
                let text = format!("{value:.digits$e}");
                let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
                let short = if digits > 0 { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
                format!("{short}e{power}")
            }
        };
        text.replace('-', "\u{2212}")
    }

    /// A difference with its sign; zero without decimals.
    pub(crate) fn signed(self, value: f64) -> String {
        match value {
            0.0 => "0".to_owned(),
            value if value > 0.0 => format!("+{}", self.write(value)),
            value => self.write(value),
        }
    }
}

/// About `about` round numbers in a range.
pub(crate) fn ticks((low, high): (f64, f64), about: usize) -> Vec<f64> {
    let width = high - low;
    if !(width.is_finite() && width > 0.0) || about == 0 {
        return Vec::new();
    }
    let raw = width / about as f64;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= raw * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step).ceil();
    let count = ((high / step).floor() - first).clamp(-1.0, 50.0) as i64;
    let round = |index: i64| {
        let tick = (first + index as f64) * step;
        if tick.abs() < step * 1e-9 { 0.0 } else { tick }
    };
    (0..=count).map(round).collect()
}

/// Round numbers of a logarithmic range: powers of ten, with 2 and 5 times them if there are few.
pub(crate) fn log_ticks((low, high): (f64, f64)) -> Vec<f64> {
    if !(low > 0.0 && high.is_finite() && low < high) {
        return Vec::new();
    }
    let exponents = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let with = |factors: &[f64]| {
        let all =
            exponents.clone().flat_map(|exponent| factors.iter().map(move |factor| factor * 10_f64.powi(exponent)));
        all.filter(|tick| (low..=high).contains(tick)).collect::<Vec<f64>>()
    };
    let decades = with(&[1.0]);
    if decades.len() >= 4 {
        return decades;
    }
    let finer = with(&[1.0, 2.0, 5.0]);
    if finer.len() >= 2 { finer } else { with(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_never_empty_or_infinite() {
        assert_eq!(range([].into_iter(), 0.1), None);
        assert_eq!(range([f64::NAN, f64::INFINITY].into_iter(), 0.1), None);
        for values in [
            vec![0.0],
            vec![0.5; 6],
            vec![1e34; 2],
            vec![1.0, 1.0 + f64::EPSILON],
            vec![0.1, f64::NAN, 0.2],
            vec![-f64::MAX, f64::MAX],
            vec![f64::MIN_POSITIVE],
        ] {
            let (low, high) = range(values.iter().copied(), 0.1).unwrap();
            assert!(low < high && low.is_finite() && high.is_finite() && (high - low).is_finite(), "{values:?}");
            let held = |value: &&f64| value.abs() <= LARGEST;
            assert!(values.iter().filter(held).all(|value| (low..=high).contains(value)), "{values:?}");
        }
    }

    #[test]
    fn the_numbers_of_an_axis_are_told_apart_and_short() {
        let written = |low: f64, high: f64| {
            let text = AxisText::of((low, high));
            ticks((low, high), 5).into_iter().map(|tick| text.write(tick)).collect::<Vec<_>>()
        };
        assert_eq!(written(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(written(0.0, 0.9), ["0.00", "0.20", "0.40", "0.60", "0.80"]);
        assert_eq!(written(0.0, 3.1), ["0.0", "1.0", "2.0", "3.0"]);
        assert_eq!(written(0.0, 340.0), ["0", "100", "200", "300"]);
        assert_eq!(written(-1e34, 1e34), ["\u{2212}1e34", "\u{2212}5e33", "0", "5e33", "1e34"]);
        assert_eq!(written(0.0, 4e-9), ["0", "1e\u{2212}9", "2e\u{2212}9", "3e\u{2212}9", "4e\u{2212}9"]);
        for (low, high) in [(-1e300, 1e300), (0.0, 1e-300), (1e15, 1e15 + 8.0), (0.86, 0.860_01), (-7.0, 1234.5)] {
            let all = written(low, high);
            assert!(all.iter().all(|text| text.chars().count() <= 13), "{all:?}");
            assert!(all.windows(2).all(|pair| pair[0] != pair[1]) || high / (high - low) > 1e5, "{all:?}");
        }
        let text = AxisText::of((-0.02, 0.05));
        assert_eq!([text.signed(0.02), text.signed(-0.02), text.signed(0.0)], ["+0.020", "\u{2212}0.020", "0"]);
    }

    #[test]
    fn ticks_are_round_few_and_inside() {
        for (low, high) in [(0.0, 1.0), (-0.031, 0.047), (0.86, 0.861), (1e-9, 3e-8), (-5e6, 2.0)] {
            let ticks = ticks((low, high), 5);
            assert!((2..=8).contains(&ticks.len()), "{low}..{high}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (low..=high).contains(tick)), "{ticks:?}");
            assert!(ticks.is_sorted());
        }
        assert_eq!(ticks((0.0, 1.0), 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks((1.0, 1.0), 5), [0.0; 0]);
        assert_eq!(ticks((0.0, f64::INFINITY), 5), [0.0; 0]);
        assert_eq!(log_ticks((7e4, 3e7)), [1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7]);
        assert!(log_ticks((1.1e6, 1.9e6)).contains(&1.5e6));
        assert_eq!(log_ticks((0.0, 10.0)), [0.0; 0]);
    }
}
