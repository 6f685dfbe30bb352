//! The trials of stages that still wait for a winner, as if each stage's starting point had won. Their number is an
//! estimate, not a bound. Seeds that may be added later are not included.

use sweep_spec::Plan;
use sweep_spec::count::Counts;

/// The most points of one stage that are examined; in a larger stage they represent the others.
const LOOKED_AT: usize = 4_096;
/// The most of these that are kept.
const KEPT: usize = 256;

/// Trials of a stage that is not open yet.
#[derive(Debug, Clone)]
pub(crate) struct PendingTrials {
    /// The stage, as the index of its group.
    pub(crate) group: usize,
    /// The number of trials with the same counts.
    pub(crate) trials: u64,
    pub(crate) counts: Counts,
}

/// The number of decisions that a group waits for.
pub(crate) fn depth(plan: &Plan, group: usize) -> usize {
    let waits_for = |group: usize| plan.groups().get(group).and_then(|group| group.waits_for);
    std::iter::successors(waits_for(group), |before| waits_for(*before)).count()
}

/// Pending trials by step: groups of one step can run concurrently, and each step waits for the one before it.
pub(crate) fn to_come(plan: &Plan) -> Vec<Vec<PendingTrials>> {
    let depths: Vec<usize> = (0..plan.groups().len()).map(|group| depth(plan, group)).collect();
    let deepest = depths.iter().copied().max().unwrap_or(0);
    if deepest == 0 {
        return Vec::new();
    }
    let winners = plan.assumed_winners();
    let released = plan.released(&winners);
    let mut steps = vec![Vec::new(); deepest];
    for (index, depth) in depths.iter().enumerate().filter(|(_, depth)| **depth > 0) {
        let seeds = plan.seeds(index).len() as u64;
        let counts: Vec<Counts> = released.points(index).take(LOOKED_AT).map(|planned| planned.counts).collect();
        let all = plan.groups().get(index).map_or(0, |group| group.points).max(counts.len() as u64);
        let each = counts.len().div_ceil(KEPT).max(1);
        let kept: Vec<Counts> = counts.into_iter().step_by(each).collect();
        let (share, rest) = (all / kept.len().max(1) as u64, all % kept.len().max(1) as u64);
        let coming = kept.into_iter().enumerate().map(|(number, counts)| {
            let points = share + u64::from((number as u64) < rest);
            PendingTrials { group: index, trials: points.saturating_mul(seeds), counts }
        });
        if let Some(step) = steps.get_mut(depth - 1) {
            step.extend(coming);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use sweep_spec::Spec;

    use super::*;

    const STAGED: &str = "
version: 1
name: staged
dataset: { kind: synthetic_scenes, seed: 1, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }
seeds: 2
baseline: { family: cnn, filters: 4 }
stages:
  - { name: width, from: baseline, vary: { filters: [4, 8] }, keep: best }
  - { name: head, from: width, vary: { dense_layers: [1, 2, 3] }, keep: best }
  - { name: last, from: head, vary: { dropout: [0.1] } }
";

    #[test]
    fn every_stage_behind_a_winner_is_a_step_with_all_of_its_trials() {
        let plan = Plan::new(&Spec::parse(STAGED.as_bytes(), &[], &Default::default()).unwrap());
        let steps = to_come(&plan);
        let trials = |step: &Vec<PendingTrials>| step.iter().map(|coming| coming.trials).sum::<u64>();
        assert_eq!(steps.iter().map(trials).collect::<Vec<_>>(), [6, 2]);
        assert_eq!(steps[1][0].group, 2);
        assert_eq!(plan.assumed_winners().len(), 2);
    }

    #[test]
    fn a_stage_may_stand_before_the_one_that_it_starts_from() {
        let (head, stages) = STAGED.split_once("stages:\n").unwrap();
        let turned: Vec<&str> = stages.lines().rev().collect();
        let text = format!("{head}stages:\n{}\n", turned.join("\n"));
        let plan = Plan::new(&Spec::parse(text.as_bytes(), &[], &Default::default()).unwrap());
        let steps = to_come(&plan);
        let trials = |step: &Vec<PendingTrials>| step.iter().map(|coming| coming.trials).sum::<u64>();
        assert_eq!(steps.iter().map(trials).collect::<Vec<_>>(), [6, 2]);
        assert_eq!((steps[0][0].group, steps[1][0].group), (1, 0));
    }

    #[test]
    fn a_study_without_decisions_has_nothing_to_come() {
        let plain = STAGED.replace(", keep: best", "");
        let plan = Plan::new(&Spec::parse(plain.as_bytes(), &[], &Default::default()).unwrap());
        assert!(to_come(&plan).is_empty());
    }
}
