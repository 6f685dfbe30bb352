//! Places and points: how many places a design has, the point of each, and the first place of a given point.

use super::{Design, Kind};
use crate::configuration::Configuration;
use crate::levels::FactorSet;

impl Design {
    /// The number of places, including points that occur twice and points that `where` excludes. Saturates.
    pub fn places(&self) -> u64 {
        match self.kind {
            Kind::List => self.entries.len() as u64,
            _ => self.blocks.iter().map(|block| block.places).fold(0, u64::saturating_add),
        }
    }

    /// Whether two places may have one point.
    pub fn may_repeat(&self) -> bool {
        let every_combination = matches!(self.kind, Kind::Grid | Kind::Factorial);
        !every_combination || !self.limited.only_if.is_empty()
    }

    /// The point of this place around `start`, or nothing if there is none.
    pub fn point(&self, start: &Configuration, place: u64) -> Option<Configuration> {
        let mut point = start.clone();
        if self.kind == Kind::List {
            for &(factor, level) in &self.entries.get(usize::try_from(place).ok()?)?.levels {
                point.set(factor, level).ok()?;
            }
        } else {
            self.put(&mut point, place)?;
        }
        self.settle(start, &mut point);
        self.allows(&point).then_some(point)
    }

    /// Puts the steps of a place into `point`.
    fn put(&self, point: &mut Configuration, place: u64) -> Option<()> {
        let block = self.blocks.partition_point(|block| block.first <= place).checked_sub(1)?;
        let block = self.blocks.get(block)?;
        let mut rest = place - block.first;
        if rest >= block.places {
            return None;
        }
        let mut steps = 0u32;
        for &dimension in block.dimensions.iter().rev() {
            let length = self.dimensions[dimension].length();
            let step = rest.checked_rem(length)?;
            rest /= length;
            if step == 1 {
                steps |= 1u32.checked_shl(u32::try_from(dimension).ok()?).unwrap_or(0);
            }
            self.dimensions[dimension].put(step, point).then_some(())?;
        }
        for generator in self.fraction.iter().flat_map(|fraction| fraction.generators()) {
            let step = self.fraction.as_ref()?.step(generator, steps);
            self.dimensions.get(generator.factor)?.put(step, point).then_some(())?;
        }
        Some(())
    }

    /// Sets factors whose condition is false to their starting levels, and returns these factors.
    pub(super) fn settle(&self, start: &Configuration, point: &mut Configuration) -> FactorSet {
        let mut free = FactorSet::EMPTY;
        for (factor, condition) in &self.limited.only_if {
            if !condition.holds(point) {
                if let Some(level) = start.level(*factor) {
                    point.set(*factor, level).ok();
                }
                free = free.with(FactorSet::of(*factor));
            }
        }
        free
    }

    /// Whether `where` lets the point be one.
    pub fn allows(&self, point: &Configuration) -> bool {
        self.limited.conditions.iter().all(|condition| condition.holds(point))
    }

    /// Whether one of its points is the start itself. Where none is, nothing in the stage can be compared with it.
    pub fn tries_start(&self, start: &Configuration) -> bool {
        self.index_of(start, start).is_some()
    }

    /// The first place around `start` whose point is `configuration`.
    pub fn index_of(&self, start: &Configuration, configuration: &Configuration) -> Option<u64> {
        if start.family() != configuration.family() {
            return None;
        }
        // A factor whose condition does not hold stood at any of its levels before it was taken back.
        let mut free = FactorSet::EMPTY;
        if !self.limited.only_if.is_empty() {
            let mut settled = configuration.clone();
            free = self.settle(start, &mut settled);
            if settled != *configuration {
                return None;
            }
        }
        if !self.allows(configuration) {
            return None;
        }
        let varied = self.varied();
        let differs = |factor| start.level(factor) != configuration.level(factor);
        if start.family().factors().iter().any(|factor| differs(*factor) && !varied.has(*factor)) {
            return None;
        }
        if self.kind == Kind::List {
            return self.entry_of(start, configuration, free);
        }
        let place = |dimension: usize| self.dimensions[dimension].place(configuration, free);
        // A free factor is at the start, so it does not differ.
        let at_start = |dimension: usize| !self.dimensions[dimension].factors().iter().any(|factor| differs(*factor));
        self.blocks.iter().find_map(|block| {
            let left = (0..self.dimensions.len()).filter(|dimension| !block.dimensions.contains(dimension));
            let mut steps = 0u32;
            let mut rest = 0u64;
            let others_fit = self.fraction.is_some() || left.clone().all(at_start);
            if !others_fit {
                return None;
            }
            for &dimension in &block.dimensions {
                let step = place(dimension)?;
                if step == 1 {
                    steps |= 1u32.checked_shl(u32::try_from(dimension).ok()?).unwrap_or(0);
                }
                rest = rest.checked_mul(self.dimensions[dimension].length())?.checked_add(step)?;
            }
            if let Some(fraction) = &self.fraction {
                let follows = |one: &super::Generator| place(one.factor) == Some(fraction.step(one, steps));
                if !fraction.generators().iter().all(follows) {
                    return None;
                }
            }
            block.first.checked_add(rest)
        })
    }

    fn entry_of(&self, start: &Configuration, configuration: &Configuration, free: FactorSet) -> Option<u64> {
        let factors = start.family().factors();
        let found = self.entries.iter().position(|entry| {
            factors
                .iter()
                .filter(|factor| !free.has(**factor))
                .all(|&factor| entry.level(factor).or_else(|| start.level(factor)) == configuration.level(factor))
        });
        found.map(|place| place as u64)
    }
}
