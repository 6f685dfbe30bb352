//! What finished trials took, as both backends read it.

use std::collections::HashMap;

use sweep_spec::{Configuration, Dataset, Digest, Outcome, Protocol};

use super::Error;

/// What was measured.
#[derive(Debug, Default)]
pub struct Observed {
    /// The newest trials, oldest first.
    pub trials: Vec<ObservedTrial>,
    /// Images of data sets that workers described, by the key of the reference: for training, for testing.
    pub sizes: HashMap<Digest, (u64, u64)>,
}

/// A trial that has its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedTrial {
    /// What all trials of its sweep share.
    pub question: Question,
    /// Its network.
    pub configuration: Configuration,
    /// Whether it converged.
    pub outcome: Outcome,
    /// Seconds in its epochs.
    pub seconds: f64,
    /// Seconds between its trainer's `started` and the end of the accepted attempt.
    pub run_seconds: f64,
    /// Seconds of a slot that the accepted attempt took, by the coordinator's clock.
    pub slot_seconds: f64,
    /// The most memory of its process.
    pub peak_memory_bytes: u64,
    /// On what, as its maker calls it.
    pub device_name: String,
    /// Of a processor.
    pub instruction_set: String,
    /// How many it had.
    pub threads: u32,
    /// What was expected of the attempt: seconds of a slot, and the ends of the interval.
    pub predicted: Option<(f64, f64, f64)>,
}

/// What all trials of a sweep share.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct Question {
    /// The data.
    pub dataset: Dataset,
    /// The protocol.
    pub protocol: Protocol,
}

/// Questions that many rows share are read once.
#[derive(Default)]
pub(super) struct Questions(HashMap<String, Question>);

impl Questions {
    pub(super) fn read(&mut self, body: &str) -> Result<Question, Error> {
        if let Some(known) = self.0.get(body) {
            return Ok(known.clone());
        }
        let read: Question = serde_json::from_str(body).map_err(|error| Error::damaged(error.to_string()))?;
        self.0.insert(body.to_owned(), read.clone());
        Ok(read)
    }
}

/// The difference of two moments, in seconds; clocks that were set back make no negative one.
pub(super) fn seconds_between(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms).max(0) as f64 / 1000.0
}
