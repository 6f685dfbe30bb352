//! Counts the rows of the store with SQL over a read-only connection. It does not ask the coordinator and uses none of
//! its code: the tables are the witnesses.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::study::EPOCHS;

/// Attempts that trials of one sweep had, as `trials t JOIN attempts a` on them.
const OF_SWEEP: &str = "FROM sweep_trials t JOIN attempts a ON a.trial = t.trial WHERE t.sweep = ?1";

/// The trials of a sweep by state.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Count {
    /// Trials of the sweep.
    pub trials: i64,
    /// Those with one accepted result: the round has succeeded with an attempt that has, and its result is there.
    pub accepted: i64,
    /// Trials with more than one result, or with more than one attempt that succeeded.
    pub accepted_twice: i64,
    /// Trials without an accepted result.
    pub lost: i64,
    /// Attempts of the trial that had the most.
    pub attempts_max: i64,
    pub attempts: i64,
    /// Attempts that have not ended.
    pub live: i64,
    /// Accepted attempts whose points are not 1, 2, 3 … up to the last epoch of their result, each once.
    pub incomplete: i64,
    /// Converged results that end before the last epoch.
    pub cut_off: i64,
    /// Points that another attempt has reported.
    pub mixed: i64,
    /// Results and points of attempts that do not exist.
    pub orphans: i64,
    /// Points of all attempts.
    pub points: i64,
    /// Attempts by how they ended.
    pub endings: BTreeMap<String, i64>,
}

impl Count {
    /// The problems of a sweep in which each of `trials` trials should have exactly one answer.
    pub fn problems(&self, trials: i64) -> Vec<String> {
        let wanted = [
            ("trials", self.trials, trials),
            ("accepted", self.accepted, trials),
            ("accepted_twice", self.accepted_twice, 0),
            ("lost", self.lost, 0),
            ("live", self.live, 0),
            ("incomplete", self.incomplete, 0),
            ("cut_off", self.cut_off, 0),
            ("mixed", self.mixed, 0),
            ("orphans", self.orphans, 0),
        ];
        let wrong = wanted.into_iter().filter(|(_, found, wanted)| found != wanted);
        wrong.map(|(name, found, wanted)| format!("{name} is {found}, not {wanted}")).collect()
    }
}

/// A store that is looked at.
#[derive(Debug)]
pub struct Witness {
    connection: SqliteConnection,
}

impl Witness {
    /// Opens the store at `path`, read-only.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        Ok(Self { connection: options.connect().await? })
    }

    /// One number about a sweep, which is `?1` in the statement.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn number(&mut self, sweep: u64, statement: &str) -> Result<i64, sqlx::Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(statement.to_owned()));
        query.bind(sweep.cast_signed()).fetch_one(&mut self.connection).await
    }

    /// Texts about a sweep, which is `?1` in the statement.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn texts(&mut self, sweep: u64, statement: &str) -> Result<Vec<String>, sqlx::Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(statement.to_owned()));
        query.bind(sweep.cast_signed()).fetch_all(&mut self.connection).await
    }

    /// Whether a point of an attempt is there.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn keeps_point(&mut self, trial: &[u8], attempt: u32, sequence: u64) -> Result<bool, sqlx::Error> {
        let points = "SELECT COUNT(*) FROM attempts a JOIN points p ON p.attempt = a.key
            WHERE a.trial = ? AND a.attempt = ? AND p.sequence = ?";
        let query = sqlx::query_scalar(points).bind(trial).bind(attempt).bind(sequence.cast_signed());
        query.fetch_one(&mut self.connection).await.map(|count: i64| count == 1)
    }

    /// Whether the accepted result of a trial is that of this attempt.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn keeps_result(&mut self, trial: &[u8], attempt: u32) -> Result<bool, sqlx::Error> {
        let results = "SELECT COUNT(*) FROM rounds r
            JOIN attempts a ON a.trial = r.trial AND a.round = r.round AND a.attempt = r.attempt
            JOIN results s ON s.attempt = a.key WHERE r.trial = ? AND r.attempt = ? AND r.state = 1 AND a.state = 1";
        let query = sqlx::query_scalar(results).bind(trial).bind(attempt);
        query.fetch_one(&mut self.connection).await.map(|count: i64| count == 1)
    }

    /// Rounds of a sweep's trials that have succeeded.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn succeeded(&mut self, sweep: u64) -> Result<i64, sqlx::Error> {
        let rounds =
            "SELECT COUNT(*) FROM sweep_trials t JOIN rounds r ON r.trial = t.trial WHERE t.sweep = ?1 AND r.state = 1";
        self.number(sweep, rounds).await
    }

    /// Whether a sweep has ended.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn has_ended(&mut self, sweep: u64) -> Result<bool, sqlx::Error> {
        Ok(self.number(sweep, "SELECT COUNT(*) FROM sweeps WHERE id = ?1 AND state >= 2").await? == 1)
    }

    /// Everything about a sweep.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count(&mut self, sweep: u64) -> Result<Count, sqlx::Error> {
        let trials = self.number(sweep, "SELECT COUNT(*) FROM sweep_trials WHERE sweep = ?1").await?;
        let accepted = self.number(sweep, ACCEPTED).await?;
        let mut count = Count { trials, accepted, lost: trials - accepted, ..Count::default() };
        count.accepted_twice = self.number(sweep, ACCEPTED_TWICE).await?;
        count.attempts_max = self.of_sweep(sweep, "COALESCE(MAX(a.attempt), 0)", "").await?;
        count.attempts = self.of_sweep(sweep, "COUNT(*)", "").await?;
        count.live = self.of_sweep(sweep, "COUNT(*)", "AND a.state = 0").await?;
        count.incomplete = self.number(sweep, INCOMPLETE).await?;
        let cut_off = format!("{CUT_OFF} {EPOCHS}");
        count.cut_off = self.number(sweep, &cut_off).await?;
        count.mixed = self.number(sweep, MIXED).await?;
        count.orphans = self.number(sweep, ORPHANS).await?;
        count.points = self.number(sweep, POINTS).await?;
        for (state, name) in ["live", "succeeded", "failed", "stopped", "expired"].into_iter().enumerate() {
            let found = self.of_sweep(sweep, "COUNT(*)", &format!("AND a.state = {state}")).await?;
            count.endings.insert(name.to_owned(), found);
        }
        Ok(count)
    }

    async fn of_sweep(&mut self, sweep: u64, what: &str, which: &str) -> Result<i64, sqlx::Error> {
        self.number(sweep, &format!("SELECT {what} {OF_SWEEP} {which}")).await
    }
}

const ACCEPTED: &str = "SELECT COUNT(*) FROM sweep_trials t
    JOIN rounds r ON r.trial = t.trial AND r.round = t.round AND r.state = 1
    JOIN attempts a ON a.trial = r.trial AND a.round = r.round AND a.attempt = r.attempt AND a.state = 1
    JOIN results s ON s.attempt = a.key AND s.outcome = r.outcome
    WHERE t.sweep = ?1";

const ACCEPTED_TWICE: &str = "SELECT COUNT(*) FROM (
    SELECT 1 FROM sweep_trials t JOIN attempts a ON a.trial = t.trial LEFT JOIN results s ON s.attempt = a.key
    WHERE t.sweep = ?1 GROUP BY t.trial HAVING SUM(a.state = 1) > 1 OR COUNT(s.attempt) > 1)";

const INCOMPLETE: &str = "SELECT COUNT(*) FROM (
    SELECT 1 FROM sweep_trials t
    JOIN rounds r ON r.trial = t.trial AND r.round = t.round AND r.state = 1
    JOIN attempts a ON a.trial = r.trial AND a.attempt = r.attempt
    JOIN results s ON s.attempt = a.key LEFT JOIN points p ON p.attempt = a.key
    WHERE t.sweep = ?1 GROUP BY a.key
    HAVING COUNT(p.sequence) <> s.last_epoch OR COUNT(DISTINCT p.epoch) <> s.last_epoch
        OR MIN(p.epoch) <> 1 OR MAX(p.epoch) <> s.last_epoch OR SUM(p.epoch <> p.sequence) <> 0)";

const CUT_OFF: &str = "SELECT COUNT(*) FROM sweep_trials t JOIN attempts a ON a.trial = t.trial
    JOIN results s ON s.attempt = a.key WHERE t.sweep = ?1 AND s.outcome = 1 AND s.last_epoch <>";

const MIXED: &str = "SELECT COUNT(*) FROM sweep_trials t JOIN attempts a ON a.trial = t.trial
    JOIN points p ON p.attempt = a.key WHERE t.sweep = ?1 AND p.images_per_second <> a.attempt";

const ORPHANS: &str = "SELECT (SELECT COUNT(*) FROM results WHERE attempt NOT IN (SELECT key FROM attempts))
    + (SELECT COUNT(*) FROM points WHERE attempt NOT IN (SELECT key FROM attempts)) + 0 * ?1";

const POINTS: &str = "SELECT COUNT(*) FROM sweep_trials t JOIN attempts a ON a.trial = t.trial
    JOIN points p ON p.attempt = a.key WHERE t.sweep = ?1";
