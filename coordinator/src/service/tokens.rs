//! Creates and revokes tokens in a store, for the coordinator that leads and for commands on a store without one.

use sweep_proto::v1;
use sweep_store::tokens::{TokenRecord, Tokens};

use crate::access::{Role, Secret};
use crate::convert::{self, Invalid, MAX_NAME_BYTES};
use crate::engine::Error;
use crate::unix_ms;

/// The longest lifetime of a token: a hundred years.
const LONGEST_MS: u64 = 100 * 366 * 24 * 3600 * 1000;
/// The most tokens of a store. Tokens are never removed, so this bounds how much an admin can write.
const MAX_TOKENS: usize = 100_000;

/// A token to create.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// 0 for a token that never expires.
    pub(crate) lifetime_ms: u64,
    pub(crate) user: String,
}

/// Creates a token in a store. Returns its secret, which the store does not keep.
///
/// # Errors
/// A valid token has the name, there are too many tokens, or the store fails.
pub(crate) async fn create(store: &dyn Tokens, wanted: Wanted) -> Result<(Secret, TokenRecord), Error> {
    let now = unix_ms();
    let known = store.tokens().await?;
    if known.len() >= MAX_TOKENS {
        return Err(Error::TooMany { what: format!("there are {MAX_TOKENS} tokens, which is the maximum") });
    }
    if known.iter().any(|token| token.name == wanted.name && token.holds(now)) {
        return Err(Invalid { field: "name", problem: format!("a valid token named `{}` exists", wanted.name) }.into());
    }
    let secret = Secret::generate().map_err(|error| Error::Internal(crate::chain(&error)))?;
    let digest = secret.digest();
    let id = digest.as_bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let lifetime = i64::try_from(wanted.lifetime_ms.min(LONGEST_MS)).unwrap_or(i64::MAX);
    let token = TokenRecord {
        id,
        name: wanted.name,
        role: wanted.role,
        digest,
        created_ms: now,
        created_by: wanted.user,
        expires_ms: (lifetime > 0).then(|| now.saturating_add(lifetime)),
        revoked_ms: None,
    };
    store.add_token(&token).await?;
    Ok((secret, token))
}

/// Revokes a token of a store by its id, or by its name if the token is valid.
///
/// # Errors
/// There is no such token, or the store fails.
pub(crate) async fn revoke(store: &dyn Tokens, text: &str, user: &str) -> Result<TokenRecord, Error> {
    let now = unix_ms();
    let unknown = || Error::NotFound { what: format!("token `{text}` that could be revoked") };
    let known = store.tokens().await?;
    let named = |token: &&TokenRecord| token.id == text || (token.name == text && token.holds(now));
    let found = known.iter().find(named).ok_or_else(unknown)?;
    if !store.revoke_token(&found.id, now, user).await? {
        return Err(unknown());
    }
    Ok(TokenRecord { revoked_ms: Some(now), ..found.clone() })
}

/// Validates a request. The name appears in the audit log and in tables.
pub(crate) fn wanted(request: v1::CreateTokenRequest) -> Result<Wanted, Error> {
    let name = convert::name("name", request.name, MAX_NAME_BYTES)?;
    if name.trim().is_empty() {
        return Err(Invalid { field: "name", problem: "empty".into() }.into());
    }
    let role = match v1::TokenRole::try_from(request.role) {
        Ok(v1::TokenRole::Read) => Role::Read,
        Ok(v1::TokenRole::Submit) => Role::Submit,
        Ok(v1::TokenRole::Admin) => Role::Admin,
        Ok(v1::TokenRole::Worker) => Role::Worker,
        Ok(v1::TokenRole::Unspecified) | Err(_) => {
            return Err(Invalid { field: "role", problem: "absent or unknown".into() }.into());
        }
    };
    let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
    Ok(Wanted { name, role, lifetime_ms: request.lifetime_ms, user })
}

pub(crate) fn message(token: TokenRecord) -> v1::Token {
    let role = match token.role {
        Role::Read => v1::TokenRole::Read,
        Role::Submit => v1::TokenRole::Submit,
        Role::Admin => v1::TokenRole::Admin,
        Role::Worker => v1::TokenRole::Worker,
    };
    v1::Token {
        id: token.id,
        name: token.name,
        role: role.into(),
        created_unix_ms: token.created_ms,
        created_by: token.created_by,
        expires_unix_ms: token.expires_ms.unwrap_or(0),
        revoked_unix_ms: token.revoked_ms.unwrap_or(0),
    }
}
