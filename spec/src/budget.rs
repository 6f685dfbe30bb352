//! The budget of a sweep: time of slots, or money at a given price.

use std::fmt;

use serde::{Serialize, Serializer};

/// The longest budget in hours, a little over a hundred thousand years.
const MOST: f64 = 1e9;

#[derive(Debug, Clone, PartialEq)]
pub enum Budget {
    /// Hours of slots. A slot is a GPU, a share of one, or a number of CPU threads.
    Hours(f64),
    /// Money, at the sweep's price.
    Money(Money),
}

/// An amount of a currency.
#[derive(Debug, Clone, PartialEq)]
pub struct Money {
    pub amount: f64,
    /// Three letters in lower case, such as `usd`; empty where none was named.
    pub currency: String,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.amount, self.currency)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hours(hours) => write!(f, "{hours}h"),
            Self::Money(money) => money.fmt(f),
        }
    }
}

impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A positive number and its suffix in lower case.
fn parts(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let end = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= MOST)?;
    Some((number, unit.trim().to_ascii_lowercase()))
}

fn is_currency(unit: &str) -> bool {
    unit.len() == 3 && unit.bytes().all(|letter| letter.is_ascii_lowercase()) && unit != "min"
}

impl Money {
    /// Reads `2.50usd`, or a number alone.
    pub fn parse(text: &str) -> Option<Self> {
        let (amount, currency) = parts(text)?;
        (currency.is_empty() || is_currency(&currency)).then_some(Self { amount, currency })
    }
}

impl Budget {
    /// Reads `20gpu-hours`, `12h`, `90min` or `50usd`.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = parts(text)?;
        match unit.as_str() {
            "h" | "hour" | "hours" | "gpu-hour" | "gpu-hours" | "slot-hour" | "slot-hours" => Some(Self::Hours(number)),
            "min" | "minute" | "minutes" => Some(Self::Hours(number / 60.0)),
            "s" | "second" | "seconds" => Some(Self::Hours(number / 3600.0)),
            "d" | "day" | "days" => Some(Self::Hours(number * 24.0)),
            unit if is_currency(unit) => Some(Self::Money(Money { amount: number, currency: unit.to_owned() })),
            _ => None,
        }
    }

    /// As seconds of slots, at a price for an hour of one. Nothing for money without a price.
    pub fn slot_seconds(&self, price_per_hour: Option<&Money>) -> Option<f64> {
        match self {
            Self::Hours(hours) => Some(hours * 3600.0),
            Self::Money(money) => price_per_hour.map(|price| money.amount / price.amount * 3600.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_hours_or_money() {
        let hours = |text: &str| match Budget::parse(text) {
            Some(Budget::Hours(hours)) => hours,
            other => panic!("{text}: {other:?}"),
        };
        let found = ["20gpu-hours", "12h", "90 min", "1d", "36s", "0.5 slot-hours"].map(hours);
        assert_eq!(found, [20.0, 12.0, 1.5, 24.0, 0.01, 0.5]);
        let price = Money::parse("2.5USD").unwrap();
        let money = Budget::parse("50usd").unwrap();
        assert_eq!((money.slot_seconds(Some(&price)), money.slot_seconds(None)), (Some(72_000.0), None));
        assert_eq!(Money::parse("3").map(|price| price.currency), Some(String::new()));
        for wrong in ["", "h", "-1h", "0h", "NaNh", "1e9", "20", "1 fortnight", "2h30", "infh", "99999999999h", "ħ"] {
            assert_eq!(Budget::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_budget_reads_back_what_it_writes() {
        for text in ["20h", "0.25h", "50usd"] {
            assert_eq!(Budget::parse(text).unwrap().to_string(), text);
        }
    }
}
