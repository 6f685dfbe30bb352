//! Changes to a store without a coordinator.
//!
//! Tokens: the first token of a store, or a new one after all were lost. A SQLite file must not be in use. A PostgreSQL
//! database may be in use: its coordinators apply the change within two seconds. All other changes need leadership.

use std::path::Path;
use std::sync::Arc;

use sweep_proto::v1;
use sweep_store::location::Location;
use sweep_store::postgres::durability::Safety;
use sweep_store::postgres::leader::Candidate;
use sweep_store::postgres::tokens::Beside;
use sweep_store::sqlite::{Options, SqliteStore};
use sweep_store::tokens::Tokens;
use sweep_store::{self as store, Store};

use crate::convert::{self, MAX_NAME_BYTES};
use crate::engine::Error;
use crate::engine::offline::{self, Cancelled};
use crate::service::tokens;

/// A store that is opened for its tokens.
pub enum Offline {
    /// A file, which nobody else has meanwhile.
    File(SqliteStore),
    /// A database.
    Database(Box<dyn Tokens>),
}

impl Offline {
    /// Opens it, and makes it if it is not there.
    ///
    /// # Errors
    /// It cannot be used, or a coordinator has it.
    pub async fn open(location: &Location) -> Result<Self, store::Error> {
        Ok(match location {
            Location::File(path) => Self::File(SqliteStore::open(&Options::new(path)).await?),
            Location::Postgres(options) => {
                Self::Database(Box::new(Beside::open(options, &location.to_string()).await?))
            }
        })
    }

    fn tokens(&self) -> &dyn Tokens {
        match self {
            Self::File(store) => store,
            Self::Database(tokens) => tokens.as_ref(),
        }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// The request makes no sense, or the store refuses.
    pub async fn create(&self, request: v1::CreateTokenRequest) -> Result<v1::CreateTokenResponse, Error> {
        let (secret, token) = tokens::create(self.tokens(), tokens::wanted(request)?).await?;
        Ok(v1::CreateTokenResponse { token: Some(tokens::message(token)), secret: secret.reveal().to_owned() })
    }

    /// Shows every token.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list(&self) -> Result<v1::ListTokensResponse, Error> {
        let tokens = self.tokens().tokens().await?;
        Ok(v1::ListTokensResponse { tokens: tokens.into_iter().map(tokens::message).collect() })
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is none, or the store refuses.
    pub async fn revoke(&self, request: v1::RevokeTokenRequest) -> Result<v1::RevokeTokenResponse, Error> {
        let token = convert::name("token", request.token, MAX_NAME_BYTES)?;
        let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
        let revoked = tokens::revoke(self.tokens(), &token, &user).await?;
        Ok(v1::RevokeTokenResponse { token: Some(tokens::message(revoked)) })
    }

    /// Closes it.
    pub async fn close(self) {
        if let Self::File(store) = self {
            store.close().await;
        }
    }
}

/// Opens a store with the right to write, as a coordinator does. Closing it gives the right up.
///
/// # Errors
/// It is not there, cannot be used, or a coordinator has it.
pub async fn open(location: &Location) -> Result<Arc<dyn Store>, store::Error> {
    match location {
        Location::File(path) => {
            let there = std::fs::metadata(path);
            there.map_err(|source| store::Error::Io { path: path.display().to_string(), source })?;
            Ok(Arc::new(SqliteStore::open(&Options::new(path)).await?))
        }
        Location::Postgres(options) => {
            // Its coordinator says whether such a database may be used; what mends it must not be stricter.
            let name = location.to_string();
            let candidate = Candidate::open(options, name, "a repair".to_owned(), Safety::Waived).await?;
            Ok(candidate.take().await?.store)
        }
    }
}

/// Cancels a sweep in a store that no coordinator has.
///
/// # Errors
/// The store cannot be used, there is no such sweep, or it has ended.
pub async fn cancel(location: &Location, sweep: &str, user: &str) -> Result<Cancelled, Error> {
    let user = convert::name("user", user.to_owned(), MAX_NAME_BYTES)?;
    let store = open(location).await?;
    let cancelled = offline::cancel(store.as_ref(), sweep, &user).await;
    store.close().await;
    cancelled
}

/// Rewrites a file without the room of removed rows; says how many bytes were given back.
///
/// # Errors
/// It is not there, cannot be used, or a coordinator has it.
pub async fn compact(path: &Path) -> Result<u64, store::Error> {
    let there = std::fs::metadata(path);
    there.map_err(|source| store::Error::Io { path: path.display().to_string(), source })?;
    let store = SqliteStore::open(&Options::new(path)).await?;
    let given_back = store.compact().await;
    store.close().await;
    given_back
}
