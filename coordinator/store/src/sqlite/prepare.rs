//! Rows of a sweep before it begins, in pieces. Until a commit begins the sweep nobody is told of them, and a restart
//! removes them.

use sqlx::SqliteConnection;
use sweep_scheduler::SweepId;
use sweep_spec::canonical;

use super::change;
use super::number::Writer;
use super::rows::{Statement, Values, signed, unsigned};
use super::write::json;
use crate::codes::{StageState, SweepState};
use crate::write::{Afresh, ConfigurationRow, Preparation, SweepRow};
use crate::{Error, packed};

const STAGE: Statement = Statement {
    head: "INSERT INTO stages (sweep, position, name, trials_at_most, keep_best, sum, state, choice, winner, decided, \
           state_sum) VALUES",
    columns: 11,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const QUESTION: Statement = Statement {
    head: "INSERT INTO questions (digest, body) VALUES",
    columns: 2,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const CONFIGURATION: Statement = Statement {
    head: "INSERT INTO configurations (sweep, position, name, label, body, params, flops, cost, memory_bytes, \
           baseline, sum) VALUES",
    columns: 11,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const STAGE_CONFIGURATION: Statement = Statement {
    head: "INSERT INTO stage_configurations (sweep, stage, configuration, sum) VALUES",
    columns: 4,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const TRIAL: Statement = Statement {
    head: "INSERT INTO trials (id, question, configuration, seed, sum) VALUES",
    columns: 5,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const SWEEP_TRIAL: Statement = Statement {
    head: "INSERT INTO sweep_trials (sweep, configuration, seed, trial, round, reused, sum) VALUES",
    columns: 7,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};

pub(super) async fn prepare(writer: &Writer, rows: &Preparation) -> Result<(), Error> {
    let mut bodies = Vec::with_capacity(rows.configurations.len());
    for row in &rows.configurations {
        let body = canonical::to_string(&row.configuration).map_err(|error| Error::damaged(error.to_string()))?;
        bodies.push((row, body));
    }
    let mut numbered = writer.begin().await?;
    let tx = &mut *numbered.transaction;
    if let Some(stages) = &rows.afresh {
        afresh(tx, stages).await?;
    }
    if let Some(row) = &rows.sweep {
        sweep(tx, row).await?;
    }
    STAGE
        .run(tx, &rows.stages, |values, row| {
            let values = values.number(row.sweep.0).int(row.position).text(&row.name).number(row.trials_at_most);
            let values = values.int(row.keep_best).sum().key(signed(row.sweep.0)).key(i64::from(row.position));
            let values = values.int(StageState::Waiting.code()).text("");
            values.option(None::<i64>).option(None::<i64>).sum()
        })
        .await?;
    QUESTION
        .run(tx, &rows.questions, |values, (digest, body)| values.blob(digest.as_bytes().as_slice()).text(body))
        .await?;
    CONFIGURATION
        .run(tx, &bodies, |values, (row, body): &(&ConfigurationRow, String)| {
            let values = values.number(row.sweep.0).int(row.position).text(&row.name).text(&row.label).text(body);
            let values = values.number(row.params).number(row.flops).number(row.cost).number(row.memory_bytes);
            values.int(row.baseline).sum()
        })
        .await?;
    STAGE_CONFIGURATION
        .run(tx, &rows.stage_configurations, |values, (sweep, stage, configuration)| {
            values.number(sweep.0).int(*stage).int(*configuration).sum()
        })
        .await?;
    TRIAL
        .run(tx, &rows.trials, |values, row| {
            let values = values.blob(row.id.as_bytes().as_slice()).blob(row.question.as_bytes().as_slice());
            values.text(&row.body).number(row.seed).sum()
        })
        .await?;
    SWEEP_TRIAL
        .run(tx, &rows.trials, |values, row| {
            let values = values.number(row.sweep.0).int(row.configuration).number(row.seed);
            values.blob(row.id.as_bytes().as_slice()).option(None::<i64>).int(false).sum()
        })
        .await?;
    numbered.commit().await
}

/// Removes what was prepared for stages that wait. What is bound to a round was begun and stays.
async fn afresh(tx: &mut SqliteConnection, afresh: &Afresh) -> Result<(), Error> {
    let sweep = signed(afresh.sweep.0);
    for stage in &afresh.stages {
        let waiting = "SELECT COUNT(*) FROM stages WHERE sweep = ? AND position = ? AND state = 0";
        let waiting: i64 = sqlx::query_scalar(waiting).bind(sweep).bind(stage).fetch_one(&mut *tx).await?;
        if waiting == 0 {
            return Ok(());
        }
        let delete = sqlx::query("DELETE FROM stage_configurations WHERE sweep = ? AND stage = ?");
        delete.bind(sweep).bind(stage).execute(&mut *tx).await?;
    }
    for seed in &afresh.seeds {
        let delete = sqlx::query("DELETE FROM sweep_trials WHERE sweep = ? AND seed = ? AND round IS NULL");
        delete.bind(sweep).bind(signed(*seed)).execute(&mut *tx).await?;
    }
    for statement in [
        "DELETE FROM sweep_trials WHERE sweep = ? AND round IS NULL AND NOT EXISTS (SELECT 1 FROM stage_configurations c \
         WHERE c.sweep = sweep_trials.sweep AND c.configuration = sweep_trials.configuration)",
        "DELETE FROM configurations WHERE sweep = ? \
         AND NOT EXISTS (SELECT 1 FROM stage_configurations c \
             WHERE c.sweep = configurations.sweep AND c.configuration = configurations.position) \
         AND NOT EXISTS (SELECT 1 FROM sweep_trials t \
             WHERE t.sweep = configurations.sweep AND t.configuration = configurations.position)",
    ] {
        sqlx::query(statement).bind(sweep).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn sweep(connection: &mut SqliteConnection, row: &SweepRow) -> Result<(), Error> {
    let overrides = json(&row.overrides)?;
    let insert = sqlx::query(
        "INSERT INTO sweeps (id, name, spec, overrides, spec_digest, submitter, weight, trial_limit, dataset_key, \
         submitted_ms, sum, priority, paused, pin, state, reason, ended_ms, state_sum) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    let id = signed(row.id.0);
    let values = Values::of(insert).int(id).text(&row.name).blob(&[]).text(&overrides);
    let values = values.blob(row.spec_digest.as_bytes().as_slice()).text(&row.submitter).int(row.weight);
    let values = values.number(row.trial_limit).blob(row.dataset_key.as_bytes().as_slice()).int(row.submitted_ms).sum();
    let values = values.key(id).int(row.priority).int(false);
    let values = values.option_blob(row.pin.as_ref().map(|pin| pin.as_bytes().as_slice()));
    let values = values.int(SweepState::Preparing.code()).text("").int(0).sum();
    values.query.execute(&mut *connection).await?;
    let insert = sqlx::query(
        "INSERT INTO submissions (sweep, fresh, reproduces, revision, sum) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    let submission = &row.submission;
    let values = Values::of(insert).int(id).int(submission.fresh).option(submission.reproduces.map(|key| key.0));
    values.text(&submission.revision).sum().query.execute(&mut *connection).await?;
    let packed = packed::pack(&row.spec)?;
    let insert = sqlx::query("INSERT INTO specs (sweep, body, sum) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
    Values::of(insert).int(id).blob(&packed).sum().query.execute(connection).await?;
    Ok(())
}

/// Removes sweeps that were prepared and never begun. Trials stay: they are questions, and others may ask them.
pub(super) async fn remove_abandoned(writer: &Writer) -> Result<(), Error> {
    let found: Vec<i64> = sqlx::query_scalar("SELECT id FROM sweeps WHERE state = 0").fetch_all(&writer.pool).await?;
    if found.is_empty() {
        return Ok(());
    }
    let mut numbered = writer.begin().await?;
    for id in found {
        // A sweep that lives must not be taken for one that never began.
        change::verify_sweep(&mut numbered.transaction, SweepId(unsigned(id))).await?;
    }
    for statement in [
        "DELETE FROM sweep_trials WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM stage_configurations WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM configurations WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM stages WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM submissions WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM specs WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM sweeps WHERE state = 0",
    ] {
        sqlx::query(statement).execute(&mut *numbered.transaction).await?;
    }
    numbered.commit().await
}
