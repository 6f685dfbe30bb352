//! The statistical power of a number of seeds, computed before training.

use std::collections::BTreeSet;

use serde::Serialize;
use sweep_analysis::number::{fixed, percent};
use sweep_analysis::statistics::{ALPHA, POWER, Power, largest_family, seeds_to_reach, smallest_p};
use sweep_proto::v1;
use sweep_spec::Plan;

use sweep_shapes::text::{count, plural};

/// For a larger plan, configurations are counted by the sizes of its stages instead of one by one.
const COUNTED: u64 = 200_000;

/// The power of the requested seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PowerShape {
    /// Comparisons whose p-values are corrected together: every configuration of a stage with the stage's starting
    /// point.
    pub(crate) family: usize,
    pub(crate) seeds: u32,
    pub(crate) alpha: f64,
    /// The smallest p-value that this number of seeds can give.
    pub(crate) smallest_p: f64,
    /// The fewest seeds with which a single comparison can be significant.
    pub(crate) seeds_alone: Option<u32>,
    /// The same for all comparisons of the family, with Holm's correction.
    pub(crate) seeds_in_family: Option<u32>,
    /// The observed standard deviation of runs, and of differences.
    pub(crate) noise: Option<NoiseShape>,
    /// The mean difference that is detected with a probability of 80 %; `None` if the noise is unknown or the seeds are
    /// too few.
    pub(crate) detectable: Option<f64>,
    /// The same with the fewest seeds that can show a difference.
    pub(crate) detectable_with_more: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct NoiseShape {
    pub(crate) of_runs: f64,
    pub(crate) runs: u32,
    pub(crate) of_differences: Option<f64>,
    pub(crate) differences: u32,
    pub(crate) sweeps: u32,
}

impl From<v1::Noise> for NoiseShape {
    fn from(noise: v1::Noise) -> Self {
        Self {
            of_runs: noise.of_runs,
            runs: noise.runs,
            of_differences: noise.of_differences,
            differences: noise.differences,
            sweeps: noise.sweeps,
        }
    }
}

impl NoiseShape {
    /// The standard deviation of the difference of two runs under one seed; without observed pairs, runs count as
    /// independent.
    fn deviation(&self) -> f64 {
        self.of_differences.unwrap_or(self.of_runs * std::f64::consts::SQRT_2)
    }
}

/// Every configuration of a group with the group's starting point, each pair once. For waiting stages, the current
/// starting points are assumed to win. The noise floor and seeds that are added later add no compared configuration.
pub(crate) fn family(plan: &Plan) -> usize {
    let sources = || plan.groups().iter().enumerate().filter(|(_, group)| group.kind.is_source());
    if plan.points_before_merging() > COUNTED {
        let others = sources().map(|(_, group)| group.points.saturating_sub(1)).fold(0, u64::saturating_add);
        return usize::try_from(others).unwrap_or(usize::MAX);
    }
    let winners = plan.assumed_winners();
    let released = plan.released(&winners);
    let baseline = &plan.spec().baseline;
    let planned = released.configurations().filter(|planned| released.trains(&planned.configuration));
    let places: Vec<_> = planned.map(|planned| (planned.ordinal, planned.configuration)).collect();
    let mut pairs: BTreeSet<(u64, u64)> = BTreeSet::new();
    for (index, group) in sources() {
        let start = group.stage.map_or(Some(baseline), |stage| released.start(stage));
        let start = start.and_then(|start| places.iter().find(|(_, configuration)| configuration == start));
        let Some((start, _)) = start else { continue };
        let members = released.points(index).map(|planned| planned.ordinal).filter(|ordinal| ordinal != start);
        pairs.extend(members.map(|member| (member, *start)));
    }
    pairs.len()
}

impl PowerShape {
    pub(crate) fn of(plan: &Plan, noise: Option<NoiseShape>) -> Self {
        let family = family(plan);
        let seeds = u32::try_from(plan.spec().seeds.len()).unwrap_or(u32::MAX);
        let seeds_in_family = seeds_to_reach(ALPHA, family);
        let detectable = |seeds: u32| {
            let deviation = noise?.deviation();
            Power::new(ALPHA, family).detectable(deviation, seeds)
        };
        Self {
            family,
            seeds,
            alpha: ALPHA,
            smallest_p: smallest_p(seeds),
            seeds_alone: seeds_to_reach(ALPHA, 1),
            seeds_in_family,
            noise,
            detectable: detectable(seeds),
            detectable_with_more: seeds_in_family.filter(|least| *least > seeds).and_then(detectable),
        }
    }

    /// For people, a line or two; empty without comparisons.
    pub(crate) fn lines(&self, metric: &str, asked: bool) -> Vec<String> {
        if self.family == 0 {
            return vec!["no comparisons: no stage trains its starting point".to_owned()];
        }
        let size = (asked || self.noise.is_some()).then(|| self.size(metric));
        [self.reach()].into_iter().chain(size).collect()
    }

    /// `3 seeds: no exact test can be significant at 0.05; at least 6 seeds are needed, 9 with Holm's correction over
    /// 10 comparisons`.
    fn reach(&self) -> String {
        let seeds = plural(self.seeds.into(), "seed");
        let family = plural(self.family as u64, "comparison");
        let alpha = self.alpha;
        let reaches = |least: Option<u32>| least.is_some_and(|least| self.seeds >= least);
        let alone = self.seeds_alone.map(|least| format!("at least {} are needed", plural(least.into(), "seed")));
        let alone = alone.unwrap_or_else(|| "no number of seeds is enough".to_owned());
        let most = plural(largest_family(alpha), "comparison");
        match (reaches(self.seeds_alone), reaches(self.seeds_in_family)) {
            (true, true) if self.family == 1 => format!("{seeds}: an exact test can be significant at {alpha}"),
            (true, true) => {
                format!("{seeds}: exact tests can be significant at {alpha}, also with Holm's correction over {family}")
            }
            (true, false) => match self.seeds_in_family {
                Some(least) => format!(
                    "{seeds}: a single exact test can be significant at {alpha}, but none with Holm's correction over \
                    {family}, which needs {}",
                    plural(least.into(), "seed")
                ),
                None => format!(
                    "{seeds}: a single exact test can be significant at {alpha}, but no number of seeds is enough with \
                    Holm's correction over {family} (at most {most})"
                ),
            },
            (false, _) if self.family == 1 => format!("{seeds}: no exact test can be significant at {alpha}; {alone}"),
            (false, _) => match self.seeds_in_family {
                Some(least) => format!(
                    "{seeds}: no exact test can be significant at {alpha}; {alone}, {} with Holm's correction over \
                    {family}",
                    count(least.into())
                ),
                None => format!(
                    "{seeds}: no exact test can be significant at {alpha}; {alone}, and no number is enough with \
                    Holm's correction over {family} (at most {most})"
                ),
            },
        }
    }

    fn size(&self, metric: &str) -> String {
        let Some(noise) = self.noise else {
            return "the detectable difference is not known: no similar configuration has been trained with several \
                seeds there yet"
                .to_owned();
        };
        let seen = match noise.of_differences {
            Some(of) => {
                format!("differences of {metric} with the same seed have a standard deviation of {}", fixed(of, 4))
            }
            None => format!("{metric} has a standard deviation of {} between seeds", fixed(noise.of_runs, 4)),
        };
        let sweeps = plural(noise.sweeps.into(), "earlier sweep");
        let chance = percent(POWER);
        let shown = match (self.detectable, self.detectable_with_more, self.seeds_in_family) {
            (Some(least), ..) => {
                format!("a difference of {} is detected with a probability of {chance}", fixed(least, 4))
            }
            (None, Some(least), Some(seeds)) => {
                let (seeds, least) = (plural(seeds.into(), "seed"), fixed(least, 4));
                format!("with {seeds}, a difference of {least} is detected with a probability of {chance}")
            }
            (None, ..) => "no difference can be detected".to_owned(),
        };
        format!("in {sweeps}, {seen}: {shown}")
    }
}

#[cfg(test)]
mod tests {
    use sweep_spec::Spec;

    use super::*;

    const TEN: &str = "
version: 1
name: ten
dataset: { kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }
seeds: 3
baseline: { family: cnn, filters: 1 }
stages:
  - { name: width, vary: { filters: [1, 2, 3, 4, 5, 6] }, keep: best }
  - { name: head, from: width, vary: { dense_layers: [1, 2, 3, 4] } }
extra: [ { name: both, family: cnn, filters: 9 }, { name: base, family: cnn, filters: 1 } ]
";

    fn plan(text: &str) -> Plan {
        Plan::new(&Spec::parse(text.as_bytes(), &[], &Default::default()).unwrap())
    }

    #[test]
    fn the_family_is_every_configuration_of_a_stage_against_its_start() {
        // Five widths, three heads against the winner, and one extra beside the baseline itself.
        assert_eq!(family(&plan(TEN)), 9);
    }

    #[test]
    fn more_seeds_and_the_noise_floor_are_no_more_comparisons() {
        let more =
            TEN.replace("seeds: 3", "seeds: { adaptive: { start: 3, step: 3, at_most: 9 } }\nnoise: { seeds: 2 }");
        assert_eq!(family(&plan(&more)), 9);
        // Only the noise floor trains the baseline, under seeds that no other group has.
        let extra = "extra: [ { name: both, family: cnn, filters: 9 } ]";
        let (head, _) = TEN.split_once("stages:").unwrap();
        assert_eq!(family(&plan(&format!("{head}noise: {{ seeds: 2 }}\n{extra}"))), 0);
    }

    #[test]
    fn three_seeds_show_nothing_and_it_is_said_how_many_would() {
        let shape = PowerShape { family: 10, ..PowerShape::of(&plan(TEN), None) };
        let shape = PowerShape { seeds_in_family: seeds_to_reach(ALPHA, 10), ..shape };
        let said = shape.lines("val_accuracy", false);
        assert_eq!(
            said[0],
            "3 seeds: no exact test can be significant at 0.05; at least 6 seeds are needed, 9 with Holm's correction over 10 comparisons"
        );
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(shape.lines("val_accuracy", true)[1].contains("is not known"));
    }

    #[test]
    fn a_family_for_which_no_number_of_seeds_is_enough_is_told_what_would_be() {
        let shape = |seeds: u32, family: usize| PowerShape {
            family,
            seeds,
            seeds_in_family: seeds_to_reach(ALPHA, family),
            ..PowerShape::of(&plan(TEN), None)
        };
        let said = |seeds, family| shape(seeds, family).lines("val_accuracy", false).remove(0);
        assert_eq!(said(1, 1), "1 seed: no exact test can be significant at 0.05; at least 6 seeds are needed");
        assert_eq!(said(6, 1), "6 seeds: an exact test can be significant at 0.05");
        assert_eq!(
            said(6, 2),
            "6 seeds: a single exact test can be significant at 0.05, but none with Holm's correction over 2 \
             comparisons, which needs 7 seeds"
        );
        assert_eq!(
            said(6, 1_000_000),
            "6 seeds: a single exact test can be significant at 0.05, but none with Holm's correction over \
             1,000,000 comparisons, which needs 26 seeds"
        );
        assert_eq!(
            said(21, 10_000),
            "21 seeds: exact tests can be significant at 0.05, also with Holm's correction over 10,000 comparisons"
        );
        assert_eq!(
            said(0, usize::MAX),
            "0 seeds: no exact test can be significant at 0.05; at least 6 seeds are needed, and no number is enough with \
             Holm's correction over 18,446,744,073,709,551,615 comparisons (at most 27,487,790,694 comparisons)"
        );
    }

    #[test]
    fn with_noise_it_says_what_would_be_shown() {
        let noise = NoiseShape { of_runs: 0.02, runs: 12, of_differences: Some(0.01), differences: 10, sweeps: 2 };
        let few = PowerShape::of(&plan(TEN), Some(noise));
        assert!(few.detectable.is_none() && few.detectable_with_more.is_some());
        let many = PowerShape::of(&plan(&TEN.replace("seeds: 3", "seeds: 20")), Some(noise));
        let least = many.detectable.unwrap();
        assert!(least > 0.005 && least < 0.012, "{least}");
        assert!(many.lines("val_accuracy", true)[1].contains("is detected with a probability of 80 %"));
    }
}
