//! Tokens: added, revoked, read, never removed; and the key for sessions of browsers.

use sqlx::SqliteConnection;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::audit;
use super::number::Writer;
use super::row_reader::RowReader;
use super::rows::Values;
use crate::Error;
use crate::checksum::Checksum;
use crate::tokens::{SESSION_KEY, TokenRecord, made, revoked};
use crate::{Role, SessionKey};

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<TokenRecord>, Error> {
    let query = sqlx::query(
        "SELECT id, name, role, digest, created_ms, created_by, expires_ms, sum, revoked_ms, state_sum FROM tokens \
         ORDER BY created_ms, id",
    );
    query.fetch_all(pool).await?.iter().map(token).collect()
}

fn token(row: &SqliteRow) -> Result<TokenRecord, Error> {
    let mut reader = RowReader::new(row, "tokens");
    let id = reader.text()?.to_owned();
    let (name, role, digest) = (reader.text()?.to_owned(), Role::of(reader.int()?)?, reader.digest()?);
    let (created_ms, created_by, expires_ms) = (reader.int()?, reader.text()?.to_owned(), reader.option()?);
    reader.sum(|| format!("token {id}"))?;
    reader.known_text(&id);
    let revoked_ms = reader.option()?;
    reader.sum(|| format!("token {id}"))?;
    Ok(TokenRecord { id, name, role, digest, created_ms, created_by, expires_ms, revoked_ms })
}

/// The checksum of what may change of a token.
fn state_sum(id: &str, revoked_ms: Option<i64>) -> i64 {
    let mut checksum = Checksum::new();
    checksum.text(id.as_bytes());
    match revoked_ms {
        Some(at_ms) => checksum.int(at_ms),
        None => checksum.null(),
    }
    checksum.sum()
}

pub(super) async fn add(writer: &Writer, token: &TokenRecord) -> Result<(), Error> {
    let mut numbered = writer.begin().await?;
    let insert = sqlx::query(
        "INSERT INTO tokens (id, name, role, digest, created_ms, created_by, expires_ms, sum, revoked_ms, state_sum) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let values = Values::of(insert).text(&token.id).text(&token.name).int(token.role.code());
    let values = values.blob(token.digest.as_bytes().as_slice()).int(token.created_ms).text(&token.created_by);
    let values = values.option(token.expires_ms).sum();
    let values = values.loose(token.revoked_ms).loose(state_sum(&token.id, token.revoked_ms));
    values.query.execute(&mut *numbered.transaction).await?;
    audit::write(&mut numbered.transaction, &[made(token)]).await?;
    numbered.commit().await
}

pub(super) async fn revoke(writer: &Writer, id: &str, at_ms: i64, actor: &str) -> Result<bool, Error> {
    let mut numbered = writer.begin().await?;
    let connection: &mut SqliteConnection = &mut numbered.transaction;
    let update = sqlx::query_scalar(
        "UPDATE tokens SET revoked_ms = ?, state_sum = ? WHERE id = ? AND revoked_ms IS NULL RETURNING name",
    );
    let update = update.bind(at_ms).bind(state_sum(id, Some(at_ms))).bind(id);
    let name: Option<String> = update.fetch_optional(&mut *connection).await?;
    let Some(name) = name else { return Ok(false) };
    audit::write(connection, &[revoked(&name, at_ms, actor)]).await?;
    numbered.commit().await?;
    Ok(true)
}

pub(super) async fn session_key(pool: &SqlitePool) -> Result<Option<SessionKey>, Error> {
    let query = sqlx::query("SELECT name, content, made_ms, sum FROM keys WHERE name = ?").bind(SESSION_KEY);
    let Some(row) = query.fetch_optional(pool).await? else { return Ok(None) };
    let mut reader = RowReader::new(&row, "keys");
    reader.text()?;
    let key = SessionKey::of(reader.blob()?);
    reader.int()?;
    reader.sum(|| SESSION_KEY.to_owned())?;
    key.map(Some).ok_or_else(|| Error::damaged_row("keys", SESSION_KEY))
}

pub(super) async fn keep_session_key(writer: &Writer, key: &SessionKey, at_ms: i64) -> Result<(), Error> {
    let mut numbered = writer.begin().await?;
    let insert =
        sqlx::query("INSERT INTO keys (name, content, made_ms, sum) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING");
    let values = Values::of(insert).text(SESSION_KEY).blob(key.as_bytes()).int(at_ms).sum();
    values.query.execute(&mut *numbered.transaction).await?;
    numbered.commit().await
}
