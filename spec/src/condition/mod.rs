//! Conditions over factors, as in `where` and `only_if`. A condition is parsed once and checked against the family's
//! factors and their kinds. After that, its evaluation cannot fail or take long.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::configuration::Configuration;
use crate::levels::{Factor, FactorSet, Level};

pub(crate) use parse::parse;

/// A condition on a configuration. Its `Display` is the shortest text that parses to the same condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// At least two, of which one is true.
    Any(Vec<Condition>),
    /// At least two, all of which are true.
    All(Vec<Condition>),
    Not(Box<Condition>),
    /// A factor against a value or another factor.
    Compare {
        left: Operand,
        comparison: Comparison,
        right: Operand,
    },
    /// A factor has one of these values. At least one.
    In {
        factor: Factor,
        values: Vec<Operand>,
    },
}

/// A side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operand {
    /// The factor's level in the configuration.
    Factor(Factor),
    Bool(bool),
    Number(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// Every comparison, those of two letters first.
    pub(crate) const ALL: [Self; 6] = [Self::Equal, Self::Unequal, Self::AtMost, Self::AtLeast, Self::Less, Self::More];

    /// The comparison as a condition writes it.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
        }
    }
}

impl Operand {
    /// Its value as a number: off is 0 and on is 1. Nothing where the configuration's family has no such factor.
    fn value(self, configuration: &Configuration) -> Option<f64> {
        let level = match self {
            Self::Number(value) => return Some(value),
            Self::Bool(value) => Level::Bool(value),
            Self::Factor(factor) => configuration.level(factor)?,
        };
        Some(level.amount())
    }
}

impl Condition {
    /// Whether it is true for `configuration`. A comparison with a factor that its family lacks is false.
    pub fn holds(&self, configuration: &Configuration) -> bool {
        match self {
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(configuration)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(configuration)),
            Self::Not(condition) => !condition.holds(configuration),
            Self::Compare { left, comparison, right } => {
                match (left.value(configuration), right.value(configuration)) {
                    (Some(left), Some(right)) => comparison.holds(left, right),
                    _ => false,
                }
            }
            Self::In { factor, values } => {
                let level = Operand::Factor(*factor).value(configuration);
                level.is_some() && values.iter().any(|value| value.value(configuration) == level)
            }
        }
    }

    /// The factors that it looks at.
    pub(crate) fn factors(&self) -> FactorSet {
        let of = |operand: &Operand| match operand {
            Operand::Factor(factor) => FactorSet::of(*factor),
            Operand::Bool(_) | Operand::Number(_) => FactorSet::EMPTY,
        };
        match self {
            Self::Any(conditions) | Self::All(conditions) => {
                conditions.iter().fold(FactorSet::EMPTY, |all, condition| all.with(condition.factors()))
            }
            Self::Not(condition) => condition.factors(),
            Self::Compare { left, right, .. } => of(left).with(of(right)),
            Self::In { factor, .. } => FactorSet::of(*factor),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "{factor}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, conditions: &[Self], word: &str| {
            for (index, condition) in conditions.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                match condition {
                    Self::Any(_) | Self::All(_) => write!(f, "({condition})")?,
                    Self::Not(_) | Self::Compare { .. } | Self::In { .. } => write!(f, "{condition}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Any(conditions) => joined(f, conditions, "or"),
            Self::All(conditions) => joined(f, conditions, "and"),
            Self::Not(condition) => match **condition {
                Self::Any(_) | Self::All(_) => write!(f, "not ({condition})"),
                Self::Not(_) | Self::Compare { .. } | Self::In { .. } => write!(f, "not {condition}"),
            },
            Self::Compare { left, comparison: Comparison::Equal, right: Operand::Bool(true) } => write!(f, "{left}"),
            Self::Compare { left, comparison, right } => write!(f, "{left} {} {right}", comparison.symbol()),
            Self::In { factor, values } => {
                let values: Vec<String> = values.iter().map(Operand::to_string).collect();
                write!(f, "{factor} in [{}]", values.join(", "))
            }
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
