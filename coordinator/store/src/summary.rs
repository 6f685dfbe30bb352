//! What a sweep comes to, in a few numbers: what a list, a status and a scrape show. Of a sweep that has ended it is counted
//! once and kept, so that no later question reads its trials or its spec.

use serde::{Deserialize, Serialize};
use sweep_spec::budget::{Budget, Money};
use sweep_spec::spec::Metric;
use sweep_spec::{Spec, TrialCounts};

/// Configurations that are kept, the best first.
pub const BEST: usize = 10;

/// What a sweep comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its trials by state.
    pub counts: TrialCounts,
    /// The trials of each stage by state.
    stages: Vec<TrialCounts>,
    /// Milliseconds of slots that it has spent.
    pub spent_ms: u64,
    /// Epochs that its trials did.
    pub epochs_done: u64,
    /// Its results came from GPUs alone.
    pub on_gpus: bool,
    /// The best configurations.
    pub best: Vec<Placed>,
    /// What its spec says of it.
    pub asked: Asked,
}

/// What a status says of a sweep's spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The metric that it is judged by.
    objective: String,
    /// Epochs of one trial.
    pub epochs: u64,
    price_per_hour: Option<String>,
    budget: Option<String>,
    /// The budget in seconds of slots.
    pub budget_seconds: Option<f64>,
    /// Seeds that were left out for the budget before it began.
    pub left_out_seeds: Vec<u64>,
}

/// A configuration with a rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Counted from 1.
    pub rank: u32,
    /// Its place in the spec.
    pub position: u32,
    /// Its name, or what differs from the baseline.
    pub label: String,
    /// Its mean of the objective.
    pub value: f64,
    /// Its parameters.
    pub params: u64,
}

impl Asked {
    /// What `spec` says, with the seeds that its budget left out.
    pub fn of(spec: &Spec, left_out_seeds: Vec<u64>) -> Self {
        Self {
            objective: spec.objective.metric.name().to_owned(),
            epochs: u64::from(spec.protocol.epochs),
            price_per_hour: spec.price_per_hour.as_ref().map(Money::to_string),
            budget: spec.budget.as_ref().map(Budget::to_string),
            budget_seconds: spec.budget_seconds(),
            left_out_seeds,
        }
    }

    /// The metric that the sweep is judged by; nothing where this release knows no such metric.
    pub fn objective(&self) -> Option<Metric> {
        Metric::named(&self.objective)
    }

    /// What an hour of a slot costs.
    pub fn price_per_hour(&self) -> Option<Money> {
        Money::parse(self.price_per_hour.as_ref()?)
    }

    /// What the sweep may cost.
    pub fn budget(&self) -> Option<Budget> {
        Budget::parse(self.budget.as_ref()?)
    }
}

impl Summary {
    /// Of a sweep whose trials were counted, over all and by stage, and nothing else is known yet.
    pub fn new(counts: TrialCounts, stages: &[TrialCounts], asked: Asked) -> Self {
        Self { counts, stages: stages.to_vec(), spent_ms: 0, epochs_done: 0, on_gpus: false, best: Vec::new(), asked }
    }

    /// The trials of the stage at `index` by state.
    pub fn stage(&self, index: usize) -> TrialCounts {
        self.stages.get(index).copied().unwrap_or_default()
    }

    /// As a row keeps it.
    pub(crate) fn to_text(&self) -> Result<String, super::Error> {
        serde_json::to_string(self).map_err(|error| super::Error::damaged(error.to_string()))
    }

    /// From a row. What another release kept in another shape is counted again.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|summary| summary.asked.objective().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_comes_back_as_it_was() {
        let counts = TrialCounts { succeeded: 7, diverged: 1, failed: 2, reused: 3, ..TrialCounts::default() };
        let asked = Asked {
            objective: "val_loss".into(),
            epochs: 3,
            price_per_hour: Some("2.5usd".into()),
            budget: Some("1.5h".into()),
            budget_seconds: Some(5400.0),
            left_out_seeds: vec![u64::MAX],
        };
        let best = vec![Placed { rank: 1, position: 4, label: "filters=3".into(), value: 0.1 + 0.2, params: 9 }];
        let summary = Summary { best, spent_ms: 5, ..Summary::new(counts, &[counts], asked) };
        let back = Summary::from_text(&summary.to_text().unwrap()).unwrap();
        assert_eq!(back, summary);
        assert_eq!((back.counts, back.stage(0), back.stage(1)), (counts, counts, TrialCounts::default()));
        assert_eq!(back.asked.budget(), Some(Budget::Hours(1.5)));
        assert_eq!(back.asked.price_per_hour(), Some(Money { amount: 2.5, currency: "usd".into() }));
        assert_eq!(back.asked.objective(), Some(Metric::ValLoss));
    }

    #[test]
    fn what_another_release_kept_counts_for_nothing() {
        assert_eq!(Summary::from_text("{}"), None);
        let counts = TrialCounts::default();
        let asked = Asked {
            objective: "a_metric_to_come".into(),
            epochs: 1,
            price_per_hour: None,
            budget: None,
            budget_seconds: None,
            left_out_seeds: Vec::new(),
        };
        let text = Summary::new(counts, &[], asked).to_text().unwrap();
        assert_eq!(Summary::from_text(&text), None);
    }
}
