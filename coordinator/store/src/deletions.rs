//! Sweeps that are deleted, and what nothing refers to. A deletion is recorded first, in the commit that removes the sweep's
//! own row, so that from then on no reader finds the sweep. What only it referred to is removed in pieces afterwards; a
//! restart goes on with them.
//!
//! Results belong to trials, and sweeps refer to trials: a trial goes with the last sweep that refers to it.

use std::collections::HashSet;

use async_trait::async_trait;
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};

use super::Error;

/// The most trials of one piece, so that other commits come between.
pub const PIECE: u32 = 200;
/// The most rows of other kinds that one piece removes.
pub(crate) const ROWS: u32 = 5_000;

/// What is kept by attempt.
pub(crate) const BY_ATTEMPT: &[&str] =
    &["points", "predictions", "pauses", "validations", "origins", "tests", "results"];
/// What a sweep alone has, and goes with its row.
pub(crate) const BY_SWEEP: &[&str] =
    &["submissions", "stages", "holds", "weight_choices", "weights_kept", "specs", "summaries"];
/// What a sweep alone has, and of which there may be much.
pub(crate) const LARGE_BY_SWEEP: &[(&str, &str)] =
    &[("stage_configurations", "configuration"), ("configurations", "position")];

/// The trials of a deleted sweep that can go, and those that another sweep refers to: only the reference goes. A trial that a
/// worker still runs for this sweep waits until its attempt has ended. In order, because it is asked twice for one piece: by
/// the engine, which forgets these trials, and in the transaction that removes them.
pub(crate) const NEXT: &str = "SELECT x.trial AS trial, x.shared AS shared FROM (SELECT t.trial AS trial, t.configuration AS configuration, t.seed AS seed, CAST(CASE WHEN EXISTS \
    (SELECT 1 FROM sweep_trials o WHERE o.trial = t.trial AND o.sweep <> t.sweep) THEN 1 ELSE 0 END AS BIGINT) AS shared \
    FROM sweep_trials t WHERE t.sweep = $1) x WHERE x.shared = 1 OR NOT EXISTS \
    (SELECT 1 FROM attempts a WHERE a.trial = x.trial AND a.state = 0) ORDER BY x.configuration, x.seed LIMIT $2";

/// Contents that only trials have which only this sweep refers to.
pub(crate) const CONTENTS: &str = "SELECT COUNT(*) AS artifacts, CAST(COALESCE(SUM(d.size_bytes), 0) AS BIGINT) AS bytes FROM \
    (SELECT DISTINCT f.digest, f.size_bytes FROM sweep_trials t JOIN attempts a ON a.trial = t.trial \
    JOIN artifacts f ON f.owner = a.key WHERE t.sweep = $1 AND NOT EXISTS \
    (SELECT 1 FROM sweep_trials o WHERE o.trial = t.trial AND o.sweep <> $1)) d WHERE NOT EXISTS \
    (SELECT 1 FROM artifacts g WHERE g.digest = d.digest AND NOT EXISTS (SELECT 1 FROM attempts b \
    JOIN sweep_trials u ON u.trial = b.trial AND u.sweep = $1 WHERE b.key = g.owner AND NOT EXISTS \
    (SELECT 1 FROM sweep_trials o WHERE o.trial = b.trial AND o.sweep <> $1)))";

/// How many of a sweep's trials only it refers to, and how many others do too.
pub(crate) const TRIALS: &str = "SELECT COUNT(*) AS referred, CAST(COALESCE(SUM(CASE WHEN EXISTS (SELECT 1 FROM sweep_trials o \
    WHERE o.trial = t.trial AND o.sweep <> t.sweep) THEN 1 ELSE 0 END), 0) AS BIGINT) AS shared \
    FROM sweep_trials t WHERE t.sweep = $1";

/// Deleted sweeps of which something is left, oldest first.
pub(crate) const UNFINISHED: &str = "SELECT sweep FROM deletions WHERE finished_ms = 0 ORDER BY asked_ms, sweep";

/// Whether a sweep refers to a trial.
pub(crate) const REFERS: &str = "SELECT EXISTS (SELECT 1 FROM sweep_trials WHERE sweep = $1)";

/// Removes the thumbnails of a content, unless a sweep is pinned to it.
pub(crate) const REMOVE_THUMBNAILS: &str = "DELETE FROM artifacts WHERE owner = 0 AND data_digest = $1 AND NOT EXISTS \
    (SELECT 1 FROM sweeps WHERE pin = $1) RETURNING digest, size_bytes";

/// Trials that no sweep refers to, without an attempt that runs or ended after this moment. One without an attempt has no
/// result that a later sweep could reuse, so it goes at once.
pub(crate) const ORPHANS: &str = "SELECT t.id FROM trials t WHERE NOT EXISTS (SELECT 1 FROM sweep_trials o WHERE o.trial = t.id) \
    AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.trial = t.id AND (a.state = 0 OR a.ended_ms > $1)) ORDER BY t.id LIMIT $2";

/// Thumbnails of data that no sweep is pinned to.
pub(crate) const STRAY_THUMBNAILS: &str = "SELECT DISTINCT f.digest, f.size_bytes FROM artifacts f WHERE f.owner = 0 AND NOT EXISTS \
    (SELECT 1 FROM sweeps s WHERE s.pin = f.data_digest)";

/// Removes settings (the table `questions`) that no trial has. Trials are read once, because no index finds them by their settings.
pub(crate) const REMOVE_SETTINGS: &str =
    "DELETE FROM questions WHERE digest IN (SELECT digest FROM questions EXCEPT SELECT question FROM trials)";

/// Removes a sweep's rows of a large table, as many as one piece takes.
pub(crate) fn remove_rows((table, column): &(&str, &str)) -> String {
    format!(
        "DELETE FROM {table} WHERE sweep = $1 AND {column} IN \
         (SELECT {column} FROM {table} WHERE sweep = $1 ORDER BY {column} LIMIT {ROWS})"
    )
}

/// Counts what a collection removes, as if its steps were done: the trials of `ORPHANS`, then the settings and thumbnails that
/// nothing else has once these trials are gone. The content of a thumbnail counts if no artifact that stays has it too.
pub(crate) fn strays() -> String {
    format!(
        "WITH going (id) AS ({ORPHANS}), thumbnails (digest, size) AS (SELECT f.digest, MAX(f.size_bytes) FROM artifacts f \
         WHERE f.owner = 0 AND NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.pin = f.data_digest) \
         AND NOT EXISTS (SELECT 1 FROM removals r WHERE r.digest = f.digest) \
         AND NOT EXISTS (SELECT 1 FROM artifacts g LEFT JOIN attempts a ON a.key = g.owner LEFT JOIN going o ON o.id = a.trial \
         WHERE g.digest = f.digest AND o.id IS NULL \
         AND (g.owner <> 0 OR EXISTS (SELECT 1 FROM sweeps s WHERE s.pin = g.data_digest))) GROUP BY f.digest) \
         SELECT (SELECT COUNT(*) FROM going) AS trials, \
         (SELECT COUNT(*) FROM (SELECT digest FROM questions EXCEPT SELECT t.question FROM trials t \
         LEFT JOIN going o ON o.id = t.id WHERE o.id IS NULL) q) AS settings, \
         (SELECT COUNT(*) FROM thumbnails) AS thumbnails, \
         (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM thumbnails) AS thumbnail_bytes"
    )
}

/// Those of these trials that no sweep refers to and that no worker runs. The list is as the database has it.
pub(crate) fn still_orphans(list: &str) -> String {
    format!(
        "SELECT id FROM trials t WHERE id {list} AND NOT EXISTS (SELECT 1 FROM sweep_trials o WHERE o.trial = t.id) \
         AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.trial = t.id AND a.state = 0)"
    )
}

/// A sweep that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionRow {
    /// Which.
    pub sweep: SweepId,
    /// By whose word.
    pub actor: String,
    /// When.
    pub at_ms: i64,
}

/// A sweep that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Its number.
    pub sweep: SweepId,
    /// Its name.
    pub name: String,
    /// Who had submitted it.
    pub submitter: String,
    /// By whose word.
    pub actor: String,
    /// When.
    pub asked_ms: i64,
    /// When the last of it was gone; 0 until then.
    pub finished_ms: i64,
    /// What is gone.
    pub gone: Gone,
    /// Bytes that the store gave back to the file system.
    pub store_bytes: u64,
}

/// What is removed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gone {
    /// Trials, with their attempts, points and results.
    pub trials: u64,
    /// Trials that stay, because another sweep refers to them.
    pub kept: u64,
    /// Contents of artifacts that nothing else has.
    pub artifacts: u64,
    /// Their bytes.
    pub artifact_bytes: u64,
}

impl Gone {
    pub fn add(&mut self, other: Self) {
        self.trials += other.trials;
        self.kept += other.kept;
        self.artifacts += other.artifacts;
        self.artifact_bytes += other.artifact_bytes;
    }
}

/// What a collection would remove from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Strays {
    /// Trials that no sweep refers to.
    pub trials: u64,
    /// Settings that no other trial has.
    pub settings: u64,
    /// Contents of thumbnails of data that no sweep is pinned to.
    pub thumbnails: u64,
    /// Bytes of these contents.
    pub thumbnail_bytes: u64,
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to remove.
    More,
    /// Workers still run trials of it that the coordinator asked them to stop.
    Waits,
    /// Nothing is left.
    Nothing,
}

/// What became of the room that removed rows took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Bytes that were given back to the file system.
    pub returned: u64,
    /// Bytes inside of the store that later rows use; none where the database does not say.
    pub reusable: Option<u64>,
}

/// Where sweeps are deleted.
#[async_trait]
pub trait Deletions: Send + Sync + 'static {
    /// A sweep that was deleted.
    async fn deletion(&self, sweep: SweepId) -> Result<Option<Deletion>, Error>;

    /// Deleted sweeps of which something is left, oldest first.
    async fn unfinished_deletions(&self) -> Result<Vec<SweepId>, Error>;

    /// What deleting a sweep would remove.
    async fn weigh(&self, sweep: SweepId) -> Result<Gone, Error>;

    /// Trials that the next piece of a deletion would take.
    async fn next_to_go(&self, sweep: SweepId) -> Result<Vec<TrialId>, Error>;

    /// Removes a piece of a deleted sweep. Of its trials only those in `forgotten` go, which no running coordinator remembers;
    /// references to trials of other sweeps go anyway.
    async fn delete_piece(&self, sweep: SweepId, forgotten: &[TrialId]) -> Result<Step, Error>;

    /// Notes that nothing of a deleted sweep is left, and what the store gave back.
    async fn finish_deletion(&self, sweep: SweepId, at_ms: i64, store_bytes: u64) -> Result<(), Error>;

    /// What a collection would remove: first the trials that `orphans` finds, then what nothing else refers to.
    async fn strays(&self, before_ms: i64, limit: u32) -> Result<Strays, Error>;

    /// At most `limit` trials that no sweep refers to and whose attempts had all ended before this moment; also those that
    /// have no attempt, which say no time.
    async fn orphans(&self, before_ms: i64, limit: u32) -> Result<Vec<TrialId>, Error>;

    /// Removes those of the trials that no sweep refers to and that no worker runs.
    async fn delete_orphans(&self, trials: &[TrialId]) -> Result<Gone, Error>;

    /// Removes settings (data set, protocol, semantics) that no trial has; returns how many. A preparation brings a trial together with its settings, so none
    /// is lost that a trial is about to have.
    async fn delete_settings(&self) -> Result<u64, Error>;

    /// Thumbnails of data that no sweep is pinned to, and their sizes.
    async fn stray_thumbnails(&self) -> Result<Vec<(Digest, u64)>, Error>;

    /// Forgets those of them that still are, so that their files are to be removed.
    async fn forget_thumbnails(&self, digests: &[Digest]) -> Result<Gone, Error>;

    /// Which of these contents an artifact has, or is to be removed already.
    async fn known_contents(&self, digests: &[Digest]) -> Result<Vec<Digest>, Error>;

    /// Gives room back that removed rows took, as far as that can be done beside other commits.
    async fn shrink(&self) -> Result<Room, Error>;
}

/// Of what a piece found: the references that go, and the trials that go with them.
pub(crate) fn split(found: Vec<(TrialId, bool)>, forgotten: &[TrialId]) -> (Vec<TrialId>, Vec<TrialId>) {
    let forgotten: HashSet<&TrialId> = forgotten.iter().collect();
    let (shared, own): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, shared)| *shared);
    let own: Vec<TrialId> = own.into_iter().map(|(trial, _)| trial).filter(|trial| forgotten.contains(trial)).collect();
    (shared.into_iter().map(|(trial, _)| trial).chain(own.iter().copied()).collect(), own)
}
