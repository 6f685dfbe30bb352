//! Trainer protocol 1: the messages on a trainer's stdin and stdout, one JSON object per line.
//! `worker/trainer/PROTOCOL.md` documents it for other languages.

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::id::{Digest, TrialId};
use crate::outcome::{FailureClass, Outcome};
use crate::trial::Trial;

/// The version of this protocol.
pub const PROTOCOL: u32 = 1;

/// The longest line that an agent reads from a trainer, in bytes; a longer one breaks the protocol.
pub const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// The exit status of a trainer that left because of SIGTERM.
pub const EXIT_LEFT: i32 = 75;

/// A request of the agent. One at a time: the next follows the event that ends the one before. End of file means leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Requests the devices. Answered by `devices`.
    Devices,
    /// Requests a description of a data set. Answered by `described` or `failed`.
    Describe(Describe),
    /// Train. Answered by `started`, `epoch`s and `checkpoint`s, then `finished` or `failed`.
    Train(Box<Train>),
}

/// A data set to be read and described.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Describe {
    pub dataset: Dataset,
    /// The folders of its files on this machine.
    pub folders: Folders,
}

/// A trial to be trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// The trial's id, echoed in every event.
    pub trial_id: TrialId,
    /// The attempt's number, echoed in every event.
    pub attempt: u32,
    pub trial: Trial,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// The folders of files on this machine.
    pub folders: Folders,
    /// A folder for this trial's checkpoints and no other's; none are written or looked for without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_folder: Option<String>,
    /// The epochs between checkpoints; the last epoch has none. 0 counts as 1. SIGTERM causes a checkpoint at any time.
    #[serde(default = "every_epoch")]
    pub checkpoint_every: u32,
    /// A folder in which artifacts (`weights.safetensors`, `thumbnails.png`) are left for the agent; none are without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_folder: Option<String>,
}

fn every_epoch() -> u32 {
    1
}

/// The folders of files on this machine, as absolute paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Folders {
    /// Data sets lie in this one. No path of a data set leads out of it and of `more_data_roots`.
    pub data_root: String,
    /// Further folders that data sets may lie in, and that links may lead into. A path is looked for in `data_root` first,
    /// then here, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_data_roots: Vec<String>,
    /// Decoded images are kept here, shared by all trainers of the machine.
    pub cache: String,
}

impl Folders {
    /// Every folder that data sets may lie in, in the order in which a path is looked for.
    pub fn data_roots(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.data_root).chain(&self.more_data_roots).map(String::as_str)
    }
}

/// A message of the trainer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line of every trainer.
    Hello(Hello),
    /// The devices that can be named in `train`.
    Devices(Devices),
    /// The description of a data set.
    Described(Described),
    /// The trial's data and network are ready.
    Started(Started),
    /// An epoch has ended.
    Epoch(Epoch),
    /// A checkpoint is on disk.
    Checkpoint(Checkpoint),
    /// The trial is answered.
    Finished(Box<Finished>),
    /// The command failed; the trainer is ready for the next unless it also exits.
    Failed(Failed),
}

/// The trainer introduces itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol that it speaks: `PROTOCOL`.
    pub protocol: u32,
    /// Its trainer semantics version.
    pub semantics: u32,
    /// Name and version, for people.
    pub trainer: String,
}

/// The devices of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Devices {
    /// CPUs first, then accelerators.
    pub devices: Vec<Device>,
    /// Why there is no CUDA device, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda_unavailable: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// As `train` takes it: `cpu`, `cuda:0`.
    pub name: String,
    /// For people: the model's name.
    pub description: String,
    /// Its separate memory, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// The description of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Of the decoded content, classes and parts.
    pub digest: Digest,
    /// Class names in sorted order.
    pub classes: Vec<String>,
    /// Channels of each image as it is trained on.
    pub channels: u32,
    /// Images in the training part.
    pub train_images: u32,
    /// Images in the test part.
    pub test_images: u32,
}

/// The trial's data and network are ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Repeats the request.
    pub trial_id: TrialId,
    /// Repeats the request.
    pub attempt: u32,
    /// The device on which it trains.
    pub device: String,
    /// Parameters of the network as built.
    pub params: u64,
    pub data: Described,
    /// The first epoch that is still to be trained, counted from 1; more than 1 if a checkpoint was found. The `epoch`
    /// events before it then follow at once, as they were when they were trained (same numbers, same bits), so that
    /// every attempt has its complete series and nothing of the earlier attempt is needed. A trainer that cannot repeat
    /// them has to begin at 1.
    pub first_epoch: u32,
}

/// Metrics of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Repeats the request.
    pub trial_id: TrialId,
    /// Repeats the request.
    pub attempt: u32,
    #[serde(flatten)]
    pub metrics: EpochMetrics,
}

/// The numbers of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Counted from 1.
    pub epoch: u32,
    /// Mean cross-entropy over the epoch's training samples, dropout on.
    pub train_loss: f64,
    /// Share of the epoch's training samples that were right, dropout on.
    pub train_accuracy: f64,
    /// Mean cross-entropy over the validation data after the epoch, dropout off.
    pub val_loss: f64,
    /// Share of the validation data that was right after the epoch.
    pub val_accuracy: f64,
    /// Learning rate of the epoch.
    pub learning_rate: f64,
    /// Wall time of the epoch, validation included.
    pub seconds: f64,
    /// Training images a second, validation excluded.
    pub images_per_second: f64,
}

impl EpochMetrics {
    /// The names of the numbers, in the order of [`EpochMetrics::numbers`]. Columns of the store have them too.
    pub const NAMES: [&str; 7] =
        ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds", "images_per_second"];

    /// All numbers but the epoch. Checkpoints and checksums of the store depend on the order.
    pub fn numbers(&self) -> [f64; 7] {
        let Self {
            epoch: _,
            train_loss,
            train_accuracy,
            val_loss,
            val_accuracy,
            learning_rate,
            seconds,
            images_per_second,
        } = *self;
        [train_loss, train_accuracy, val_loss, val_accuracy, learning_rate, seconds, images_per_second]
    }

    /// The metrics of `epoch` with the numbers in the order of [`EpochMetrics::numbers`].
    pub const fn from_numbers(epoch: u32, numbers: [f64; 7]) -> Self {
        let [train_loss, train_accuracy, val_loss, val_accuracy, learning_rate, seconds, images_per_second] = numbers;
        Self { epoch, train_loss, train_accuracy, val_loss, val_accuracy, learning_rate, seconds, images_per_second }
    }

    /// Reads the numbers one after the other; `read` gets the name of each.
    pub fn read<E>(epoch: u32, mut read: impl FnMut(&'static str) -> Result<f64, E>) -> Result<Self, E> {
        let mut numbers = [0.0; 7];
        for (number, name) in numbers.iter_mut().zip(Self::NAMES) {
            *number = read(name)?;
        }
        Ok(Self::from_numbers(epoch, numbers))
    }
}

/// A checkpoint is on disk, and stays there if the process is killed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Repeats the request.
    pub trial_id: TrialId,
    /// Repeats the request.
    pub attempt: u32,
    /// The last epoch that is over in it; 0 where it was written in the middle of the first.
    pub epoch: u32,
    /// Its file: the checkpoint folder as it was given, and a name in it.
    pub path: String,
}

/// The answer of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Repeats the request.
    pub trial_id: TrialId,
    /// Repeats the request.
    pub attempt: u32,
    /// Whether it converged.
    pub outcome: Outcome,
    /// Metrics of the last complete epoch with finite numbers; absent if there was none.
    pub last: Option<EpochMetrics>,
    /// Metrics of the best such epoch by validation accuracy, the earliest on a tie.
    pub best: Option<EpochMetrics>,
    /// On the validation data, of the epoch that `protocol.report` chooses; absent if there was none.
    pub validation: Option<Validation>,
    /// On the test part, of the same epoch, where `protocol.holdout` keeps it out of every choice. It only reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Tested>,
    /// Seconds of this attempt in which the trainer's process did not run: it was stopped, or the machine slept. They are in no
    /// other number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paused_seconds: f64,
    pub provenance: Provenance,
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// The predictions of a network for every validation image, in the data set's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// True class of each image.
    pub labels: Vec<u16>,
    /// Most probable class of each image.
    pub predicted: Vec<u16>,
    /// Probability that it was given.
    pub confidence: Vec<f32>,
    /// Row by true class, column by predicted class: counts, row by row.
    pub confusion: Vec<u32>,
}

/// The result of one epoch's network on the test part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    pub epoch: u32,
    /// Mean cross-entropy, dropout off.
    pub loss: f64,
    /// Share of the images that were right.
    pub accuracy: f64,
    /// The predictions for every test image, in the data set's order.
    pub predictions: Validation,
}

/// The provenance of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Parameters of the network as built.
    pub params: u64,
    /// Training images a second over the whole trial, validation excluded.
    pub images_per_second: f64,
    /// Wall time of training and validation.
    pub seconds: f64,
    /// The highest resident memory of the trainer's process, or of the device if known.
    pub peak_memory_bytes: u64,
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
    /// The facts that trainer, agent and coordinator each know about its origin.
    #[serde(default)]
    pub origin: Origin,
}

/// The origin of an answer. A text is empty if it is unknown: older trainers and agents report less.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The device's driver and its version; `none` for a CPU. From the trainer.
    pub driver: String,
    /// The kernel cache that existed before: a folder and the digest of its content; `none` for a CPU. From the
    /// trainer.
    pub kernel_cache: String,
    /// The worker's name. From the agent, like the next two.
    pub worker: String,
    /// The version of the worker's program.
    pub worker_version: String,
    pub host: String,
    /// The version of the coordinator's program. From the coordinator, like the following fields.
    pub coordinator_version: String,
    /// The sweep that asked first.
    pub sweep: Option<u64>,
    /// The digest of that sweep's spec with its overrides.
    pub spec_digest: Option<Digest>,
    /// The git revision of the folder that the spec came from, ending in `-dirty` where files of it had changed.
    pub revision: String,
    /// Of the protocol (`Protocol::digest`): answers under different ones are not compared.
    pub protocol_digest: Option<Digest>,
}

/// The command failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    pub class: FailureClass,
    /// One sentence for users.
    pub reason: String,
}
