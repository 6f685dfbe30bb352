//! What is prepared and has not begun: the rows of a submit that was cut off, and of a stage that has not opened. Only
//! `store check` asks; a start of the coordinator removes a submit that was cut off (`prepare.rs`).

use sqlx::{Row, SqliteConnection};

use super::rows::unsigned;
use crate::Error;
use crate::check::Prepared;
use crate::codes::SweepState;

/// Sweeps that no commit has begun, and what there is of them.
const SUBMITS: &str = "SELECT s.id AS sweep, \
    (SELECT COUNT(*) FROM configurations c WHERE c.sweep = s.id) AS configurations, \
    (SELECT COUNT(*) FROM sweep_trials t WHERE t.sweep = s.id) AS trials FROM sweeps s WHERE s.state = 0 ORDER BY s.id";

/// Configurations of sweeps that have begun which no stage has that opened.
const STAGES: &str = "SELECT s.id AS sweep, s.state AS state, COUNT(*) AS configurations FROM sweeps s \
    JOIN configurations c ON c.sweep = s.id WHERE s.state <> 0 AND NOT EXISTS (SELECT 1 FROM stage_configurations x \
    JOIN stages g ON g.sweep = x.sweep AND g.position = x.stage AND g.state <> 0 \
    WHERE x.sweep = c.sweep AND x.configuration = c.position) AND NOT EXISTS (SELECT 1 FROM sweep_trials t \
    WHERE t.sweep = c.sweep AND t.configuration = c.position AND t.round IS NOT NULL) GROUP BY s.id, s.state ORDER BY s.id";

/// Finds everything that is prepared and has not begun.
pub(super) async fn find(connection: &mut SqliteConnection) -> Result<Vec<Prepared>, Error> {
    let mut found = Vec::new();
    for row in &sqlx::query(SUBMITS).fetch_all(&mut *connection).await? {
        let (sweep, configurations): (i64, i64) = (row.try_get("sweep")?, row.try_get("configurations")?);
        let trials: i64 = row.try_get("trials")?;
        let what = format!(
            "its submit was interrupted before the sweep began ({configurations} configurations and {trials} trials \
            are prepared); nothing was acknowledged, and the next start of a coordinator removes it"
        );
        found.push(Prepared { sweep: unsigned(sweep), what });
    }
    for row in &sqlx::query(STAGES).fetch_all(connection).await? {
        let (sweep, configurations): (i64, i64) = (row.try_get("sweep")?, row.try_get("configurations")?);
        let what = if row.try_get::<i64, _>("state")? == SweepState::Cancelled.code() {
            format!(
                "{configurations} configurations of a stage that never opened are unused; they are removed with the \
                sweep"
            )
        } else {
            format!(
                "{configurations} configurations are prepared for a stage that has not opened; the coordinator prepares \
                 them again when it opens the stage"
            )
        };
        found.push(Prepared { sweep: unsigned(sweep), what });
    }
    Ok(found)
}
