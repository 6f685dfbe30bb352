//! The folder of a backup: the names in it, and its manifest, which is written when everything else is there.

use std::fmt;

use serde::{Deserialize, Serialize};
use sweep_proto::v1;

use crate::artifact::kind;
use crate::sweep::some_text;
use crate::text::{count, hex};

/// The copy of the store.
pub const STORE: &str = "store.db";
/// The folder of artifacts.
pub const ARTIFACTS: &str = "artifacts";
/// The manifest.
pub const MANIFEST: &str = "backup.json";
/// The manifest until the store that it describes is in its place.
pub const NEXT_MANIFEST: &str = "backup.json.next";
/// The form of the folder that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// A backup that is finished.
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
    /// Artifacts that the store refers to and the folder lacks, because the coordinator could not read their files.
    #[serde(default)]
    pub missing: Vec<MissingArtifact>,
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

/// A content that the coordinator could not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingArtifact {
    /// BLAKE3 of the content, and the name of its file.
    pub digest: String,
    pub bytes: u64,
    /// Why it could not be read, in words.
    pub reason: String,
    /// Artifacts with this content; the first few of them.
    pub owners: Vec<ArtifactOwner>,
    /// How many there are.
    pub owner_count: u64,
}

/// An artifact by what it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactOwner {
    /// `thumbnails`, `log`, `weights`.
    pub kind: String,
    /// For logs and weights.
    pub trial_id: Option<String>,
    /// A sweep that refers to this trial.
    pub sweep: Option<u64>,
}

impl MissingArtifact {
    /// From the coordinator's message.
    pub fn new(digest: String, bytes: u64, lost: v1::LostContent) -> Self {
        let owner = |owner: v1::ContentOwner| ArtifactOwner {
            kind: kind(owner.kind()).to_owned(),
            trial_id: some_text(hex(&owner.trial_id)),
            sweep: (owner.sweep > 0).then_some(owner.sweep),
        };
        let owners = lost.owners.into_iter().map(owner).collect();
        Self { digest, bytes, reason: lost.reason, owners, owner_count: lost.owner_count }
    }
}

impl fmt::Display for MissingArtifact {
    /// `94ab12cd34ef, weights of trial 0a1b2c3d4e5f (sweep 3) and 2 others: its file is not there`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", short(&self.digest))?;
        if let Some(owner) = self.owners.first() {
            write!(f, ", {}", owner.kind)?;
            if let Some(trial) = &owner.trial_id {
                write!(f, " of trial {}", short(trial))?;
            }
            if let Some(sweep) = owner.sweep {
                write!(f, " (sweep {sweep})")?;
            }
        }
        match self.owner_count {
            0 | 1 => {}
            2 => write!(f, " and 1 other")?,
            more => write!(f, " and {} others", count(more - 1))?,
        }
        write!(f, ": {}", self.reason)
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_artifact_is_named_by_its_trial_and_sweep() {
        let owner = |kind: v1::ArtifactKind, trial: &[u8], sweep| v1::ContentOwner {
            kind: kind.into(),
            trial_id: trial.to_vec().into(),
            sweep,
        };
        let weights = owner(v1::ArtifactKind::Weights, &[0x0a; 32], 3);
        let thumbnails = owner(v1::ArtifactKind::Thumbnails, &[], 0);
        for (owners, owner_count, expected) in [
            (vec![weights.clone()], 1, "abababababab, weights of trial 0a0a0a0a0a0a (sweep 3): gone"),
            (vec![weights.clone()], 2, "abababababab, weights of trial 0a0a0a0a0a0a (sweep 3) and 1 other: gone"),
            (vec![weights], 1_001, "abababababab, weights of trial 0a0a0a0a0a0a (sweep 3) and 1,000 others: gone"),
            (vec![thumbnails], 1, "abababababab, thumbnails: gone"),
            (Vec::new(), 0, "abababababab: gone"),
        ] {
            let lost = v1::LostContent { reason: "gone".into(), owners, owner_count };
            assert_eq!(MissingArtifact::new("ab".repeat(32), 5, lost).to_string(), expected);
        }
    }
}
