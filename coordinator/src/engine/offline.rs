//! Cancels a sweep in a store while no engine runs on it. Only the sweep's open rounds are in memory, so this also
//! works if a coordinator has too little memory to start.

use sweep_report::parts::number::moment;
use sweep_scheduler::SweepId;
use sweep_spec::protocol::KeepWeights;
use sweep_store::Store;
use sweep_store::codes::{AuditAction, RoundState, SweepState};
use sweep_store::record::SweepRecord;
use sweep_store::write::{AuditRow, Commit, RoundEndRow, SweepEndRow};

use crate::engine::audit::audit;
use crate::engine::error::Error;
use crate::engine::stored_plan;
use crate::unix_ms;

/// Rounds that are ended in one commit.
const PIECE: usize = 10_000;

/// A sweep that was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Cancelled {
    /// Its number.
    pub sweep: u64,
    /// Its name.
    pub name: String,
    /// The number of trials that no longer wait or run, because no other sweep needs them.
    pub trials: u64,
}

/// Cancels a sweep as a coordinator would. An interrupted call can be repeated.
///
/// # Errors
/// There is no such sweep, it has ended, or the store failed.
pub async fn cancel(store: &dyn Store, text: &str, actor: &str) -> Result<Cancelled, Error> {
    let record = find(store, text).await?;
    let (sweep, at_ms) = (record.id, unix_ms());
    let rounds = store.open_rounds(sweep).await?;
    match record.state {
        SweepState::Running => {
            let end = SweepEndRow { sweep, state: SweepState::Cancelled, reason: String::new(), at_ms };
            // If the spec cannot be read any more, all weights are kept.
            let spec = store.spec(sweep).await.unwrap_or_default().unwrap_or_default();
            let chooses = stored_plan::read(&record, &spec)
                .is_ok_and(|plan| plan.spec().protocol.keep_weights == KeepWeights::Winner);
            let commit = Commit {
                sweeps_ended: vec![end],
                weights_due: if chooses { vec![(sweep, at_ms)] } else { Vec::new() },
                audit: vec![AuditRow { sweep: Some(sweep), ..audit(actor, AuditAction::Cancelled) }],
                ..Commit::default()
            };
            store.commit(&commit).await?;
        }
        // An earlier call was interrupted after the sweep was cancelled and before its rounds were.
        SweepState::Cancelled if !rounds.is_empty() => {}
        SweepState::Preparing | SweepState::Succeeded | SweepState::Failed | SweepState::Cancelled => {
            return Err(Error::Ended { sweep, how: format!(" at {} UTC", moment(record.ended_ms)) });
        }
    }
    for piece in rounds.chunks(PIECE) {
        let ended = |(trial, round): &(_, u32)| RoundEndRow {
            trial: *trial,
            round: *round,
            state: RoundState::Cancelled,
            accepted: None,
            failure: None,
            at_ms,
        };
        store.commit(&Commit { rounds_ended: piece.iter().map(ended).collect(), ..Commit::default() }).await?;
    }
    Ok(Cancelled { sweep: sweep.0, name: record.name, trials: rounds.len() as u64 })
}

async fn find(store: &dyn Store, text: &str) -> Result<SweepRecord, Error> {
    let unknown = || Error::not_found(format!("sweep `{text}`"));
    let id = match text.parse() {
        Ok(number) => SweepId(number),
        Err(_) => store.sweep_named(text).await?.ok_or_else(unknown)?,
    };
    store.sweep(id).await?.ok_or_else(unknown)
}
