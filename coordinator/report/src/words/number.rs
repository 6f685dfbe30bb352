//! The format of single numbers. The minus sign is U+2212; an absent value or one that is not finite is a dash.

pub use sweep_analysis::number::count;
use sweep_analysis::number::{self, fixed};
use sweep_analysis::result::{Estimate, Interval};
use sweep_spec::spec::Metric;

/// The text for an absent value.
pub const ABSENT: &str = "–";

/// The number format of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share in [0, 1], shown with four decimals.
    Share,
    /// A loss, shown with four decimals.
    Loss,
    /// A very small number, shown with an exponent.
    Small,
}

impl Unit {
    pub const fn of(metric: Metric) -> Self {
        match metric {
            Metric::ValAccuracy | Metric::TrainAccuracy => Self::Share,
            Metric::ValLoss | Metric::TrainLoss => Self::Loss,
            Metric::Ratio => Self::Small,
        }
    }

    /// A value.
    pub fn value(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => ABSENT.to_owned(),
            Self::Share | Self::Loss => minus(&fixed(value, 4)),
            Self::Small => scientific(value),
        }
    }

    /// A value that may be absent.
    pub fn maybe(self, value: Option<f64>) -> String {
        value.map_or_else(|| ABSENT.to_owned(), |value| self.value(value))
    }

    /// A difference, with its sign.
    pub fn delta(self, value: f64) -> String {
        let text = self.value(value);
        let plain =
            value.is_finite() && value > 0.0 && text.chars().any(|digit| digit.is_ascii_digit() && digit != '0');
        if plain { format!("+{text}") } else { text }
    }

    /// Mean and spread: `0.8674 ± 0.0031`.
    pub fn estimate(self, estimate: Option<Estimate>) -> String {
        let Some(estimate) = estimate else { return ABSENT.to_owned() };
        match estimate.standard_deviation {
            Some(spread) => format!("{} ± {}", self.value(estimate.mean), self.value(spread)),
            None => self.value(estimate.mean),
        }
    }

    /// `[−0.0012, 0.0301]`.
    pub fn interval(self, interval: Option<Interval>) -> String {
        interval.map_or_else(
            || ABSENT.to_owned(),
            |interval| format!("[{}, {}]", self.value(interval.low), self.value(interval.high)),
        )
    }

    /// A difference in prose: `2.1 percentage points`, `0.0310`.
    pub fn amount(self, value: f64) -> String {
        match self {
            Self::Share => format!("{} percentage points", minus(&fixed(100.0 * value, 1))),
            Self::Loss | Self::Small => self.value(value),
        }
    }

    /// An interval in prose, without the unit: `1.2 to 3.0`.
    pub fn range(self, low: f64, high: f64) -> String {
        match self {
            Self::Share => minus(&format!("{} to {}", fixed(100.0 * low, 1), fixed(100.0 * high, 1))),
            Self::Loss | Self::Small => format!("{} to {}", self.value(low), self.value(high)),
        }
    }
}

/// A metric of an epoch, with four decimals.
pub fn measured(value: f64) -> String {
    Unit::Loss.value(value)
}

/// With U+2212 as minus sign.
fn minus(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

/// `1.48e−08`, as the reference study prints its ratios.
pub fn scientific(value: f64) -> String {
    minus(&number::scientific(value, 2))
}

/// `0.031`, `< 0.001`.
pub fn p(value: Option<f64>) -> String {
    match value {
        None => ABSENT.to_owned(),
        Some(value) if !value.is_finite() => ABSENT.to_owned(),
        Some(value) if value < 0.001 => "< 0.001".to_owned(),
        Some(value) => fixed(value, 3),
    }
}

/// `p = 0.031`, `p < 0.001`.
pub fn p_said(value: f64) -> String {
    let text = p(Some(value));
    if text.starts_with('<') { format!("p {text}") } else { format!("p = {text}") }
}

/// A round number with an SI prefix: `500k`, `2M`.
pub fn round_si(number: f64) -> String {
    let (value, prefix) = match number {
        1e9.. => (number / 1e9, "G"),
        1e6.. => (number / 1e6, "M"),
        1e3.. => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let text = fixed(value, 2);
    if text.contains('e') {
        return text + prefix;
    }
    format!("{}{prefix}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Three digits and an SI prefix: `1.23 G`.
pub fn si(number: u64) -> String {
    const PREFIXES: [&str; 7] = ["", " k", " M", " G", " T", " P", " E"];
    let (mut value, mut prefix) = (number as f64, 0);
    while value >= 999.5 && prefix + 1 < PREFIXES.len() {
        value /= 1000.0;
        prefix += 1;
    }
    let decimals = if prefix == 0 || value >= 99.95 { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.decimals$}{}", PREFIXES.get(prefix).copied().unwrap_or_default())
}

/// `850 ms`, `12.4 s`, `3 min 20 s`, `2 h 5 min`.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return ABSENT.to_owned();
    }
    let whole = value.round() as u64;
    match value {
        ..0.9995 => format!("{:.0} ms", value * 1000.0),
        ..59.95 => format!("{value:.1} s"),
        ..3_599.5 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `16 times the parameters`, `0.25 times the time`; a ratio near 1 is described in words.
pub fn times_of(value: f64, what: &str) -> String {
    match value {
        _ if !value.is_finite() || value < 0.0 => format!("unknown {what}"),
        0.985..1.015 => format!("nearly the same {what}"),
        ..0.995 => format!("{} times the {what}", fixed(value, 2)),
        ..9.95 => format!("{} times the {what}", fixed(value, 1)),
        ..1e6 => format!("{} times the {what}", count(value.round() as u64)),
        _ => format!("{} times the {what}", scientific(value)),
    }
}

/// `83 %`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { minus(&number::percent(share)) } else { ABSENT.to_owned() }
}

/// A time in UTC: `2026-11-25 14:03`.
pub fn moment(unix_ms: i64) -> String {
    let minutes = unix_ms.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    // The calculation uses 400-year eras that begin on 1 March, so that the leap day is the last day of its year.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02} {:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_a_careful_person_writes_them() {
        assert_eq!(Unit::Share.value(0.867_41), "0.8674");
        assert_eq!(Unit::Share.delta(0.0211), "+0.0211");
        assert_eq!(Unit::Loss.delta(-0.5), "\u{2212}0.5000");
        assert_eq!([Unit::Share.delta(-0.000_01), Unit::Share.delta(0.000_01)], ["0.0000", "0.0000"]);
        assert_eq!([Unit::Share.value(f64::NAN), Unit::Small.maybe(None)], [ABSENT, ABSENT]);
        assert_eq!(Unit::Small.value(1.481_101e-8), "1.48e\u{2212}08");
        assert_eq!([p(Some(0.031_25)), p(Some(0.0)), p_said(1e-9)], ["0.031", "< 0.001", "p < 0.001"]);
        assert_eq!([round_si(5e5), round_si(2e6), round_si(1.5e6), round_si(700.0)], ["500k", "2M", "1.5M", "700"]);
        assert_eq!([count(0), count(6_256_392), si(6_256_392)], ["0", "6,256,392", "6.26 M"]);
        assert_eq!(times_of(16.1, "time"), "16 times the time");
        assert_eq!([times_of(0.25, "time"), times_of(1.01, "time")], ["0.25 times the time", "nearly the same time"]);
        assert_eq!([seconds(0.5), seconds(75.0), seconds(7500.0)], ["500 ms", "1 min 15 s", "2 h 5 min"]);
    }

    #[test]
    fn no_number_is_wider_than_its_bound() {
        for value in [0.0, 1e6, -1e34, 1e34, f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, -1e-9, 5e-324] {
            for text in [Unit::Loss.value(value), Unit::Share.delta(value), Unit::Small.delta(value), round_si(value)] {
                assert!(text.chars().count() <= number::widest(4) + 1, "{value:e} is {text}");
            }
        }
        assert_eq!([Unit::Loss.value(1e34), Unit::Share.delta(-1e34)], ["1.0000e+34", "\u{2212}1.0000e+34"]);
        assert_eq!([Unit::Loss.delta(1e34), Unit::Loss.delta(-1e-9)], ["+1.0000e+34", "0.0000"]);
        assert_eq!(times_of(1e34, "time"), "1.00e+34 times the time");
    }

    #[test]
    fn moments_are_right_over_leap_years_and_before_1970() {
        for (unix_ms, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_400_000, "2000-02-29 00:00"),
            (1_795_615_380_000, "2026-11-25 14:03"),
            (-1, "1969-12-31 23:59"),
            (4_107_542_400_000, "2100-03-01 00:00"),
        ] {
            assert_eq!(moment(unix_ms), text);
        }
    }
}
