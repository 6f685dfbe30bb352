//! Configurations as levels of named factors: which factors each family has, which levels are sane, and what makes two
//! configurations different. Everything that varies is written, read and compared through this room.

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

/// What the levels of a factor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds.
    Whole {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// Whether only odd numbers are meant: padding that keeps the size is then the same on both sides.
        odd: bool,
    },
    /// A number in [0, 1).
    Share,
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

    /// What its levels are.
    pub const fn kind(self) -> Kind {
        match self {
            Self::ConvLayers => Kind::Whole { min: 1, max: MAX_LAYERS, odd: false },
            Self::DenseLayers => Kind::Whole { min: 0, max: MAX_LAYERS, odd: false },
            Self::Filters => Kind::Whole { min: 1, max: MAX_FILTERS, odd: false },
            Self::KernelSize => Kind::Whole { min: 1, max: MAX_KERNEL_SIZE, odd: true },
            Self::DenseUnits => Kind::Whole { min: 1, max: MAX_DENSE_UNITS, odd: false },
            Self::BatchNorm | Self::MaxPool => Kind::Switch,
            Self::Dropout => Kind::Share,
        }
    }

    /// `level` in this factor's own type, or nothing if it is none of its levels.
    pub fn accept(self, level: Level) -> Option<Level> {
        match (self.kind(), level) {
            (Kind::Switch, Level::Switch(_)) => Some(level),
            (Kind::Whole { min, max, odd }, Level::Whole(value)) => {
                ((min..=max).contains(&value) && (!odd || value % 2 == 1)).then_some(level)
            }
            (Kind::Share, Level::Whole(0)) => Some(Level::Share(0.0)),
            // Adding zero makes one value of the two zeros that floats have.
            (Kind::Share, Level::Share(value)) => (0.0..1.0).contains(&value).then_some(Level::Share(value + 0.0)),
            (Kind::Switch | Kind::Whole { .. } | Kind::Share, _) => None,
        }
    }

    /// Whether one of its levels is this number.
    pub(crate) fn has(self, number: f64) -> bool {
        let whole = number >= 0.0 && number.fract() == 0.0;
        let level = match self.kind() {
            Kind::Share => Level::Share(number),
            // The conversion saturates, and what it saturates to is no level.
            Kind::Whole { .. } if whole => Level::Whole(number as u64),
            Kind::Whole { .. } | Kind::Switch => return false,
        };
        self.accept(level).is_some()
    }
}

/// A set of factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FactorSet(u16);

impl FactorSet {
    /// None.
    pub(crate) const EMPTY: Self = Self(0);

    /// One.
    pub(crate) const fn of(factor: Factor) -> Self {
        Self(1 << factor as u16)
    }

    /// These and those.
    #[must_use]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the factor is one of them.
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
            Self::Switch => f.write_str("true or false"),
            Self::Whole { min, max, odd: false } => write!(f, "a whole number from {min} to {max}"),
            Self::Whole { min, max, odd: true } => write!(f, "an odd whole number from {min} to {max}"),
            Self::Share => f.write_str("a number from 0 up to but not including 1"),
        }
    }
}

/// One value of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Level {
    /// On or off.
    Switch(bool),
    /// A count or a size.
    Whole(u64),
    /// A number in [0, 1); never NaN, never negative zero.
    Share(f64),
}

impl Level {
    /// A number that is another for every other level, and that grows with levels of one kind.
    pub(crate) fn key(self) -> (u8, u64) {
        match self {
            Self::Switch(value) => (0, value.into()),
            Self::Whole(value) => (1, value),
            // The bits of floats that are not negative are in the order of the floats.
            Self::Share(value) => (2, value.to_bits()),
        }
    }

    /// The level as a number; off is 0 and on is 1.
    pub(crate) fn amount(self) -> f64 {
        match self {
            Self::Switch(value) => f64::from(u8::from(value)),
            Self::Whole(value) => value as f64,
            Self::Share(value) => value,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            Self::Share(value) => write!(f, "{value}"),
        }
    }
}

/// A kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The study's own.
    Cnn,
    /// The literature's model to compare with.
    Vgg19,
}

impl Family {
    /// Every family.
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
    NoSuchFactor {
        /// The family.
        family: Family,
        /// The factor.
        factor: Factor,
    },
    /// The factor has no such level.
    #[error("`{factor}`: expected {kind}, found {level}", kind = .factor.kind())]
    NoSuchLevel {
        /// The factor.
        factor: Factor,
        /// The level.
        level: Level,
    },
}

impl Configuration {
    /// Its family.
    pub const fn family(&self) -> Family {
        match self {
            Self::Cnn(_) => Family::Cnn,
            Self::Vgg19(_) => Family::Vgg19,
        }
    }

    /// The level of `factor`, or nothing if its family has no such factor.
    pub fn level(&self, factor: Factor) -> Option<Level> {
        let whole = |value: u32| Some(Level::Whole(value.into()));
        match self {
            Self::Cnn(cnn) => match factor {
                Factor::ConvLayers => whole(cnn.conv_layers),
                Factor::Filters => whole(cnn.filters),
                Factor::KernelSize => whole(cnn.kernel_size),
                Factor::DenseLayers => whole(cnn.dense_layers),
                Factor::DenseUnits => whole(cnn.dense_units),
                Factor::BatchNorm => Some(Level::Switch(cnn.batch_norm)),
                Factor::MaxPool => Some(Level::Switch(cnn.max_pool)),
                Factor::Dropout => Some(Level::Share(cnn.dropout)),
            },
            Self::Vgg19(vgg) => match factor {
                Factor::DenseLayers => whole(vgg.dense_layers),
                Factor::DenseUnits => whole(vgg.dense_units),
                Factor::BatchNorm => Some(Level::Switch(vgg.batch_norm)),
                Factor::Dropout => Some(Level::Share(vgg.dropout)),
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
        let place = match self {
            Self::Cnn(cnn) => cnn.place(factor),
            Self::Vgg19(vgg) => vgg.place(factor),
        };
        match (place.ok_or(Error::NoSuchFactor { family, factor })?, accepted) {
            (Place::Switch(place), Level::Switch(value)) => *place = value,
            (Place::Share(place), Level::Share(value)) => *place = value,
            (Place::Whole(place), Level::Whole(value)) => {
                *place = u32::try_from(value).map_err(|_| Error::NoSuchLevel { factor, level })?;
            }
            (Place::Switch(_) | Place::Share(_) | Place::Whole(_), _) => {
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

    /// What makes this configuration another one than `baseline`.
    pub fn difference(&self, baseline: &Self) -> Difference {
        let family = (self.family() != baseline.family()).then(|| self.family());
        // Of another family, only what is not that family's default is worth telling.
        let base = if family.is_some() { &self.family().defaults() } else { baseline };
        let levels = self.levels().into_iter().filter(|&(factor, level)| base.level(factor) != Some(level)).collect();
        Difference { family, levels }
    }
}

/// What makes a configuration another one than the baseline. Its `Display` is a short label for people, such as
/// `filters=256 batch_norm=true`, or `baseline`.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The family, if it is another one.
    pub family: Option<Family>,
    /// The factors with another level; for another family, those that are not at its defaults.
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

/// Where a configuration keeps a factor.
enum Place<'a> {
    Switch(&'a mut bool),
    Whole(&'a mut u32),
    Share(&'a mut f64),
}

impl Cnn {
    fn place(&mut self, factor: Factor) -> Option<Place<'_>> {
        Some(match factor {
            Factor::ConvLayers => Place::Whole(&mut self.conv_layers),
            Factor::Filters => Place::Whole(&mut self.filters),
            Factor::KernelSize => Place::Whole(&mut self.kernel_size),
            Factor::DenseLayers => Place::Whole(&mut self.dense_layers),
            Factor::DenseUnits => Place::Whole(&mut self.dense_units),
            Factor::BatchNorm => Place::Switch(&mut self.batch_norm),
            Factor::MaxPool => Place::Switch(&mut self.max_pool),
            Factor::Dropout => Place::Share(&mut self.dropout),
        })
    }
}

impl Vgg19 {
    fn place(&mut self, factor: Factor) -> Option<Place<'_>> {
        Some(match factor {
            Factor::DenseLayers => Place::Whole(&mut self.dense_layers),
            Factor::DenseUnits => Place::Whole(&mut self.dense_units),
            Factor::BatchNorm => Place::Switch(&mut self.batch_norm),
            Factor::Dropout => Place::Share(&mut self.dropout),
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
                    Kind::Switch => Level::Switch(true),
                    Kind::Whole { .. } => Level::Whole(7),
                    Kind::Share => Level::Share(0.25),
                };
                let mut configuration = family.defaults();
                configuration.set(factor, level).unwrap();
                assert_eq!(configuration.level(factor), Some(level));
                assert_eq!(configuration.difference(&family.defaults()).levels, [(factor, level)]);
            }
        }
    }

    #[test]
    fn what_is_no_level_is_refused_and_changes_nothing() {
        let mut configuration = Family::Cnn.defaults();
        for (factor, level) in [
            (Factor::Filters, Level::Whole(0)),
            (Factor::Filters, Level::Whole(u64::MAX)),
            (Factor::Filters, Level::Share(0.5)),
            (Factor::KernelSize, Level::Whole(4)),
            (Factor::Dropout, Level::Share(1.0)),
            (Factor::Dropout, Level::Share(f64::NAN)),
            (Factor::MaxPool, Level::Whole(1)),
        ] {
            assert!(configuration.set(factor, level).is_err(), "{factor} {level}");
        }
        assert_eq!(configuration, Family::Cnn.defaults());
        let vgg = Family::Vgg19.defaults().set(Factor::Filters, Level::Whole(8));
        assert_eq!(vgg, Err(Error::NoSuchFactor { family: Family::Vgg19, factor: Factor::Filters }));
    }

    #[test]
    fn a_label_says_what_differs() {
        let baseline = Family::Cnn.defaults();
        let mut other = baseline.clone();
        assert_eq!(other.difference(&baseline).to_string(), "baseline");
        other.set(Factor::Filters, Level::Whole(256)).unwrap();
        other.set(Factor::BatchNorm, Level::Switch(true)).unwrap();
        other.set(Factor::Dropout, Level::Share(0.2)).unwrap();
        assert_eq!(other.difference(&baseline).to_string(), "filters=256 batch_norm=true dropout=0.2");
        let mut vgg = Family::Vgg19.defaults();
        assert_eq!(vgg.difference(&baseline).to_string(), "vgg19");
        vgg.set(Factor::DenseUnits, Level::Whole(64)).unwrap();
        assert_eq!(vgg.difference(&baseline).to_string(), "vgg19 dense_units=64");
    }

    #[test]
    fn the_two_zeros_are_one_level() {
        for zero in [Level::Share(-0.0), Level::Whole(0)] {
            let Some(Level::Share(value)) = Factor::Dropout.accept(zero) else { panic!("refused {zero}") };
            assert!(value.is_sign_positive());
        }
    }
}
