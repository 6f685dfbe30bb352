//! What durability rests on: settings of the server, which are looked at, and one of each session that writes, which is set.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Executor, Row};
use tracing::warn;

use super::CONNECT;
use crate::Error;

/// What is done about a server that does not keep what it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Safety {
    /// It is refused.
    #[default]
    Required,
    /// It is used, and the log says what it can lose.
    Waived,
}

/// Settings without which a crash of the server's machine loses or damages what it acknowledged.
const SETTINGS: &str =
    "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') ORDER BY name";

/// A commit that is acknowledged is on disk. Everything but `off` promises that, and `remote_apply` more, so that only
/// `off` is changed.
const SYNCHRONOUS: &str =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Looks whether the server keeps what it acknowledges.
///
/// # Errors
/// It does not, and that is not waived.
pub(crate) async fn check(connection: &mut PgConnection, name: &str, safety: Safety) -> Result<(), Error> {
    for row in sqlx::query(SETTINGS).fetch_all(connection).await? {
        let (setting, value): (String, String) = (row.try_get("name")?, row.try_get("setting")?);
        if value != "off" {
            continue;
        }
        let path = name.to_owned();
        match safety {
            Safety::Required => return Err(Error::NotDurable { path, setting }),
            Safety::Waived => {
                warn!(
                    store = path,
                    setting,
                    "this setting is off: a crash of the database's machine can lose or damage acknowledged data"
                );
            }
        }
    }
    Ok(())
}

/// Makes every commit of a session wait until it is on disk.
///
/// # Errors
/// The database refuses.
pub(crate) async fn wait_for_disk(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(SYNCHRONOUS).await?;
    Ok(())
}

/// Sessions that write. Nothing is dialled yet.
pub(crate) fn writers(options: &PgConnectOptions, count: u32) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(count).acquire_timeout(CONNECT);
    pool.after_connect(|connection, _| Box::pin(wait_for_disk(connection))).connect_lazy_with(options.clone())
}
