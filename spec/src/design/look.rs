//! Counts the points of a design without making all of them. Only the factors that matter for a question are combined,
//! and the rest is multiplied. So a condition over two factors of a large grid costs only the combinations of these
//! two.

use super::{Block, Design, Kind};
use crate::configuration::Configuration;
use crate::count::{Input, fits};
use crate::levels::{Factor, FactorSet};

/// The most combinations that are looked at for all stages of a spec together.
pub(crate) const MOST_COMBINATIONS: u64 = 1_000_000;

/// More combinations than may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) combinations: u64,
}

/// The number of combinations that may still be examined.
#[derive(Debug)]
pub(crate) struct Look(u64);

impl Default for Look {
    fn default() -> Self {
        Self(MOST_COMBINATIONS)
    }
}

impl Design {
    /// How many places have a point: all of them where there is no `where`. Those that occur twice are counted twice.
    pub(crate) fn count(&self, start: &Configuration, look: &mut Look) -> Result<u64, TooMany> {
        if self.limited.conditions.is_empty() {
            return Ok(self.places());
        }
        let mut points = 0u64;
        self.each(start, FactorSet::EMPTY, look, &mut |_, places| points = points.saturating_add(places))?;
        Ok(points)
    }

    /// A point whose max-poolings shrink the image to nothing, if there is one.
    pub(crate) fn unbuildable(
        &self,
        start: &Configuration,
        input: Input,
        look: &mut Look,
    ) -> Result<Option<Configuration>, TooMany> {
        let decisive = FactorSet::of(Factor::ConvLayers).with(FactorSet::of(Factor::MaxPool));
        let mut found = None;
        self.each(start, decisive, look, &mut |point, _| {
            if found.is_none() && fits(point, input).is_err() {
                found = Some(point.clone());
            }
        })?;
        Ok(found)
    }

    /// Shows a point for each combination of the factors that `where`, their conditions or `decisive` look at, with the
    /// number of places that have those levels.
    fn each(
        &self,
        start: &Configuration,
        decisive: FactorSet,
        look: &mut Look,
        visit: &mut dyn FnMut(&Configuration, u64),
    ) -> Result<(), TooMany> {
        let decisive = self.closed(decisive);
        let blocks: Vec<(&Block, Vec<usize>)> = self
            .blocks
            .iter()
            .map(|block| {
                let looked_at = |dimension: &usize| {
                    self.fraction.is_some()
                        || self.dimensions[*dimension].factors().iter().any(|one| decisive.has(*one))
                };
                (block, block.dimensions.iter().copied().filter(looked_at).collect())
            })
            .collect();
        let length = |dimension: &usize| self.dimensions[*dimension].length();
        let combinations = |dimensions: &Vec<usize>| dimensions.iter().map(length).fold(1, u64::saturating_mul);
        let all = match self.kind {
            Kind::List => self.entries.len() as u64,
            _ => blocks.iter().map(|(_, dimensions)| combinations(dimensions)).fold(0, u64::saturating_add),
        };
        look.0 = look.0.checked_sub(all).ok_or(TooMany { combinations: all })?;
        if self.kind == Kind::List {
            (0..all).filter_map(|place| self.point(start, place)).for_each(|point| visit(&point, 1));
            return Ok(());
        }
        for (block, dimensions) in blocks {
            // How far apart the places are that differ by one step of a dimension.
            let strides: Vec<u64> = dimensions
                .iter()
                .map(|dimension| {
                    let behind = block.dimensions.iter().skip_while(|other| *other != dimension).skip(1);
                    behind.map(length).fold(1, u64::saturating_mul)
                })
                .collect();
            let here = combinations(&dimensions);
            let places = block.places.checked_div(here).unwrap_or(0);
            for combination in 0..here {
                let mut rest = combination;
                let mut place = block.first;
                for (dimension, stride) in dimensions.iter().zip(&strides).rev() {
                    place = place.saturating_add((rest % length(dimension)).saturating_mul(*stride));
                    rest /= length(dimension);
                }
                if let Some(point) = self.point(start, place) {
                    visit(&point, places);
                }
            }
        }
        Ok(())
    }

    /// These factors, those in `where`, and those in the conditions of any of them.
    fn closed(&self, decisive: FactorSet) -> FactorSet {
        let conditions = self.limited.conditions.iter();
        let mut all = conditions.fold(decisive, |all, condition| all.with(condition.factors()));
        // Each stands behind those that its condition looks at, so one pass from the end is enough.
        for (factor, condition) in self.limited.only_if.iter().rev() {
            if all.has(*factor) {
                all = all.with(condition.factors());
            }
        }
        all
    }
}
