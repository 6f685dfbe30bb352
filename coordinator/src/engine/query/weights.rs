//! Questions about kept weights and about files that wait to be removed.

use std::collections::HashSet;

use sweep_scheduler::SweepId;
use sweep_spec::TrialId;
use sweep_spec::protocol::KeepWeights;
use sweep_store::codes::{ArtifactKind, SweepState};
use sweep_store::record::{ArtifactRecord, TrialPage};

use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::query::plans::Outline;

impl Handle {
    /// A sentence about whose weights a sweep keeps, if it keeps only its winner's.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub(crate) async fn weights_note(&self, id: SweepId, found: &[ArtifactRecord]) -> Result<Option<String>, Error> {
        let Outline { record, plan } = self.outline(id).await?;
        if plan.spec().protocol.keep_weights != KeepWeights::Winner {
            return Ok(None);
        }
        if record.state == SweepState::Running {
            let note = "the weights of every trial are kept until the sweep ends; then only the winner's are kept";
            return Ok(Some(note.to_owned()));
        }
        let summary = self.summary(&record, true).await?;
        let Some(winner) = summary.best.first() else {
            let note =
                "no configuration of this sweep can be ranked, so the coordinator keeps the weights of every trial";
            return Ok(Some(note.to_owned()));
        };
        let weights = found.iter().filter(|artifact| artifact.kind == ArtifactKind::Weights);
        let have: HashSet<TrialId> = weights.filter_map(|artifact| Some(artifact.owner?.1)).collect();
        let mut trials = self.trials_of(id, winner.position).await?;
        trials.retain(|(_, seed)| !plan.spec().is_noise(*seed));
        let missing: Vec<TrialId> =
            trials.iter().map(|(trial, _)| *trial).filter(|trial| !have.contains(trial)).collect();
        let label = &winner.label;
        Ok(Some(match missing.first() {
            None => format!("the coordinator keeps the weights of the winner, {label}"),
            Some(trial) => format!(
                "{} of the {} trials of the winner ({label}) have no weights: an earlier sweep trained them and kept \
                the weights of another winner; `sweepctl reproduce {}` trains one again and keeps its weights",
                missing.len(),
                trials.len(),
                trial.short()
            ),
        }))
    }

    /// The trials of a configuration, with their seeds.
    async fn trials_of(&self, sweep: SweepId, position: u32) -> Result<Vec<(TrialId, u64)>, Error> {
        const PAGE: u32 = 1_000;
        let mut page = TrialPage { configuration: Some(position), ..TrialPage::first(sweep, PAGE) };
        let mut trials = Vec::new();
        loop {
            let rows = self.store.trials(&page).await?;
            trials.extend(rows.iter().map(|row| (row.trial, row.seed)));
            match rows.last() {
                Some(last) if rows.len() == PAGE as usize => page.after = Some((last.configuration, last.seed)),
                _ => return Ok(trials),
            }
        }
    }

    /// Files of contents that no artifact has any more and that still exist.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) async fn files_left(&self) -> Result<FilesLeft, Error> {
        let held = self.artifacts.is_held();
        Ok(FilesLeft { count: self.store.removals().await?.len(), held })
    }

    /// Whether a backup is open, which keeps the files of removed artifacts.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.artifacts.is_held()
    }
}

/// Files that wait to be removed.
pub(crate) struct FilesLeft {
    /// The number of files.
    pub(crate) count: usize,
    /// Whether an open backup keeps them.
    pub(crate) held: bool,
}
