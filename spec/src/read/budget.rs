//! Reading of `budget` and `price_per_hour`.

use super::{At, Reader};
use crate::budget::{Budget, Money};
use crate::yaml::Value;

pub(super) fn budget(at: &At<'_>, reader: &mut Reader) -> Option<Budget> {
    let budget = match &at.node.value {
        Value::Text(text) => Budget::parse(text),
        _ => None,
    };
    if budget.is_none() {
        at.expected(reader, "a budget with a unit: `20gpu-hours`, `12h`, `90min`, or `50usd` with a price_per_hour");
    }
    budget
}

/// The price of one hour of a slot: `2.50usd`, or a number.
pub(super) fn price(at: &At<'_>, reader: &mut Reader) -> Option<Money> {
    let price = match &at.node.value {
        Value::Text(text) => Money::parse(text),
        Value::Int(number) if *number > 0 => Money::parse(&number.to_string()),
        Value::Float(number) if number.is_finite() && *number > 0.0 => Money::parse(&format!("{number}")),
        _ => None,
    };
    if price.is_none() {
        at.expected(reader, "the price of one slot for an hour, such as `2.50usd`");
    }
    price
}

/// Money is worth nothing without a price in the same currency.
pub(super) fn agree(at: &At<'_>, reader: &mut Reader, budget: Option<&Budget>, price: Option<&Money>) {
    let Some(Budget::Money(money)) = budget else { return };
    match price {
        None => at.report(
            reader,
            "a budget in money needs a price".to_owned(),
            Some("set `price_per_hour`, the price of one slot for an hour".to_owned()),
        ),
        Some(price) if !price.currency.is_empty() && price.currency != money.currency => {
            at.report(
                reader,
                format!("the budget is in {} but the price is in {}", money.currency, price.currency),
                None,
            );
        }
        Some(_) => {}
    }
}
