//! The history of a sweep's trials: their rounds, attempts and accepted results. Three scans read it in the order of the
//! spec and check every row against its checksum. A restart reads the history of every live sweep, so the rows are joined
//! here and not by subqueries.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::SweepId;
use sweep_scheduler::effect::RoundEnd;
use sweep_scheduler::event::{History, Known};
use sweep_spec::{Digest, FailureClass, TrialId};

use super::read::trial_id;
use super::row_reader::RowReader;
use super::rows::signed;
use crate::codes::{AttemptState, RoundState, class_of, outcome_of};
use crate::record::AttemptKey;
use crate::{Error, REPEATS};

/// A trial of a sweep.
pub(super) struct ScannedTrial {
    pub(super) trial: TrialId,
    pub(super) configuration: u32,
    pub(super) seed: u64,
    /// The round that the sweep uses, and whether it had ended before.
    pub(super) bound: Option<(u32, bool)>,
    /// All of its rounds, oldest first.
    pub(super) rounds: Vec<ScannedRound>,
    /// All of its attempts, oldest first.
    pub(super) attempts: Vec<ScannedAttempt>,
}

pub(super) struct ScannedRound {
    pub(super) round: u32,
    pub(super) state: RoundState,
    /// Only reproductions wait for it: the question already has an answer.
    repeats: bool,
    attempt: Option<u32>,
    outcome: Option<i64>,
    class: Option<i64>,
    reason: String,
}

pub(super) struct ScannedAttempt {
    pub(super) round: u32,
    pub(super) attempt: u32,
    pub(super) worker: String,
    pub(super) slot: u32,
    pub(super) slot_memory_bytes: Option<u64>,
    pub(super) state: AttemptState,
    pub(super) class: Option<FailureClass>,
    /// The hash of the data and the seconds of its result.
    pub(super) answer: Option<(Digest, f64)>,
}

impl ScannedRound {
    /// The end of the round; `None` while it is open.
    pub(super) fn end(&self) -> Result<Option<RoundEnd>, Error> {
        Ok(match self.state {
            RoundState::Open => None,
            RoundState::Succeeded => {
                let (Some(attempt), Some(outcome)) = (self.attempt, self.outcome) else {
                    return Err(Error::damaged("a round that succeeded names no accepted attempt"));
                };
                Some(RoundEnd::Succeeded { attempt, outcome: outcome_of(outcome)? })
            }
            RoundState::Failed => {
                let class = self.class.map(class_of).transpose()?.unwrap_or(FailureClass::Coordinator);
                Some(RoundEnd::Failed { class, reason: self.reason.clone() })
            }
            RoundState::Cancelled => Some(RoundEnd::Cancelled),
        })
    }
}

impl ScannedTrial {
    /// The round that the sweep uses.
    pub(super) fn bound_round(&self) -> Option<&ScannedRound> {
        let (number, _) = self.bound?;
        self.rounds.iter().find(|round| round.round == number)
    }

    /// The answer that `round` accepted.
    pub(super) fn answer(&self, round: &ScannedRound) -> Option<(Digest, f64)> {
        let number = round.attempt.filter(|_| round.state == RoundState::Succeeded)?;
        self.attempts.iter().find(|attempt| attempt.attempt == number)?.answer
    }

    /// The rounds, attempts and accepted answer of the question. Numbers up to the floors are never assigned again.
    pub(super) fn history(&self, floors: Floors) -> Result<History, Error> {
        let counts = |round: &&ScannedRound| round.state == RoundState::Succeeded && !round.repeats;
        let newest = self.rounds.iter().rev().find(counts);
        let known = match newest.and_then(|round| Some((round, self.answer(round)?, round.outcome?))) {
            Some((round, (data_digest, _), outcome)) => {
                Some(Known { round: round.round, data_digest, outcome: outcome_of(outcome)? })
            }
            None => None,
        };
        Ok(History {
            rounds: self.rounds.last().map_or(0, |round| round.round).max(floors.rounds),
            attempts: self.attempts.last().map_or(0, |attempt| attempt.attempt).max(floors.attempts),
            known,
        })
    }
}

/// The highest numbers that lost rounds and attempts may have had; 0 in a store that lost no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Floors {
    pub(super) rounds: u32,
    pub(super) attempts: u32,
}

/// The trials of a sweep in the order of the spec; with `only_known`, only those that ever had a round.
pub(super) async fn trials(pool: &SqlitePool, sweep: SweepId, only_known: bool) -> Result<Vec<ScannedTrial>, Error> {
    let join = if only_known { "JOIN" } else { "LEFT JOIN" };
    let text = format!(
        "SELECT t.configuration, t.seed, t.trial, t.round, t.reused, t.sum, o.round, o.opened_ms, o.start_sum, o.state, \
         o.attempt, o.outcome, o.class, o.reason, o.ended_ms, o.end_sum \
         FROM sweep_trials t {join} rounds o ON o.trial = t.trial WHERE t.sweep = ? \
         ORDER BY t.configuration, t.seed, o.round"
    );
    // Rows are streamed: SQLite reads the next row while this loop decodes one, and no row is kept.
    let mut rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch(pool);
    let mut found: Vec<ScannedTrial> = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let mut reader = RowReader::new(&row, "sweep_trials");
        reader.known_number(sweep.0);
        let (configuration, seed, trial) = (reader.small()?, reader.number()?, reader.trial()?);
        let (round, reused) = (reader.small_option()?, reader.flag()?);
        reader.sum(|| format!("configuration {configuration}, seed {seed} of sweep {sweep}"))?;
        if found.last().is_none_or(|last| (last.configuration, last.seed) != (configuration, seed)) {
            let bound = round.map(|round| (round, reused));
            let (rounds, attempts) = (Vec::new(), Vec::new());
            found.push(ScannedTrial { trial, configuration, seed, bound, rounds, attempts });
        }
        if let (false, Some(last)) = (reader.is_absent(), found.last_mut()) {
            last.rounds.push(scanned_round(&mut reader, trial)?);
        }
    }
    drop(rows);
    repeats(pool, sweep, &mut found).await?;
    attempts(pool, sweep, &mut found).await?;
    Ok(found)
}

/// Marks the rounds of reproductions; they do not change which answer is known.
async fn repeats(pool: &SqlitePool, sweep: SweepId, found: &mut [ScannedTrial]) -> Result<(), Error> {
    let text = format!("{REPEATS} AND y.trial IN (SELECT t.trial FROM sweep_trials t WHERE t.sweep = ?)");
    let rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch_all(pool).await?;
    let mut repeated: HashSet<(TrialId, u32)> = HashSet::with_capacity(rows.len());
    for row in &rows {
        repeated.insert((trial_id(row.try_get("trial")?)?, row.try_get("round")?));
    }
    for scanned in found.iter_mut().filter(|_| !repeated.is_empty()) {
        let trial = scanned.trial;
        scanned.rounds.iter_mut().for_each(|round| round.repeats = repeated.contains(&(trial, round.round)));
    }
    Ok(())
}

fn scanned_round(reader: &mut RowReader<'_>, trial: TrialId) -> Result<ScannedRound, Error> {
    reader.table("rounds");
    reader.known_trial(trial);
    let round: u32 = reader.small()?;
    reader.int()?;
    reader.sum(|| format!("round {round} of trial {trial}"))?;
    reader.known_trial(trial);
    reader.known(i64::from(round));
    let state = reader.int()?;
    let (attempt, outcome, class) = (reader.small_option()?, reader.option()?, reader.option()?);
    let reason = reader.text()?.to_owned();
    reader.int()?;
    reader.sum(|| format!("the end of round {round} of trial {trial}"))?;
    Ok(ScannedRound { round, state: RoundState::of(state)?, repeats: false, attempt, outcome, class, reason })
}

async fn attempts(pool: &SqlitePool, sweep: SweepId, trials: &mut [ScannedTrial]) -> Result<(), Error> {
    let by_trial: HashMap<TrialId, usize> =
        trials.iter().enumerate().map(|(index, scanned)| (scanned.trial, index)).collect();
    let query = sqlx::query(
        "SELECT a.key, a.trial, a.round, a.attempt, a.worker, a.slot, a.device, a.slot_memory_bytes, a.assigned_ms, \
         a.start_sum, a.state, a.class, a.reason, a.ended_ms, a.start_seconds, a.run_seconds, a.end_sum, \
         r.data_digest, r.seconds, r.answer_sum \
         FROM sweep_trials t JOIN attempts a ON a.trial = t.trial LEFT JOIN results r ON r.attempt = a.key \
         WHERE t.sweep = ? ORDER BY t.configuration, t.seed, a.attempt",
    );
    let mut rows = query.bind(signed(sweep.0)).fetch(pool);
    while let Some(row) = rows.try_next().await? {
        let mut reader = RowReader::new(&row, "attempts");
        let key = AttemptKey(reader.int()?);
        let trial = reader.trial()?;
        let attempt = scanned_attempt(&mut reader, key, trial)?;
        if let Some(found) = by_trial.get(&trial).and_then(|index| trials.get_mut(*index)) {
            found.attempts.push(attempt);
        }
    }
    Ok(())
}

fn scanned_attempt(reader: &mut RowReader<'_>, key: AttemptKey, trial: TrialId) -> Result<ScannedAttempt, Error> {
    let (round, attempt): (u32, u32) = (reader.small()?, reader.small()?);
    let (worker, slot) = (reader.text()?.to_owned(), reader.small()?);
    reader.text()?;
    let slot_memory_bytes = reader.option()?.map(super::rows::unsigned);
    reader.int()?;
    let name = || format!("attempt {attempt} of trial {trial}");
    reader.sum(name)?;
    reader.known(key.0);
    let state = reader.int()?;
    let class = reader.option()?.map(class_of).transpose()?;
    reader.text()?;
    reader.int()?;
    reader.real()?;
    reader.real()?;
    reader.sum(|| format!("the end of attempt {attempt} of trial {trial}"))?;
    let answer = if reader.is_absent() {
        None
    } else {
        reader.table("results");
        reader.known(key.0);
        let (digest, seconds) = (reader.digest()?, reader.real()?);
        reader.sum(name)?;
        Some((digest, seconds))
    };
    let state = AttemptState::of(state)?;
    Ok(ScannedAttempt { round, attempt, worker, slot, slot_memory_bytes, state, class, answer })
}
