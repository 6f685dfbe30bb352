//! Configurations as levels of named factors: the factors of each family, the valid levels, and the difference of two
//! configurations. All code that writes, reads or compares levels uses this file.

use std::fmt;

use serde::Serialize;

use crate::configuration::{Cnn, Configuration, Vgg19};

/// The most convolution blocks or dense layers that a network may have.
pub const MAX_LAYERS: u64 = 64;
/// The most filters of a convolution.
pub const MAX_FILTERS: u64 = 8192;
/// The largest height and width of a convolution, in pixels.
pub const MAX_KERNEL_SIZE: u64 = 31;
/// The most outputs of a dense layer.
pub const MAX_DENSE_UNITS: u64 = 65_536;

/// A thing that varies between configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// Convolution blocks.
    ConvLayers,
    /// Output channels of every convolution.
    Filters,
    /// Height and width of every convolution, in pixels.
    KernelSize,
    /// Dense layers before the one to the classes.
    DenseLayers,
    /// Outputs of every such dense layer.
    DenseUnits,
    /// Batch normalisation on or off.
    BatchNorm,
    /// Max-pooling after every block on or off.
    MaxPool,
    /// Probability that an output of a dense layer is dropped.
    Dropout,
}

/// The type of a factor's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    /// A whole number within bounds.
    Int {
        min: u64,
        max: u64,
        /// Whether only odd numbers are meant: padding that keeps the size is then the same on both sides.
        odd: bool,
    },
    /// A number in [0, 1).
    Fraction,
}

impl Factor {
    /// Every factor of any family, in the order in which configurations list them.
    pub const ALL: [Self; 8] = [
        Self::ConvLayers,
        Self::Filters,
        Self::KernelSize,
        Self::DenseLayers,
        Self::DenseUnits,
        Self::BatchNorm,
        Self::MaxPool,
        Self::Dropout,
    ];

    /// The factor as a spec writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConvLayers => "conv_layers",
            Self::Filters => "filters",
            Self::KernelSize => "kernel_size",
            Self::DenseLayers => "dense_layers",
            Self::DenseUnits => "dense_units",
            Self::BatchNorm => "batch_norm",
            Self::MaxPool => "max_pool",
            Self::Dropout => "dropout",
        }
    }

    /// The factor of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|factor| factor.name() == name)
    }

    pub const fn kind(self) -> Kind {
        match self {
            Self::ConvLayers => Kind::Int { min: 1, max: MAX_LAYERS, odd: false },
            Self::DenseLayers => Kind::Int { min: 0, max: MAX_LAYERS, odd: false },
            Self::Filters => Kind::Int { min: 1, max: MAX_FILTERS, odd: false },
            Self::KernelSize => Kind::Int { min: 1, max: MAX_KERNEL_SIZE, odd: true },
            Self::DenseUnits => Kind::Int { min: 1, max: MAX_DENSE_UNITS, odd: false },
            Self::BatchNorm | Self::MaxPool => Kind::Bool,
            Self::Dropout => Kind::Fraction,
        }
    }

    /// `level` in this factor's own type, or nothing if it is none of its levels.
    pub fn accept(self, level: Level) -> Option<Level> {
        match (self.kind(), level) {
            (Kind::Bool, Level::Bool(_)) => Some(level),
            (Kind::Int { min, max, odd }, Level::Int(value)) => {
                ((min..=max).contains(&value) && (!odd || value % 2 == 1)).then_some(level)
            }
            (Kind::Fraction, Level::Int(0)) => Some(Level::Fraction(0.0)),
            // Adding zero makes one value of the two zeros that floats have.
            (Kind::Fraction, Level::Fraction(value)) => {
                (0.0..1.0).contains(&value).then_some(Level::Fraction(value + 0.0))
            }
            (Kind::Bool | Kind::Int { .. } | Kind::Fraction, _) => None,
        }
    }

    /// Whether one of its levels is this number.
    pub(crate) fn has(self, number: f64) -> bool {
        let whole = number >= 0.0 && number.fract() == 0.0;
        let level = match self.kind() {
            Kind::Fraction => Level::Fraction(number),
            // The conversion saturates, and what it saturates to is no level.
            Kind::Int { .. } if whole => Level::Int(number as u64),
            Kind::Int { .. } | Kind::Bool => return false,
        };
        self.accept(level).is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FactorSet(u16);

impl FactorSet {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) const fn of(factor: Factor) -> Self {
        Self(1 << factor as u16)
    }

    #[must_use]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, factor: Factor) -> bool {
        self.0 & Self::of(factor).0 != 0
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Int { min, max, odd: false } => write!(f, "a whole number from {min} to {max}"),
            Self::Int { min, max, odd: true } => write!(f, "an odd whole number from {min} to {max}"),
            Self::Fraction => f.write_str("a number from 0 up to but not including 1"),
        }
    }
}

/// A level of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Level {
    Bool(bool),
    /// A count or a size.
    Int(u64),
    /// A number in [0, 1); never NaN, never negative zero.
    Fraction(f64),
}

impl Level {
    /// A number that is another for every other level, and that grows with levels of one kind.
    pub(crate) fn key(self) -> (u8, u64) {
        match self {
            Self::Bool(value) => (0, value.into()),
            Self::Int(value) => (1, value),
            // The bits of floats that are not negative are in the order of the floats.
            Self::Fraction(value) => (2, value.to_bits()),
        }
    }

    /// The level as a number; off is 0 and on is 1.
    pub(crate) fn amount(self) -> f64 {
        match self {
            Self::Bool(value) => f64::from(u8::from(value)),
            Self::Int(value) => value as f64,
            Self::Fraction(value) => value,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Fraction(value) => write!(f, "{value}"),
        }
    }
}

/// A family of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The networks of the study.
    Cnn,
    /// The literature's model to compare with.
    Vgg19,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::Cnn, Self::Vgg19];

    /// The family as a spec writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cnn => "cnn",
            Self::Vgg19 => "vgg19",
        }
    }

    /// The factors that its configurations have, in order.
    pub const fn factors(self) -> &'static [Factor] {
        match self {
            Self::Cnn => &Factor::ALL,
            Self::Vgg19 => &[Factor::DenseLayers, Factor::DenseUnits, Factor::BatchNorm, Factor::Dropout],
        }
    }

    /// The configuration with every factor at its default.
    pub fn defaults(self) -> Configuration {
        match self {
            Self::Cnn => Configuration::Cnn(Cnn::default()),
            Self::Vgg19 => Configuration::Vgg19(Vgg19::default()),
        }
    }
}

/// A level that a configuration cannot take.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The family has no such factor.
    #[error("family `{family}` has no factor `{factor}`", family = .family.name())]
    NoSuchFactor { family: Family, factor: Factor },
    /// The factor has no such level.
    #[error("`{factor}`: expected {kind}, found {level}", kind = .factor.kind())]
    NoSuchLevel { factor: Factor, level: Level },
}

impl Configuration {
    pub const fn family(&self) -> Family {
        match self {
            Self::Cnn(_) => Family::Cnn,
            Self::Vgg19(_) => Family::Vgg19,
        }
    }

    /// The level of `factor`, or nothing if its family has no such factor.
    pub fn level(&self, factor: Factor) -> Option<Level> {
        let whole = |value: u32| Some(Level::Int(value.into()));
        match self {
            Self::Cnn(cnn) => match factor {
                Factor::ConvLayers => whole(cnn.conv_layers),
                Factor::Filters => whole(cnn.filters),
                Factor::KernelSize => whole(cnn.kernel_size),
                Factor::DenseLayers => whole(cnn.dense_layers),
                Factor::DenseUnits => whole(cnn.dense_units),
                Factor::BatchNorm => Some(Level::Bool(cnn.batch_norm)),
                Factor::MaxPool => Some(Level::Bool(cnn.max_pool)),
                Factor::Dropout => Some(Level::Fraction(cnn.dropout)),
            },
            Self::Vgg19(vgg) => match factor {
                Factor::DenseLayers => whole(vgg.dense_layers),
                Factor::DenseUnits => whole(vgg.dense_units),
                Factor::BatchNorm => Some(Level::Bool(vgg.batch_norm)),
                Factor::Dropout => Some(Level::Fraction(vgg.dropout)),
                Factor::ConvLayers | Factor::Filters | Factor::KernelSize | Factor::MaxPool => None,
            },
        }
    }

    /// Sets one factor.
    ///
    /// # Errors
    /// The family has no such factor, or the factor no such level; the configuration is then unchanged.
    pub fn set(&mut self, factor: Factor, level: Level) -> Result<(), Error> {
        let family = self.family();
        let accepted = factor.accept(level).ok_or(Error::NoSuchLevel { factor, level })?;
        let field = match self {
            Self::Cnn(cnn) => cnn.field(factor),
            Self::Vgg19(vgg) => vgg.field(factor),
        };
        match (field.ok_or(Error::NoSuchFactor { family, factor })?, accepted) {
            (Field::Bool(field), Level::Bool(value)) => *field = value,
            (Field::Fraction(field), Level::Fraction(value)) => *field = value,
            (Field::Int(field), Level::Int(value)) => {
                *field = u32::try_from(value).map_err(|_| Error::NoSuchLevel { factor, level })?;
            }
            (Field::Bool(_) | Field::Fraction(_) | Field::Int(_), _) => {
                return Err(Error::NoSuchLevel { factor, level });
            }
        }
        Ok(())
    }

    /// Every factor with its level, in order.
    pub fn levels(&self) -> Vec<(Factor, Level)> {
        let factors = self.family().factors().iter();
        factors.filter_map(|&factor| Some((factor, self.level(factor)?))).collect()
    }

    /// The difference of this configuration from `baseline`.
    pub fn difference(&self, baseline: &Self) -> Difference {
        let family = (self.family() != baseline.family()).then(|| self.family());
        // Of another family, only what is not that family's default is worth telling.
        let base = if family.is_some() { &self.family().defaults() } else { baseline };
        let levels = self.levels().into_iter().filter(|&(factor, level)| base.level(factor) != Some(level)).collect();
        Difference { family, levels }
    }
}

/// The difference of a configuration from the baseline. Its `Display` is a short label such as `filters=256
/// batch_norm=true`, or `baseline`.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The family, if it is another one.
    pub family: Option<Family>,
    /// The factors with another level; in another family, the factors that are not at its defaults.
    pub levels: Vec<(Factor, Level)>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.family.is_none() && self.levels.is_empty() {
            return f.write_str("baseline");
        }
        if let Some(family) = self.family {
            f.write_str(family.name())?;
        }
        for (index, (factor, level)) in self.levels.iter().enumerate() {
            let space = if index > 0 || self.family.is_some() { " " } else { "" };
            write!(f, "{space}{factor}={level}")?;
        }
        Ok(())
    }
}

/// The field of a configuration that has a factor's level.
enum Field<'a> {
    Bool(&'a mut bool),
    Int(&'a mut u32),
    Fraction(&'a mut f64),
}

impl Cnn {
    fn field(&mut self, factor: Factor) -> Option<Field<'_>> {
        Some(match factor {
            Factor::ConvLayers => Field::Int(&mut self.conv_layers),
            Factor::Filters => Field::Int(&mut self.filters),
            Factor::KernelSize => Field::Int(&mut self.kernel_size),
            Factor::DenseLayers => Field::Int(&mut self.dense_layers),
            Factor::DenseUnits => Field::Int(&mut self.dense_units),
            Factor::BatchNorm => Field::Bool(&mut self.batch_norm),
            Factor::MaxPool => Field::Bool(&mut self.max_pool),
            Factor::Dropout => Field::Fraction(&mut self.dropout),
        })
    }
}

impl Vgg19 {
    fn field(&mut self, factor: Factor) -> Option<Field<'_>> {
        Some(match factor {
            Factor::DenseLayers => Field::Int(&mut self.dense_layers),
            Factor::DenseUnits => Field::Int(&mut self.dense_units),
            Factor::BatchNorm => Field::Bool(&mut self.batch_norm),
            Factor::Dropout => Field::Fraction(&mut self.dropout),
            Factor::ConvLayers | Factor::Filters | Factor::KernelSize | Factor::MaxPool => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factor_of_every_family_can_be_read_and_set() {
        for family in Family::ALL {
            for &factor in family.factors() {
                assert_eq!(Factor::named(factor.name()), Some(factor));
                assert_eq!(serde_json::to_value(factor).unwrap(), factor.name());
                let level = match factor.kind() {
                    Kind::Bool => Level::Bool(true),
                    Kind::Int { .. } => Level::Int(7),
                    Kind::Fraction => Level::Fraction(0.25),
                };
                let mut configuration = family.defaults();
                configuration.set(factor, level).unwrap();
                assert_eq!(configuration.level(factor), Some(level));
                assert_eq!(configuration.difference(&family.defaults()).levels, [(factor, level)]);
            }
        }
    }

    #[test]
    fn an_invalid_level_is_refused_and_changes_nothing() {
        let mut configuration = Family::Cnn.defaults();
        for (factor, level) in [
            (Factor::Filters, Level::Int(0)),
            (Factor::Filters, Level::Int(u64::MAX)),
            (Factor::Filters, Level::Fraction(0.5)),
            (Factor::KernelSize, Level::Int(4)),
            (Factor::Dropout, Level::Fraction(1.0)),
            (Factor::Dropout, Level::Fraction(f64::NAN)),
            (Factor::MaxPool, Level::Int(1)),
        ] {
            assert!(configuration.set(factor, level).is_err(), "{factor} {level}");
        }
        assert_eq!(configuration, Family::Cnn.defaults());
        let vgg = Family::Vgg19.defaults().set(Factor::Filters, Level::Int(8));
        assert_eq!(vgg, Err(Error::NoSuchFactor { family: Family::Vgg19, factor: Factor::Filters }));
    }

    #[test]
    fn a_label_lists_the_differences() {
        let baseline = Family::Cnn.defaults();
        let mut other = baseline.clone();
        assert_eq!(other.difference(&baseline).to_string(), "baseline");
        other.set(Factor::Filters, Level::Int(256)).unwrap();
        other.set(Factor::BatchNorm, Level::Bool(true)).unwrap();
        other.set(Factor::Dropout, Level::Fraction(0.2)).unwrap();
        assert_eq!(other.difference(&baseline).to_string(), "filters=256 batch_norm=true dropout=0.2");
        let mut vgg = Family::Vgg19.defaults();
        assert_eq!(vgg.difference(&baseline).to_string(), "vgg19");
        vgg.set(Factor::DenseUnits, Level::Int(64)).unwrap();
        assert_eq!(vgg.difference(&baseline).to_string(), "vgg19 dense_units=64");
    }

    #[test]
    fn the_two_zeros_are_one_level() {
        for zero in [Level::Fraction(-0.0), Level::Int(0)] {
            let Some(Level::Fraction(value)) = Factor::Dropout.accept(zero) else { panic!("refused {zero}") };
            assert!(value.is_sign_positive());
        }
    }
}
