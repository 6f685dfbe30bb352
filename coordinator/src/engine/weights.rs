//! `keep_weights: winner`: when such a sweep has ended and that is on disk, its winner is computed from the store, the store
//! forgets the weights of the others, and their files go. What a crash interrupts is done at the next start.

use std::collections::HashSet;

use sweep_analysis::leaderboard::{Row, leaderboard};
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;
use sweep_spec::protocol::KeepWeights;
use sweep_store::codes::{ArtifactKind, AuditAction, SweepState};
use sweep_store::record::{ArtifactRecord, TrialPage};
use sweep_store::weights::Settlement;
use sweep_store::write::AuditRow;
use tracing::{info, warn};

use super::people::{COORDINATOR, audit};
use super::submit::blocking;
use super::{Error, Handle, Outline};

impl Handle {
    /// Chooses whose weights stay of a sweep that has ended.
    pub(super) async fn settle_weights(&self, sweep: SweepId) -> Result<(), Error> {
        // It may have been deleted in the meantime.
        if self.store.sweep(sweep).await?.is_none() {
            return Ok(());
        }
        let Outline { record, plan } = self.outline(sweep).await?;
        // One that goes on chooses when it ends again.
        if record.state == SweepState::Running {
            return Ok(());
        }
        let study = self.results(&plan, &record).await?;
        let rows = blocking(move || Ok(leaderboard(&study, None).rows)).await?;
        let kept = kept(&rows, record.state);
        let winner = rows.iter().find(|row| row.rank == Some(1));
        let detail = match &kept {
            Some(_) => format!("of the winner: {}", winner.map(Row::title).unwrap_or_default()),
            None => "of all trials: no configuration could be ranked".to_owned(),
        };
        let audit = AuditRow { sweep: Some(sweep), detail, ..audit(COORDINATOR, AuditAction::WeightsKept) };
        let settlement = Settlement { sweep, ended_ms: record.ended_ms, kept, audit };
        let settled = self.store.settle_weights(&settlement).await?;
        if settled.done {
            let (detail, removed) = (settlement.audit.detail, settled.released);
            info!(sweep_id = %sweep, kept = detail, removed, "the sweep chose the weights to keep");
        }
        self.remove_files().await
    }

    /// Whose weights are among the artifacts of a sweep that keeps its winner's, in a sentence.
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

    /// Files of contents that no artifact has any more and that are still there.
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

/// Files that wait to be removed.
pub(crate) struct FilesLeft {
    /// How many.
    pub(crate) count: usize,
    /// Whether a backup is open that may want them.
    pub(crate) held: bool,
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
