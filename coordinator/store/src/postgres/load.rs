//! Everything that lives, read back after a restart.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};
use sweep_scheduler::effect::RoundEnd;
use sweep_scheduler::event::{History, Known, NewSweep, WantedTrial};
use sweep_scheduler::snapshot::{self, BoundTrial, OpenRound, SweepSnapshot};
use sweep_scheduler::{Lease, SweepId, WorkerName};
use sweep_spec::{FailureClass, TrialId};

use super::columns::{flag, large, signed, small, small_or_none, unsigned};
use super::read::{digest, trial_id};
use super::trials::metrics;
use super::{audit, configurations, deletions, holds, observed, sweeps, weights};
use crate::codes::{AttemptState, RoundState, StageState, SweepState, class_of, outcome_of};
use crate::record::{AttemptKey, ConfigurationRecord, LiveAttempt, LiveSweep, Loaded, SweepRecord};
use crate::{Error, REPEATS};

pub(super) async fn load(pool: &PgPool) -> Result<Loaded, Error> {
    let live = sqlx::query_scalar("SELECT id FROM sweeps WHERE state = 1 ORDER BY id");
    let live: Vec<i64> = live.fetch_all(pool).await?;
    let mut loaded = Loaded { attempts: attempts(pool).await?, undecided: undecided(pool).await?, ..Loaded::default() };
    for id in live {
        let id = SweepId(unsigned(id));
        let Some(record) = sweeps::sweep(pool, id).await? else { continue };
        let (live, snapshot) = whole(pool, record).await?;
        loaded.snapshot.sweeps.push(snapshot);
        loaded.sweeps.push(live);
    }
    loaded.snapshot.workers = audit::services(pool).await?;
    loaded.names = audit::names(pool).await?;
    loaded.snapshot.open_rounds = open_rounds(pool, &loaded.attempts).await?;
    let lost: Vec<Lease> =
        loaded.snapshot.open_rounds.iter().filter_map(|round| Some(round.lost.as_ref()?.lease)).collect();
    loaded.given_up = given_up(pool, &lost).await?;
    let number = |text: &'static str| sqlx::query_scalar::<_, i64>(text).fetch_one(pool);
    loaded.last_sweep = unsigned(number(deletions::LAST_SWEEP).await?);
    loaded.last_attempt = number(deletions::LAST_ATTEMPT).await?;
    loaded.weights_due = weights::due(pool).await?;
    let session = "SELECT COALESCE((SELECT value FROM counters WHERE name = 'session'), 0)";
    loaded.last_session = unsigned(number(session).await?);
    Ok(loaded)
}

/// A sweep that has ended, as if it lived.
pub(super) async fn ended(pool: &PgPool, id: SweepId) -> Result<Option<(LiveSweep, SweepSnapshot)>, Error> {
    match sweeps::sweep(pool, id).await? {
        Some(record) if record.state != SweepState::Running => whole(pool, record).await.map(Some),
        _ => Ok(None),
    }
}

async fn whole(pool: &PgPool, record: SweepRecord) -> Result<(LiveSweep, SweepSnapshot), Error> {
    let configurations = configurations::all(pool, record.id).await?;
    let rows = sweep_trials(pool, record.id).await?;
    let snapshot = sweep_snapshot(pool, &record, &configurations, &rows).await?;
    let trials = rows.iter().map(|row| (row.trial, row.configuration, row.seed)).collect();
    let spent_ms = observed::spent_ms(pool, record.id).await?;
    let spec = sweeps::spec(pool, record.id).await?.unwrap_or_default();
    Ok((LiveSweep { record, spec, configurations, trials, spent_ms }, snapshot))
}

async fn undecided(pool: &PgPool) -> Result<Vec<(SweepId, u32)>, Error> {
    let query = sqlx::query(
        "SELECT g.sweep, g.position FROM stages g JOIN sweeps s ON s.id = g.sweep \
         WHERE g.keep_best = 1 AND g.state = 2 AND g.choice = '' AND s.state IN (1, 2, 3) ORDER BY 1, 2",
    );
    let rows = query.fetch_all(pool).await?;
    rows.iter().map(|row| Ok((SweepId(large(row, "sweep")?), small(row, "position")?))).collect()
}

struct SweepTrial {
    trial: TrialId,
    configuration: u32,
    seed: u64,
    bound: Option<BoundTrial>,
}

async fn sweep_trials(pool: &PgPool, sweep: SweepId) -> Result<Vec<SweepTrial>, Error> {
    let query = sqlx::query(
        "SELECT t.trial, t.configuration, t.seed, t.round, t.reused, o.state, o.attempt, o.outcome, o.class, o.reason \
         FROM sweep_trials t LEFT JOIN rounds o ON o.trial = t.trial AND o.round = t.round \
         WHERE t.sweep = $1 ORDER BY t.configuration, t.seed",
    );
    let rows = query.bind(signed(sweep.0)).fetch_all(pool).await?;
    rows.iter().map(sweep_trial).collect()
}

fn sweep_trial(row: &PgRow) -> Result<SweepTrial, Error> {
    let trial = trial_id(row.try_get("trial")?)?;
    let round: Option<u32> = small_or_none(row, "round")?;
    let bound = match round {
        None => None,
        Some(round) => Some(BoundTrial { trial, round, reused: flag(row, "reused")?, end: round_end(row)? }),
    };
    Ok(SweepTrial { trial, configuration: small(row, "configuration")?, seed: large(row, "seed")?, bound })
}

fn round_end(row: &PgRow) -> Result<Option<RoundEnd>, Error> {
    let Some(state) = row.try_get::<Option<i64>, _>("state")? else { return Ok(None) };
    Ok(match RoundState::of(state)? {
        RoundState::Open => None,
        RoundState::Succeeded => {
            let attempt = small(row, "attempt")?;
            Some(RoundEnd::Succeeded { attempt, outcome: outcome_of(row.try_get("outcome")?)? })
        }
        RoundState::Failed => {
            let class: Option<i64> = row.try_get("class")?;
            let class = class.map(class_of).transpose()?.unwrap_or(FailureClass::Coordinator);
            Some(RoundEnd::Failed { class, reason: row.try_get("reason")? })
        }
        RoundState::Cancelled => Some(RoundEnd::Cancelled),
    })
}

async fn sweep_snapshot(
    pool: &PgPool,
    record: &SweepRecord,
    configurations: &[ConfigurationRecord],
    trials: &[SweepTrial],
) -> Result<SweepSnapshot, Error> {
    let opened = |state: StageState| matches!(state, StageState::Open | StageState::Ended);
    let numbered = || (0_u32..).zip(&record.stages);
    let open: Vec<u32> = numbered().filter(|(_, stage)| opened(stage.state)).map(|(index, _)| index).collect();
    let mut histories = histories(pool, record.id, &open).await?;
    let by_position: HashMap<u32, &ConfigurationRecord> =
        configurations.iter().map(|row| (row.position, row)).collect();
    let mut stages: HashMap<u32, Vec<WantedTrial>> = open.iter().map(|stage| (*stage, Vec::new())).collect();
    for row in trials {
        let configuration = by_position.get(&row.configuration);
        let configuration = configuration.ok_or_else(|| Error::damaged("a trial without its configuration"))?;
        let wanted = WantedTrial {
            id: row.trial,
            cost: configuration.cost,
            memory_bytes: configuration.memory_bytes,
            history: histories.remove(&row.trial).unwrap_or_default(),
            rank: 0,
        };
        for stage in &configuration.stages {
            if let Some(list) = stages.get_mut(stage) {
                list.push(wanted.clone());
            }
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
        bound: trials.iter().filter_map(|row| row.bound.clone()).collect(),
        hold: holds::read(pool, record.id).await?,
    })
}

pub(super) async fn histories(
    pool: &PgPool,
    sweep: SweepId,
    stages: &[u32],
) -> Result<HashMap<TrialId, History>, Error> {
    let text = format!(
        "WITH repeats AS ({REPEATS}) \
         SELECT t.trial, (SELECT MAX(o.round) FROM rounds o WHERE o.trial = t.trial) AS rounds, \
         (SELECT MAX(a.attempt) FROM attempts a WHERE a.trial = t.trial) AS attempts, \
         k.round AS known_round, k.outcome, r.data_digest \
         FROM sweep_trials t \
         LEFT JOIN rounds k ON k.trial = t.trial AND k.round = (SELECT MAX(x.round) FROM rounds x \
             WHERE x.trial = t.trial AND x.state = 1 \
             AND NOT EXISTS (SELECT 1 FROM repeats p WHERE p.trial = x.trial AND p.round = x.round)) \
         LEFT JOIN attempts a ON a.trial = t.trial AND a.attempt = k.attempt \
         LEFT JOIN results r ON r.attempt = a.key \
         WHERE t.sweep = $1 AND EXISTS (SELECT 1 FROM rounds o WHERE o.trial = t.trial) \
         AND EXISTS (SELECT 1 FROM stage_configurations c WHERE c.sweep = t.sweep \
             AND c.configuration = t.configuration AND c.stage = ANY ($2))",
    );
    let stages: Vec<i64> = stages.iter().copied().map(i64::from).collect();
    let query = sqlx::query(AssertSqlSafe(text));
    let rows = query.bind(signed(sweep.0)).bind(stages).fetch_all(pool).await?;
    rows.iter().map(history).collect()
}

fn history(row: &PgRow) -> Result<(TrialId, History), Error> {
    let round: Option<u32> = small_or_none(row, "known_round")?;
    let outcome: Option<i64> = row.try_get("outcome")?;
    let data: Option<Vec<u8>> = row.try_get("data_digest")?;
    let known = match (round, outcome, data) {
        (Some(round), Some(outcome), Some(data)) => {
            Some(Known { round, data_digest: digest(&data)?, outcome: outcome_of(outcome)? })
        }
        _ => None,
    };
    let number = |name: &str| small_or_none::<u32>(row, name).map(Option::unwrap_or_default);
    let history = History { rounds: number("rounds")?, attempts: number("attempts")?, known };
    Ok((trial_id(row.try_get("trial")?)?, history))
}

async fn open_rounds(pool: &PgPool, attempts: &[LiveAttempt]) -> Result<Vec<OpenRound>, Error> {
    let live: HashMap<(TrialId, u32), &LiveAttempt> =
        attempts.iter().map(|attempt| ((attempt.lease.trial, attempt.lease.round), attempt)).collect();
    let query = sqlx::query(
        "SELECT o.trial, o.round, \
         (SELECT s.pin FROM sweep_trials t JOIN sweeps s ON s.id = t.sweep \
          WHERE t.trial = o.trial AND t.round = o.round AND s.pin IS NOT NULL LIMIT 1) AS pin, \
         (SELECT COUNT(*) FROM attempts a WHERE a.trial = o.trial AND a.round = o.round AND a.state = 2) AS failures, \
         (SELECT COUNT(*) FROM attempts a WHERE a.trial = o.trial AND a.round = o.round AND a.state = 4) AS losses, \
         ARRAY(SELECT DISTINCT a.worker FROM attempts a \
          WHERE a.trial = o.trial AND a.round = o.round AND a.state = 2) AS failed_on, \
         (SELECT MAX(a.slot_memory_bytes) FROM attempts a \
          WHERE a.trial = o.trial AND a.round = o.round AND a.state = 2 AND a.class = 3) AS too_small, \
         n.attempt AS newest, n.state AS newest_state, n.worker, n.slot \
         FROM rounds o LEFT JOIN attempts n ON n.trial = o.trial AND n.attempt = \
             (SELECT MAX(m.attempt) FROM attempts m WHERE m.trial = o.trial AND m.round = o.round) \
         WHERE o.state = 0",
    );
    let mut rounds = Vec::new();
    for row in query.fetch_all(pool).await? {
        let (trial, round) = (trial_id(row.try_get("trial")?)?, small(&row, "round")?);
        let Some(pin) = row.try_get::<Option<Vec<u8>>, _>("pin")? else { continue };
        let attempt = live.get(&(trial, round)).map(|attempt| snapshot::LiveAttempt {
            lease: attempt.lease,
            worker: WorkerName(attempt.worker.clone()),
            slot: attempt.slot,
        });
        rounds.push(OpenRound {
            trial,
            round,
            pin: digest(&pin)?,
            failures: small(&row, "failures")?,
            losses: small(&row, "losses")?,
            failed_on: row.try_get::<Vec<String>, _>("failed_on")?.into_iter().map(WorkerName).collect(),
            too_small: row.try_get::<Option<i64>, _>("too_small")?.map(unsigned),
            live: attempt,
            lost: lost(&row, trial, round)?,
        });
    }
    Ok(rounds)
}

fn lost(row: &PgRow, trial: TrialId, round: u32) -> Result<Option<snapshot::LiveAttempt>, Error> {
    let (newest, state): (Option<u32>, Option<i64>) = (small_or_none(row, "newest")?, row.try_get("newest_state")?);
    let expired = state.map(AttemptState::of).transpose()? == Some(AttemptState::Expired);
    let Some(attempt) = newest.filter(|_| expired) else { return Ok(None) };
    let worker = WorkerName(row.try_get("worker")?);
    Ok(Some(snapshot::LiveAttempt { lease: Lease { trial, round, attempt }, worker, slot: small(row, "slot")? }))
}

/// An attempt as it began, and its newest point.
const ATTEMPT: &str = "SELECT a.key, a.trial, a.round, a.attempt AS number, a.worker, a.slot, a.assigned_ms, \
     p.sequence, p.epoch, p.train_loss, p.train_accuracy, p.val_loss, p.val_accuracy, p.learning_rate, \
     p.seconds, p.images_per_second FROM attempts a \
     LEFT JOIN points p ON p.attempt = a.key \
         AND p.sequence = (SELECT MAX(q.sequence) FROM points q WHERE q.attempt = a.key)";

async fn attempts(pool: &PgPool) -> Result<Vec<LiveAttempt>, Error> {
    let text = format!("{ATTEMPT} WHERE a.state = 0 ORDER BY a.key");
    live_attempts(&sqlx::query(AssertSqlSafe(text)).fetch_all(pool).await?)
}

/// The attempts of these leases, which were given up: their workers may come back with them.
async fn given_up(pool: &PgPool, leases: &[Lease]) -> Result<Vec<LiveAttempt>, Error> {
    let trials: Vec<Vec<u8>> = leases.iter().map(|lease| lease.trial.as_bytes().to_vec()).collect();
    let attempts: Vec<i64> = leases.iter().map(|lease| i64::from(lease.attempt)).collect();
    let wanted =
        "JOIN UNNEST($1::bytea[], $2::bigint[]) AS w (trial, attempt) ON w.trial = a.trial AND w.attempt = a.attempt";
    let text = format!("{ATTEMPT} {wanted} ORDER BY a.key");
    live_attempts(&sqlx::query(AssertSqlSafe(text)).bind(trials).bind(attempts).fetch_all(pool).await?)
}

fn live_attempts(rows: &[PgRow]) -> Result<Vec<LiveAttempt>, Error> {
    let attempt = |row: &PgRow| {
        let sequence: Option<i64> = row.try_get("sequence")?;
        let newest = sequence.map(|_| metrics(row, "")).transpose()?;
        Ok(LiveAttempt {
            ended_ms: 0,
            key: AttemptKey(row.try_get("key")?),
            lease: Lease {
                trial: trial_id(row.try_get("trial")?)?,
                round: small(row, "round")?,
                attempt: small(row, "number")?,
            },
            worker: row.try_get("worker")?,
            slot: small(row, "slot")?,
            assigned_ms: row.try_get("assigned_ms")?,
            stored_sequence: sequence.map_or(0, unsigned),
            newest,
        })
    };
    rows.iter().map(attempt).collect()
}
