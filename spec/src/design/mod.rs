//! Designs: the points around a starting point that a stage tries. A design is never written out. It has places, and
//! computes the point of each place and the first place of a given point.
//!
//! A design is a list of blocks. A block is every combination of some dimensions while the others stay at the start:
//! `vary` has a block for each dimension, `grid` one of all. `only_if` and `where` are evaluated for each point, so
//! places may be empty, and a point may have several places.

mod axis;
mod describe;
mod fraction;
mod look;
mod place;
#[cfg(test)]
mod tests;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::condition::Condition;
use crate::levels::{Factor, FactorSet, Level};

pub use axis::{Axis, Dimension};
pub use describe::{Alias, Aliased};
pub(crate) use fraction::MOST_FACTORS;
pub use fraction::{Fraction, Generator, Word};
pub(crate) use look::{Look, MOST_COMBINATIONS, TooMany};

/// The kinds of design, as specs write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Each factor alone, the others as at the start.
    Vary,
    /// The start, then each level of each factor alone.
    OneAtATime,
    /// Every combination; the last factor changes fastest.
    Grid,
    /// The start, then each component removed.
    LeaveOneOut,
    /// The start, then each component added.
    AddOneIn,
    /// The start, every factor alone, and every pair of factors.
    Pairwise,
    /// Every combination, or a fraction of them, analysed as main effects and interactions.
    Factorial,
    /// Hand-picked points.
    List,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Vary,
        Self::OneAtATime,
        Self::Grid,
        Self::LeaveOneOut,
        Self::AddOneIn,
        Self::Pairwise,
        Self::Factorial,
        Self::List,
    ];

    /// The kind as a spec writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vary => "vary",
            Self::OneAtATime => "one_at_a_time",
            Self::Grid => "grid",
            Self::LeaveOneOut => "leave_one_out",
            Self::AddOneIn => "add_one_in",
            Self::Pairwise => "pairwise",
            Self::Factorial => "factorial",
            Self::List => "list",
        }
    }

    /// Whether its first point is the start itself.
    pub const fn begins_with_the_start(self) -> bool {
        match self {
            Self::OneAtATime | Self::LeaveOneOut | Self::AddOneIn | Self::Pairwise => true,
            Self::Vary | Self::Grid | Self::Factorial | Self::List => false,
        }
    }
}

/// A hand-picked point: the start with these levels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// For users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In the family's order.
    pub levels: Vec<(Factor, Level)>,
}

impl Entry {
    fn level(&self, factor: Factor) -> Option<Level> {
        self.levels.iter().find(|(other, _)| *other == factor).map(|(_, level)| *level)
    }
}

/// The restrictions of a design besides its levels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limited {
    /// Factors that exist only under a condition, each after the factors in its condition. Where the condition is
    /// false, the factor keeps its starting level.
    pub only_if: Vec<(Factor, Condition)>,
    /// Conditions that are true for every point.
    pub conditions: Vec<Condition>,
}

/// The points that a stage tries. Factors are in the family's order, whatever their order in the spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    kind: Kind,
    dimensions: Vec<Dimension>,
    axes: Vec<Axis>,
    entries: Vec<Entry>,
    fraction: Option<Fraction>,
    limited: Limited,
    blocks: Vec<Block>,
}

/// Every combination of some dimensions, the others at the start.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    dimensions: Vec<usize>,
    first: u64,
    places: u64,
}

impl Design {
    /// A design of `kind` over `dimensions`; any but a list.
    pub fn new(kind: Kind, dimensions: Vec<Dimension>) -> Self {
        let axes = axes(dimensions.iter().flat_map(|dimension| {
            let levels =
                dimension.steps().iter().flat_map(|step| dimension.factors().iter().copied().zip(step.clone()));
            levels.collect::<Vec<_>>()
        }));
        let (entries, fraction, limited, blocks) = (Vec::new(), None, Limited::default(), Vec::new());
        Self { kind, dimensions, axes, entries, fraction, limited, blocks }.with_blocks()
    }

    /// Hand-picked points.
    pub fn list(entries: Vec<Entry>) -> Self {
        let axes = axes(entries.iter().flat_map(|entry| entry.levels.iter().copied()));
        let (dimensions, fraction) = (Vec::new(), None);
        let (limited, blocks) = (Limited::default(), Vec::new());
        Self { kind: Kind::List, dimensions, axes, entries, fraction, limited, blocks }
    }

    /// A part of a factorial design. All its dimensions must have two steps.
    #[must_use]
    pub fn fractional(self, fraction: Fraction) -> Self {
        Self { fraction: Some(fraction), ..self }.with_blocks()
    }

    /// The same, bounded by conditions.
    #[must_use]
    pub fn limited(self, limited: Limited) -> Self {
        Self { limited, ..self }
    }

    fn with_blocks(self) -> Self {
        let all = || (0..self.dimensions.len()).collect::<Vec<_>>();
        let alone = || all().into_iter().map(|dimension| vec![dimension]);
        let shapes: Vec<Vec<usize>> = match self.kind {
            Kind::List => Vec::new(),
            Kind::Vary => alone().collect(),
            Kind::OneAtATime | Kind::LeaveOneOut | Kind::AddOneIn => [Vec::new()].into_iter().chain(alone()).collect(),
            Kind::Pairwise => {
                let pairs =
                    all().into_iter().flat_map(|one| (one + 1..self.dimensions.len()).map(move |two| vec![one, two]));
                [Vec::new()].into_iter().chain(alone()).chain(pairs).collect()
            }
            Kind::Grid | Kind::Factorial => {
                let generated = |dimension: &usize| self.fraction.as_ref().is_some_and(|one| one.generates(*dimension));
                vec![all().into_iter().filter(|dimension| !generated(dimension)).collect()]
            }
        };
        let mut first = 0u64;
        let mut blocks = Vec::with_capacity(shapes.len());
        for dimensions in shapes {
            let lengths = dimensions.iter().map(|&dimension| self.dimensions[dimension].length());
            let places = lengths.fold(1, u64::saturating_mul);
            blocks.push(Block { dimensions, first, places });
            first = first.saturating_add(places);
        }
        Self { blocks, ..self }
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The design as a spec writes it.
    pub const fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The factors that it varies, each with the levels that it gives it.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The factors, or groups of factors, that advance independently. A list has none.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// The hand-picked points of a list.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Which part of a factorial design it is, if it is not the whole.
    pub const fn fraction(&self) -> Option<&Fraction> {
        self.fraction.as_ref()
    }

    /// The conditions on factors and points.
    pub const fn limits(&self) -> &Limited {
        &self.limited
    }

    /// The name of the hand-picked point at this place.
    pub fn entry_name(&self, place: u64) -> Option<&str> {
        self.entries.get(usize::try_from(place).ok()?)?.name.as_deref()
    }

    /// The factors that it varies, as a set.
    fn varied(&self) -> FactorSet {
        self.axes.iter().fold(FactorSet::EMPTY, |set, axis| set.with(FactorSet::of(axis.factor)))
    }
}

/// Levels by their factors, in the family's order.
fn axes(levels: impl Iterator<Item = (Factor, Level)>) -> Vec<Axis> {
    let mut by_factor: std::collections::BTreeMap<Factor, Vec<Level>> = Default::default();
    levels.for_each(|(factor, level)| by_factor.entry(factor).or_default().push(level));
    by_factor.into_iter().map(|(factor, levels)| Axis::new(factor, levels)).collect()
}

/// A spec's digest depends on this form, so it must not change for stored specs.
impl Serialize for Design {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.kind {
            Kind::List => map.serialize_entry(self.name(), &self.entries)?,
            _ => map.serialize_entry(self.name(), &self.dimensions)?,
        }
        if let Some(fraction) = &self.fraction {
            let generators: Vec<String> = fraction.generators().iter().map(|one| self.generator_text(one)).collect();
            map.serialize_entry("generators", &generators)?;
        }
        if !self.limited.only_if.is_empty() {
            map.serialize_entry("only_if", &self.limited.only_if)?;
        }
        if !self.limited.conditions.is_empty() {
            map.serialize_entry("where", &self.limited.conditions)?;
        }
        map.end()
    }
}
