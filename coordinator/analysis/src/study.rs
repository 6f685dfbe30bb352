//! The input of an analysis: a sweep's configurations with the results of their trials. The owner of a store builds it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use sweep_spec::protocol::Report;
use sweep_spec::spec::{Goal, Metric, Spec};
use sweep_spec::trainer::{EpochMetrics, Provenance, Validation};
use sweep_spec::{Configuration, Digest, Outcome, TrialId};

use crate::result::Estimate;
use crate::statistics::estimate;
use crate::title::title;

#[derive(Debug, Clone)]
pub struct Study {
    pub spec: Spec,
    /// The groups of the sweep's plan, in its order: the stages of the spec first, then the groups beside the stages.
    pub groups: Vec<Group>,
    /// The configurations that are known by now, in the order of the spec.
    pub subjects: Vec<Subject>,
    /// Predictions for every validation image, for the trials of which they were requested. Without them, findings from
    /// single images (McNemar's test, classes) are left out.
    pub validations: BTreeMap<TrialId, Validation>,
    /// Names of the classes in the data set's order; empty where no worker has described the data yet.
    pub classes: Vec<String>,
}

/// A part of the plan that was opened at once.
#[derive(Debug, Clone)]
pub struct Group {
    /// The name of the stage, or of the group beside the stages.
    pub name: String,
    pub kind: GroupKind,
    /// The subject that the group's changes are measured against, by position; absent while it is not known. It need not be
    /// among the subjects: a starting point is trained only if the group asks for it.
    pub start: Option<u32>,
    /// For people: the starting point as a difference from the baseline.
    pub start_label: String,
    /// The subject that the group handed on, by position, where results chose it.
    pub winner: Option<u32>,
    /// The seeds whose replicates chose the winner.
    pub chose_on: Vec<u64>,
    /// Whether all of its trials have ended.
    pub ended: bool,
}

/// The purpose of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// The stage of this index in the spec.
    Stage(usize),
    /// Configurations beside the stages.
    Extra,
    /// The baseline under other seeds, for the noise floor. Their replicates enter nothing else.
    Noise,
    /// More seeds for undecided comparisons.
    MoreSeeds,
}

#[derive(Debug, Clone)]
pub struct Subject {
    /// Its position in the plan; never changes.
    pub position: u32,
    /// The name of an entry of `extra` or of a hand-picked point; otherwise empty.
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
    /// In the order of their seeds.
    pub replicates: Vec<Replicate>,
}

/// A configuration under one seed.
#[derive(Debug, Clone)]
pub struct Replicate {
    pub seed: u64,
    pub trial: TrialId,
    pub state: State,
    /// Its result was known before the sweep.
    pub reused: bool,
    /// It serves only the noise floor.
    pub noise: bool,
    /// The answer, of a trial that succeeded.
    pub answer: Option<Answer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Queued,
    /// An attempt is live.
    Running,
    Succeeded,
    /// The reason.
    Failed(String),
    /// No sweep needs it any more.
    Cancelled,
}

/// The answer of a trial.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether it converged.
    pub outcome: Outcome,
    /// The last epoch with finite numbers.
    pub last: Option<EpochMetrics>,
    /// The best such epoch.
    pub best: Option<EpochMetrics>,
    /// Wall time of training and validation.
    pub seconds: f64,
    /// Shared by all answers with the same provenance.
    pub made: Arc<Made>,
    /// On the test part, of the reported epoch, where a holdout chooses it.
    pub test: Option<TestScore>,
}

/// The provenance of an answer. Few trials of a sweep differ in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Made {
    /// The data that were read.
    pub data_digest: Digest,
    /// The images that trained and the images that validated.
    pub split_digest: Digest,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// For people: the model's name.
    pub device_name: String,
    /// Instruction set or compute capability: results are bit-equal only within one.
    pub instruction_set: String,
    /// Trainer's name and version.
    pub trainer: String,
    /// Threads that trained.
    pub threads: u32,
    /// The hash of the protocol that was followed; not known of an answer of an earlier release.
    pub protocol_digest: Option<Digest>,
}

/// The result of one epoch's network on a test part that is only reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TestScore {
    pub epoch: u32,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share that was right.
    pub accuracy: f64,
}

impl Study {
    /// The subject of this position.
    pub fn subject(&self, position: u32) -> Option<&Subject> {
        let index = self.subjects.binary_search_by_key(&position, |subject| subject.position);
        match index {
            Ok(index) => self.subjects.get(index),
            // Studies from a store are ordered by position; those of tests may not be.
            Err(_) => self.subjects.iter().find(|subject| subject.position == position),
        }
    }

    /// The baseline, if something asks for it.
    pub fn baseline(&self) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.baseline)
    }

    /// The better direction of `metric`: the spec's goal for its objective, otherwise the natural one.
    pub fn goal(&self, metric: Metric) -> Goal {
        let objective = &self.spec.objective;
        if metric == objective.metric { objective.goal } else { metric.natural_goal() }
    }

    /// The value of a replicate; `None` if it diverged or has no answer.
    pub fn value(&self, subject: &Subject, replicate: &Replicate, metric: Metric) -> Option<f64> {
        replicate.value(&self.spec, subject.params, metric)
    }
}

impl Subject {
    /// Its replicates, without those that serve only the noise floor.
    pub fn own(&self) -> impl Iterator<Item = &Replicate> + '_ {
        self.replicates.iter().filter(|replicate| !replicate.noise)
    }

    /// Its name, or its label without one.
    pub fn title(&self) -> &str {
        title(&self.name, &self.label)
    }

    /// Wall time of its trials, in seconds.
    pub fn seconds(&self) -> Option<Estimate> {
        let seconds = self.own().filter_map(|replicate| Some(replicate.answer.as_ref()?.seconds));
        estimate(&seconds.collect::<Vec<_>>())
    }
}

impl Replicate {
    /// The number by which it is judged, under a configuration with `params` parameters; nothing if it diverged or has no
    /// answer.
    pub fn value(&self, spec: &Spec, params: u64, metric: Metric) -> Option<f64> {
        let answer = self.answer.as_ref().filter(|answer| answer.outcome == Outcome::Converged)?;
        metric.value(answer.reported(spec)?, params)
    }
}

/// Keeps one of each, for answers to share.
#[derive(Debug, Default)]
pub struct Makers(HashSet<Arc<Made>>);

impl Makers {
    /// The shared copy of `provenance`.
    pub fn shared(&mut self, provenance: Provenance) -> Arc<Made> {
        let made = Made {
            data_digest: provenance.data_digest,
            split_digest: provenance.split_digest,
            device: provenance.device,
            device_name: provenance.device_name,
            instruction_set: provenance.instruction_set,
            trainer: provenance.trainer,
            threads: provenance.threads,
            protocol_digest: provenance.origin.protocol_digest,
        };
        if let Some(known) = self.0.get(&made) {
            return Arc::clone(known);
        }
        let made = Arc::new(made);
        self.0.insert(Arc::clone(&made));
        made
    }
}

impl Answer {
    /// The epoch that the protocol reports, for any outcome.
    pub fn reported(&self, spec: &Spec) -> Option<&EpochMetrics> {
        match spec.protocol.report {
            Report::Last => self.last.as_ref(),
            Report::Best => self.best.as_ref(),
        }
    }
}
