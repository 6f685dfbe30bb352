//! The training protocol: all settings that the trials of a sweep share. The defaults are those of the reference's tool
//! (Keras). Each setting is a separate key and part of a trial's id.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::id::Digest;

/// How every trial of a sweep is trained and reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocol {
    /// Passes over the training data.
    pub epochs: u32,
    /// Images a step; the last step of an epoch may have fewer.
    pub batch_size: u32,
    pub optimizer: Optimizer,
    pub schedule: Schedule,
    /// Changes to training images before every step.
    pub augment: Augment,
    /// The scaling of pixel values.
    pub normalize: Normalize,
    /// The initial weights.
    pub initializer: Initializer,
    /// Constants of batch normalisation.
    pub batch_normalization: BatchNormalization,
    /// The epoch that is reported.
    pub report: Report,
    /// Part of the training data to validate on instead of the test part, which then only reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holdout: Option<Holdout>,
    /// The trials whose weights are kept.
    pub keep_weights: KeepWeights,
    /// The seed that draws the held-out parts.
    #[serde(skip_serializing_if = "SplitSeed::is_fixed")]
    pub split: SplitSeed,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 32,
            optimizer: Optimizer::default(),
            schedule: Schedule::default(),
            augment: Augment::default(),
            normalize: Normalize::default(),
            initializer: Initializer::default(),
            batch_normalization: BatchNormalization::default(),
            report: Report::default(),
            holdout: None,
            keep_weights: KeepWeights::default(),
            split: SplitSeed::default(),
        }
    }
}

impl Protocol {
    /// BLAKE3 of its canonical JSON: two answers with one digest were trained and reported in the same way.
    ///
    /// # Errors
    /// A number in it is not finite; a checked spec has none.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(canonical::to_string(self)?.as_bytes()))
    }
}

/// The optimizer and its constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Adam (Kingma and Ba, 2014).
    Adam {
        /// Step size at the start.
        learning_rate: f64,
        /// Decay of the first moment.
        beta_1: f64,
        /// Decay of the second moment.
        beta_2: f64,
        /// Added to the denominator.
        epsilon: f64,
    },
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam { learning_rate: 1e-3, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

impl Optimizer {
    /// The learning rate of the first epoch.
    pub fn learning_rate(&self) -> f64 {
        let Self::Adam { learning_rate, .. } = self;
        *learning_rate
    }
}

/// The change of the learning rate between epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// No change.
    Constant,
    /// Multiplied by `factor` once `monitor` has not improved by more than `min_delta` for `patience` epochs.
    ReduceOnPlateau {
        monitor: Monitor,
        /// The factor by which the learning rate is multiplied, in (0, 1).
        factor: f64,
        /// Epochs without improvement before the learning rate is reduced.
        patience: u32,
        /// Smallest change that counts as an improvement.
        min_delta: f64,
        /// Epochs after a reduction in which none is counted.
        cooldown: u32,
        /// The learning rate never falls below this.
        min_learning_rate: f64,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::ReduceOnPlateau {
            monitor: Monitor::ValAccuracy,
            factor: 0.1,
            patience: 10,
            min_delta: 1e-4,
            cooldown: 0,
            min_learning_rate: 0.0,
        }
    }
}

/// A metric of an epoch that a schedule can watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// Validation accuracy; more is better.
    ValAccuracy,
    /// Validation loss; less is better.
    ValLoss,
}

/// Random changes to training images, drawn again for every sample of every epoch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Mirrored left to right with probability one half.
    pub horizontal_flip: bool,
    /// Moved by up to this share of the image's side each way; the border is repeated.
    pub shift: f64,
}

/// The scaling of pixel values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// To [0, 1].
    #[default]
    Unit,
    /// To mean 0 and standard deviation 1 for each channel, by the statistics of the training split.
    Standardize,
}

/// The initial weights. Biases start at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// Uniform within ±√(6 / (fan in + fan out)) (Glorot and Bengio, 2010).
    #[default]
    GlorotUniform,
    /// Normal, cut at two standard deviations, of variance 2 / fan in (He et al., 2015).
    HeNormal,
}

/// Constants of batch normalisation, in Keras's sense: running = momentum × running + (1 − momentum) × batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchNormalization {
    /// Added to the variance.
    pub epsilon: f64,
    /// Share of the running statistics that stays at each step.
    pub momentum: f64,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        Self { epsilon: 1e-3, momentum: 0.99 }
    }
}

/// The epoch that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    #[default]
    Last,
    /// The one with the best validation accuracy, the earliest on a tie.
    Best,
}

/// Part of the training data to validate on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// Share of each class, in (0, 1).
    pub fraction: f64,
    /// Seed of the choice; independent of the trials' seeds.
    pub seed: u64,
}

/// The seed that draws the images for `holdout` and for a data set's `test_split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitSeed {
    /// Their own: all trials of a sweep have the same parts.
    #[default]
    Fixed,
    /// The trial's: replicates differ in their parts too; configurations under one seed do not.
    PerSeed,
}

impl SplitSeed {
    /// Whether it is the default, which is not part of any trial's identity.
    pub fn is_fixed(&self) -> bool {
        *self == Self::Fixed
    }
}

/// The trials whose weights are kept as artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepWeights {
    #[default]
    None,
    /// Those of the configuration that ranks first when the sweep ends, under all of its seeds.
    Winner,
    All,
}
