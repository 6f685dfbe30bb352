//! Everything that can keep a worker from working.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Problems;
use crate::{credentials, devices, trainer};

/// Why a worker cannot start or go on. What goes wrong with a single trial is none of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What it was told is wrong: a usage error.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A folder that it needs cannot be used.
    #[error("the folder {} cannot be used", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder that it keeps for itself cannot be made or is not its own.
    #[error("the folder {} cannot be used: name another with --{flag}, or set HOME to this user's folder", path.display())]
    OwnFolder {
        /// Which.
        path: PathBuf,
        /// What names another.
        flag: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others could use its files.
    #[error(transparent)]
    NotPrivate(#[from] sweep_trust::private::Error),
    /// A folder that data sets lie in.
    #[error("the data root {} cannot be used: name the folder with data sets with --data-root", path.display())]
    DataRoot {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another worker uses its state folder.
    #[error("another worker uses the state folder {}: give this worker another --name or --state-dir", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// The trainer does not work at all.
    #[error("the trainer cannot be used, so this worker cannot train")]
    Trainer(#[from] trainer::Error),
    /// The trainer answers another question than it was asked.
    #[error("the trainer cannot name its devices: {reason}")]
    Devices {
        /// What it said.
        reason: String,
    },
    /// The slots that were asked for cannot be had.
    #[error("this machine does not have the devices of --slots")]
    Slots(#[from] devices::Unknown),
    /// The address for metrics cannot be bound.
    #[error("metrics cannot be served on {address}: give another address with --listen-http, or off")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The checkpoint store cannot be used as it is named.
    #[error("the checkpoint store {store} cannot be used: change checkpoint_store in the configuration")]
    CheckpointStore {
        /// As it was named.
        store: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An address of a coordinator is none.
    #[error("the coordinator's address cannot be used: give another one with --coordinator")]
    Address(#[from] tonic::transport::Error),
    /// What it is to show cannot be read.
    #[error("the worker's token or certificate cannot be used")]
    Credentials(#[from] credentials::Error),
    /// The coordinator will not have this worker.
    #[error("the coordinator at {address} refused this worker: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// In its words.
        reason: String,
    },
    /// Another worker holds its name, and is alive.
    #[error("the coordinator at {address} refused this worker: {reason}")]
    NameHeld {
        /// Where.
        address: String,
        /// Who that is, in the coordinator's words.
        reason: String,
        /// The name is free after this time, if the other worker is gone.
        free_in: Duration,
    },
    /// The system gives no thread or no signal.
    #[error("the system refuses what a worker needs")]
    System(#[from] std::io::Error),
    /// The metrics cannot be made.
    #[error("the metrics cannot be made")]
    Metrics(#[from] prometheus::Error),
    /// A fault of ours.
    #[error("a task of the worker failed")]
    Internal {
        /// How.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl Error {
    /// Whether it is the user's to mend before the worker can start: the exit status is 2 then, and else 1.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Slots(_) | Self::Credentials(_))
    }
}
