//! Everything that lives, read back after a restart.

use std::collections::{HashMap, HashSet};

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sweep_scheduler::event::{History, NewSweep, WantedTrial};
use sweep_scheduler::snapshot::{self, BoundTrial, OpenRound, SweepSnapshot};
use sweep_scheduler::{Lease, SweepId, WorkerName};
use sweep_spec::{FailureClass, TrialId};

use super::history_scan::{self, Floors, ScannedAttempt, ScannedRound, ScannedTrial};
use super::read;
use super::row_reader::RowReader;
use super::write::SESSION;
use super::{audit, configurations, deletions, holds, number, observed, repair, sweeps, weights};
use crate::Error;
use crate::codes::{AttemptState, RoundState, StageState, SweepState};
use crate::record::{AttemptKey, ConfigurationRecord, LiveAttempt, LiveSweep, Loaded, SweepPage, SweepRecord};

pub(super) async fn load(pool: &SqlitePool) -> Result<Loaded, Error> {
    let mut connection = pool.acquire().await?;
    let last_session = number::read(&mut connection, SESSION).await?;
    drop(connection);
    let mut loaded = Loaded { attempts: attempts(pool).await?, last_session, ..Loaded::default() };
    let floors = floors(pool).await?;
    let mut open = OpenRounds::default();
    for record in sweeps::page(pool, &SweepPage::newest(u32::MAX)).await?.into_iter().rev() {
        loaded.last_sweep = loaded.last_sweep.max(record.id.0);
        loaded.undecided.extend(undecided(&record));
        if record.state != SweepState::Running {
            continue;
        }
        let trials = history_scan::trials(pool, record.id, false).await?;
        open.gather(&record, &trials)?;
        let (live, snapshot) = whole(pool, record, &trials, floors).await?;
        loaded.snapshot.sweeps.push(snapshot);
        loaded.sweeps.push(live);
    }
    for lost in open.rounds.iter().filter_map(|round| round.lost.as_ref()) {
        loaded.given_up.extend(given_up(pool, lost.lease).await?);
    }
    loaded.snapshot.open_rounds = open.rounds;
    loaded.snapshot.workers = audit::services(pool).await?;
    loaded.names = audit::names(pool).await?;
    let last: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(key), 0) FROM attempts").fetch_one(pool).await?;
    let (last_sweep, last_attempt) = deletions::floors(pool).await?;
    loaded.last_sweep = loaded.last_sweep.max(last_sweep);
    loaded.last_attempt = last_attempt.max(last);
    loaded.weights_due = weights::due(pool).await?;
    Ok(loaded)
}

/// Stages that have ended and whose choice is not made. Those of a cancelled sweep are never asked for.
fn undecided(record: &SweepRecord) -> Vec<(SweepId, u32)> {
    if !matches!(record.state, SweepState::Running | SweepState::Succeeded | SweepState::Failed) {
        return Vec::new();
    }
    let waits = |stage: &crate::record::StageRecord| {
        stage.keep_best && stage.state == StageState::Ended && stage.choice.is_empty()
    };
    let stages = (0_u32..).zip(&record.stages).filter(|(_, stage)| waits(stage));
    stages.map(|(position, _)| (record.id, position)).collect()
}

async fn floors(pool: &SqlitePool) -> Result<Floors, Error> {
    let mut connection = pool.acquire().await?;
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX / 2);
    Ok(Floors {
        rounds: narrow(number::read(&mut connection, repair::ROUND_FLOOR).await?),
        attempts: narrow(number::read(&mut connection, repair::ATTEMPT_FLOOR).await?),
    })
}

/// A sweep that has ended, as if it lived.
pub(super) async fn ended(pool: &SqlitePool, id: SweepId) -> Result<Option<(LiveSweep, SweepSnapshot)>, Error> {
    let Some(record) = sweeps::sweep(pool, id).await? else { return Ok(None) };
    if record.state == SweepState::Running {
        return Ok(None);
    }
    let trials = history_scan::trials(pool, id, false).await?;
    whole(pool, record, &trials, floors(pool).await?).await.map(Some)
}

async fn whole(
    pool: &SqlitePool,
    record: SweepRecord,
    trials: &[ScannedTrial],
    floors: Floors,
) -> Result<(LiveSweep, SweepSnapshot), Error> {
    let configurations = configurations::all(pool, record.id).await?;
    let by_position: HashMap<u32, &ConfigurationRecord> =
        configurations.iter().map(|row| (row.position, row)).collect();
    let mut snapshot = sweep_snapshot(&record, &by_position, trials, floors)?;
    snapshot.hold = holds::read(pool, record.id).await?;
    let spent_ms = observed::spent_ms(pool, record.id).await?;
    let spec = sweeps::spec(pool, record.id).await?.unwrap_or_default();
    let trials = trials.iter().map(|row| (row.trial, row.configuration, row.seed)).collect();
    Ok((LiveSweep { record, spec, configurations, trials, spent_ms }, snapshot))
}

fn sweep_snapshot(
    record: &SweepRecord,
    configurations: &HashMap<u32, &ConfigurationRecord>,
    trials: &[ScannedTrial],
    floors: Floors,
) -> Result<SweepSnapshot, Error> {
    let opened = |state: StageState| matches!(state, StageState::Open | StageState::Ended);
    let numbered = || (0_u32..).zip(&record.stages);
    let open = numbered().filter(|(_, stage)| opened(stage.state)).map(|(index, _)| (index, Vec::new()));
    let mut stages: HashMap<u32, Vec<WantedTrial>> = open.collect();
    let mut bound = Vec::new();
    for row in trials {
        let configuration = configurations.get(&row.configuration);
        let configuration = configuration.ok_or_else(|| {
            let what =
                format!("sweep {} has trials of configuration {}, which is not there", record.id, row.configuration);
            Error::damaged(what)
        })?;
        let wanted = WantedTrial {
            id: row.trial,
            cost: configuration.cost,
            memory_bytes: configuration.memory_bytes,
            history: row.history(floors)?,
            rank: 0,
        };
        for stage in &configuration.stages {
            if let Some(list) = stages.get_mut(stage) {
                list.push(wanted.clone());
            }
        }
        if let Some((round, reused)) = row.bound {
            let end = row.bound_round().map(ScannedRound::end).transpose()?.flatten();
            bound.push(BoundTrial { trial: row.trial, round, reused, end });
        }
    }
    let mut stages: Vec<_> = stages.into_iter().collect();
    stages.sort_by_key(|(stage, _)| *stage);
    let failed = numbered().filter(|(_, stage)| stage.state == StageState::Failed);
    Ok(SweepSnapshot {
        sweep: NewSweep {
            id: record.id,
            priority: record.priority,
            weight: record.weight,
            owner: record.submitter.clone(),
            paused: record.paused,
            retry: Default::default(),
            dataset: record.dataset_key,
            pin: record.pin,
            settled: false,
            stages: record.stages.len() as u32,
            fresh: record.submission.fresh,
            reproduces: record.submission.reproduces.is_some(),
            allowance: None,
        },
        stages,
        failed_stages: failed.map(|(index, stage)| (index, stage.choice.clone())).collect(),
        bound,
        hold: None,
    })
}

pub(super) async fn histories(
    pool: &SqlitePool,
    sweep: SweepId,
    stages: &[u32],
) -> Result<HashMap<TrialId, History>, Error> {
    let floors = floors(pool).await?;
    let all = floors != Floors::default();
    let belongs = configurations::memberships(pool, sweep).await?;
    let belongs = belongs.iter().filter(|(_, stage)| stages.contains(stage));
    let wanted: HashSet<u32> = belongs.map(|(configuration, _)| *configuration).collect();
    let trials = history_scan::trials(pool, sweep, !all).await?;
    let wanted = trials.iter().filter(|row| wanted.contains(&row.configuration));
    wanted.map(|row| Ok((row.trial, row.history(floors)?))).collect()
}

/// Rounds that have not ended; two sweeps may share one.
#[derive(Default)]
struct OpenRounds {
    rounds: Vec<OpenRound>,
    seen: HashSet<TrialId>,
}

impl OpenRounds {
    fn gather(&mut self, record: &SweepRecord, trials: &[ScannedTrial]) -> Result<(), Error> {
        let Some(pin) = record.pin else { return Ok(()) };
        for row in trials {
            let open = row.bound_round().filter(|round| round.state == RoundState::Open);
            let Some(round) = open.map(|round| round.round) else { continue };
            if !self.seen.insert(row.trial) {
                continue;
            }
            let of_round: Vec<_> = row.attempts.iter().filter(|attempt| attempt.round == round).collect();
            let count = |state| of_round.iter().filter(|attempt| attempt.state == state).count() as u32;
            let failed = || of_round.iter().filter(|attempt| attempt.state == AttemptState::Failed);
            let mut failed_on: Vec<_> = failed().map(|attempt| WorkerName(attempt.worker.clone())).collect();
            failed_on.sort();
            failed_on.dedup();
            let full = failed().filter(|attempt| attempt.class == Some(FailureClass::OutOfMemory));
            let newest = |state| of_round.last().filter(|attempt| attempt.state == state);
            self.rounds.push(OpenRound {
                trial: row.trial,
                round,
                pin,
                failures: count(AttemptState::Failed),
                losses: count(AttemptState::Expired),
                failed_on,
                too_small: full.filter_map(|attempt| attempt.slot_memory_bytes).max(),
                live: newest(AttemptState::Live).map(|attempt| on_slot(row.trial, attempt)),
                lost: newest(AttemptState::Expired).map(|attempt| on_slot(row.trial, attempt)),
            });
        }
        Ok(())
    }
}

fn on_slot(trial: TrialId, attempt: &ScannedAttempt) -> snapshot::LiveAttempt {
    snapshot::LiveAttempt {
        lease: Lease { trial, round: attempt.round, attempt: attempt.attempt },
        worker: WorkerName(attempt.worker.clone()),
        slot: attempt.slot,
    }
}

/// An attempt as it began, and its newest point.
const ATTEMPT: &str = "SELECT a.key, a.trial, a.round, a.attempt, a.worker, a.slot, a.device, a.slot_memory_bytes, \
     a.assigned_ms, a.start_sum, p.sequence, p.epoch, p.train_loss, p.train_accuracy, p.val_loss, p.val_accuracy, \
     p.learning_rate, p.seconds, p.images_per_second, p.sum FROM attempts a \
     LEFT JOIN points p ON p.attempt = a.key \
         AND p.sequence = (SELECT MAX(q.sequence) FROM points q WHERE q.attempt = a.key)";

/// The attempts that workers may still run.
async fn attempts(pool: &SqlitePool) -> Result<Vec<LiveAttempt>, Error> {
    let text = format!("{ATTEMPT} WHERE a.state = 0 ORDER BY a.key");
    sqlx::query(AssertSqlSafe(text)).fetch_all(pool).await?.iter().map(live_attempt).collect()
}

async fn given_up(pool: &SqlitePool, lease: Lease) -> Result<Option<LiveAttempt>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{ATTEMPT} WHERE a.trial = ? AND a.attempt = ?")));
    let row = query.bind(lease.trial.as_bytes().as_slice()).bind(lease.attempt).fetch_optional(pool).await?;
    row.as_ref().map(live_attempt).transpose()
}

fn live_attempt(row: &SqliteRow) -> Result<LiveAttempt, Error> {
    let mut reader = RowReader::new(row, "attempts");
    let key = AttemptKey(reader.int()?);
    let lease = Lease { trial: reader.trial()?, round: reader.small()?, attempt: reader.small()? };
    let (worker, slot) = (reader.text()?.to_owned(), reader.small()?);
    reader.text()?;
    reader.option()?;
    let assigned_ms = reader.int()?;
    let name = || format!("attempt {} of trial {}", lease.attempt, lease.trial);
    reader.sum(name)?;
    let newest = if reader.is_absent() { None } else { Some(read::point(&mut reader, key)?) };
    Ok(LiveAttempt {
        key,
        lease,
        worker,
        slot,
        assigned_ms,
        stored_sequence: newest.map_or(0, |point| point.sequence),
        newest: newest.map(|point| point.metrics),
        ended_ms: 0,
    })
}
