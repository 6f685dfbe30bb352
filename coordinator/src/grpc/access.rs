//! The service of tokens, for admins.

use std::sync::Arc;

use sweep_proto::v1;
use sweep_proto::v1::access_service_server::AccessService;
use sweep_store::Store;
use sweep_store::tokens::{TokenRecord, Tokens};
use tonic::{Request, Response, Status};

use super::status;
use crate::access::grpc::named;
use crate::access::{Keyring, Role, Secret};
use crate::convert::{self, Invalid, MAX_NAME_BYTES};
use crate::engine::Error;
use crate::unix_ms;

/// The longest life of a token: a hundred years.
const LONGEST_MS: u64 = 100 * 366 * 24 * 3600 * 1000;
/// The most tokens of one store. They are never removed, so that this is a bound of what an admin can write.
const MAX_TOKENS: usize = 100_000;

/// Answers admins.
#[derive(Clone)]
pub(crate) struct Access {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
}

/// A token that is to be made.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// 0 for ever.
    pub(crate) lifetime_ms: u64,
    pub(crate) user: String,
}

impl Access {
    /// On a store, telling a keyring of every change.
    pub(crate) fn new(store: Arc<dyn Store>, keyring: Arc<Keyring>) -> Self {
        Self { store, keyring }
    }

    async fn create(&self, wanted: Wanted) -> Result<v1::CreateTokenResponse, Error> {
        let (secret, token) = create(self.store.as_ref(), wanted).await?;
        self.refresh().await?;
        Ok(v1::CreateTokenResponse { token: Some(message(token)), secret: secret.reveal().to_owned() })
    }

    async fn revoke(&self, text: &str, user: &str) -> Result<v1::RevokeTokenResponse, Error> {
        let revoked = revoke(self.store.as_ref(), text, user).await?;
        self.refresh().await?;
        Ok(v1::RevokeTokenResponse { token: Some(message(revoked)) })
    }

    /// What was written counts before anybody is told of it.
    async fn refresh(&self) -> Result<(), Error> {
        self.keyring.stored(self.store.tokens().await?, unix_ms());
        Ok(())
    }
}

/// Makes a token in a store, and says its secret.
///
/// # Errors
/// Its name is taken or none, or the store refuses.
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

/// Revokes a token of a store by its id, or by the name of one that holds.
///
/// # Errors
/// There is none, or the store refuses.
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

/// Checks a name: it stands in the audit log and in tables.
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

#[tonic::async_trait]
impl AccessService for Access {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let wanted = wanted(named(request, |request| &mut request.user)).map_err(status)?;
        self.create(wanted).await.map(Response::new).map_err(status)
    }

    async fn list_tokens(
        &self,
        _request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let tokens = self.store.tokens().await.map_err(Error::from).map_err(status)?;
        Ok(Response::new(v1::ListTokensResponse { tokens: tokens.into_iter().map(message).collect() }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let request = named(request, |request| &mut request.user);
        let checked = convert::name("token", request.token, MAX_NAME_BYTES)
            .and_then(|token| Ok((token, convert::name("user", request.user, MAX_NAME_BYTES)?)));
        let (token, user) = checked.map_err(Error::from).map_err(status)?;
        self.revoke(&token, &user).await.map(Response::new).map_err(status)
    }
}
