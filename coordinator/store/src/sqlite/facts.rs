//! What is known of the trials of a sweep: three scans, each in the order of the spec, and every row held against its
//! checksum. A restart reads all of it for what lives, so rows are put together here rather than by subqueries.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::SweepId;
use sweep_scheduler::effect::RoundEnd;
use sweep_scheduler::event::{History, Known};
use sweep_spec::{Digest, FailureClass, TrialId};

use super::cells::Cells;
use super::read::trial_id;
use super::rows::signed;
use crate::codes::{AttemptState, RoundState, class_of, outcome_of};
use crate::record::AttemptKey;
use crate::{Error, REPEATS};

/// A trial of a sweep.
pub(super) struct TrialFacts {
    pub(super) trial: TrialId,
    pub(super) configuration: u32,
    pub(super) seed: u64,
    /// The round that the sweep uses, and whether it had ended before.
    pub(super) bound: Option<(u32, bool)>,
    /// All of its rounds, oldest first.
    pub(super) rounds: Vec<RoundFacts>,
    /// All of its attempts, oldest first.
    pub(super) attempts: Vec<AttemptFacts>,
}

pub(super) struct RoundFacts {
    pub(super) round: u32,
    pub(super) state: RoundState,
    /// Only sweeps wait for it that ask again what has an answer.
    repeats: bool,
    attempt: Option<u32>,
    outcome: Option<i64>,
    class: Option<i64>,
    reason: String,
}

pub(super) struct AttemptFacts {
    pub(super) round: u32,
    pub(super) attempt: u32,
    pub(super) worker: String,
    pub(super) slot: u32,
    pub(super) slot_memory_bytes: Option<u64>,
    pub(super) state: AttemptState,
    pub(super) class: Option<FailureClass>,
    /// Of its result: the content of the data, and the seconds that it took.
    pub(super) answer: Option<(Digest, f64)>,
}

impl RoundFacts {
    /// How it ended, if it has.
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

impl TrialFacts {
    /// The round that the sweep uses.
    pub(super) fn bound_round(&self) -> Option<&RoundFacts> {
        let (number, _) = self.bound?;
        self.rounds.iter().find(|round| round.round == number)
    }

    /// The answer that this round accepted.
    pub(super) fn answer(&self, round: &RoundFacts) -> Option<(Digest, f64)> {
        let number = round.attempt.filter(|_| round.state == RoundState::Succeeded)?;
        self.attempts.iter().find(|attempt| attempt.attempt == number)?.answer
    }

    /// What the store knows of the question. Numbers below the floors are never given again.
    pub(super) fn history(&self, floors: Floors) -> Result<History, Error> {
        let counts = |round: &&RoundFacts| round.state == RoundState::Succeeded && !round.repeats;
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

/// The highest numbers that rounds and attempts may have had that were lost; 0 in a store that lost none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Floors {
    pub(super) rounds: u32,
    pub(super) attempts: u32,
}

/// The trials of a sweep in the order of the spec; only those that ever had a round, if asked so.
pub(super) async fn trials(pool: &SqlitePool, sweep: SweepId, only_known: bool) -> Result<Vec<TrialFacts>, Error> {
    let join = if only_known { "JOIN" } else { "LEFT JOIN" };
    let text = format!(
        "SELECT t.configuration, t.seed, t.trial, t.round, t.reused, t.sum, o.round, o.opened_ms, o.start_sum, o.state, \
         o.attempt, o.outcome, o.class, o.reason, o.ended_ms, o.end_sum \
         FROM sweep_trials t {join} rounds o ON o.trial = t.trial WHERE t.sweep = ? \
         ORDER BY t.configuration, t.seed, o.round"
    );
    // Row by row: one is read from the file while the one before it is looked at, and none of them is kept.
    let mut rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch(pool);
    let mut found: Vec<TrialFacts> = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let mut cells = Cells::new(&row, "sweep_trials");
        cells.known_number(sweep.0);
        let (configuration, seed, trial) = (cells.small()?, cells.number()?, cells.trial()?);
        let (round, reused) = (cells.small_option()?, cells.flag()?);
        cells.sum(|| format!("configuration {configuration}, seed {seed} of sweep {sweep}"))?;
        if found.last().is_none_or(|last| (last.configuration, last.seed) != (configuration, seed)) {
            let bound = round.map(|round| (round, reused));
            let (rounds, attempts) = (Vec::new(), Vec::new());
            found.push(TrialFacts { trial, configuration, seed, bound, rounds, attempts });
        }
        if let (false, Some(last)) = (cells.is_absent(), found.last_mut()) {
            last.rounds.push(round_facts(&mut cells, trial)?);
        }
    }
    drop(rows);
    repeats(pool, sweep, &mut found).await?;
    attempts(pool, sweep, &mut found).await?;
    Ok(found)
}

/// Marks the rounds that do not change which answer is known.
async fn repeats(pool: &SqlitePool, sweep: SweepId, found: &mut [TrialFacts]) -> Result<(), Error> {
    let text = format!("{REPEATS} AND y.trial IN (SELECT t.trial FROM sweep_trials t WHERE t.sweep = ?)");
    let rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch_all(pool).await?;
    let mut repeated: HashSet<(TrialId, u32)> = HashSet::with_capacity(rows.len());
    for row in &rows {
        repeated.insert((trial_id(row.try_get("trial")?)?, row.try_get("round")?));
    }
    for facts in found.iter_mut().filter(|_| !repeated.is_empty()) {
        let trial = facts.trial;
        facts.rounds.iter_mut().for_each(|round| round.repeats = repeated.contains(&(trial, round.round)));
    }
    Ok(())
}

fn round_facts(cells: &mut Cells<'_>, trial: TrialId) -> Result<RoundFacts, Error> {
    cells.table("rounds");
    cells.known_trial(trial);
    let round: u32 = cells.small()?;
    cells.int()?;
    cells.sum(|| format!("round {round} of trial {trial}"))?;
    cells.known_trial(trial);
    cells.known(i64::from(round));
    let state = cells.int()?;
    let (attempt, outcome, class) = (cells.small_option()?, cells.option()?, cells.option()?);
    let reason = cells.text()?.to_owned();
    cells.int()?;
    cells.sum(|| format!("the end of round {round} of trial {trial}"))?;
    Ok(RoundFacts { round, state: RoundState::of(state)?, repeats: false, attempt, outcome, class, reason })
}

async fn attempts(pool: &SqlitePool, sweep: SweepId, trials: &mut [TrialFacts]) -> Result<(), Error> {
    let by_trial: HashMap<TrialId, usize> =
        trials.iter().enumerate().map(|(index, facts)| (facts.trial, index)).collect();
    let query = sqlx::query(
        "SELECT a.key, a.trial, a.round, a.attempt, a.worker, a.slot, a.device, a.slot_memory_bytes, a.assigned_ms, \
         a.start_sum, a.state, a.class, a.reason, a.ended_ms, a.start_seconds, a.run_seconds, a.end_sum, \
         r.data_digest, r.seconds, r.answer_sum \
         FROM sweep_trials t JOIN attempts a ON a.trial = t.trial LEFT JOIN results r ON r.attempt = a.key \
         WHERE t.sweep = ? ORDER BY t.configuration, t.seed, a.attempt",
    );
    let mut rows = query.bind(signed(sweep.0)).fetch(pool);
    while let Some(row) = rows.try_next().await? {
        let mut cells = Cells::new(&row, "attempts");
        let key = AttemptKey(cells.int()?);
        let trial = cells.trial()?;
        let facts = attempt_facts(&mut cells, key, trial)?;
        if let Some(found) = by_trial.get(&trial).and_then(|index| trials.get_mut(*index)) {
            found.attempts.push(facts);
        }
    }
    Ok(())
}

fn attempt_facts(cells: &mut Cells<'_>, key: AttemptKey, trial: TrialId) -> Result<AttemptFacts, Error> {
    let (round, attempt): (u32, u32) = (cells.small()?, cells.small()?);
    let (worker, slot) = (cells.text()?.to_owned(), cells.small()?);
    cells.text()?;
    let slot_memory_bytes = cells.option()?.map(super::rows::unsigned);
    cells.int()?;
    let name = || format!("attempt {attempt} of trial {trial}");
    cells.sum(name)?;
    cells.known(key.0);
    let state = cells.int()?;
    let class = cells.option()?.map(class_of).transpose()?;
    cells.text()?;
    cells.int()?;
    cells.real()?;
    cells.real()?;
    cells.sum(|| format!("the end of attempt {attempt} of trial {trial}"))?;
    let answer = if cells.is_absent() {
        None
    } else {
        cells.table("results");
        cells.known(key.0);
        let (digest, seconds) = (cells.digest()?, cells.real()?);
        cells.sum(name)?;
        Some((digest, seconds))
    };
    let state = AttemptState::of(state)?;
    Ok(AttemptFacts { round, attempt, worker, slot, slot_memory_bytes, state, class, answer })
}
