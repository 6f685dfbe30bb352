//! Tokens as the store has them: who may do what, by the hash of a secret that is not there.

use async_trait::async_trait;
use sweep_spec::Digest;

use super::Error;
use super::codes::AuditAction;
use super::write::AuditRow;
use crate::{Role, SessionKey};

/// A token that somebody made. It is never removed, so that a door that it closed stays closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// The first digits of its digest: names it and tells nothing.
    pub id: String,
    /// What people call it; unique among those that hold.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// BLAKE3 of the secret.
    pub digest: Digest,
    /// When it was made.
    pub created_ms: i64,
    /// By whom.
    pub created_by: String,
    /// From when on it does not hold; none for never.
    pub expires_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
}

impl TokenRecord {
    /// Whether it opens anything at that time.
    pub fn holds(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires| now_ms < expires)
    }
}

/// Where tokens are kept.
#[async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// Every token that was ever made, oldest first.
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error>;

    /// Remembers a token, and in the audit log who made it.
    async fn add_token(&self, token: &TokenRecord) -> Result<(), Error>;

    /// Revokes a token for `actor`; says whether there was one that was not revoked yet.
    async fn revoke_token(&self, id: &str, at_ms: i64, actor: &str) -> Result<bool, Error>;

    /// The key under which sessions of browsers are sealed, if one was ever kept.
    async fn session_key(&self) -> Result<Option<SessionKey>, Error>;

    /// Keeps a key for sessions of browsers, if there is none yet: the first one stays.
    async fn keep_session_key(&self, key: &SessionKey, at_ms: i64) -> Result<(), Error>;
}

/// Under which name the key for sessions of browsers is kept.
pub(super) const SESSION_KEY: &str = "browser sessions";

/// The line of the audit log that says that a token was made.
pub(super) fn made(token: &TokenRecord) -> AuditRow {
    line(AuditAction::TokenCreated, token.created_ms, &token.created_by, format!("{} ({})", token.name, token.role))
}

/// And that it was revoked.
pub(super) fn revoked(name: &str, at_ms: i64, actor: &str) -> AuditRow {
    line(AuditAction::TokenRevoked, at_ms, actor, name.to_owned())
}

fn line(action: AuditAction, at_ms: i64, actor: &str, detail: String) -> AuditRow {
    let (actor, worker) = (actor.to_owned(), String::new());
    AuditRow { at_ms, actor, action, sweep: None, trial: None, attempt: None, worker, detail }
}
