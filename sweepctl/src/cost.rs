//! Formats costs: slot time, money, and the accuracy of predictions.

use sweep_analysis::number::{fixed, percent};
use sweep_spec::budget::Money;

use sweep_shapes::text::{duration, escape, plural};
use sweep_shapes::{Accuracy, Cost, Prediction};

/// The name and the price of an hour on a slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rate {
    pub(crate) on_gpus: bool,
    pub(crate) price: Option<Money>,
}

impl Rate {
    pub(crate) fn of(cost: &Cost) -> Self {
        Self { on_gpus: cost.on_gpus, price: cost.price_per_hour.as_deref().and_then(Money::parse) }
    }

    /// For example `0.52 GPU-hours`, or `40 s of one slot` if it rounds to zero hours.
    pub(crate) fn time(&self, seconds: f64) -> String {
        let (hours, one) = if self.on_gpus { ("GPU-hours", "GPU") } else { ("slot-hours", "slot") };
        if seconds < 360.0 {
            format!("{} of one {one}", duration(seconds))
        } else {
            format!("{} {hours}", fixed(seconds / 3600.0, 2))
        }
    }

    /// For example `0.52 GPU-hours (0.40 to 0.70)`: one unit for all three.
    pub(crate) fn span(&self, prediction: &Prediction) -> String {
        let hours = |seconds: f64| fixed(seconds / 3600.0, 2);
        let show: fn(f64) -> String = if prediction.expected < 360.0 { duration } else { hours };
        between(self.time(prediction.expected), show(prediction.low), show(prediction.high))
    }

    /// For example `1.25 usd`; `None` without a price.
    pub(crate) fn money(&self, seconds: f64) -> Option<String> {
        let price = self.price.as_ref()?;
        let unit = if price.currency.is_empty() { "" } else { " " };
        Some(format!("{}{unit}{}", fixed(seconds / 3600.0 * price.amount, 2), price.currency))
    }

    /// Time and money.
    pub(crate) fn both(&self, seconds: f64) -> String {
        match self.money(seconds) {
            Some(money) => format!("{} ({money})", self.time(seconds)),
            None => self.time(seconds),
        }
    }
}

/// For example `3 min (2 min to 5 min)`.
pub(crate) fn about(prediction: &Prediction, show: impl Fn(f64) -> String) -> String {
    between(show(prediction.expected), show(prediction.low), show(prediction.high))
}

/// Omits an interval that is a single point.
fn between(expected: String, low: String, high: String) -> String {
    if low == high { expected } else { format!("{expected} ({low} to {high})") }
}

/// The cost of a sweep so far and its forecast, in a sentence.
pub(crate) fn sentence(cost: &Cost) -> String {
    let rate = Rate::of(cost);
    let spent = rate.both(cost.spent_slot_seconds);
    match &cost.left_slot_seconds {
        Some(left) if left.expected > 0.0 => {
            let money = rate.money(left.expected).map(|money| format!(", {money}")).unwrap_or_default();
            match cost.spent_slot_seconds {
                0.0..0.5 => format!("about {}{money}", rate.span(left)),
                _ => format!("{spent} so far, about {} more{money}", rate.span(left)),
            }
        }
        // Every result was known, or nothing has begun.
        Some(_) | None if cost.spent_slot_seconds == 0.0 => "none".to_owned(),
        Some(_) | None => spent,
    }
}

/// The budget and what it excluded; `None` without one.
pub(crate) fn budget(cost: &Cost) -> Option<String> {
    let budget = cost.budget.as_ref()?;
    let mut text = escape(budget);
    if let Some(seconds) = cost.budget_slot_seconds.filter(|seconds| *seconds > 0.0) {
        text.push_str(&format!(", {} spent", percent(cost.spent_slot_seconds / seconds)));
    }
    if let Some(seeds) = seeds(&cost.left_out_seeds) {
        text.push_str(&format!("; {seeds} left out before the start"));
    }
    if cost.left_out_trials > 0 {
        text.push_str(&format!("; {} will not fit, by the current estimate", plural(cost.left_out_trials, "trial")));
    }
    Some(text)
}

/// For example `seeds 4, 5`; `None` for an empty list.
pub(crate) fn seeds(seeds: &[u64]) -> Option<String> {
    const SHOWN: usize = 8;
    let (last, rest) = seeds.split_last()?;
    if rest.is_empty() {
        return Some(format!("seed {last}"));
    }
    if seeds.len() > SHOWN {
        return Some(format!("{} seeds ({} to {last})", seeds.len(), seeds.first().unwrap_or(last)));
    }
    Some(format!("seeds {}", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")))
}

/// For example `predictions were off by 8 % (median), worst 31 %, over 18 trials on ...`.
pub(crate) fn accuracy(accuracy: &Accuracy) -> String {
    format!(
        "predictions were off by {} (median), worst {}, over {} on {}",
        percent(accuracy.median),
        percent(accuracy.worst),
        plural(accuracy.trials.into(), "trial"),
        escape(&accuracy.device)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_name_of_what_they_are_times_of() {
        let gpu = Rate { on_gpus: true, price: Money::parse("2.5usd") };
        let slot = Rate::default();
        assert_eq!(gpu.both(5400.0), "1.50 GPU-hours (3.75 usd)");
        assert_eq!((slot.both(5400.0), slot.time(40.0)), ("1.50 slot-hours".to_owned(), "40 s of one slot".to_owned()));
        assert_eq!(Rate { price: Money::parse("3"), ..slot }.money(3600.0), Some("3.00".to_owned()));
    }

    #[test]
    fn costs_are_said_at_their_extremes() {
        let rate = Rate { on_gpus: true, price: Money::parse("2.5usd") };
        let about = |expected: f64, low: f64, high: f64| rate.span(&Prediction { expected, low, high });
        assert_eq!(about(0.0, 0.0, 0.0), "0 ms of one GPU");
        assert_eq!(about(3600.0, 1800.0, 7200.0), "1.00 GPU-hours (0.50 to 2.00)");
        assert_eq!(about(1e30, 1e29, 1e31), "2.78e+26 GPU-hours (2.78e+25 to 2.78e+27)");
        assert_eq!(about(f64::NAN, f64::NAN, f64::NAN), "NaN GPU-hours");
        assert_eq!(rate.money(1e30), Some("6.94e+26 usd".to_owned()));
        let found = Accuracy { device: "a".into(), trials: 1, median: 0.0001, worst: 1e20, within: 0.9 };
        assert_eq!(
            accuracy(&found),
            "predictions were off by less than 1 % (median), worst 1e+22 %, over 1 trial on a"
        );
    }

    #[test]
    fn seeds_are_listed_while_they_are_few() {
        assert_eq!(seeds(&[]), None);
        assert_eq!(seeds(&[7]), Some("seed 7".to_owned()));
        assert_eq!(seeds(&[4, 5]), Some("seeds 4, 5".to_owned()));
        assert_eq!(seeds(&(0..20).collect::<Vec<_>>()), Some("20 seeds (0 to 19)".to_owned()));
    }

    #[test]
    fn errors_are_told_in_percent() {
        let found = Accuracy { device: "a\u{7}".into(), trials: 18, median: 0.081, worst: 0.312, within: 0.9 };
        let said = "predictions were off by 8 % (median), worst 31 %, over 18 trials on a\\u{7}";
        assert_eq!(accuracy(&found), said);
    }
}
