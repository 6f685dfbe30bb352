//! After rows were lost: what rested on them is taken back, so that the coordinator can start and every sweep that is
//! left can end.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::deletions::GOING;
use super::repair::Repair;
use super::scan;
use crate::Error;
use crate::checksum::{TABLES, Table};

/// Rows that refer to something that is gone, in an order in which each step sees what the ones before it took: table,
/// condition, what is said.
const ORPHANS: &[(&str, &str, &str)] = &[
    (
        "sweeps",
        "(SELECT COUNT(*) FROM stages g WHERE g.sweep = sweeps.id) = 0 OR (SELECT COUNT(*) FROM stages g \
         WHERE g.sweep = sweeps.id) <= (SELECT MAX(g.position) FROM stages g WHERE g.sweep = sweeps.id) \
         OR EXISTS (SELECT 1 FROM stage_configurations c WHERE c.sweep = sweeps.id AND NOT EXISTS \
         (SELECT 1 FROM stages g WHERE g.sweep = c.sweep AND g.position = c.stage))",
        "the sweep is gone, because one of its stages is",
    ),
    (
        "sweeps",
        "length(spec) = 0 AND NOT EXISTS (SELECT 1 FROM specs p WHERE p.sweep = sweeps.id)",
        "the sweep is gone, because its spec is",
    ),
    ("stages", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = stages.sweep)", "their sweep is gone"),
    (
        "stage_configurations",
        "NOT EXISTS (SELECT 1 FROM configurations c WHERE c.sweep = stage_configurations.sweep \
         AND c.position = stage_configurations.configuration) \
         OR NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = stage_configurations.sweep)",
        "their configuration or their sweep is gone",
    ),
    (
        "configurations",
        "NOT EXISTS (SELECT 1 FROM stage_configurations c WHERE c.sweep = configurations.sweep \
         AND c.configuration = configurations.position) \
         OR NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = configurations.sweep)",
        "they belong to no stage any more",
    ),
    (
        "sweep_trials",
        "NOT EXISTS (SELECT 1 FROM configurations c WHERE c.sweep = sweep_trials.sweep \
         AND c.position = sweep_trials.configuration)",
        "the sweep goes on without trials whose configuration is gone",
    ),
    (
        "rounds",
        "state = 1 AND NOT EXISTS (SELECT 1 FROM attempts a JOIN results r ON r.attempt = a.key \
         WHERE a.trial = rounds.trial AND a.attempt = rounds.attempt)",
        "their accepted attempt or its result is gone, and the trials run again",
    ),
    ("points", "NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = points.attempt)", "their attempt is gone"),
    ("predictions", "NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = predictions.attempt)", "their attempt is gone"),
    ("pauses", "NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = pauses.attempt)", "their attempt is gone"),
    ("results", "NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = results.attempt)", "their attempt is gone"),
    (
        "validations",
        "NOT EXISTS (SELECT 1 FROM results r WHERE r.attempt = validations.attempt)",
        "their result is gone",
    ),
    ("origins", "NOT EXISTS (SELECT 1 FROM results r WHERE r.attempt = origins.attempt)", "their result is gone"),
    ("tests", "NOT EXISTS (SELECT 1 FROM results r WHERE r.attempt = tests.attempt)", "their result is gone"),
    ("holds", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = holds.sweep)", "their sweep is gone"),
    ("specs", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = specs.sweep)", "their sweep is gone"),
    ("summaries", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = summaries.sweep)", "their sweep is gone"),
    ("submissions", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = submissions.sweep)", "their sweep is gone"),
    (
        "artifacts",
        "owner <> 0 AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = artifacts.owner)",
        "their attempt is gone",
    ),
    ("weight_choices", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = weight_choices.sweep)", "their sweep is gone"),
    (
        "weight_choices",
        "settled = 1 AND NOT EXISTS (SELECT 1 FROM weights_kept k WHERE k.sweep = weight_choices.sweep)",
        "whose weights are kept is gone, and all that are there stay",
    ),
    (
        "weights_kept",
        "NOT EXISTS (SELECT 1 FROM weight_choices w WHERE w.sweep = weights_kept.sweep)",
        "the choice that they belong to is gone",
    ),
];

/// Trials whose round is gone.
const UNBOUND: &str = "round IS NOT NULL AND NOT EXISTS (SELECT 1 FROM rounds o \
                       WHERE o.trial = sweep_trials.trial AND o.round = sweep_trials.round)";
/// Open rounds that no sweep waits for.
const UNWANTED: &str = "state = 0 AND NOT EXISTS (SELECT 1 FROM sweep_trials t JOIN sweeps s ON s.id = t.sweep \
                        AND s.state = 1 AND s.pin IS NOT NULL WHERE t.trial = rounds.trial AND t.round = rounds.round)";
/// Attempts that run for no open round.
const STRAY: &str = "state = 0 AND NOT EXISTS (SELECT 1 FROM rounds o WHERE o.trial = attempts.trial \
                     AND o.round = attempts.round AND o.state = 0)";

/// A trial's question can be put together from its sweep: what it shares with the other trials, its configuration and its
/// seed.
const QUESTION: &str = "INSERT INTO trials (id, question, configuration, seed) \
    SELECT t.trial, (SELECT y.question FROM sweep_trials z JOIN trials y ON y.id = z.trial WHERE z.sweep = t.sweep LIMIT 1), \
    c.body, t.seed FROM sweep_trials t JOIN configurations c ON c.sweep = t.sweep AND c.position = t.configuration \
    WHERE NOT EXISTS (SELECT 1 FROM trials x WHERE x.id = t.trial) AND EXISTS (SELECT 1 FROM sweep_trials z \
    JOIN trials y ON y.id = z.trial WHERE z.sweep = t.sweep) ON CONFLICT DO NOTHING";

pub(super) async fn restore(connection: &mut SqliteConnection, repair: &mut Repair) -> Result<(), Error> {
    for (table, condition, reason) in ORPHANS {
        // What is left of a deleted sweep is no loss, and goes with the rest of it.
        let going = ["configurations", "stage_configurations", "sweep_trials"].contains(table);
        let besides = if going { format!(" AND sweep NOT IN ({GOING})") } else { String::new() };
        let text = format!("DELETE FROM {table} WHERE ({condition}){besides}");
        let done = sqlx::query(AssertSqlSafe(text)).execute(&mut *connection).await?;
        repair.follows(table, done.rows_affected(), reason);
    }
    let count = apply(connection, QUESTION, "trials", "sum IS NULL").await?;
    repair.follows("trials", count, "put together again from their sweep");
    let ended_ms = repair.at_ms;
    let unbind = change("sweep_trials", "round = NULL, reused = 0, sum = NULL", UNBOUND);
    let count = apply(connection, &unbind, "sweep_trials", "sum IS NULL").await?;
    repair.follows("sweep_trials", count, "their round is gone, and the trials run again");
    let cancel = change("rounds", &format!("state = 3, ended_ms = {ended_ms}, end_sum = NULL"), UNWANTED);
    let count = apply(connection, &cancel, "rounds", "end_sum IS NULL").await?;
    repair.follows("rounds", count, "no sweep waits for them any more");
    let expire = change("attempts", &format!("state = 4, ended_ms = {ended_ms}, end_sum = NULL"), STRAY);
    let count = apply(connection, &expire, "attempts", "end_sum IS NULL").await?;
    repair.follows("attempts", count, "their round is gone or has ended");
    Ok(())
}

fn change(table: &str, assignments: &str, condition: &str) -> String {
    format!("UPDATE {table} SET {assignments} WHERE {condition}")
}

/// Changes rows, and writes the checksums that the changed rows then lack.
async fn apply(
    connection: &mut SqliteConnection,
    update: &str,
    table: &str,
    without_checksum: &str,
) -> Result<u64, Error> {
    let done = sqlx::query(AssertSqlSafe(update.to_owned())).execute(&mut *connection).await?;
    let Some(table) = TABLES.iter().find(|found: &&Table| found.name == table) else { return Ok(0) };
    scan::write_checksums(connection, table, without_checksum).await?;
    Ok(done.rows_affected())
}
