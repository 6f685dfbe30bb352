//! `keep_weights: winner`: when such a sweep has ended and is committed, its winner is computed from the store. The store then
//! forgets the other weights, and their files are removed. A restart continues what a crash interrupted.

use sweep_analysis::leaderboard::{Row, leaderboard};
use sweep_scheduler::SweepId;
use sweep_store::codes::{AuditAction, SweepState};
use sweep_store::weights::Settlement;
use sweep_store::write::AuditRow;
use tracing::{info, warn};

use crate::engine::audit::{COORDINATOR, audit};
use crate::engine::blocking::blocking;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::query::plans::Outline;

impl Handle {
    /// Chooses which weights of an ended sweep are kept.
    pub(super) async fn settle_weights(&self, sweep: SweepId) -> Result<(), Error> {
        // The sweep may have been deleted since then.
        if self.store.sweep(sweep).await?.is_none() {
            return Ok(());
        }
        let Outline { record, plan } = self.outline(sweep).await?;
        // A sweep that runs again chooses when it ends again.
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

    /// Removes the files of contents that no artifact has any more. While a backup is open the files stay, because it
    /// may refer to them.
    pub(crate) async fn remove_files(&self) -> Result<(), Error> {
        if self.artifacts.is_held() {
            return Ok(());
        }
        for digest in self.store.removals().await? {
            let _alone = self.artifacts.removing().await;
            if self.artifacts.is_held() {
                return Ok(());
            }
            // The same content may have been uploaded again.
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

/// Positions of the configurations whose weights are kept: the winner, and those that a retry may still make the
/// winner. `None` if no configuration is ranked.
fn kept(rows: &[Row], state: SweepState) -> Option<Vec<u32>> {
    let wins = |row: &Row| row.rank == Some(1);
    // A cancelled sweep cannot be retried.
    let may_win = |row: &Row| state != SweepState::Cancelled && row.counts.failed > 0 && row.counts.diverged == 0;
    rows.iter().any(wins).then(|| {
        let stay = rows.iter().filter(|row| wins(row) || may_win(row));
        stay.map(|row| row.position).collect()
    })
}
