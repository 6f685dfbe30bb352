//! `--accept-loss`: damaged rows go into the table `lost`, what rested on them is made consistent, and everything is said.
//! In one transaction, before anybody reads.

use sqlx::{AssertSqlSafe, SqliteConnection};
use sweep_spec::FailureClass;

use super::number::{self, COMMIT};
use super::scan::{self, Wrong};
use super::write::SESSION;
use super::{audit, consistency};
use crate::checksum::TABLES;
use crate::codes::{AttemptState, AuditAction, class_code};
use crate::write::AuditRow;
use crate::{Error, Loss};

/// Counters of the highest numbers that lost rounds and attempts may have had: a number is never given twice.
pub(super) const ROUND_FLOOR: &str = "round_floor";
pub(super) const ATTEMPT_FLOOR: &str = "attempt_floor";

const APPEND_ONLY: &str = "CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN \
                           SELECT RAISE(ABORT, 'the audit log is append-only'); END";

/// What is lost, and what had to follow.
pub(super) struct Repair {
    pub(super) at_ms: i64,
    pub(super) losses: Vec<Loss>,
    /// Rounds and attempts whose numbers may be known to nobody any more.
    gone: u64,
}

/// Goes on without what is damaged. `acknowledged` is what the file beside the store says.
pub(super) async fn repair(
    connection: &mut SqliteConnection,
    acknowledged: Option<u64>,
    at_ms: i64,
) -> Result<Vec<Loss>, Error> {
    let mut repair = Repair { at_ms, losses: Vec::new(), gone: 0 };
    let mut wrong = Vec::new();
    for table in TABLES {
        wrong.extend(scan::verify(connection, table).await?.1);
    }
    let lost = |name: &str| wrong.iter().filter(|row| row.table.name == name).count() as u64;
    repair.gone = lost("rounds") + lost("attempts");
    for row in &wrong {
        repair.row(connection, row).await?;
    }
    consistency::restore(connection, &mut repair).await?;
    if repair.gone > 0 || lost("counters") > 0 {
        let rounds =
            "SELECT MAX((SELECT COALESCE(MAX(round), 0) FROM rounds), (SELECT COALESCE(MAX(round), 0) FROM attempts))";
        raise(connection, ROUND_FLOOR, rounds, repair.gone).await?;
        raise(connection, ATTEMPT_FLOOR, "SELECT COALESCE(MAX(attempt), 0) FROM attempts", repair.gone).await?;
    }
    if lost("counters") > 0 {
        raise(
            connection,
            SESSION,
            "SELECT MAX((SELECT COALESCE(MAX(session), 0) FROM attempts), (SELECT COALESCE(MAX(session), 0) FROM workers))",
            1,
        )
        .await?;
    }
    let commits = number::read(connection, COMMIT).await?;
    if let Some(number) = acknowledged.filter(|number| *number > commits) {
        let reason = format!("{} acknowledged commits are missing from the file", number - commits);
        repair.losses.push(Loss { table: "counters".into(), key: COMMIT.into(), reason });
        number::set(connection, COMMIT, number).await?;
    }
    repair.say(connection).await?;
    Ok(repair.losses)
}

/// Sets a counter to what `query` finds and `more`, if that is higher.
async fn raise(
    connection: &mut SqliteConnection,
    name: &'static str,
    query: &'static str,
    more: u64,
) -> Result<(), Error> {
    let found: i64 = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
    let now = number::read(connection, name).await?;
    let wanted = u64::try_from(found).unwrap_or(0).saturating_add(more);
    number::set(connection, name, now.max(wanted)).await
}

impl Repair {
    /// Puts one damaged row away, or takes the part of it that can be done without.
    async fn row(&mut self, connection: &mut SqliteConnection, wrong: &Wrong) -> Result<(), Error> {
        let table = wrong.table;
        let groups: Vec<_> = wrong.groups.iter().map(|group| group.sum).collect();
        let (update, reason) = match (table.name, groups.as_slice()) {
            ("attempts", ["log_sum"]) => ("SET log_tail = ''", "the last lines of its log do not match their checksum"),
            ("stages", ["state_sum"]) => (
                "SET choice = '', winner = NULL, decided = NULL, state = (SELECT COUNT(*) > 0 FROM stage_configurations c \
                 WHERE c.sweep = stages.sweep AND c.stage = stages.position)",
                "its state does not match its checksum; it is decided again",
            ),
            _ => ("", "it does not match its checksum"),
        };
        self.put_away(connection, wrong, reason).await?;
        let condition = scan::by_key(table);
        if update.is_empty() {
            if table.name == "points" {
                self.give_up_attempt(connection, wrong).await?;
            }
            if table.name == "audit" {
                sqlx::query("DROP TRIGGER IF EXISTS audit_is_not_shortened").execute(&mut *connection).await?;
            }
            let text = format!("DELETE FROM {} WHERE {condition}", table.name);
            self.on_row(connection, text, wrong).await?;
            if table.name == "audit" {
                sqlx::query(APPEND_ONLY).execute(&mut *connection).await?;
            }
            return Ok(());
        }
        let sums: Vec<_> = wrong.groups.iter().map(|group| format!("{} = NULL", group.sum)).collect();
        let text = format!("UPDATE {} {update}, {} WHERE {condition}", table.name, sums.join(", "));
        self.on_row(connection, text, wrong).await?;
        // Of this table only rows without these checksums: those that were just changed.
        let condition = if table.name == "attempts" { "log_sum IS NULL" } else { "state_sum IS NULL" };
        scan::write_checksums(connection, table, condition).await?;
        Ok(())
    }

    /// A live attempt whose worker was told that a point is safe cannot be finished without it: the trial runs again.
    /// `consistency` gives the row its checksums.
    async fn give_up_attempt(&mut self, connection: &mut SqliteConnection, point: &Wrong) -> Result<(), Error> {
        let Some(attempt) = point.key.first() else { return Ok(()) };
        let text = "UPDATE attempts SET state = ?, class = ?, reason = ?, ended_ms = ?, end_sum = NULL WHERE key IS ? AND state = 0";
        let query = sqlx::query(text).bind(AttemptState::Failed.code()).bind(class_code(FailureClass::Coordinator));
        let query = query.bind("a point of it was lost by the store").bind(self.at_ms);
        let done = scan::bind(query, attempt).execute(connection).await?;
        self.follows("attempts", done.rows_affected(), "a point of it is gone, and its trial runs again");
        Ok(())
    }

    async fn on_row(&self, connection: &mut SqliteConnection, text: String, wrong: &Wrong) -> Result<(), Error> {
        let query = wrong.key.iter().fold(sqlx::query(AssertSqlSafe(text)), scan::bind);
        query.execute(connection).await?;
        Ok(())
    }

    async fn put_away(&mut self, connection: &mut SqliteConnection, wrong: &Wrong, reason: &str) -> Result<(), Error> {
        let loss = Loss { table: wrong.table.name.into(), key: wrong.name(), reason: reason.into() };
        let insert = sqlx::query("INSERT INTO lost (at_ms, origin, row_key, content, reason) VALUES (?, ?, ?, ?, ?)");
        let insert = insert.bind(self.at_ms).bind(wrong.table.name).bind(&loss.key).bind(&wrong.content);
        insert.bind(reason).execute(connection).await?;
        self.losses.push(loss);
        Ok(())
    }

    /// Notes what followed from a loss.
    pub(super) fn follows(&mut self, table: &str, rows: u64, reason: &str) {
        if rows > 0 {
            self.gone += if matches!(table, "rounds" | "attempts") { rows } else { 0 };
            let reason = format!("{rows} rows: {reason}");
            self.losses.push(Loss { table: table.into(), key: String::new(), reason });
        }
    }

    async fn say(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let row = |loss: &Loss| AuditRow {
            at_ms: self.at_ms,
            actor: "coordinator".into(),
            action: AuditAction::LossAccepted,
            sweep: None,
            trial: None,
            attempt: None,
            worker: String::new(),
            detail: format!("{} {}: {}", loss.table, loss.key, loss.reason),
        };
        let rows: Vec<_> = self.losses.iter().map(row).collect();
        audit::write(connection, &rows).await
    }
}
