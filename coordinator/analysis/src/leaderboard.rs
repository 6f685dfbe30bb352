//! The leaderboard: the mean and spread of each configuration's replicates, ranked by the objective.
//!
//! A configuration is ranked if it has at least one replicate, and none that failed, was cancelled, diverged or has not
//! ended. Configurations with a diverged replicate are listed below all ranked ones, then those that failed or have not
//! ended.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use sweep_spec::protocol::Report;
use sweep_spec::spec::{Goal, Metric};
use sweep_spec::{Configuration, Digest, Outcome, TrialCounts};

use crate::result::Estimate;
use crate::statistics::estimate;
use crate::study::{Answer, GroupKind, Replicate, State, Study, Subject, TestScore};
use crate::title::title;

/// A ranking of configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaderboard {
    /// The metric of the ranking.
    pub metric: Metric,
    /// Whether more is better.
    pub goal: Goal,
    /// The best first.
    pub rows: Vec<Row>,
    /// For users.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Counted from 1; absent if it cannot be ranked.
    pub rank: Option<u32>,
    /// Its position in the plan.
    pub position: u32,
    /// The name of an entry of `extra`; otherwise empty.
    pub name: String,
    /// What differs from the baseline.
    pub label: String,
    pub configuration: Configuration,
    /// The groups that ask for it, by index.
    pub groups: Vec<usize>,
    pub baseline: bool,
    pub params: u64,
    /// Of one image's forward pass.
    pub flops: u64,
    /// Over the replicates that have a number.
    pub train_accuracy: Option<Estimate>,
    pub val_accuracy: Option<Estimate>,
    pub train_loss: Option<Estimate>,
    pub val_loss: Option<Estimate>,
    /// Train accuracy ÷ (10 × params).
    pub ratio: Option<Estimate>,
    /// On the test part, where a holdout chooses the epoch; it ranks nothing.
    pub test_accuracy: Option<Estimate>,
    pub test_loss: Option<Estimate>,
    /// Wall time of a trial.
    pub seconds: Option<Estimate>,
    /// Its trials by state.
    pub counts: TrialCounts,
    /// For users.
    pub remark: String,
}

/// The trials of a configuration by state.
pub fn count<'a>(replicates: impl IntoIterator<Item = &'a Replicate>) -> TrialCounts {
    let mut counts = TrialCounts::default();
    replicates.into_iter().for_each(|replicate| add(&mut counts, replicate));
    counts
}

/// Adds the trial of `replicate` to `counts`.
pub fn add(counts: &mut TrialCounts, replicate: &Replicate) {
    match &replicate.state {
        State::Queued => counts.queued += 1,
        State::Running => counts.running += 1,
        State::Succeeded => {
            counts.succeeded += 1;
            counts.reused += u64::from(replicate.reused);
            let diverged = replicate.answer.as_ref().is_some_and(|answer| answer.outcome == Outcome::Diverged);
            counts.diverged += u64::from(diverged);
        }
        State::Failed(_) => counts.failed += 1,
        State::Cancelled => counts.cancelled += 1,
    }
}

/// A remark about diverged, failed and unended trials; empty if every replicate has a converged answer.
pub(crate) fn remark(counts: TrialCounts) -> String {
    let total = counts.total();
    let parts = [
        (counts.diverged, "diverged"),
        (counts.failed, "failed"),
        (counts.cancelled, "cancelled"),
        (counts.queued + counts.running, "not ended"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} of {total} {word}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// 0 for ranked configurations, more for those that are listed below them.
pub(crate) fn class(counts: TrialCounts) -> u8 {
    let unended = counts.failed + counts.cancelled + counts.queued + counts.running;
    match (unended, counts.diverged, counts.succeeded) {
        (0, 0, 1..) => 0,
        (0, 1.., _) => 1,
        _ => 2,
    }
}

/// Ranks the configurations by `metric`, or by the spec's objective.
pub fn leaderboard(study: &Study, metric: Option<Metric>) -> Leaderboard {
    let metric = metric.unwrap_or(study.spec.objective.metric);
    let goal = study.goal(metric);
    let unequal = unequal_data(study);
    let subjects = study.subjects.iter().filter(|subject| subject.own().next().is_some());
    let mut rows: Vec<(Row, Option<f64>)> = subjects.map(|subject| row(study, metric, subject)).collect();
    rows.sort_by(|a, b| order(goal, a, b));
    let mut rank = 0;
    for (row, value) in &mut rows {
        if class(row.counts) == 0 && value.is_some() && !unequal {
            rank += 1;
            row.rank = Some(rank);
        }
    }
    let rows = rows.into_iter().map(|(row, _)| row).collect();
    Leaderboard { metric, goal, rows, notes: notes(study, unequal) }
}

fn order(goal: Goal, a: &(Row, Option<f64>), b: &(Row, Option<f64>)) -> Ordering {
    let by_value = match (a.1, b.1) {
        (Some(a), Some(b)) => better(goal, a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    let tie = |row: &Row| (row.params, row.position);
    class(a.0.counts).cmp(&class(b.0.counts)).then(by_value).then_with(|| tie(&a.0).cmp(&tie(&b.0)))
}

/// The better of two values goes first.
pub(crate) fn better(goal: Goal, a: f64, b: f64) -> Ordering {
    match goal {
        Goal::Maximize => b.total_cmp(&a),
        Goal::Minimize => a.total_cmp(&b),
    }
}

/// A row, and the value that it is ordered by.
fn row(study: &Study, metric: Metric, subject: &Subject) -> (Row, Option<f64>) {
    let of = |metric: Metric| {
        let values: Vec<f64> = subject.own().filter_map(|replicate| study.value(subject, replicate, metric)).collect();
        estimate(&values)
    };
    let counts = count(subject.own());
    let tested = |read: fn(&TestScore) -> f64| {
        let answers = subject.own().filter_map(|replicate| replicate.answer.as_ref());
        let answers = answers.filter(|answer| answer.outcome == Outcome::Converged);
        estimate(&answers.filter_map(|answer| answer.test.as_ref().map(read)).collect::<Vec<f64>>())
    };
    let row = Row {
        rank: None,
        position: subject.position,
        name: subject.name.clone(),
        label: subject.label.clone(),
        configuration: subject.configuration.clone(),
        groups: groups(study, subject),
        baseline: subject.baseline,
        params: subject.params,
        flops: subject.flops,
        train_accuracy: of(Metric::TrainAccuracy),
        val_accuracy: of(Metric::ValAccuracy),
        train_loss: of(Metric::TrainLoss),
        val_loss: of(Metric::ValLoss),
        ratio: of(Metric::Ratio),
        test_accuracy: tested(|test| test.accuracy),
        test_loss: tested(|test| test.loss),
        seconds: subject.seconds(),
        remark: remark(counts),
        counts,
    };
    let value = row.value(metric);
    (row, value)
}

/// The groups of a subject, without the noise floor, whose replicates are not in its row.
fn groups(study: &Study, subject: &Subject) -> Vec<usize> {
    let noise = |group: &usize| study.groups.get(*group).is_some_and(|group| group.kind == GroupKind::Noise);
    subject.groups.iter().copied().filter(|group| !noise(group)).collect()
}

impl Row {
    /// Its name, or its label without one.
    pub fn title(&self) -> &str {
        title(&self.name, &self.label)
    }

    /// The mean of a metric.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let estimate = match metric {
            Metric::ValAccuracy => self.val_accuracy,
            Metric::ValLoss => self.val_loss,
            Metric::TrainAccuracy => self.train_accuracy,
            Metric::TrainLoss => self.train_loss,
            Metric::Ratio => self.ratio,
        };
        estimate.map(|estimate| estimate.mean)
    }
}

/// Whether configurations were trained on the same data and splits, and under the same protocol, where they are compared:
/// within each seed. A split may differ between seeds.
#[derive(Debug, Default)]
pub(crate) struct Likeness {
    by_seed: BTreeMap<u64, (Digest, Digest)>,
    protocols: BTreeSet<Digest>,
    unequal: bool,
}

impl Likeness {
    pub(crate) fn add(&mut self, replicate: &Replicate) {
        let Some(answer) = &replicate.answer else { return };
        // An answer of an earlier release has no digest; its trial's id depends on the protocol.
        self.protocols.extend(answer.made.protocol_digest);
        let digests = (answer.made.data_digest, answer.made.split_digest);
        self.unequal |= self.protocols.len() > 1 || *self.by_seed.entry(replicate.seed).or_insert(digests) != digests;
    }

    pub(crate) fn is_unequal(&self) -> bool {
        self.unequal
    }
}

fn unequal_data(study: &Study) -> bool {
    let mut likeness = Likeness::default();
    study.subjects.iter().flat_map(|subject| &subject.replicates).for_each(|replicate| likeness.add(replicate));
    likeness.is_unequal()
}

fn notes(study: &Study, unequal: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if unequal {
        notes.push(
            "trials were trained on different data or splits, so they cannot be compared and nothing is ranked"
                .to_owned(),
        );
    }
    notes.extend(choice_note(study));
    let replicates = || study.subjects.iter().flat_map(|subject| &subject.replicates);
    let made = || replicates().filter_map(|replicate| replicate.answer.as_ref()).map(|answer| &answer.made);
    let kinds: BTreeSet<&str> = made().map(|made| made.device.split(':').next().unwrap_or_default()).collect();
    let sets: BTreeSet<&str> = made().map(|made| made.instruction_set.as_str()).collect();
    if kinds.len() > 1 || sets.len() > 1 {
        let list = |set: BTreeSet<&str>| set.into_iter().collect::<Vec<_>>().join(", ");
        notes.push(format!(
            "trained on different devices ({}; {}): results are equal bit for bit only on one kind of device",
            list(kinds),
            list(sets)
        ));
    }
    let trainers: BTreeSet<&str> = made().map(|made| made.trainer.as_str()).collect();
    if trainers.len() > 1 {
        notes.push(format!("trained by different trainers ({})", trainers.into_iter().collect::<Vec<_>>().join(", ")));
    }
    notes
}

/// Which data chose the epoch, and the use of the test part.
fn choice_note(study: &Study) -> Option<String> {
    let chosen = match (study.spec.protocol.report, &study.spec.protocol.holdout) {
        (Report::Best, None) => return Some("epoch chosen on the test set".to_owned()),
        (Report::Last, None) => return None,
        (Report::Best, Some(_)) => "epoch chosen on the holdout",
        (Report::Last, Some(_)) => "validation is on the holdout",
    };
    let converged = || {
        let replicates = study.subjects.iter().flat_map(|subject| &subject.replicates);
        let answers = replicates.filter_map(|replicate| replicate.answer.as_ref());
        answers.filter(|answer: &&Answer| answer.outcome == Outcome::Converged)
    };
    let (all, tested) = (converged().count(), converged().filter(|answer| answer.test.is_some()).count());
    Some(match tested {
        _ if tested == all => format!("{chosen}; the test set was used for reporting only"),
        0 => format!("{chosen}; the test set was not used"),
        _ => format!("{chosen}; the test set was used for reporting only, for {tested} of {all} trials"),
    })
}

#[cfg(test)]
#[path = "leaderboard_tests.rs"]
mod tests;
