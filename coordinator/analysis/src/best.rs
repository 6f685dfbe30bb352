//! The best configurations of a sweep, found in one pass: only these are kept, out of a million trials. They are ranked
//! as in `leaderboard`.

use sweep_spec::Spec;
use sweep_spec::spec::{Goal, Metric};

use crate::leaderboard::{Likeness, better, class, count};
use crate::statistics::estimate;
use crate::study::Replicate;

/// A configuration with a rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Counted from 1.
    pub rank: u32,
    /// Its position in the plan.
    pub position: u32,
    pub params: u64,
    /// Its mean of the sweep's objective.
    pub value: f64,
}

/// The best so far.
#[derive(Debug)]
pub struct Best<'a> {
    spec: &'a Spec,
    most: usize,
    /// The best first; ranks are given at the end.
    kept: Vec<Ranked>,
    likeness: Likeness,
}

impl<'a> Best<'a> {
    /// Keeps `most` configurations of a sweep with this spec.
    pub fn new(spec: &'a Spec, most: usize) -> Self {
        Self { spec, most, kept: Vec::new(), likeness: Likeness::default() }
    }

    /// Looks at a configuration: its place, its parameters and all of its replicates.
    pub fn add(&mut self, position: u32, params: u64, replicates: &[Replicate]) {
        replicates.iter().for_each(|replicate| self.likeness.add(replicate));
        let own = || replicates.iter().filter(|replicate| !replicate.noise);
        if class(count(own())) != 0 {
            return;
        }
        let (metric, goal): (Metric, Goal) = (self.spec.objective.metric, self.spec.objective.goal);
        let values: Vec<f64> = own().filter_map(|replicate| replicate.value(self.spec, params, metric)).collect();
        let Some(value) = estimate(&values).map(|estimate| estimate.mean) else { return };
        let one = Ranked { rank: 0, position, params, value };
        let tie = |ranked: &Ranked| (ranked.params, ranked.position);
        let place = self.kept.partition_point(|other| {
            better(goal, other.value, one.value).then_with(|| tie(other).cmp(&tie(&one))).is_lt()
        });
        if place < self.most {
            self.kept.insert(place, one);
            self.kept.truncate(self.most);
        }
    }

    /// The best, in the order of their ranks. Nothing is ranked where trials cannot be compared.
    pub fn finish(mut self) -> Vec<Ranked> {
        if self.likeness.is_unequal() {
            return Vec::new();
        }
        for (rank, one) in (1..).zip(&mut self.kept) {
            one.rank = rank;
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sweep_spec::Digest;

    use super::*;
    use crate::fixtures::{diverged, replicates, spec, study, subject, without};
    use crate::leaderboard::leaderboard;
    use crate::study::{State, Study};

    fn best(study: &Study, most: usize) -> Vec<Ranked> {
        let mut best = Best::new(&study.spec, most);
        study.subjects.iter().for_each(|subject| best.add(subject.position, subject.params, &subject.replicates));
        best.finish()
    }

    fn as_ranked(study: &Study, most: usize) -> Vec<Ranked> {
        let board = leaderboard(study, None);
        let rows = board.rows.iter().filter_map(|row| {
            let value = row.value(board.metric)?;
            Some(Ranked { rank: row.rank?, position: row.position, params: row.params, value })
        });
        rows.take(most).collect()
    }

    #[test]
    fn the_best_are_the_first_rows_of_the_leaderboard() {
        let mut subjects = vec![
            subject(0, 9, replicates(&[0.5, 0.7])),
            subject(1, 9, replicates(&[0.7, 0.5])),
            subject(2, 5, replicates(&[0.6, 0.6])),
            subject(3, 9, vec![diverged(0, 0.9), diverged(1, 0.9)]),
            subject(4, 9, vec![without(0, State::Queued)]),
            subject(5, 9, Vec::new()),
            subject(6, 9, replicates(&[0.9])),
        ];
        // The noise floor ranks nothing.
        let mut noise = replicates(&[1.0]);
        noise[0].noise = true;
        subjects[2].replicates.extend(noise);
        let mut study = study(spec(""), subjects);
        for most in [1, 2, 3, 100] {
            assert_eq!(best(&study, most), as_ranked(&study, most), "{most}");
        }
        assert_eq!(best(&study, 2).iter().map(|one| one.position).collect::<Vec<_>>(), [6, 2]);
        let answer = study.subjects[1].replicates[0].answer.as_mut().unwrap();
        Arc::make_mut(&mut answer.made).data_digest = Digest::of(b"other data");
        assert!(best(&study, 100).is_empty() && as_ranked(&study, 100).is_empty());
    }
}
