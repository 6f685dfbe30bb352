//! The leaderboard: each configuration's replicates as means and spreads, ranked by the objective.
//!
//! Ranked are configurations with at least one replicate and none that failed, was cancelled, diverged or has not ended.
//! Those with a diverged replicate stand below every ranked one, then those that failed or have not ended.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use sweep_spec::protocol::Report;
use sweep_spec::spec::{Goal, Metric};
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{Digest, Outcome, Spec, TrialId};

use crate::store::codes::RoundState;
use crate::store::record::{ConfigurationRecord, Replicate, TestScore};

/// A ranking of configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaderboard {
    /// What it is ranked by.
    pub metric: Metric,
    /// Whether more is better.
    pub goal: Goal,
    /// The best first.
    pub rows: Vec<Row>,
    /// For people.
    pub notes: Vec<String>,
}

/// One configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its rank, counted from 1; absent where it cannot be ranked.
    pub rank: Option<u32>,
    /// Its place in the spec.
    pub position: u32,
    /// Of an entry of `extra`, else empty.
    pub name: String,
    /// What differs from the baseline.
    pub label: String,
    /// The network.
    pub configuration: sweep_spec::Configuration,
    /// The stages that it belongs to, by position.
    pub stages: Vec<u32>,
    /// It is the baseline.
    pub baseline: bool,
    /// Parameters.
    pub params: u64,
    /// Of one image's forward pass.
    pub flops: u64,
    /// Over the replicates that have a number.
    pub train_accuracy: Option<Estimate>,
    /// The same.
    pub val_accuracy: Option<Estimate>,
    /// The same.
    pub train_loss: Option<Estimate>,
    /// The same.
    pub val_loss: Option<Estimate>,
    /// Train accuracy ÷ (10 × params).
    pub ratio: Option<Estimate>,
    /// On the test part, where a holdout chooses the epoch; it ranks nothing.
    pub test_accuracy: Option<Estimate>,
    /// The same.
    pub test_loss: Option<Estimate>,
    /// Wall time of a trial.
    pub seconds: Option<Estimate>,
    /// Where its trials stand.
    pub counts: Counts,
    /// For people.
    pub remark: String,
    /// Its trials.
    pub trials: Vec<TrialId>,
}

/// Mean and spread over the replicates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Of the sample; absent with fewer than two replicates.
    pub standard_deviation: Option<f64>,
    /// How many there were.
    pub count: u32,
}

impl Estimate {
    /// Of these values; nothing of none. Independent of their order.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let standard_deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Some(Self { mean, standard_deviation, count: values.len() as u32 })
    }
}

/// How many trials of a configuration stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// They wait.
    pub queued: u64,
    /// An attempt is live.
    pub running: u64,
    /// They have a result, diverged ones included.
    pub succeeded: u64,
    /// Of the succeeded ones.
    pub diverged: u64,
    /// They have none.
    pub failed: u64,
    /// Nobody wanted them any more.
    pub cancelled: u64,
    /// Of the succeeded ones, known before the sweep.
    pub reused: u64,
}

impl Counts {
    fn total(&self) -> u64 {
        self.queued + self.running + self.succeeded + self.failed + self.cancelled
    }

    /// Counts one replicate.
    pub fn add(&mut self, replicate: &Replicate) {
        match replicate.state {
            None | Some(RoundState::Open) if replicate.running => self.running += 1,
            None | Some(RoundState::Open) => self.queued += 1,
            Some(RoundState::Succeeded) => {
                self.succeeded += 1;
                self.reused += u64::from(replicate.reused);
                let diverged = replicate.result.as_ref().is_some_and(|result| result.outcome == Outcome::Diverged);
                self.diverged += u64::from(diverged);
            }
            Some(RoundState::Failed) => self.failed += 1,
            Some(RoundState::Cancelled) => self.cancelled += 1,
        }
    }

    /// Diverged and failed ones, for people.
    fn remark(&self) -> String {
        let total = self.total();
        let parts = [
            (self.diverged, "diverged"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.queued + self.running, "not ended"),
        ];
        let parts =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} of {total} {word}"));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// 0 for what is ranked, more for what stands below.
    fn class(&self) -> u8 {
        let unended = self.failed + self.cancelled + self.queued + self.running;
        match (unended, self.diverged, self.succeeded) {
            (0, 0, 1..) => 0,
            (0, 1.., _) => 1,
            _ => 2,
        }
    }
}

/// The epoch that a trial is judged by; nothing for one that diverged.
pub fn reported<'a>(spec: &Spec, replicate: &'a Replicate) -> Option<&'a EpochMetrics> {
    let result = replicate.result.as_ref().filter(|result| result.outcome == Outcome::Converged)?;
    epoch(spec, result)
}

/// The epoch that a result reports, whatever its outcome.
pub fn epoch<'a>(spec: &Spec, result: &'a crate::store::record::ResultRecord) -> Option<&'a EpochMetrics> {
    match spec.protocol.report {
        Report::Last => result.last.as_ref(),
        Report::Best => result.best.as_ref(),
    }
}

/// Ranks the configurations by `metric`, or by the spec's objective.
pub fn leaderboard(
    spec: &Spec,
    metric: Option<Metric>,
    configurations: &[ConfigurationRecord],
    replicates: &[Replicate],
) -> Leaderboard {
    let metric = metric.unwrap_or(spec.objective.metric);
    let goal = if metric == spec.objective.metric { spec.objective.goal } else { metric.natural_goal() };
    let mut by_configuration: HashMap<u32, Vec<&Replicate>> = HashMap::new();
    for replicate in replicates {
        by_configuration.entry(replicate.configuration).or_default().push(replicate);
    }
    let unequal = unequal_data(replicates);
    let mut rows: Vec<(Row, Option<f64>)> = configurations
        .iter()
        .filter_map(|configuration| {
            let replicates = by_configuration.get(&configuration.position)?;
            Some(row(spec, metric, configuration, replicates))
        })
        .collect();
    rows.sort_by(|a, b| order(goal, a, b));
    let mut rank = 0;
    for (row, value) in &mut rows {
        if row.counts.class() == 0 && value.is_some() && !unequal {
            rank += 1;
            row.rank = Some(rank);
        }
    }
    let rows = rows.into_iter().map(|(row, _)| row).collect();
    Leaderboard { metric, goal, rows, notes: notes(spec, replicates, unequal) }
}

fn order(goal: Goal, a: &(Row, Option<f64>), b: &(Row, Option<f64>)) -> Ordering {
    let better = |a: f64, b: f64| match goal {
        Goal::Maximize => b.total_cmp(&a),
        Goal::Minimize => a.total_cmp(&b),
    };
    let by_value = match (a.1, b.1) {
        (Some(a), Some(b)) => better(a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    let tie = |row: &Row| (row.params, row.position);
    a.0.counts.class().cmp(&b.0.counts.class()).then(by_value).then_with(|| tie(&a.0).cmp(&tie(&b.0)))
}

/// A row, and the value that it is ordered by.
fn row(
    spec: &Spec,
    metric: Metric,
    configuration: &ConfigurationRecord,
    replicates: &[&Replicate],
) -> (Row, Option<f64>) {
    let mut counts = Counts::default();
    replicates.iter().for_each(|replicate| counts.add(replicate));
    let params = configuration.params;
    let of = |metric: Metric| {
        let values = replicates.iter().filter_map(|replicate| reported(spec, replicate));
        let values: Vec<f64> = values.filter_map(|epoch| metric.value(epoch, params)).collect();
        Estimate::of(&values)
    };
    let tested = |read: fn(&TestScore) -> f64| {
        let results = replicates.iter().filter_map(|replicate| replicate.result.as_ref());
        let results = results.filter(|result| result.outcome == Outcome::Converged);
        Estimate::of(&results.filter_map(|result| result.test.as_ref().map(read)).collect::<Vec<f64>>())
    };
    let seconds: Vec<f64> =
        replicates.iter().filter_map(|replicate| Some(replicate.result.as_ref()?.provenance.seconds)).collect();
    let row = Row {
        rank: None,
        position: configuration.position,
        name: configuration.name.clone(),
        label: configuration.label.clone(),
        configuration: configuration.configuration.clone(),
        stages: configuration.stages.clone(),
        baseline: configuration.baseline,
        params,
        flops: configuration.flops,
        train_accuracy: of(Metric::TrainAccuracy),
        val_accuracy: of(Metric::ValAccuracy),
        train_loss: of(Metric::TrainLoss),
        val_loss: of(Metric::ValLoss),
        ratio: of(Metric::Ratio),
        test_accuracy: tested(|test| test.accuracy),
        test_loss: tested(|test| test.loss),
        seconds: Estimate::of(&seconds),
        remark: counts.remark(),
        counts,
        trials: replicates.iter().map(|replicate| replicate.trial).collect(),
    };
    let value = of(metric).map(|estimate| estimate.mean);
    (row, value)
}

/// Whether configurations were trained on different data or splits, or under different protocols, where they are compared:
/// within each seed. A split may differ between seeds.
fn unequal_data(replicates: &[Replicate]) -> bool {
    let mut by_seed: HashMap<u64, (Digest, Digest)> = HashMap::new();
    let mut protocols: BTreeSet<Digest> = BTreeSet::new();
    replicates.iter().any(|replicate| {
        let Some(result) = &replicate.result else { return false };
        let made = &result.provenance;
        // Of an answer of an earlier release it is not known; its trial's id vouches for its protocol.
        protocols.extend(made.origin.protocol_digest);
        let digests = (made.data_digest, made.split_digest);
        protocols.len() > 1 || *by_seed.entry(replicate.seed).or_insert(digests) != digests
    })
}

fn notes(spec: &Spec, replicates: &[Replicate], unequal: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if unequal {
        notes.push(
            "trials were trained on different data or splits: they cannot be compared, so nothing is ranked".to_owned(),
        );
    }
    notes.extend(choice_note(spec, replicates));
    let made = || replicates.iter().filter_map(|replicate| replicate.result.as_ref()).map(|result| &result.provenance);
    let kinds: BTreeSet<&str> = made().map(|made| made.device.split(':').next().unwrap_or_default()).collect();
    let sets: BTreeSet<&str> = made().map(|made| made.instruction_set.as_str()).collect();
    if kinds.len() > 1 || sets.len() > 1 {
        let list = |set: BTreeSet<&str>| set.into_iter().collect::<Vec<_>>().join(", ");
        notes.push(format!(
            "trained on different devices ({}; {}): bits are equal only within one",
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

/// Which data chose the epoch, and what the test part was for.
fn choice_note(spec: &Spec, replicates: &[Replicate]) -> Option<String> {
    let chosen = match (spec.protocol.report, &spec.protocol.holdout) {
        (Report::Best, None) => return Some("epoch chosen on the test set".to_owned()),
        (Report::Last, None) => return None,
        (Report::Best, Some(_)) => "epoch chosen on the holdout",
        (Report::Last, Some(_)) => "validation is on the holdout",
    };
    let converged = || {
        let results = replicates.iter().filter_map(|replicate| replicate.result.as_ref());
        results.filter(|result| result.outcome == Outcome::Converged)
    };
    let (all, tested) = (converged().count(), converged().filter(|result| result.test.is_some()).count());
    Some(match tested {
        _ if tested == all => format!("{chosen}; the test set only reports"),
        0 => format!("{chosen}; the test set was not looked at"),
        _ => format!("{chosen}; the test set only reports, for {tested} of {all} trials"),
    })
}

#[cfg(test)]
#[path = "leaderboard_tests.rs"]
mod tests;
