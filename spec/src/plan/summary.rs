//! The numbers of a plan, computed point by point without keeping the points. Numbers that depend on the winner of a
//! `keep: best` stage are bounds.

use super::{GroupKind, Plan, Winner};
use crate::configuration::Configuration;
use crate::count::{Counts, Input};
use crate::design::Look;
use crate::levels::{Factor, Level};
use crate::spec::{Keep, Stage, Start};

/// The numbers of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Different configurations.
    pub configurations: u64,
    /// Points that occurred again, in the same group or another one, and are shared.
    pub merged: u64,
    /// Configurations times seeds, the noise floor, and more seeds.
    pub trials: u64,
    /// The trials of the noise floor; they are part of `trials`.
    pub noise: u64,
    /// The trials that may be added for undecided comparisons; they are part of `trials`.
    pub more_seeds: u64,
    /// Whether the numbers above are the most that there can be, because a group waits for a winner.
    pub at_most: bool,
    /// The fewest and the most parameters, if there is any configuration.
    pub params: Option<(u64, u64)>,
    /// Each group, in the order of the plan.
    pub groups: Vec<GroupSummary>,
}

/// A group in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSummary {
    /// Points that occur twice count twice.
    pub points: u64,
    /// Configurations that no group released before it has; for a waiting group, its points. None for more seeds, which are
    /// more trials of the same configurations.
    pub configurations: u64,
    /// Points that an earlier group, or the group itself, already has; none for a waiting group.
    pub merged: u64,
    /// Points that cannot be built.
    pub left_out: u64,
    /// Places that have no point, because `where` excludes it; none for a waiting group.
    pub excluded: u64,
    /// Whether it waits for a winner, so that the numbers above are the most that there can be.
    pub at_most: bool,
    /// The fewest and the most parameters; for a waiting group, bounds over every winner that there may be.
    pub params: Option<(u64, u64)>,
}

const NOTHING: GroupSummary =
    GroupSummary { points: 0, configurations: 0, merged: 0, left_out: 0, excluded: 0, at_most: false, params: None };

impl Plan {
    /// The plan in numbers, given the winners so far. Takes time for every point, but memory for none.
    pub fn summary(&self, winners: &[Winner]) -> Summary {
        let released = self.released(winners);
        let mut groups = Vec::with_capacity(self.groups.len());
        for (index, group) in self.groups.iter().enumerate() {
            let points = group.points;
            if matches!(group.kind, GroupKind::MoreSeeds(_)) {
                groups.push(GroupSummary { points, at_most: true, ..NOTHING });
                continue;
            }
            if !released.groups().contains(&index) {
                let params = group.stage.and_then(|stage| self.params_bounds(stage));
                groups.push(GroupSummary { points, configurations: points, at_most: true, params, ..NOTHING });
                continue;
            }
            let (mut configurations, mut left_out, mut params) = (0, 0, None);
            for point in released.made(index) {
                match point.counts {
                    Ok(counts) => {
                        configurations += u64::from(released.is_first(index, &point.configuration));
                        params = widened(params, counts.params);
                    }
                    Err(_) => left_out += 1,
                }
            }
            // A checked spec's combinations can all be looked at, for each stage by itself.
            let points = released.counted(index, &mut Look::default()).ok().flatten().unwrap_or(points);
            // The noise floor shares a configuration on purpose, and none of its trials.
            let shared = group.kind == GroupKind::Noise;
            let merged = if shared { 0 } else { points.saturating_sub(configurations + left_out) };
            let excluded = group.places.saturating_sub(points);
            groups.push(GroupSummary { points, configurations, merged, left_out, excluded, at_most: false, params });
        }
        let configurations = groups.iter().map(|group| group.configurations).fold(0, u64::saturating_add);
        let bounds = groups.iter().filter_map(|group| group.params).flat_map(|(least, most)| [least, most]);
        let sources = self.groups.iter().zip(&groups).filter(|(group, _)| group.kind.is_source());
        let sources = sources.map(|(_, numbers)| numbers.configurations).fold(0, u64::saturating_add);
        let more = self.spec.adaptive.as_ref().map_or(0, |adaptive| adaptive.seeds().len()) as u64;
        let (noise, more_seeds) = (self.spec.noise.len() as u64, sources.saturating_mul(more));
        let trials = sources.saturating_mul(self.spec.seeds.len() as u64);
        Summary {
            configurations,
            merged: groups.iter().map(|group| group.merged).sum(),
            trials: trials.saturating_add(noise).saturating_add(more_seeds),
            noise,
            more_seeds,
            at_most: groups.iter().any(|group| group.at_most),
            params: bounds.fold(None, widened),
            groups,
        }
    }

    /// Bounds on the parameters of a stage's points for all possible winners before it. Every combination of the levels
    /// that each factor may have by then is within them.
    fn params_bounds(&self, stage: usize) -> Option<(u64, u64)> {
        let region = self.region(stage)?;
        let input = Input::from(&self.spec.dataset);
        let mut bounds = None;
        // More of any factor means more parameters, except that a first dense layer may narrow what follows it.
        let dense_layers = region.iter().find(|(factor, _)| *factor == Factor::DenseLayers).map(|(_, levels)| levels);
        for &dense_layers in dense_layers.into_iter().flatten() {
            for most in [false, true] {
                let mut configuration = self.spec.baseline.clone();
                for (factor, levels) in &region {
                    let level = match factor {
                        Factor::DenseLayers => Some(&dense_layers),
                        // Pooling moves no parameter of this family, and may leave nothing to count.
                        Factor::MaxPool => Some(&Level::Bool(false)),
                        _ if most => levels.iter().max_by(|a, b| a.amount().total_cmp(&b.amount())),
                        _ => levels.iter().min_by(|a, b| a.amount().total_cmp(&b.amount())),
                    };
                    configuration.set(*factor, *level?).ok()?;
                }
                if let Ok(counts) = Counts::of(&configuration, input) {
                    bounds = widened(bounds, counts.params);
                }
            }
        }
        bounds
    }

    /// For each factor, every level that a point of `stage` may have.
    pub(super) fn region(&self, stage: usize) -> Option<Region> {
        let mut path = Vec::new();
        let mut next = Some(stage);
        while let Some(index) = next {
            let stage = self.spec.stages.get(index)?;
            path.push(stage);
            next = match stage.from {
                Start::Stage(from) if path.len() <= self.spec.stages.len() => Some(from),
                Start::Stage(_) | Start::Baseline => None,
            };
        }
        let mut points = region_of(&self.spec.baseline);
        let mut start = points.clone();
        for (steps_left, Stage { set, design, keep, .. }) in path.iter().enumerate().rev() {
            set.iter().for_each(|&(factor, level)| replace(&mut start, factor, &[level]));
            points = start.clone();
            for axis in design.axes() {
                let mut levels = axis.levels().to_vec();
                if let Some((_, other)) = start.iter().find(|(factor, _)| *factor == axis.factor) {
                    levels.extend_from_slice(other);
                }
                replace(&mut points, axis.factor, &levels);
            }
            match keep {
                _ if steps_left == 0 => {}
                Keep::Start => {}
                Keep::Best | Keep::BestIfSignificant => start.clone_from(&points),
                Keep::Levels(levels) => {
                    levels.iter().for_each(|&(factor, level)| replace(&mut start, factor, &[level]));
                }
            }
        }
        Some(points)
    }
}

pub(super) type Region = Vec<(Factor, Vec<Level>)>;

fn region_of(configuration: &Configuration) -> Region {
    configuration.levels().into_iter().map(|(factor, level)| (factor, vec![level])).collect()
}

fn replace(region: &mut Region, factor: Factor, levels: &[Level]) {
    if let Some((_, place)) = region.iter_mut().find(|(other, _)| *other == factor) {
        place.clear();
        for level in levels {
            if !place.contains(level) {
                place.push(*level);
            }
        }
    }
}

fn widened(bounds: Option<(u64, u64)>, value: u64) -> Option<(u64, u64)> {
    Some(bounds.map_or((value, value), |(least, most)| (least.min(value), most.max(value))))
}
