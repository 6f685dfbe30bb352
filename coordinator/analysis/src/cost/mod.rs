//! When, and for how much: what trials will take before they run, when a sweep will end, and what a budget holds. Learnt
//! from the trials that have finished, class of device by class of device. Pure: who holds the store brings what was
//! measured, who holds the clock brings what has passed.
//!
//! `work` is what a trial asks of a device, `model` turns it into seconds, `schedule` seconds into an end, `budget` says
//! what may still be started, `accuracy` how far predictions were off.

pub mod accuracy;
pub mod budget;
mod fit;
pub mod model;
pub mod schedule;
pub mod work;

pub use accuracy::{Accuracy, accuracy};
pub use model::{Class, Estimate, Model, Observation, Prediction};
pub use work::{Size, Work};
