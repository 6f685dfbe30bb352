//! How costs read: times of slots, money, and how far predictions were off.

use sweep_spec::budget::Money;

use sweep_shapes::text::{duration, escape, plural};
use sweep_shapes::{Accuracy, Cost, Prediction};

/// What an hour of a slot is called, and what it costs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rate {
    pub(crate) on_gpus: bool,
    pub(crate) price: Option<Money>,
}

impl Rate {
    pub(crate) fn of(cost: &Cost) -> Self {
        Self { on_gpus: cost.on_gpus, price: cost.price_per_hour.as_deref().and_then(Money::parse) }
    }

    /// `0.52 GPU-hours`, or `40 s of one slot` where hours would be nothing but zeros.
    pub(crate) fn time(&self, seconds: f64) -> String {
        let (hours, one) = if self.on_gpus { ("GPU-hours", "GPU") } else { ("slot-hours", "slot") };
        if seconds < 360.0 {
            format!("{} of one {one}", duration(seconds))
        } else {
            format!("{:.2} {hours}", seconds / 3600.0)
        }
    }

    /// `0.52 GPU-hours (0.40 to 0.70)`: one unit for all three.
    pub(crate) fn span(&self, prediction: &Prediction) -> String {
        let Prediction { expected, low, high } = prediction;
        if *expected < 360.0 {
            return format!("{} ({} to {})", self.time(*expected), duration(*low), duration(*high));
        }
        format!("{} ({:.2} to {:.2})", self.time(*expected), low / 3600.0, high / 3600.0)
    }

    /// `1.25 usd`; nothing without a price.
    pub(crate) fn money(&self, seconds: f64) -> Option<String> {
        let price = self.price.as_ref()?;
        let unit = if price.currency.is_empty() { "" } else { " " };
        Some(format!("{:.2}{unit}{}", seconds / 3600.0 * price.amount, price.currency))
    }

    /// Both, in one.
    pub(crate) fn both(&self, seconds: f64) -> String {
        match self.money(seconds) {
            Some(money) => format!("{} ({money})", self.time(seconds)),
            None => self.time(seconds),
        }
    }
}

/// `3 min (2 min to 5 min)`.
pub(crate) fn about(prediction: &Prediction, show: impl Fn(f64) -> String) -> String {
    format!("{} ({} to {})", show(prediction.expected), show(prediction.low), show(prediction.high))
}

/// What a sweep has cost and will, in a sentence.
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
        Some(_) | None => spent,
    }
}

/// What a budget is and what it left out; nothing without one.
pub(crate) fn budget(cost: &Cost) -> Option<String> {
    let budget = cost.budget.as_ref()?;
    let mut text = escape(budget);
    if let Some(seconds) = cost.budget_slot_seconds.filter(|seconds| *seconds > 0.0) {
        text.push_str(&format!(", {:.0} % of it spent", 100.0 * cost.spent_slot_seconds / seconds));
    }
    if let Some(seeds) = seeds(&cost.left_out_seeds) {
        text.push_str(&format!("; {seeds} left out before it began"));
    }
    if cost.left_out_trials > 0 {
        text.push_str(&format!("; {} will not fit, by what is known now", plural(cost.left_out_trials, "trial")));
    }
    Some(text)
}

/// `seeds 4, 5`; nothing of none.
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

/// `predictions were off by 8 % (median), worst 31 %, over 18 trials on ...`.
pub(crate) fn accuracy(accuracy: &Accuracy) -> String {
    format!(
        "predictions were off by {:.0} % (median), worst {:.0} %, over {} on {}",
        accuracy.median * 100.0,
        accuracy.worst * 100.0,
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
