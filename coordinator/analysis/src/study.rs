//! What is analysed: a sweep's configurations with what came of their trials. Whoever holds a store makes one of these.

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

/// A sweep's results.
#[derive(Debug, Clone)]
pub struct Study {
    /// What was asked.
    pub spec: Spec,
    /// The groups of the sweep's plan, in its order: the stages of the spec first, then what stands beside them.
    pub groups: Vec<Group>,
    /// The configurations that are known by now, in the order of the spec.
    pub subjects: Vec<Subject>,
    /// What networks said of every validation image, for those trials of which it was asked for. Without it, what speaks
    /// of single images (McNemar's test, classes) is left out.
    pub validations: BTreeMap<TrialId, Validation>,
    /// Names of the classes in the data set's order; empty where no worker has described the data yet.
    pub classes: Vec<String>,
}

/// A part of the plan that was opened at once.
#[derive(Debug, Clone)]
pub struct Group {
    /// The stage's name, or that of what stands beside the stages.
    pub name: String,
    /// What it is for.
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

/// What a group of a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// The stage of this index in the spec.
    Stage(usize),
    /// Configurations beside the stages.
    Extra,
    /// The baseline under other seeds, for the noise floor. Their replicates enter nothing else.
    Noise,
    /// More seeds for what was undecided.
    MoreSeeds,
}

/// One configuration.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its place in the plan; never changes.
    pub position: u32,
    /// Of an entry of `extra` or a hand-picked point, else empty.
    pub name: String,
    /// What differs from the baseline.
    pub label: String,
    /// The network.
    pub configuration: Configuration,
    /// The groups that ask for it, by index.
    pub groups: Vec<usize>,
    /// It is the baseline.
    pub baseline: bool,
    /// Parameters.
    pub params: u64,
    /// Of one image's forward pass.
    pub flops: u64,
    /// Its trials, in the order of their seeds.
    pub replicates: Vec<Replicate>,
}

/// A configuration under one seed.
#[derive(Debug, Clone)]
pub struct Replicate {
    /// The seed.
    pub seed: u64,
    /// The trial.
    pub trial: TrialId,
    /// Where it stands.
    pub state: State,
    /// Its result was known before the sweep.
    pub reused: bool,
    /// It is there for the noise floor alone.
    pub noise: bool,
    /// The answer, of a trial that succeeded.
    pub answer: Option<Answer>,
}

/// Where a trial stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It waits.
    Queued,
    /// An attempt is live.
    Running,
    /// It has an answer.
    Succeeded,
    /// It has none, and why.
    Failed(String),
    /// Nobody wanted it any more.
    Cancelled,
}

/// The answer of a trial.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether it converged.
    pub outcome: Outcome,
    /// Of the last epoch with finite numbers.
    pub last: Option<EpochMetrics>,
    /// Of the best such epoch.
    pub best: Option<EpochMetrics>,
    /// Wall time of training and validation.
    pub seconds: f64,
    /// How it was made, shared with every answer that was made alike.
    pub made: Arc<Made>,
    /// On the test part, of the reported epoch, where a holdout chooses it.
    pub test: Option<TestScore>,
}

/// Where an answer was made, on what and by what: few trials of a sweep differ in it.
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

/// What the network of one epoch made of a test part that only reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TestScore {
    /// The epoch.
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
            // They are in the order of the spec, which is that of positions; hand-made ones may not be.
            Err(_) => self.subjects.iter().find(|subject| subject.position == position),
        }
    }

    /// The baseline, if something asks for it.
    pub fn baseline(&self) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.baseline)
    }

    /// Which way `metric` is better: as the spec says of its objective, else as is natural.
    pub fn goal(&self, metric: Metric) -> Goal {
        let objective = &self.spec.objective;
        if metric == objective.metric { objective.goal } else { metric.natural_goal() }
    }

    /// The number by which a replicate is judged; nothing for one that diverged or has no answer.
    pub fn value(&self, subject: &Subject, replicate: &Replicate, metric: Metric) -> Option<f64> {
        replicate.value(&self.spec, subject.params, metric)
    }
}

impl Subject {
    /// Its replicates, without those that are there for the noise floor alone.
    pub fn own(&self) -> impl Iterator<Item = &Replicate> + '_ {
        self.replicates.iter().filter(|replicate| !replicate.noise)
    }

    /// Its name, or what differs from the baseline.
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
    /// What is shared of `provenance`.
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
    /// The epoch that the protocol reports, whatever the outcome.
    pub fn reported(&self, spec: &Spec) -> Option<&EpochMetrics> {
        match spec.protocol.report {
            Report::Last => self.last.as_ref(),
            Report::Best => self.best.as_ref(),
        }
    }
}
