//! The sentences of findings. Tables, reports and messages take them from here, so that their words agree.

use std::collections::{BTreeMap, BTreeSet};

use sweep_spec::levels::{Factor, Level};

use crate::number::{count, fixed, plural, probability};
use crate::result::{Comparison, McNemar, NoiseFloor, Verdict};
use crate::study::{Study, Subject};

/// Levels of the baseline that are named.
const MOST_LEVELS: usize = 6;
/// Starting points that are named.
const MOST_STARTS: usize = 4;

/// The reference of a family of comparisons: `baseline (conv_layers=1 filters=64)` if it is the same for all, otherwise
/// the starting point of each stage. Empty without comparisons.
pub fn against(study: &Study, comparisons: &[Comparison]) -> String {
    // In the order of the plan, with the stages that start from each.
    let mut starts: Vec<(u32, BTreeSet<usize>)> = Vec::new();
    for comparison in comparisons {
        let at = starts.iter().position(|(reference, _)| *reference == comparison.reference).unwrap_or(starts.len());
        if at == starts.len() {
            starts.push((comparison.reference, BTreeSet::new()));
        }
        if let Some((_, groups)) = starts.get_mut(at) {
            groups.extend(comparison.group);
        }
    }
    let named = |reference: &u32| {
        study.subject(*reference).map_or_else(|| "a configuration".to_owned(), |one| start(study, one))
    };
    if let [(only, _)] = starts.as_slice() {
        return named(only);
    }
    let stages = |groups: &BTreeSet<usize>| {
        let names: Vec<&str> =
            groups.iter().filter_map(|group| study.groups.get(*group)).map(|group| group.name.as_str()).collect();
        names.join(" and ")
    };
    let mut told: Vec<String> = starts
        .iter()
        .take(MOST_STARTS)
        .map(|(reference, groups)| format!("{}: {}", stages(groups), named(reference)))
        .collect();
    if starts.len() > MOST_STARTS {
        told.push(format!("{} more", starts.len() - MOST_STARTS));
    }
    if told.is_empty() { String::new() } else { format!("the starting point of the stage ({})", told.join("; ")) }
}

/// The name of a starting point: the baseline by its levels of the varied factors, another one by its difference from
/// the baseline.
fn start(study: &Study, subject: &Subject) -> String {
    if !subject.baseline {
        return subject.title().to_owned();
    }
    let mut seen: BTreeMap<Factor, BTreeSet<String>> = BTreeMap::new();
    for (factor, level) in study.subjects.iter().flat_map(|subject| subject.configuration.levels()) {
        seen.entry(factor).or_default().insert(level.to_string());
    }
    let varies = |(factor, _): &(Factor, Level)| seen.get(factor).is_some_and(|levels| levels.len() > 1);
    let own = subject.configuration.levels().into_iter().filter(varies);
    let mut levels: Vec<String> = own.map(|(factor, level)| format!("{}={level}", factor.name())).collect();
    if levels.len() > MOST_LEVELS {
        levels.truncate(MOST_LEVELS);
        levels.push("…".to_owned());
    }
    if levels.is_empty() { "baseline".to_owned() } else { format!("baseline ({})", levels.join(" ")) }
}

impl Verdict {
    /// One to three words, for a table.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Helps => "helps",
            Self::Hurts => "hurts",
            Self::NoDifferenceShown => "no difference shown",
            Self::AfterSelection => "after selection",
            Self::Open(_) => "open",
        }
    }
}

impl Comparison {
    /// The verdict as a sentence without a final dot.
    pub fn sentence(&self) -> String {
        let word = self.verdict.word();
        match (&self.verdict, self.more_seeds) {
            (Verdict::Helps | Verdict::Hurts, _) => word.to_owned(),
            (Verdict::NoDifferenceShown, None) => word.to_owned(),
            (Verdict::NoDifferenceShown, Some(1)) => {
                format!("{word}: about 1 more seed would make a difference of this size significant")
            }
            (Verdict::NoDifferenceShown, Some(more)) => {
                format!("{word}: about {more} more seeds would make a difference of this size significant")
            }
            (Verdict::AfterSelection, _) => {
                format!("{word}: only seeds that did not choose the winner can show a difference")
            }
            (Verdict::Open(reason), _) => format!("{word}: {reason}"),
        }
    }
}

impl McNemar {
    /// The result as a sentence without a final dot.
    pub fn sentence(&self) -> String {
        format!(
            "under seed {}, only this configuration got {} right, and only the other got {} right (McNemar's exact \
             test: p = {}); this compares one pair of trained networks, not the methods",
            self.seed,
            plural(self.gained, "image"),
            count(self.lost),
            probability(self.p)
        )
    }
}

impl NoiseFloor {
    /// The noise floor as a sentence without a final dot.
    pub fn sentence(&self) -> String {
        format!(
            "the baseline against itself: the standard deviation of one run is {} over {}, so a mean difference over \
             {} stays within ± {} in 95 of 100 such comparisons",
            fixed(self.standard_deviation, 4),
            plural(self.count as u64, "seed"),
            self.pairs,
            fixed(self.half_width, 4)
        )
    }
}

#[cfg(test)]
mod tests {
    use sweep_spec::{Cnn, Configuration};

    use super::*;
    use crate::analyse::{Request, analyse, compare};
    use crate::fixtures::{group, replicates, spec, study, subject};

    #[test]
    fn a_difference_names_its_reference() {
        let values = replicates(&[0.5, 0.6]);
        let mut study = study(spec(""), (0..4).map(|position| subject(position, 1, values.clone())).collect());
        for subject in &mut study.subjects {
            subject.configuration = Configuration::Cnn(Cnn { filters: 8 << subject.position, ..Cnn::default() });
        }
        let told = |study: &Study| against(study, &analyse(study, &Request::default()).comparisons);
        assert_eq!(told(&study), "baseline (filters=8)", "the levels of what varies");
        study.groups.push(group(1, "head", 2));
        study.subjects[3].groups = vec![1];
        assert_eq!(told(&study), "the starting point of the stage (width: baseline (filters=8); head: c2)");
        study.subjects.truncate(1);
        assert_eq!(told(&study), "", "nothing is compared");
    }

    #[test]
    fn every_verdict_reads_as_a_sentence() {
        let values: Vec<f64> = (0..8).map(|seed| 0.5 + 0.01 * f64::from(seed)).collect();
        let shifted: Vec<f64> = values.iter().map(|value| value + 0.1).collect();
        let study = study(spec(""), vec![subject(0, 1, replicates(&values)), subject(1, 1, replicates(&shifted))]);
        let mut one = compare(&study, &Request::default(), 1, 0).unwrap().comparison;
        assert_eq!(one.sentence(), "helps");
        let mut said = |verdict: Verdict, more_seeds: Option<u32>| {
            (one.verdict, one.more_seeds) = (verdict, more_seeds);
            one.sentence()
        };
        let none = Verdict::NoDifferenceShown;
        assert_eq!(said(Verdict::Hurts, None), "hurts");
        assert_eq!(said(none.clone(), None), "no difference shown");
        assert_eq!(
            said(none.clone(), Some(1)),
            "no difference shown: about 1 more seed would make a difference of this size significant"
        );
        assert_eq!(
            said(none, Some(7)),
            "no difference shown: about 7 more seeds would make a difference of this size significant"
        );
        assert_eq!(
            said(Verdict::AfterSelection, None),
            "after selection: only seeds that did not choose the winner can show a difference"
        );
        assert_eq!(said(Verdict::Open("2 of 6 diverged".into()), None), "open: 2 of 6 diverged");
    }
}
