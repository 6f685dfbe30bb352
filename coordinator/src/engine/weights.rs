//! `keep_weights: winner`: when such a sweep has ended and that is on disk, its winner is computed from the store, the store
//! forgets the weights of the others, and their files go. What a crash interrupts is done at the next start.

use std::collections::HashSet;

use sweep_analysis::leaderboard::Row;
use sweep_proto::v1::ArtifactKind;
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;
use sweep_spec::protocol::KeepWeights;
use tracing::{info, warn};

use super::people::{NOBODY, audit};
use super::{Error, Handle, restore};
use crate::store::codes::{AuditAction, SweepState};
use crate::store::record::ArtifactRecord;
use crate::store::weights::Settlement;
use crate::store::write::AuditRow;

impl Handle {
    /// Chooses whose weights stay of a sweep that has ended.
    pub(super) async fn settle_weights(&self, sweep: SweepId) -> Result<(), Error> {
        // It may have been deleted in the meantime.
        if self.store.sweep(sweep).await?.is_none() {
            return Ok(());
        }
        let board = self.make_board(sweep, None).await?;
        // One that goes on chooses when it ends again.
        if board.record.state == SweepState::Running {
            return Ok(());
        }
        let kept = kept(&board.board.rows, board.record.state);
        let detail = match &kept {
            Some(_) => format!("of the winner: {}", board.best().map(|(_, label)| label).unwrap_or_default()),
            None => "of all trials: no configuration could be ranked".to_owned(),
        };
        let audit = AuditRow { sweep: Some(sweep), detail, ..audit(NOBODY, AuditAction::WeightsKept) };
        let settlement = Settlement { sweep, ended_ms: board.record.ended_ms, kept, audit };
        let settled = self.store.settle_weights(&settlement).await?;
        if settled.done {
            let (detail, removed) = (settlement.audit.detail, settled.released);
            info!(sweep_id = %sweep, kept = detail, removed, "the sweep chose whose weights it keeps");
        }
        self.remove_files().await
    }

    /// Whose weights are among the artifacts of a sweep that keeps its winner's, in a sentence.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub(crate) async fn weights_note(&self, id: SweepId, found: &[ArtifactRecord]) -> Result<Option<String>, Error> {
        let record = self.store.sweep(id).await?.ok_or_else(|| Error::not_found(format!("sweep {id}")))?;
        if restore::plan(&record)?.spec().protocol.keep_weights != KeepWeights::Winner {
            return Ok(None);
        }
        if record.state == SweepState::Running {
            let note = "the weights of every trial are kept until the sweep ends; then only the winner's stay";
            return Ok(Some(note.to_owned()));
        }
        let board = self.board(id, true).await?;
        let Some(winner) = board.board.rows.iter().find(|row| row.rank == Some(1)) else {
            let note = "no configuration of this sweep can be ranked, so the weights of every trial are kept";
            return Ok(Some(note.to_owned()));
        };
        let weights = found.iter().filter(|artifact| artifact.kind == ArtifactKind::Weights);
        let have: HashSet<TrialId> = weights.filter_map(|artifact| Some(artifact.owner?.1)).collect();
        let missing: Vec<&TrialId> = winner.trials.iter().filter(|trial| !have.contains(trial)).collect();
        let label = board.best().map(|(_, label)| label).unwrap_or_default();
        Ok(Some(match missing.first() {
            None => format!("the weights of the winner are kept: {label}"),
            Some(trial) => format!(
                "{} of the {} trials of the winner ({label}) have no weights here: an earlier sweep trained them and kept \
                 those of another winner; `sweepctl reproduce {}` trains one again and keeps its weights",
                missing.len(),
                winner.trials.len(),
                trial.short()
            ),
        }))
    }

    /// Removes the files of contents that no artifact has any more.
    /// While a backup is open they stay: it may refer to them.
    pub(crate) async fn remove_files(&self) -> Result<(), Error> {
        if self.artifacts.is_held() {
            return Ok(());
        }
        for digest in self.store.removals().await? {
            let _alone = self.artifacts.removing().await;
            if self.artifacts.is_held() {
                return Ok(());
            }
            // The same content may have come again.
            if self.store.artifact(digest).await?.is_none()
                && let Err(error) = self.artifacts.remove(digest).await
            {
                warn!(digest = digest.short(), error = %crate::chain(&error), "an artifact's file cannot be removed now");
                continue;
            }
            self.store.removed(digest).await?;
        }
        Ok(())
    }
}

/// The configurations whose weights stay, by place: the winner, and those that a retry may still make the winner. `None`
/// where nothing is ranked.
fn kept(rows: &[Row], state: SweepState) -> Option<Vec<u32>> {
    let wins = |row: &Row| row.rank == Some(1);
    // A cancelled sweep cannot be retried.
    let may_win = |row: &Row| state != SweepState::Cancelled && row.counts.failed > 0 && row.counts.diverged == 0;
    rows.iter().any(wins).then(|| {
        let stay = rows.iter().filter(|row| wins(row) || may_win(row));
        stay.map(|row| row.position).collect()
    })
}
