//! A worker and its slots.

use std::collections::BTreeMap;

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::{LeftOut, some_text};
use crate::text::hex;

/// A place where one trial can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Slot {
    pub index: u32,
    pub device: String,
    pub device_name: String,
    /// Absent where it is not known.
    pub memory_bytes: Option<u64>,
    /// Absent where the slot is free.
    pub trial_id: Option<String>,
    pub configuration: Option<String>,
    pub sweep: Option<u64>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Worker {
    pub name: String,
    pub host: String,
    pub version: String,
    /// `connected`, `draining`, `suspended`, `lost`.
    pub state: String,
    /// Why the worker is out of service, if it is.
    pub out_of_service: Option<String>,
    /// Running sweeps that assign the worker no trials.
    pub left_out: Vec<LeftOut>,
    /// How to return the worker to service, if it is out of service.
    pub remedy: Option<String>,
    pub last_seen_unix_ms: i64,
    /// The worker's own labels, from its configuration.
    #[schema(value_type = Object)]
    pub labels: BTreeMap<String, String>,
    pub slots: Vec<Slot>,
}

impl Worker {
    /// The labels as text: `rack=7, zone=a`.
    pub fn labels_text(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(", ")
    }
}

impl From<v1::WorkerStatus> for Worker {
    fn from(worker: v1::WorkerStatus) -> Self {
        Self {
            name: worker.name,
            host: worker.host,
            version: worker.version,
            state: worker.state,
            out_of_service: some_text(worker.out_of_service),
            left_out: worker.left_out.into_iter().map(LeftOut::from).collect(),
            remedy: some_text(worker.remedy),
            last_seen_unix_ms: worker.last_seen_unix_ms,
            labels: worker.labels.into_iter().map(|label| (label.key, label.value)).collect(),
            slots: worker.slots.into_iter().map(Slot::from).collect(),
        }
    }
}

impl From<v1::WorkerSlot> for Slot {
    fn from(slot: v1::WorkerSlot) -> Self {
        Self {
            index: slot.index,
            device: slot.device,
            device_name: slot.device_name,
            memory_bytes: (slot.memory_bytes > 0).then_some(slot.memory_bytes),
            trial_id: some_text(hex(&slot.trial_id)),
            configuration: some_text(slot.configuration),
            sweep: (slot.sweep > 0).then_some(slot.sweep),
        }
    }
}
