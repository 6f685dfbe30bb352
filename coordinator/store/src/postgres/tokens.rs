//! Tokens: added, revoked, read, never removed; and the key for sessions of browsers.

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgRow};
use sqlx::{Executor, Postgres, Row};

use super::audit;
use super::columns::text;
use super::read::digest;
use super::{Layout, dial, durability, layout, migrate};
use crate::Error;
use crate::tokens::{SESSION_KEY, TokenRecord, Tokens, made, revoked};
use crate::{Role, SessionKey};

/// `undefined_table`: a layout that knows no tokens yet.
const NO_SUCH_TABLE: &str = "42P01";

/// Every token. A database of an older layout, which another coordinator still leads, has none.
pub(super) async fn all<'e>(connection: impl Executor<'e, Database = Postgres>) -> Result<Vec<TokenRecord>, Error> {
    let query = sqlx::query(
        "SELECT id, name, role, digest, created_ms, created_by, expires_ms, revoked_ms FROM tokens \
         ORDER BY created_ms, id",
    );
    match query.fetch_all(connection).await {
        Ok(rows) => rows.iter().map(token).collect(),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NO_SUCH_TABLE) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn token(row: &PgRow) -> Result<TokenRecord, Error> {
    Ok(TokenRecord {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        role: Role::of(row.try_get("role")?)?,
        digest: digest(row.try_get("digest")?)?,
        created_ms: row.try_get("created_ms")?,
        created_by: row.try_get("created_by")?,
        expires_ms: row.try_get("expires_ms")?,
        revoked_ms: row.try_get("revoked_ms")?,
    })
}

pub(super) async fn add(tx: &mut PgConnection, token: &TokenRecord) -> Result<(), Error> {
    let insert = sqlx::query(
        "INSERT INTO tokens (id, name, role, digest, created_ms, created_by, expires_ms, revoked_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    );
    let insert = insert.bind(&token.id).bind(text(&token.name)).bind(token.role.code());
    let insert = insert.bind(token.digest.as_bytes().as_slice()).bind(token.created_ms).bind(text(&token.created_by));
    insert.bind(token.expires_ms).bind(token.revoked_ms).execute(&mut *tx).await?;
    audit::write(tx, &[made(token)]).await
}

pub(super) async fn revoke(tx: &mut PgConnection, id: &str, at_ms: i64, actor: &str) -> Result<bool, Error> {
    let update =
        sqlx::query_scalar("UPDATE tokens SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL RETURNING name");
    let name: Option<String> = update.bind(at_ms).bind(id).fetch_optional(&mut *tx).await?;
    let Some(name) = name else { return Ok(false) };
    audit::write(tx, &[revoked(&name, at_ms, actor)]).await?;
    Ok(true)
}

/// The key for sessions of browsers. A database of an older layout has none.
pub(super) async fn session_key<'e>(
    connection: impl Executor<'e, Database = Postgres>,
) -> Result<Option<SessionKey>, Error> {
    let query = sqlx::query_scalar("SELECT content FROM keys WHERE name = $1").bind(SESSION_KEY);
    let content: Option<Vec<u8>> = match query.fetch_optional(connection).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NO_SUCH_TABLE) => None,
        found => found?,
    };
    let damaged = || Error::damaged_row("keys", SESSION_KEY);
    content.map(|content| SessionKey::of(&content).ok_or_else(damaged)).transpose()
}

pub(super) async fn keep_session_key(tx: &mut PgConnection, key: &SessionKey, at_ms: i64) -> Result<(), Error> {
    let insert =
        sqlx::query("INSERT INTO keys (name, content, made_ms) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING");
    insert.bind(SESSION_KEY).bind(key.as_bytes()).bind(at_ms).execute(tx).await?;
    Ok(())
}

/// The tokens of a database, whoever leads. They belong to no term: the one that leads keeps none of them in memory for
/// longer than a second, so that writing them needs no right.
pub struct Beside(PgPool);

impl Beside {
    /// Dials the database, and makes its tables if it is empty.
    ///
    /// # Errors
    /// It cannot be reached, is not ours, or is of an older layout, which a coordinator has to bring up to date.
    pub async fn open(options: &PgConnectOptions, name: &str) -> Result<Self, Error> {
        let mut connection = dial(options).await?;
        match layout(&mut connection, name).await? {
            Layout::Empty => migrate(&mut connection, name).await?,
            Layout::Current => {}
            Layout::Older => return Err(Error::Older { path: name.to_owned() }),
        }
        Ok(Self(durability::writers(options, 1)))
    }
}

#[async_trait]
impl Tokens for Beside {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        all(&self.0).await
    }

    async fn add_token(&self, token: &TokenRecord) -> Result<(), Error> {
        let mut transaction = self.0.begin().await?;
        add(&mut transaction, token).await?;
        Ok(transaction.commit().await?)
    }

    async fn revoke_token(&self, id: &str, at_ms: i64, actor: &str) -> Result<bool, Error> {
        let mut transaction = self.0.begin().await?;
        let done = revoke(&mut transaction, id, at_ms, actor).await?;
        transaction.commit().await?;
        Ok(done)
    }

    async fn session_key(&self) -> Result<Option<SessionKey>, Error> {
        session_key(&self.0).await
    }

    async fn keep_session_key(&self, key: &SessionKey, at_ms: i64) -> Result<(), Error> {
        let mut transaction = self.0.begin().await?;
        keep_session_key(&mut transaction, key, at_ms).await?;
        Ok(transaction.commit().await?)
    }
}
