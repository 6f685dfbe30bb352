//! The varied part of a design: a factor with its levels, or factors that advance together.

use std::cmp::Ordering;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::configuration::Configuration;
use crate::levels::{Factor, FactorSet, Level};

/// A factor and its levels in a design. All levels are different.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub factor: Factor,
    levels: Vec<Level>,
    /// Places in `levels`, in the order of the levels: large plans look levels up millions of times.
    sorted: Vec<usize>,
}

impl Axis {
    /// An axis of these levels, without repeated ones.
    pub fn new(factor: Factor, levels: Vec<Level>) -> Self {
        let mut sorted: Vec<usize> = (0..levels.len()).collect();
        sorted.sort_by_key(|&place| levels[place].key());
        sorted.dedup_by_key(|place| levels[*place].key());
        if sorted.len() == levels.len() {
            return Self { factor, levels, sorted };
        }
        sorted.sort_unstable();
        Self::new(factor, sorted.into_iter().map(|place| levels[place]).collect())
    }

    /// In the order of the spec.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The place of `level` among its levels.
    pub fn place(&self, level: Level) -> Option<usize> {
        let key = level.key();
        let found = self.sorted.binary_search_by_key(&key, |&place| self.levels[place].key());
        found.ok().map(|at| self.sorted[at])
    }
}

/// One factor, or several that advance together, step by step. All steps are different.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    factors: Vec<Factor>,
    steps: Vec<Vec<Level>>,
    /// Places in `steps`, in the order of their levels.
    sorted: Vec<usize>,
}

impl Dimension {
    /// A dimension of one factor.
    pub fn single(factor: Factor, levels: &[Level]) -> Self {
        Self::zipped(vec![factor], levels.iter().map(|&level| vec![level]).collect())
    }

    /// A dimension of several factors. Each step has a level for each of them, in their order. Repeated steps are left
    /// out.
    pub fn zipped(factors: Vec<Factor>, mut steps: Vec<Vec<Level>>) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        steps.retain(|step| seen.insert(step.iter().map(|level| level.key()).collect::<Vec<_>>()));
        let mut sorted: Vec<usize> = (0..steps.len()).collect();
        sorted.sort_by(|&a, &b| keys(&steps[a]).cmp(keys(&steps[b])));
        Self { factors, steps, sorted }
    }

    /// In the family's order.
    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// Each step has a level for each factor.
    pub fn steps(&self) -> &[Vec<Level>] {
        &self.steps
    }

    pub(super) fn length(&self) -> u64 {
        self.steps.len() as u64
    }

    /// The factor's name, or the names of factors that advance together, such as `conv_layers+filters`.
    pub fn name(&self) -> String {
        self.factors.iter().map(|factor| factor.name()).collect::<Vec<_>>().join("+")
    }

    /// Puts a step into `point`; false if there is no such step.
    pub(crate) fn put(&self, step: u64, point: &mut Configuration) -> bool {
        let step = usize::try_from(step).ok().and_then(|step| self.steps.get(step));
        let Some(step) = step else { return false };
        self.factors.iter().zip(step).all(|(factor, level)| point.set(*factor, *level).is_ok())
    }

    /// The first step that matches `configuration` in all factors except the `free` ones.
    pub(super) fn place(&self, configuration: &Configuration, free: FactorSet) -> Option<u64> {
        if self.factors.iter().all(|factor| free.has(*factor)) {
            return (!self.steps.is_empty()).then_some(0);
        }
        let fits = |step: &Vec<Level>| {
            let mut pairs = self.factors.iter().zip(step);
            pairs.all(|(factor, level)| free.has(*factor) || configuration.level(*factor) == Some(*level))
        };
        if self.factors.iter().any(|factor| free.has(*factor)) {
            return self.steps.iter().position(fits).map(|place| place as u64);
        }
        let wanted = || self.factors.iter().map(|factor| configuration.level(*factor).map(Level::key));
        let compare = |place: &usize| -> Ordering { keys(&self.steps[*place]).map(Some).cmp(wanted()) };
        self.sorted.binary_search_by(compare).ok().map(|at| self.sorted[at] as u64)
    }
}

fn keys(step: &[Level]) -> impl Iterator<Item = (u8, u64)> + '_ {
    step.iter().map(|level| level.key())
}

impl Serialize for Dimension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Dimension", 2)?;
        if let [factor] = self.factors.as_slice() {
            let levels: Vec<Level> = self.steps.iter().flatten().copied().collect();
            fields.serialize_field("factor", factor)?;
            fields.serialize_field("levels", &levels)?;
        } else {
            fields.serialize_field("factors", &self.factors)?;
            fields.serialize_field("steps", &self.steps)?;
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::Family;

    #[test]
    fn an_axis_finds_its_levels_and_has_none_twice() {
        let levels = [0.3, 0.0, 0.2, 0.3, 0.1].map(Level::Fraction).to_vec();
        let axis = Axis::new(Factor::Dropout, levels);
        assert_eq!(axis.levels(), [0.3, 0.0, 0.2, 0.1].map(Level::Fraction));
        for (place, level) in axis.levels().iter().enumerate() {
            assert_eq!(axis.place(*level), Some(place));
        }
        assert_eq!(axis.place(Level::Fraction(0.15)), None);
        assert_eq!(axis.place(Level::Bool(false)), None);
    }

    #[test]
    fn factors_that_advance_together_find_their_step() {
        let step = |layers, filters| vec![Level::Int(layers), Level::Int(filters)];
        let steps = vec![step(4, 8), step(1, 32), step(1, 8), step(4, 8)];
        let dimension = Dimension::zipped(vec![Factor::ConvLayers, Factor::Filters], steps);
        assert_eq!((dimension.name().as_str(), dimension.length()), ("conv_layers+filters", 3));
        for place in 0..3 {
            let mut point = Family::Cnn.defaults();
            assert!(dimension.put(place, &mut point));
            assert_eq!(dimension.place(&point, FactorSet::EMPTY), Some(place));
        }
        let mut point = Family::Cnn.defaults();
        assert!(!dimension.put(3, &mut point));
        point.set(Factor::Filters, Level::Int(8)).unwrap();
        // Of one block and eight filters: the third step. Where the blocks do not matter, the first one fits.
        assert_eq!(dimension.place(&point, FactorSet::EMPTY), Some(2));
        assert_eq!(dimension.place(&point, FactorSet::of(Factor::ConvLayers)), Some(0));
        point.set(Factor::Filters, Level::Int(64)).unwrap();
        assert_eq!(dimension.place(&point, FactorSet::EMPTY), None);
        assert_eq!(dimension.place(&point, FactorSet::of(Factor::ConvLayers)), None);
        let both = FactorSet::of(Factor::ConvLayers).with(FactorSet::of(Factor::Filters));
        assert_eq!(dimension.place(&point, both), Some(0));
    }
}
