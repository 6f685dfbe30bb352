//! Trainer protocol 1: what an agent writes to a trainer's stdin and reads from its stdout, one JSON object a line.
//! Documented for other languages in `worker/trainer/PROTOCOL.md`.

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::id::{Digest, TrialId};
use crate::outcome::{FailureClass, Outcome};
use crate::trial::Trial;

/// The version of this protocol.
pub const PROTOCOL: u32 = 1;

/// The longest line that an agent reads from a trainer, in bytes; a longer one breaks the protocol.
pub const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// The exit status of a trainer that was asked to leave by SIGTERM.
pub const EXIT_LEFT: i32 = 75;

/// What an agent asks. One at a time: the next follows the event that ends the one before. End of file means leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Which devices are there? Answered by `devices`.
    Devices,
    /// What is in this data set? Answered by `described` or `failed`.
    Describe(Describe),
    /// Train. Answered by `started`, `epoch`s and `checkpoint`s, then `finished` or `failed`.
    Train(Box<Train>),
}

/// A data set to be read and described.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Describe {
    /// The data set.
    pub dataset: Dataset,
    /// Where its files are on this machine.
    pub folders: Folders,
}

/// A trial to be trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// The trial's id, echoed in every event.
    pub trial_id: TrialId,
    /// The attempt's number, echoed in every event.
    pub attempt: u32,
    /// The question.
    pub trial: Trial,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Where files are on this machine.
    pub folders: Folders,
    /// A folder for this trial's checkpoints and no other's; none are written or looked for without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_folder: Option<String>,
    /// A checkpoint follows every so many epochs, and never the last one; 0 counts as 1. SIGTERM brings one at any time.
    #[serde(default = "every_epoch")]
    pub checkpoint_every: u32,
    /// A folder in which artifacts (`weights.safetensors`, `thumbnails.png`) are left for the agent; none are without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_folder: Option<String>,
}

fn every_epoch() -> u32 {
    1
}

/// Where files are on this machine, as absolute paths.
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

/// What a trainer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line of every trainer.
    Hello(Hello),
    /// The devices that can be named in `train`.
    Devices(Devices),
    /// What is in a data set.
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

/// Who speaks.
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

/// A device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// As `train` takes it: `cpu`, `cuda:0`.
    pub name: String,
    /// For people: the model's name.
    pub description: String,
    /// Its own memory, where it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// What is in a data set.
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
    /// Echoed.
    pub trial_id: TrialId,
    /// Echoed.
    pub attempt: u32,
    /// Where it trains.
    pub device: String,
    /// Parameters of the network as built.
    pub params: u64,
    /// What is in the data set.
    pub data: Described,
    /// The first epoch that is still to be trained, counted from 1; more than 1 where a checkpoint was found. The `epoch`
    /// events before it then follow at once, as they were when they were trained (same numbers, same bits), so that every
    /// attempt says its whole series and nothing is needed of the attempt before. A trainer that cannot repeat them has to
    /// begin at 1.
    pub first_epoch: u32,
}

/// Metrics of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Echoed.
    pub trial_id: TrialId,
    /// Echoed.
    pub attempt: u32,
    /// The numbers.
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

/// A checkpoint is on disk, and stays there if the process is killed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Echoed.
    pub trial_id: TrialId,
    /// Echoed.
    pub attempt: u32,
    /// The last epoch that is over in it; 0 where it was written in the middle of the first.
    pub epoch: u32,
    /// Its file: the checkpoint folder as it was given, and a name in it.
    pub path: String,
}

/// The answer of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Echoed.
    pub trial_id: TrialId,
    /// Echoed.
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
    /// How it was made.
    pub provenance: Provenance,
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// What a network said of every validation image, in the data set's order.
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

/// What the network of one epoch made of the test part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// The epoch.
    pub epoch: u32,
    /// Mean cross-entropy, dropout off.
    pub loss: f64,
    /// Share of the images that were right.
    pub accuracy: f64,
    /// What it said of every test image, in the data set's order.
    pub predictions: Validation,
}

/// How an answer was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Parameters of the network as built.
    pub params: u64,
    /// Training images a second over the whole trial, validation excluded.
    pub images_per_second: f64,
    /// Wall time of training and validation.
    pub seconds: f64,
    /// Highest resident memory of the trainer's process, or of the device where that can be told.
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
    /// Where it was made: what trainer, agent and coordinator each know of it.
    #[serde(default)]
    pub origin: Origin,
}

/// Where an answer was made, and by what. A text is empty where it is not known: older trainers and agents say less.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The device's driver and its version; `none` for a CPU. From the trainer.
    pub driver: String,
    /// What kernels were tuned with before: a folder and the digest of what lies in it; `none` for a CPU. From the trainer.
    pub kernel_cache: String,
    /// The worker's name. From the agent, like the next two.
    pub worker: String,
    /// Of the worker's program.
    pub worker_version: String,
    /// The machine.
    pub host: String,
    /// Of the coordinator's program. From the coordinator, like what follows.
    pub coordinator_version: String,
    /// The sweep that asked first.
    pub sweep: Option<u64>,
    /// Of that sweep's spec, with its overrides.
    pub spec_digest: Option<Digest>,
    /// The git revision of the folder that the spec came from, ending in `-dirty` where files of it had changed.
    pub revision: String,
    /// Of the protocol (`Protocol::digest`): answers under different ones are not compared.
    pub protocol_digest: Option<Digest>,
}

/// The command failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Whose fault it was.
    pub class: FailureClass,
    /// One sentence for people.
    pub reason: String,
}
