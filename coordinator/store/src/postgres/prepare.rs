//! Rows of a sweep before it begins, in pieces. Until a commit begins the sweep nobody is told of them, and a restart
//! removes them.

use sqlx::PgConnection;
use sweep_spec::canonical;

use super::columns::{Columns, pieces, signed, text};
use super::write::json;
use crate::codes::SweepState;
use crate::write::{Afresh, ConfigurationRow, Preparation, SweepRow};
use crate::{Error, packed};

const NOTHING: &str = "ON CONFLICT DO NOTHING";

pub(super) async fn prepare(tx: &mut PgConnection, rows: &Preparation) -> Result<(), Error> {
    if let Some(stages) = &rows.afresh {
        afresh(tx, stages).await?;
    }
    if let Some(row) = &rows.sweep {
        sweep(tx, row).await?;
    }
    for rows in pieces(&rows.stages) {
        let columns = Columns::of(rows).number("sweep", |row| signed(row.sweep.0));
        let columns = columns.number("position", |row| i64::from(row.position)).text("name", |row| &row.name);
        let columns = columns.number("trials_at_most", |row| signed(row.trials_at_most));
        columns.number("keep_best", |row| i64::from(row.keep_best)).insert(tx, "stages", NOTHING).await?;
    }
    for rows in pieces(&rows.questions) {
        let columns = Columns::of(rows).bytes("digest", |row| row.0.as_bytes()).text("body", |row| &row.1);
        columns.insert(tx, "questions", NOTHING).await?;
    }
    for rows in pieces(&rows.configurations) {
        configurations(tx, rows).await?;
    }
    for rows in pieces(&rows.stage_configurations) {
        let columns = Columns::of(rows).number("sweep", |row| signed(row.0.0));
        let columns = columns.number("stage", |row| i64::from(row.1)).number("configuration", |row| i64::from(row.2));
        columns.insert(tx, "stage_configurations", NOTHING).await?;
    }
    for rows in pieces(&rows.trials) {
        let columns = Columns::of(rows).bytes("id", |row| row.id.as_bytes());
        let columns = columns.bytes("question", |row| row.question.as_bytes());
        let columns = columns.text("configuration", |row| &row.body).number("seed", |row| signed(row.seed));
        columns.insert(tx, "trials", NOTHING).await?;
        let columns = Columns::of(rows).number("sweep", |row| signed(row.sweep.0));
        let columns = columns.number("configuration", |row| i64::from(row.configuration));
        let columns = columns.number("seed", |row| signed(row.seed)).bytes("trial", |row| row.id.as_bytes());
        columns.insert(tx, "sweep_trials", NOTHING).await?;
    }
    Ok(())
}

/// Removes what was prepared for stages that wait. What is bound to a round was begun and stays.
async fn afresh(tx: &mut PgConnection, afresh: &Afresh) -> Result<(), Error> {
    let sweep = signed(afresh.sweep.0);
    for stage in &afresh.stages {
        let waiting = "SELECT COUNT(*) FROM stages WHERE sweep = $1 AND position = $2 AND state = 0";
        let waiting = sqlx::query_scalar(waiting).bind(sweep).bind(i64::from(*stage));
        let waiting: i64 = waiting.fetch_one(&mut *tx).await?;
        if waiting == 0 {
            return Ok(());
        }
        let delete = sqlx::query("DELETE FROM stage_configurations WHERE sweep = $1 AND stage = $2");
        delete.bind(sweep).bind(i64::from(*stage)).execute(&mut *tx).await?;
    }
    let seeds: Vec<i64> = afresh.seeds.iter().copied().map(signed).collect();
    let delete = sqlx::query("DELETE FROM sweep_trials WHERE sweep = $1 AND seed = ANY ($2) AND round IS NULL");
    delete.bind(sweep).bind(seeds).execute(&mut *tx).await?;
    for statement in [
        "DELETE FROM sweep_trials WHERE sweep = $1 AND round IS NULL AND NOT EXISTS (SELECT 1 FROM stage_configurations c \
         WHERE c.sweep = sweep_trials.sweep AND c.configuration = sweep_trials.configuration)",
        "DELETE FROM configurations WHERE sweep = $1 \
         AND NOT EXISTS (SELECT 1 FROM stage_configurations c \
             WHERE c.sweep = configurations.sweep AND c.configuration = configurations.position) \
         AND NOT EXISTS (SELECT 1 FROM sweep_trials t \
             WHERE t.sweep = configurations.sweep AND t.configuration = configurations.position)",
    ] {
        sqlx::query(statement).bind(sweep).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn configurations(tx: &mut PgConnection, rows: &[ConfigurationRow]) -> Result<(), Error> {
    let mut bodies = Vec::with_capacity(rows.len());
    for row in rows {
        let body = canonical::to_string(&row.configuration).map_err(|error| Error::damaged(error.to_string()))?;
        bodies.push((row, body));
    }
    let columns = Columns::of(&bodies).number("sweep", |(row, _)| signed(row.sweep.0));
    let columns = columns.number("position", |(row, _)| i64::from(row.position)).text("name", |(row, _)| &row.name);
    let columns = columns.text("label", |(row, _)| &row.label).text("body", |(_, body)| body);
    let columns = columns.number("params", |(row, _)| signed(row.params)).number("flops", |(row, _)| signed(row.flops));
    let columns = columns.number("cost", |(row, _)| signed(row.cost));
    let columns = columns.number("memory_bytes", |(row, _)| signed(row.memory_bytes));
    let columns = columns.number("baseline", |(row, _)| i64::from(row.baseline));
    Ok(columns.insert(tx, "configurations", NOTHING).await?)
}

async fn sweep(tx: &mut PgConnection, row: &SweepRow) -> Result<(), Error> {
    let insert = sqlx::query(
        "INSERT INTO sweeps (id, name, spec, overrides, spec_digest, submitter, priority, weight, trial_limit, dataset_key, \
         pin, state, submitted_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(signed(row.id.0)).bind(text(&row.name)).bind(&[][..] as &[u8]).bind(json(&row.overrides)?);
    let insert = insert.bind(row.spec_digest.as_bytes().as_slice()).bind(text(&row.submitter));
    let insert = insert.bind(i64::from(row.priority)).bind(i64::from(row.weight));
    let insert = insert.bind(signed(row.trial_limit)).bind(row.dataset_key.as_bytes().as_slice());
    let insert = insert.bind(row.pin.map(|pin| pin.as_bytes().to_vec())).bind(SweepState::Preparing.code());
    insert.bind(row.submitted_ms).execute(&mut *tx).await?;
    let insert = sqlx::query(
        "INSERT INTO submissions (sweep, fresh, reproduces, revision) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    );
    let submission = &row.submission;
    let insert = insert.bind(signed(row.id.0)).bind(i64::from(submission.fresh));
    let insert = insert.bind(submission.reproduces.map(|key| key.0)).bind(text(&submission.revision));
    insert.execute(&mut *tx).await?;
    let insert = sqlx::query("INSERT INTO specs (sweep, body) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    insert.bind(signed(row.id.0)).bind(packed::pack(&row.spec)?).execute(tx).await?;
    Ok(())
}

/// Removes sweeps that were prepared and never begun. Trials stay: they are questions, and others may ask them.
pub(super) async fn remove_abandoned(tx: &mut PgConnection) -> Result<(), Error> {
    for statement in [
        "DELETE FROM sweep_trials WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM stage_configurations WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM configurations WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM stages WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM submissions WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM specs WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM sweeps WHERE state = 0",
    ] {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    Ok(())
}
