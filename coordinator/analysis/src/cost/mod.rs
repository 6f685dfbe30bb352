//! Predicts the time and cost of a sweep: how long its trials will take, when it will end, and what a budget allows. It
//! learns from finished trials, separately for each class of device. It is pure: measurements and the time are
//! arguments.
//!
//! `work` is the amount of work of a trial, `model` converts it to seconds, `schedule` converts seconds to an end,
//! `budget` decides which trials may start, and `accuracy` compares predictions with results.

pub mod accuracy;
pub mod budget;
mod fit;
pub mod model;
pub mod schedule;
pub mod work;

pub use accuracy::{Accuracy, accuracy};
pub use model::{Class, Estimate, Model, Observation, Prediction};
pub use work::{Size, Work};
