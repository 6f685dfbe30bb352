//! The background task: follows up on commits, one after the other.

use std::collections::VecDeque;

use sweep_scheduler::SweepId;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::engine::background::open_stages::Decided;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::follow_up::FollowUp;

/// Handles one follow-up after the other until the token is cancelled. A stage that finds no capacity waits in order, and
/// delays no other follow-up.
pub(in crate::engine) async fn run(handle: Handle, mut due: Receiver<FollowUp>, shutdown: CancellationToken) {
    let mut changes = handle.changes();
    let mut waiting: VecDeque<(FollowUp, SweepId, u64)> = VecDeque::new();
    loop {
        let next = tokio::select! {
            () = shutdown.cancelled() => return,
            next = due.recv() => next,
            changed = changes.changed(), if !waiting.is_empty() => match (changed, waiting.front()) {
                (Ok(()), Some((what, sweep, trials))) => match handle.may_open(*sweep, *trials).await {
                    Ok(true) => Some(*what),
                    Ok(false) | Err(_) => continue,
                },
                (Ok(()), None) => continue,
                (Err(_), _) => return,
            },
        };
        let Some(what) = next else { return };
        if let FollowUp::Summary(sweep) = what {
            // It reads all trials of a sweep, which takes long, and no other follow-up depends on it.
            let (handle, shutdown) = (handle.clone(), shutdown.clone());
            tokio::spawn(async move { shutdown.run_until_cancelled(handle.summarise(sweep)).await });
            continue;
        }
        waiting.retain(|(waits, ..)| *waits != what);
        let decided = tokio::select! {
            () = shutdown.cancelled() => return,
            decided = handle.decide(what) => decided,
        };
        match decided {
            // Wakes the loop, so that waiting stages are checked again even if this follow-up committed nothing.
            Ok(Decided::Done) => changes.mark_changed(),
            Ok(Decided::Waits { sweep, trials }) => {
                info!(sweep_id = %sweep, trials, "a stage waits for room (max_live_trials)");
                waiting.push_back((what, sweep, trials));
            }
            // The reload that follows finds the undecided stages again.
            Err(Error::Unavailable | Error::Troubled { .. }) => {}
            Err(error) => error!(?what, error = %crate::chain(&error), "cannot decide by results"),
        }
    }
}

impl Handle {
    async fn decide(&self, what: FollowUp) -> Result<Decided, Error> {
        match what {
            FollowUp::Winner(sweep, stage) => {
                let _one = self.expansions.lock().await;
                if let waits @ Decided::Waits { .. } = self.choose(sweep, stage).await? {
                    return Ok(waits);
                }
                // This choice may have been the last one before a look at more seeds.
                self.look(sweep).await
            }
            FollowUp::MoreSeeds(sweep) => {
                let _one = self.expansions.lock().await;
                self.look(sweep).await
            }
            FollowUp::Weights(sweep) => self.settle_weights(sweep).await.map(|()| Decided::Done),
            // `run` handles summaries in a separate task.
            FollowUp::Summary(_) => Ok(Decided::Done),
            FollowUp::Files => self.remove_files().await.map(|()| Decided::Done),
        }
    }
}
