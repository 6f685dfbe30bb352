//! Many rows in one statement. Statements come in a few sizes, so that each is prepared once and then found again.

use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{AssertSqlSafe, SqliteConnection};

/// Row counts of the statements, largest first. SQLite takes at most 32,766 values in one; 30 columns fit.
const SIZES: [usize; 4] = [512, 64, 8, 1];

pub(super) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement about any number of rows: what stands before them, how many values a row has, what stands at the end of
/// each row as it is, and what stands after them all.
pub(super) struct Statement {
    pub(super) head: &'static str,
    pub(super) columns: usize,
    pub(super) constants: &'static str,
    pub(super) tail: &'static str,
}

impl Statement {
    /// Runs it over all `rows`; `bind` gives one row's values in order.
    pub(super) async fn run<'q, T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &'q [T],
        bind: impl Fn(Bound<'q>, &'q T) -> Bound<'q>,
    ) -> Result<(), sqlx::Error> {
        let mut rest = rows;
        for size in SIZES {
            if rest.len() < size {
                continue;
            }
            let text = self.text(size);
            while rest.len() >= size {
                let (now, later) = rest.split_at(size);
                let query = sqlx::query(AssertSqlSafe(text.clone()));
                now.iter().fold(query, &bind).execute(&mut *connection).await?;
                rest = later;
            }
        }
        Ok(())
    }

    fn text(&self, rows: usize) -> std::sync::Arc<str> {
        let row = format!("({}{})", vec!["?"; self.columns].join(","), self.constants);
        format!("{} {} {}", self.head, vec![row.as_str(); rows].join(","), self.tail).into()
    }
}

/// A number without a sign as the tables have it: the signed number of the same bits.
pub(super) const fn signed(value: u64) -> i64 {
    value as i64
}

/// And back.
pub(super) const fn unsigned(value: i64) -> u64 {
    value as u64
}
