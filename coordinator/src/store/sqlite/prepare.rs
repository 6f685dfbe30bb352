//! Rows of a sweep before it begins, in pieces. Until a commit begins the sweep nobody is told of them, and a restart
//! removes them.

use sqlx::{Sqlite, SqlitePool, Transaction};
use sweep_spec::canonical;

use super::rows::{Statement, signed};
use super::write::json;
use crate::store::Error;
use crate::store::codes::SweepState;
use crate::store::write::{ConfigurationRow, Preparation, SweepRow};

const STAGE: Statement = Statement {
    head: "INSERT INTO stages (sweep, position, name, trials_at_most, keep_best) VALUES",
    columns: 5,
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
           baseline) VALUES",
    columns: 10,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const STAGE_CONFIGURATION: Statement = Statement {
    head: "INSERT INTO stage_configurations (sweep, stage, configuration) VALUES",
    columns: 3,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const TRIAL: Statement = Statement {
    head: "INSERT INTO trials (id, question, configuration, seed) VALUES",
    columns: 4,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const SWEEP_TRIAL: Statement = Statement {
    head: "INSERT INTO sweep_trials (sweep, configuration, seed, trial) VALUES",
    columns: 4,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};

pub(super) async fn prepare(pool: &SqlitePool, rows: &Preparation) -> Result<(), Error> {
    let mut bodies = Vec::with_capacity(rows.configurations.len());
    for row in &rows.configurations {
        let body = canonical::to_string(&row.configuration).map_err(|error| Error::damaged(error.to_string()))?;
        bodies.push((row, body));
    }
    let mut tx: Transaction<'_, Sqlite> = pool.begin_with("BEGIN IMMEDIATE").await?;
    if let Some(row) = &rows.sweep {
        sweep(&mut tx, row).await?;
    }
    STAGE
        .run(&mut tx, &rows.stages, |query, row| {
            query
                .bind(signed(row.sweep.0))
                .bind(row.position)
                .bind(&row.name)
                .bind(signed(row.trials_at_most))
                .bind(row.keep_best)
        })
        .await?;
    QUESTION
        .run(&mut tx, &rows.questions, |query, (digest, body)| query.bind(digest.as_bytes().as_slice()).bind(body))
        .await?;
    CONFIGURATION
        .run(&mut tx, &bodies, |query, (row, body): &(&ConfigurationRow, String)| {
            let query = query.bind(signed(row.sweep.0)).bind(row.position).bind(&row.name).bind(&row.label);
            let query = query.bind(body).bind(signed(row.params)).bind(signed(row.flops)).bind(signed(row.cost));
            query.bind(signed(row.memory_bytes)).bind(row.baseline)
        })
        .await?;
    STAGE_CONFIGURATION
        .run(&mut tx, &rows.stage_configurations, |query, (sweep, stage, configuration)| {
            query.bind(signed(sweep.0)).bind(stage).bind(configuration)
        })
        .await?;
    TRIAL
        .run(&mut tx, &rows.trials, |query, row| {
            let query = query.bind(row.id.as_bytes().as_slice()).bind(row.question.as_bytes().as_slice());
            query.bind(row.body.as_ref()).bind(signed(row.seed))
        })
        .await?;
    SWEEP_TRIAL
        .run(&mut tx, &rows.trials, |query, row| {
            let query = query.bind(signed(row.sweep.0)).bind(row.configuration);
            query.bind(signed(row.seed)).bind(row.id.as_bytes().as_slice())
        })
        .await?;
    tx.commit().await?;
    Ok(())
}

async fn sweep(tx: &mut Transaction<'_, Sqlite>, row: &SweepRow) -> Result<(), Error> {
    let insert = sqlx::query(
        "INSERT INTO sweeps (id, name, spec, overrides, spec_digest, submitter, priority, weight, trial_limit, dataset_key, \
         pin, state, submitted_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(signed(row.id.0)).bind(&row.name).bind(&row.spec).bind(json(&row.overrides)?);
    let insert = insert.bind(row.spec_digest.as_bytes().as_slice()).bind(&row.submitter);
    let insert = insert.bind(row.priority).bind(row.weight);
    let insert = insert.bind(signed(row.trial_limit)).bind(row.dataset_key.as_bytes().as_slice());
    let insert = insert.bind(row.pin.map(|pin| pin.as_bytes().to_vec())).bind(SweepState::Preparing.code());
    insert.bind(row.submitted_ms).execute(&mut **tx).await?;
    Ok(())
}

/// Removes sweeps that were prepared and never begun. Trials stay: they are questions, and others may ask them.
pub(super) async fn remove_abandoned(pool: &SqlitePool) -> Result<(), Error> {
    let mut tx: Transaction<'_, Sqlite> = pool.begin_with("BEGIN IMMEDIATE").await?;
    for statement in [
        "DELETE FROM sweep_trials WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM stage_configurations WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM configurations WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM stages WHERE sweep IN (SELECT id FROM sweeps WHERE state = 0)",
        "DELETE FROM sweeps WHERE state = 0",
    ] {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
