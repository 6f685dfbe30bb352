//! What a backup's folder says of itself: `backup.json`, written when everything else is there.

use serde::{Deserialize, Serialize};

/// The form of the folder that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// A backup that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the folder.
    pub format: u32,
    /// Of the coordinator.
    pub version: String,
    /// Everything that was acknowledged before is in it.
    pub created_unix_ms: i64,
    pub store: StoreFile,
    pub artifacts: ArtifactFiles,
}

/// The copy of the store: `store.db`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFile {
    pub bytes: u64,
    /// The hash of its content.
    pub blake3: String,
    /// Its newest migration.
    pub layout: i64,
}

/// The files below `artifacts`, each named by the hash of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFiles {
    pub files: u64,
    pub bytes: u64,
}
