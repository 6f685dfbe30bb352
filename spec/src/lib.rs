//! Studies as plain data: parses YAML into a checked spec, expands it to a plan, counts networks exactly, derives the
//! ids of trials, and defines the protocol between an agent and a trainer. It is pure: it opens no file, reads no clock
//! and draws no random number.

pub mod budget;
pub mod build;
pub mod bytes;
pub mod canonical;
pub mod condition;
pub mod configuration;
pub mod count;
pub mod dataset;
pub mod design;
pub mod id;
pub mod levels;
pub mod outcome;
pub mod plan;
pub mod problem;
pub mod protocol;
mod read;
pub mod retry;
pub mod running;
pub mod settings;
pub mod spec;
pub mod trainer;
pub mod trial;
pub mod trial_counts;
pub mod untrusted;
pub mod yaml;

pub use configuration::{Cnn, Configuration, Vgg19};
pub use dataset::{Classes, Dataset};
pub use id::{Digest, TrialId};
pub use outcome::{FailureClass, Outcome};
pub use plan::Plan;
pub use problem::{Problem, Problems};
pub use protocol::Protocol;
pub use spec::Spec;
pub use trial::Trial;
pub use trial_counts::TrialCounts;

/// Raised whenever a trainer of the same trial would produce other numbers than before.
///
/// It is part of every trial's id, and a coordinator refuses a worker whose trainer has another one. CONTRIBUTING.md lists
/// the versions.
pub const TRAINER_SEMANTICS: u32 = 3;
