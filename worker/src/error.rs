//! The errors that stop a worker.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Problems;
use crate::{credentials, devices, trainer};

/// Why a worker cannot start or continue. Failures of single trials are not errors of the worker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is invalid: a usage error.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A required folder cannot be used.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A private folder cannot be created, or belongs to another user.
    #[error("cannot use the folder {}: choose another with --{flag}, or set HOME to this user's folder", path.display())]
    OwnFolder {
        path: PathBuf,
        /// The flag that sets another folder.
        flag: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// Other users could access its files.
    #[error(transparent)]
    NotPrivate(#[from] sweep_trust::private::Error),
    /// A data root cannot be used.
    #[error("cannot use the data root {}: name the folder of the data sets with --data-root", path.display())]
    DataRoot {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Another worker uses the state folder.
    #[error("another worker uses the state folder {}: give this worker another --name or --state-dir", path.display())]
    Locked { path: PathBuf },
    /// The trainer does not start or respond.
    #[error("the trainer does not work, so this worker cannot train")]
    Trainer(#[from] trainer::Error),
    /// The trainer does not list its devices.
    #[error("the trainer cannot list its devices: {reason}")]
    Devices { reason: String },
    /// The configured slots are not available.
    #[error("this machine does not have the devices of --slots")]
    Slots(#[from] devices::Unknown),
    /// The address of the metrics server cannot be bound.
    #[error("cannot serve metrics on {address}: use another address with --listen-http, or `off`")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    /// The checkpoint store cannot be used.
    #[error("cannot use the checkpoint store {store}: change `checkpoint_store` in the configuration")]
    CheckpointStore {
        store: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A coordinator's address is invalid.
    #[error("cannot use the coordinator's address: use another with --coordinator")]
    Address(#[from] tonic::transport::Error),
    /// The credentials cannot be used.
    #[error("cannot use the worker's token or certificate")]
    Credentials(#[from] credentials::Error),
    /// The coordinator rejects this worker.
    #[error("the coordinator at {address} refused this worker: {reason}")]
    Refused {
        address: String,
        /// The coordinator's message.
        reason: String,
    },
    /// Another worker with this name is alive.
    #[error("the coordinator at {address} refused this worker: {reason}")]
    NameHeld {
        address: String,
        /// The coordinator's description of the other worker.
        reason: String,
        /// Time until the name is free, if the other worker is gone.
        free_in: Duration,
    },
    /// A thread or a signal handler cannot be created.
    #[error("the system cannot start a thread or handle a signal")]
    System(#[from] std::io::Error),
    /// The metrics cannot be registered.
    #[error("cannot register the metrics")]
    Metrics(#[from] prometheus::Error),
    /// An internal error.
    #[error("a task of the worker failed")]
    Internal {
        #[source]
        source: tokio::task::JoinError,
    },
}

impl Error {
    /// Whether the user has to correct a setting: the exit status is 2 then, otherwise 1.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Slots(_) | Self::Credentials(_))
    }
}
