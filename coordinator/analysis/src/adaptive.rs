//! `seeds: adaptive`: decides which comparisons of a study are finished, and which are open and get more seeds. A pure
//! function of the results: it always gives the same answer, and a decision is never revised.
//!
//! `statistics::Looks` describes the rule and why it keeps its error rate. Comparisons may rest on different numbers of
//! seeds here, because seeds that chose one of the two sides do not count. The numbers are still fixed before the look,
//! and each test is valid by itself.

use std::collections::BTreeSet;

use crate::statistics::{ALPHA, Finding, Looks, holm, sign_flip};
use crate::study::{Group, GroupKind, Study, Subject};

/// A comparison, with its state after the looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Followed {
    /// The index of the change's group.
    pub group: usize,
    /// The configuration, by position.
    pub position: u32,
    /// The position of the configuration that it is compared with.
    pub reference: u32,
    /// The look that decided, or the latest one at which there was something to test.
    pub finding: Option<Finding>,
    /// Whether more seeds could decide it.
    pub state: State,
}

/// The state of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Neither shown nor given up.
    Open,
    /// A difference is shown.
    Decided,
    /// A replicate of either side has no value, or the two were trained on different data: there is nothing to test.
    Excluded,
}

/// All comparisons of a study with the starting points of their stages, after `looks` looks at its results. The first
/// look uses the seeds of the start; each later one also uses the seeds that were added.
pub fn follow(study: &Study, looks: usize) -> Vec<Followed> {
    let mut followed = comparisons(study);
    let added = study.spec.adaptive.as_ref();
    let all = 1 + added.map_or(0, |added| added.looks());
    let mut seeds: Vec<u64> = study.spec.seeds.clone();
    let mut counts = Vec::with_capacity(all);
    let mut at: Vec<Vec<u64>> = Vec::with_capacity(all);
    for look in 0..all {
        seeds.extend(added.map_or(&[][..], |added| added.added_at(look)));
        counts.push(u32::try_from(seeds.len()).unwrap_or(u32::MAX));
        at.push(seeds.clone());
    }
    let plan = Looks::new(followed.len(), &counts, ALPHA);
    for (look, seeds) in at.iter().enumerate().take(looks) {
        let level = plan.levels().get(look).copied().unwrap_or(0.0);
        let open: Vec<usize> = (0..followed.len()).filter(|index| followed[*index].state == State::Open).collect();
        let tested: Vec<Option<Vec<f64>>> =
            open.iter().map(|index| differences(study, &followed[*index], seeds)).collect();
        let p_values: Vec<Option<f64>> =
            tested.iter().map(|differences| Some(sign_flip(differences.as_deref()?)?.p)).collect();
        let adjusted = holm(&p_values);
        for (place, index) in open.into_iter().enumerate() {
            let Some(comparison) = followed.get_mut(index) else { continue };
            let Some(differences) = &tested[place] else {
                comparison.state = State::Excluded;
                continue;
            };
            let (Some(p), Some(adjusted)) = (p_values[place], adjusted[place]) else { continue };
            let decided = level > 0.0 && adjusted <= level;
            let scaled = if level > 0.0 { (adjusted * (ALPHA / level)).min(1.0) } else { 1.0 };
            let adjusted_p = if decided { scaled.min(ALPHA) } else { scaled };
            let seeds = u32::try_from(differences.len()).unwrap_or(u32::MAX);
            comparison.finding = Some(Finding { look, seeds, p, adjusted_p, decided });
            if decided {
                comparison.state = State::Decided;
            }
        }
    }
    followed
}

/// Every configuration of a stage, or beside the stages, against the starting point, if both are trained.
fn comparisons(study: &Study) -> Vec<Followed> {
    let mut seen = BTreeSet::new();
    let mut comparisons = Vec::new();
    let trained = |position: u32| study.subject(position).is_some_and(|subject| subject.own().next().is_some());
    for (index, group) in study.groups.iter().enumerate() {
        let Some(reference) = group.start.filter(|start| is_source(group) && trained(*start)) else { continue };
        for subject in study.subjects.iter().filter(|subject| subject.groups.contains(&index)) {
            let position = subject.position;
            if position != reference && trained(position) && seen.insert((position, reference)) {
                comparisons.push(Followed { group: index, position, reference, finding: None, state: State::Open });
            }
        }
    }
    comparisons
}

fn is_source(group: &Group) -> bool {
    matches!(group.kind, GroupKind::Stage(_) | GroupKind::Extra)
}

/// The differences under those of `seeds` that chose neither side; nothing if one of them is missing.
fn differences(study: &Study, comparison: &Followed, seeds: &[u64]) -> Option<Vec<f64>> {
    let mut chose = chosen_on(study, comparison.position);
    chose.extend(chosen_on(study, comparison.reference));
    let (subject, reference) = (study.subject(comparison.position)?, study.subject(comparison.reference)?);
    let fresh = seeds.iter().filter(|seed| !chose.contains(seed));
    fresh.map(|seed| difference(study, (subject, reference), *seed)).collect()
}

/// The seeds whose replicates chose this configuration as the winner of a stage.
fn chosen_on(study: &Study, position: u32) -> BTreeSet<u64> {
    let won = study.groups.iter().filter(|group| group.winner == Some(position));
    won.flat_map(|group| group.chose_on.iter().copied()).collect()
}

fn difference(study: &Study, (subject, reference): (&Subject, &Subject), seed: u64) -> Option<f64> {
    let metric = study.spec.objective.metric;
    let of = |subject: &Subject| {
        let replicate = subject.own().find(|replicate| replicate.seed == seed)?;
        let made = &replicate.answer.as_ref()?.made;
        Some((study.value(subject, replicate, metric)?, (made.data_digest, made.split_digest)))
    };
    let ((value, data), (other, other_data)) = (of(subject)?, of(reference)?);
    (data == other_data).then_some(value - other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{diverged, replicate, spec, study, subject};
    use crate::study::Replicate;

    const SEEDS: &str = "seeds: { adaptive: { start: 6, step: 6, at_most: 18 } }";

    /// A study with a complete spec, because the spec of `fixtures` fixes its seeds.
    fn adaptive(subjects: Vec<Subject>) -> Study {
        let mut study = study(spec(""), subjects);
        let text = format!(
            "version: 1\nname: a\n{SEEDS}\nbaseline: {{ family: cnn }}\n\
             dataset: {{ kind: synthetic_scenes }}\nstages: [{{ name: width, vary: {{ filters: [4, 8] }} }}]\n"
        );
        study.spec = sweep_spec::Spec::parse(text.as_bytes(), &[], &Default::default()).unwrap();
        study
    }

    /// Replicates under the first `count` seeds: the baseline's noise plus `above`.
    fn seeds(count: u64, above: impl Fn(u64) -> f64) -> Vec<Replicate> {
        (0..count).map(|seed| replicate(seed, 0.5 + 0.01 * seed as f64 + above(seed))).collect()
    }

    fn alternating(seed: u64) -> f64 {
        if seed.is_multiple_of(2) { 0.02 } else { -0.019 }
    }

    fn states(study: &Study, looks: usize) -> Vec<(u32, State)> {
        follow(study, looks).iter().map(|followed| (followed.position, followed.state)).collect()
    }

    #[test]
    fn significant_comparisons_are_decided_and_the_rest_stays_open() {
        let (clear, unclear) = (|_| 0.1, alternating);
        let subjects = |count| {
            vec![
                subject(0, 1, seeds(count, |_| 0.0)),
                subject(1, 1, seeds(12, clear)),
                subject(2, 1, seeds(count, unclear)),
            ]
        };
        // Two comparisons at 6 seeds: 2 × 2^-5 is above the level of every look.
        let study = adaptive(subjects(18));
        assert_eq!(states(&study, 1), [(1, State::Open), (2, State::Open)]);
        let second = follow(&study, 2);
        assert_eq!((second[0].state, second[1].state), (State::Decided, State::Open));
        assert_eq!(second[0].finding.map(|found| (found.look, found.seeds)), Some((1, 12)));
        // The decided one got no more seeds after that, and stays decided.
        let third = follow(&study, 3);
        assert_eq!(third[0], second[0]);
        assert_eq!((third[1].state, third[1].finding.unwrap().seeds), (State::Open, 18));
    }

    #[test]
    fn a_replicate_without_a_value_excludes_its_comparisons() {
        let mut lost = seeds(12, |_| 0.1);
        lost[3] = diverged(3, 0.9);
        let study =
            adaptive(vec![subject(0, 1, seeds(12, |_| 0.0)), subject(1, 1, lost), subject(2, 1, seeds(12, |_| 0.1))]);
        assert_eq!(states(&study, 2), [(1, State::Excluded), (2, State::Decided)]);
    }

    #[test]
    fn seeds_that_chose_a_side_do_not_count() {
        let mut study = adaptive(vec![subject(0, 1, seeds(18, |_| 0.0)), subject(1, 1, seeds(18, |_| 0.1))]);
        study.groups[0].winner = Some(1);
        study.groups[0].chose_on = (0..6).collect();
        let first = follow(&study, 1);
        assert_eq!((first[0].state, first[0].finding), (State::Open, None), "nothing fresh yet");
        let found = follow(&study, 3)[0].finding.unwrap();
        assert!(found.decided && found.seeds == 12, "{found:?}");
        study.groups[0].chose_on.clear();
        assert_eq!(follow(&study, 1)[0].finding.unwrap().seeds, 6, "nothing was chosen");
    }

    #[test]
    fn replicates_for_the_noise_floor_are_no_seeds_of_a_comparison() {
        let mut baseline = seeds(6, |_| 0.0);
        let mut noise = replicate(1_000_000, 0.9);
        noise.noise = true;
        baseline.push(noise.clone());
        let study = adaptive(vec![subject(0, 1, baseline), subject(1, 1, seeds(6, |_| 0.1))]);
        assert_eq!(follow(&study, 1)[0].finding.unwrap().seeds, 6);
        let only_noise = adaptive(vec![subject(0, 1, vec![noise]), subject(1, 1, seeds(6, |_| 0.1))]);
        assert!(follow(&only_noise, 1).is_empty(), "what is not trained is compared with nothing");
    }
}
