//! The rows of the CSV and Parquet formats: one for each configuration in each stage that compares it, and one for each
//! configuration without a comparison (baseline, starting points). The columns are documented here and in
//! `docs/report.md`; new ones are added at the end.

use sweep_analysis::result::{Comparison, Estimate, Verdict};
use sweep_analysis::study::{State, Subject};
use sweep_spec::spec::Metric;

use crate::view::{View, converged};

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(Option<String>),
    /// An integer.
    Whole(Option<i64>),
    /// A finite number.
    Number(Option<f64>),
    /// A boolean.
    Flag(Option<bool>),
}

/// A column of the CSV and Parquet formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The name, the same in every file.
    pub name: &'static str,
    /// The description in `docs/report.md`.
    pub meaning: &'static str,
}

/// Every column, in order.
pub const COLUMNS: [Column; 39] = [
    Column::new("sweep", "the sweep's number"),
    Column::new("position", "the configuration's place in the plan"),
    Column::new("configuration", "the differences from the baseline, or the configuration's name"),
    Column::new("stage", "the stage of the comparison, or the configuration's first stage"),
    Column::new("metric", "the metric that decides the verdict"),
    Column::new("rank", "the rank on the leaderboard; configurations that do not differ significantly share it"),
    Column::new("mean", "mean of the metric over the seeds"),
    Column::new("standard_deviation", "standard deviation of the metric over the seeds (n - 1)"),
    Column::new("n", "seeds with a value"),
    Column::new("trials", "trials of the configuration"),
    Column::new("failed", "trials that failed or were cancelled"),
    Column::new("diverged", "trials that diverged"),
    Column::new("train_accuracy", "mean over the seeds"),
    Column::new("val_accuracy", "mean over the seeds"),
    Column::new("train_loss", "mean over the seeds"),
    Column::new("val_loss", "mean over the seeds"),
    Column::new("ratio", "training accuracy / (10 x parameters), mean over the seeds"),
    Column::new("params", "parameters"),
    Column::new("flops", "FLOPs of one image's forward pass"),
    Column::new("seconds", "wall time of a trial, mean over the seeds"),
    Column::new("on_front", "on the Pareto front of metric, parameters, FLOPs and seconds"),
    Column::new("front_share", "share of bootstrap resamples with the configuration on the front"),
    Column::new("reference", "the configuration to compare with; empty without a comparison"),
    Column::new("pairs", "seeds under which both configurations have a value"),
    Column::new("delta", "mean difference: value minus reference"),
    Column::new("t_low", "lower end of the 95 % interval by Student's t"),
    Column::new("t_high", "upper end of the 95 % interval by Student's t"),
    Column::new("bca_low", "lower end of the 95 % interval by the BCa bootstrap"),
    Column::new("bca_high", "upper end of the 95 % interval by the BCa bootstrap"),
    Column::new("p", "p-value of the paired sign-flip test, two-sided"),
    Column::new("p_exact", "whether the test counted every assignment of signs"),
    Column::new("p_holm", "p-value corrected by Holm over the family"),
    Column::new("p_false_discovery", "p-value corrected by Benjamini and Hochberg, if requested"),
    Column::new("effect_size", "Cohen's d_z"),
    Column::new("verdict", "helps, hurts, no_difference_shown, after_selection or open"),
    Column::new("reason", "the reason of an open verdict"),
    Column::new("more_seeds", "about how many more seeds would make a difference of this size significant"),
    Column::new("after_selection", "whether the replicates selected one of the two configurations"),
    Column::new("remark", "other facts that affect the comparison"),
];

impl Column {
    const fn new(name: &'static str, meaning: &'static str) -> Self {
        Self { name, meaning }
    }
}

/// All rows; each has as many values as there are columns, of the same kinds in every row.
pub(crate) fn rows(view: &View<'_>) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for subject in &view.study.subjects {
        let all = view.analysis.comparisons.iter();
        let comparisons: Vec<&Comparison> = all.filter(|comparison| comparison.position == subject.position).collect();
        match comparisons.as_slice() {
            [] => rows.push(row(view, subject, None)),
            comparisons => rows.extend(comparisons.iter().map(|comparison| row(view, subject, Some(comparison)))),
        }
    }
    rows
}

fn row(view: &View<'_>, subject: &Subject, comparison: Option<&Comparison>) -> Vec<Value> {
    let standing = view.standing(subject.position);
    let value = standing.and_then(|standing| standing.value);
    let group = comparison.and_then(|comparison| comparison.group).or_else(|| subject.groups.first().copied());
    let mean = |metric: Metric| number(view.estimate(subject, metric).map(|estimate: Estimate| estimate.mean));
    let count = |which: fn(&State) -> bool| whole(subject.own().filter(|replicate| which(&replicate.state)).count());
    let answered = subject.own().filter(|replicate| replicate.answer.is_some());
    let mut row = vec![
        whole(view.material.sweep),
        whole(subject.position),
        text(Some(view.name(subject.position))),
        text(group.and_then(|group| view.study.groups.get(group)).map(|group| group.name.clone())),
        text(Some(view.analysis.metric.name().to_owned())),
        Value::Whole(standing.and_then(|standing| standing.rank).map(i64::from)),
        number(value.map(|value| value.mean)),
        number(value.and_then(|value| value.standard_deviation)),
        whole(value.map_or(0, |value| value.count)),
        count(|_| true),
        count(|state| matches!(state, State::Failed(_) | State::Cancelled)),
        whole(answered.filter(|replicate| converged(replicate).is_none()).count()),
        mean(Metric::TrainAccuracy),
        mean(Metric::ValAccuracy),
        mean(Metric::TrainLoss),
        mean(Metric::ValLoss),
        mean(Metric::Ratio),
        whole(subject.params),
        whole(subject.flops),
        number(standing.and_then(|standing| standing.seconds).map(|seconds| seconds.mean)),
        Value::Flag(standing.map(|standing| standing.on_front)),
        number(standing.and_then(|standing| standing.front_share)),
    ];
    row.extend(compared(view, comparison));
    row
}

fn compared(view: &View<'_>, comparison: Option<&Comparison>) -> [Value; 17] {
    let of = |read: fn(&Comparison) -> Option<f64>| number(comparison.and_then(read));
    let verdict = comparison.map(|comparison| &comparison.verdict);
    let word = verdict.map(|verdict| match verdict {
        Verdict::Helps => "helps",
        Verdict::Hurts => "hurts",
        Verdict::NoDifferenceShown => "no_difference_shown",
        Verdict::AfterSelection => "after_selection",
        Verdict::Open(_) => "open",
    });
    let reason = verdict.and_then(|verdict| if let Verdict::Open(why) = verdict { Some(why.clone()) } else { None });
    let remark = comparison.map(|comparison| comparison.remark.clone()).filter(|remark| !remark.is_empty());
    [
        text(comparison.map(|comparison| view.name(comparison.reference))),
        Value::Whole(comparison.map(|comparison| comparison.pairs.len() as i64)),
        of(|comparison| comparison.delta),
        of(|comparison| Some(comparison.t_interval?.low)),
        of(|comparison| Some(comparison.t_interval?.high)),
        of(|comparison| Some(comparison.bca_interval?.low)),
        of(|comparison| Some(comparison.bca_interval?.high)),
        of(|comparison| Some(comparison.test?.p)),
        Value::Flag(comparison.and_then(|comparison| Some(comparison.test?.exact))),
        of(|comparison| comparison.adjusted_p),
        of(|comparison| comparison.false_discovery_p),
        of(|comparison| comparison.effect_size),
        text(word.map(str::to_owned)),
        text(reason),
        Value::Whole(comparison.and_then(|comparison| comparison.more_seeds).map(i64::from)),
        Value::Flag(comparison.map(|comparison| comparison.after_selection)),
        text(remark),
    ]
}

fn text(value: Option<String>) -> Value {
    Value::Text(value)
}

fn number(value: Option<f64>) -> Value {
    Value::Number(value.filter(|value| value.is_finite()))
}

/// Converts a count to `i64`. It saturates, but no count is that large.
fn whole(value: impl TryInto<i64>) -> Value {
    Value::Whole(Some(value.try_into().unwrap_or(i64::MAX)))
}
