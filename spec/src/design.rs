//! Designs: which points around a starting point a stage tries. A design is never written out: it knows how many points
//! it has, each by its index, and the index of a given one. Those three are all that a new design has to answer.

use serde::Serialize;

use crate::configuration::Configuration;
use crate::levels::{Factor, Level};

/// A factor and the levels that a design gives it. No level stands twice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Axis {
    /// The factor.
    pub factor: Factor,
    levels: Vec<Level>,
    /// Places in `levels`, in the order of the levels: large plans look levels up millions of times.
    #[serde(skip)]
    sorted: Vec<usize>,
}

impl Axis {
    /// An axis of these levels, without those that stand there again.
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

    /// Its levels, in the order of the spec.
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

/// Which points a stage tries. Axes are in the family's order, whatever their order in the spec.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// Each factor alone, the others as at the start.
    Vary(Vec<Axis>),
    /// Every combination; the last factor changes fastest.
    Grid(Vec<Axis>),
}

impl Design {
    /// The factors that it varies.
    pub fn axes(&self) -> &[Axis] {
        match self {
            Self::Vary(axes) | Self::Grid(axes) => axes,
        }
    }

    /// The design as a spec writes it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Vary(_) => "vary",
            Self::Grid(_) => "grid",
        }
    }

    /// How many points it has, those that occur twice counted twice. Saturates.
    pub fn points(&self) -> u64 {
        let lengths = self.axes().iter().map(|axis| axis.levels().len() as u64);
        match self {
            Self::Vary(_) => lengths.fold(0, u64::saturating_add),
            Self::Grid(_) => lengths.fold(1, u64::saturating_mul),
        }
    }

    /// Whether two indices may be one point.
    pub const fn may_repeat(&self) -> bool {
        match self {
            Self::Vary(_) => true,
            Self::Grid(_) => false,
        }
    }

    /// The point of this index around `start`, or nothing if there is none.
    pub fn point(&self, start: &Configuration, index: u64) -> Option<Configuration> {
        let mut point = start.clone();
        match self {
            Self::Vary(axes) => {
                let mut index = usize::try_from(index).ok()?;
                let axis = axes.iter().find(|axis| {
                    let here = index < axis.levels().len();
                    if !here {
                        index -= axis.levels().len();
                    }
                    here
                })?;
                point.set(axis.factor, *axis.levels().get(index)?).ok()?;
            }
            Self::Grid(axes) => {
                let mut rest = index;
                for axis in axes.iter().rev() {
                    let length = axis.levels().len() as u64;
                    let level = axis.levels().get(usize::try_from(rest.checked_rem(length)?).ok()?)?;
                    point.set(axis.factor, *level).ok()?;
                    rest /= length;
                }
                if rest > 0 {
                    return None;
                }
            }
        }
        Some(point)
    }

    /// The index of the first point around `start` that is `configuration`.
    pub fn index_of(&self, start: &Configuration, configuration: &Configuration) -> Option<u64> {
        if start.family() != configuration.family() {
            return None;
        }
        let varied = |factor| self.axes().iter().any(|axis| axis.factor == factor);
        let differs = |factor: &Factor| start.level(*factor) != configuration.level(*factor);
        if start.family().factors().iter().any(|factor| differs(factor) && !varied(*factor)) {
            return None;
        }
        let place = |axis: &Axis| axis.place(configuration.level(axis.factor)?).map(|place| place as u64);
        match self {
            Self::Vary(axes) => {
                let mut before = 0;
                for axis in axes {
                    let others_as_at_start = axes.iter().all(|other| other == axis || !differs(&other.factor));
                    if let (true, Some(place)) = (others_as_at_start, place(axis)) {
                        return Some(before + place);
                    }
                    before += axis.levels().len() as u64;
                }
                None
            }
            Self::Grid(axes) => {
                axes.iter().try_fold(0u64, |index, axis| Some(index * axis.levels().len() as u64 + place(axis)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::Family;

    fn axes() -> Vec<Axis> {
        let filters = [8, 64, 16].map(Level::Whole).to_vec();
        let pooling = [false, true].map(Level::Switch).to_vec();
        let dropout = [0.0, 0.5].map(Level::Share).to_vec();
        [(Factor::Filters, filters), (Factor::MaxPool, pooling), (Factor::Dropout, dropout)]
            .map(|(factor, levels)| Axis::new(factor, levels))
            .to_vec()
    }

    #[test]
    fn a_point_is_found_again_at_its_first_index() {
        let start = Family::Cnn.defaults();
        for design in [Design::Vary(axes()), Design::Grid(axes())] {
            let points: Vec<_> = (0..design.points()).map(|index| design.point(&start, index).unwrap()).collect();
            for point in &points {
                let first = points.iter().position(|other| other == point).map(|index| index as u64);
                assert_eq!(design.index_of(&start, point), first);
            }
            assert_eq!(design.point(&start, design.points()), None);
        }
        assert_eq!(Design::Vary(axes()).points(), 7);
        assert_eq!(Design::Grid(axes()).points(), 12);
    }

    #[test]
    fn an_axis_finds_its_levels_and_has_none_twice() {
        let levels = [0.3, 0.0, 0.2, 0.3, 0.1].map(Level::Share).to_vec();
        let axis = Axis::new(Factor::Dropout, levels);
        assert_eq!(axis.levels(), [0.3, 0.0, 0.2, 0.1].map(Level::Share));
        for (place, level) in axis.levels().iter().enumerate() {
            assert_eq!(axis.place(*level), Some(place));
        }
        assert_eq!(axis.place(Level::Share(0.15)), None);
        assert_eq!(axis.place(Level::Switch(false)), None);
    }

    #[test]
    fn what_is_no_point_has_no_index() {
        let start = Family::Cnn.defaults();
        let mut other = start.clone();
        other.set(Factor::ConvLayers, Level::Whole(3)).unwrap();
        for design in [Design::Vary(axes()), Design::Grid(axes())] {
            assert_eq!(design.index_of(&start, &other), None);
            assert_eq!(design.index_of(&start, &Family::Vgg19.defaults()), None);
        }
        let mut both = start.clone();
        both.set(Factor::Filters, Level::Whole(8)).unwrap();
        both.set(Factor::MaxPool, Level::Switch(true)).unwrap();
        assert_eq!(Design::Vary(axes()).index_of(&start, &both), None);
        assert_eq!(Design::Grid(axes()).index_of(&start, &both), Some(2));
    }
}
