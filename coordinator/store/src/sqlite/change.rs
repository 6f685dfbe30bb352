//! Sweeps and stages that change. They are few: each row is read, held against its checksum, changed and written whole,
//! so that no checksum is ever put over what was damaged before.

use sqlx::SqliteConnection;
use sweep_scheduler::SweepId;

use super::row_reader::RowReader;
use super::rows::{Values, signed};
use crate::Error;
use crate::codes::{StageState, SweepState};
use crate::write::{Commit, StageChange, SweepEndRow};

/// What changes of a sweep.
struct Sweep {
    priority: i64,
    paused: bool,
    pin: Option<Vec<u8>>,
    state: SweepState,
    reason: String,
    ended_ms: i64,
}

/// What changes of a stage.
struct Stage {
    state: StageState,
    choice: String,
    winner: Option<u32>,
    decided: Option<u32>,
}

pub(super) async fn sweeps(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    for id in &commit.sweeps_begun {
        sweep(tx, *id, |sweep| {
            if sweep.state == SweepState::Preparing {
                sweep.state = SweepState::Running;
            }
        })
        .await?;
    }
    for id in &commit.sweeps_reopened {
        sweep(tx, *id, |sweep| {
            if sweep.state != SweepState::Preparing {
                (sweep.state, sweep.reason, sweep.ended_ms) = (SweepState::Running, String::new(), 0);
            }
        })
        .await?;
    }
    for (id, paused) in &commit.paused {
        sweep(tx, *id, |sweep| sweep.paused = *paused).await?;
    }
    for (id, priority) in &commit.priorities {
        sweep(tx, *id, |sweep| sweep.priority = i64::from(*priority)).await?;
    }
    for (id, position, state) in &commit.stages_reopened {
        let chooses: Option<bool> = sqlx::query_scalar("SELECT keep_best FROM stages WHERE sweep = ? AND position = ?")
            .bind(signed(id.0))
            .bind(position)
            .fetch_optional(&mut *tx)
            .await?;
        stage(tx, *id, *position, |stage| {
            stage.state = *state;
            // A winner is never revised, and neither is who gets more seeds, once they have them.
            if stage.winner.is_none() && (chooses == Some(true) || *state == StageState::Waiting) {
                stage.choice.clear();
                stage.decided = None;
            }
        })
        .await?;
    }
    for change in &commit.stages {
        stage(tx, change.sweep, change.stage, |stage| change_stage(stage, change)).await?;
    }
    for (id, digest) in &commit.pins {
        sweep(tx, *id, |sweep| sweep.pin = Some(digest.as_bytes().to_vec())).await?;
    }
    Ok(())
}

fn change_stage(stage: &mut Stage, change: &StageChange) {
    // Forward only: a stage that failed has also ended, and stays failed.
    stage.state = change.state.map_or(stage.state, |state| state.max(stage.state));
    if stage.choice.is_empty() && !change.choice.is_empty() {
        stage.choice.clone_from(&change.choice);
        (stage.winner, stage.decided) = (change.winner, change.decided);
    }
}

pub(super) async fn sweeps_ended(tx: &mut SqliteConnection, rows: &[SweepEndRow]) -> Result<(), Error> {
    for row in rows {
        sweep(tx, row.sweep, |sweep| {
            if sweep.state == SweepState::Running {
                (sweep.state, sweep.ended_ms) = (row.state, row.at_ms);
                sweep.reason.clone_from(&row.reason);
            }
        })
        .await?;
        if row.state != SweepState::Cancelled {
            continue;
        }
        // What the sweep never got: nobody will ever bind it.
        let positions = sqlx::query_scalar("SELECT position FROM stages WHERE sweep = ? AND state < 2");
        let positions: Vec<u32> = positions.bind(signed(row.sweep.0)).fetch_all(&mut *tx).await?;
        for position in positions {
            stage(tx, row.sweep, position, |stage| stage.state = stage.state.max(StageState::Ended)).await?;
        }
    }
    Ok(())
}

/// Holds a sweep's state against its checksum.
pub(super) async fn verify_sweep(tx: &mut SqliteConnection, id: SweepId) -> Result<(), Error> {
    read_sweep(tx, id).await.map(drop)
}

async fn read_sweep(tx: &mut SqliteConnection, id: SweepId) -> Result<Option<Sweep>, Error> {
    let select =
        sqlx::query("SELECT id, priority, paused, pin, state, reason, ended_ms, state_sum FROM sweeps WHERE id = ?");
    let Some(row) = select.bind(signed(id.0)).fetch_optional(tx).await? else { return Ok(None) };
    let mut reader = RowReader::new(&row, "sweeps");
    reader.int()?;
    let sweep = Sweep {
        priority: reader.int()?,
        paused: reader.flag()?,
        pin: reader.option_blob()?.map(<[u8]>::to_vec),
        state: SweepState::of(reader.int()?)?,
        reason: reader.text()?.to_owned(),
        ended_ms: reader.int()?,
    };
    reader.sum(|| format!("the state of sweep {id}"))?;
    Ok(Some(sweep))
}

/// Changes a sweep, if it is there.
async fn sweep(tx: &mut SqliteConnection, id: SweepId, change: impl FnOnce(&mut Sweep)) -> Result<(), Error> {
    let Some(mut sweep) = read_sweep(tx, id).await? else { return Ok(()) };
    let key = signed(id.0);
    change(&mut sweep);
    let update = sqlx::query(
        "UPDATE sweeps SET priority = ?, paused = ?, pin = ?, state = ?, reason = ?, ended_ms = ?, state_sum = ? \
         WHERE id = ?",
    );
    let values = Values::of(update).key(key).int(sweep.priority).int(sweep.paused).option_blob(sweep.pin.as_deref());
    let values = values.int(sweep.state.code()).text(&sweep.reason).int(sweep.ended_ms).sum().loose(key);
    values.query.execute(&mut *tx).await?;
    Ok(())
}

/// Changes a stage, if it is there.
async fn stage(
    tx: &mut SqliteConnection,
    id: SweepId,
    position: u32,
    change: impl FnOnce(&mut Stage),
) -> Result<(), Error> {
    let key = signed(id.0);
    let select = sqlx::query(
        "SELECT sweep, position, state, choice, winner, decided, state_sum FROM stages WHERE sweep = ? AND position = ?",
    );
    let Some(row) = select.bind(key).bind(position).fetch_optional(&mut *tx).await? else { return Ok(()) };
    let mut reader = RowReader::new(&row, "stages");
    reader.int()?;
    reader.int()?;
    let mut stage = Stage {
        state: StageState::of(reader.int()?)?,
        choice: reader.text()?.to_owned(),
        winner: reader.small_option()?,
        decided: reader.small_option()?,
    };
    reader.sum(|| format!("stage {position} of sweep {id}"))?;
    change(&mut stage);
    let update = sqlx::query(
        "UPDATE stages SET state = ?, choice = ?, winner = ?, decided = ?, state_sum = ? \
         WHERE sweep = ? AND position = ?",
    );
    let values = Values::of(update).key(key).key(i64::from(position)).int(stage.state.code()).text(&stage.choice);
    let values = values.option(stage.winner).option(stage.decided).sum().loose(key).loose(position);
    values.query.execute(&mut *tx).await?;
    Ok(())
}
