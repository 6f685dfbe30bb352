//! Changes to a store without a coordinator.
//!
//! Tokens: the first token of a store, or a new one after all were lost. A SQLite file must not be in use. A PostgreSQL
//! database may be in use: its coordinators apply the change within two seconds. All other changes need leadership.

use std::path::Path;
use std::sync::Arc;

use sweep_proto::v1;
use sweep_store::check::{Report, check_with};
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
use crate::restore::{self, Refused};
use crate::service::tokens;

/// A store, opened for its tokens.
pub enum Offline {
    /// A file, locked against coordinators.
    File(SqliteStore),
    /// A database, which coordinators may use at the same time.
    Database(Box<dyn Tokens>),
}

impl Offline {
    /// Opens a store, and creates it if it does not exist.
    ///
    /// # Errors
    /// The store cannot be used, or a coordinator uses the file.
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

    /// Creates a token.
    ///
    /// # Errors
    /// The request is invalid, or the store fails.
    pub async fn create(&self, request: v1::CreateTokenRequest) -> Result<v1::CreateTokenResponse, Error> {
        let (secret, token) = tokens::create(self.tokens(), tokens::wanted(request)?).await?;
        Ok(v1::CreateTokenResponse { token: Some(tokens::message(token)), secret: secret.reveal().to_owned() })
    }

    /// Lists all tokens.
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
    /// There is no such token, or the store fails.
    pub async fn revoke(&self, request: v1::RevokeTokenRequest) -> Result<v1::RevokeTokenResponse, Error> {
        let token = convert::name("token", request.token, MAX_NAME_BYTES)?;
        let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
        let revoked = tokens::revoke(self.tokens(), &token, &user).await?;
        Ok(v1::RevokeTokenResponse { token: Some(tokens::message(revoked)) })
    }

    /// Closes the store.
    pub async fn close(self) {
        if let Self::File(store) = self {
            store.close().await;
        }
    }
}

/// Opens a store with leadership, as a coordinator does. Closing the store gives leadership up.
///
/// # Errors
/// The store does not exist, cannot be used, or a coordinator leads on it.
pub async fn open(location: &Location) -> Result<Arc<dyn Store>, store::Error> {
    match location {
        Location::File(path) => {
            let there = std::fs::metadata(path);
            there.map_err(|source| store::Error::Io { path: path.display().to_string(), source })?;
            Ok(Arc::new(SqliteStore::open(&Options::new(path)).await?))
        }
        Location::Postgres(options) => {
            // The configuration of the coordinator decides whether such a database may be used. A repair must not be stricter.
            let name = location.to_string();
            let candidate = Candidate::open(options, name, "a repair".to_owned(), Safety::Waived).await?;
            Ok(candidate.take().await?.store)
        }
    }
}

/// Cancels a sweep in a store that no coordinator uses.
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

/// Checks a store. A backup, which `path` names by its folder or its file, has its artifacts in its own folder. Those of
/// another store are in `artifacts`, or where a coordinator on that store keeps them.
///
/// # Errors
/// The path is not a store, the store cannot be opened, or the backup is incomplete. Damage is in the report.
pub async fn check(path: &Path, artifacts: Option<&Path>) -> Result<Report, Refused> {
    if let Some(folder) = restore::backup_of(path) {
        return restore::check(folder).await;
    }
    let beside = Location::File(path.to_owned()).artifacts();
    Ok(check_with(path, artifacts.unwrap_or(&beside)).await?)
}

/// Rewrites a file without the space of removed rows. Returns the number of bytes that the file shrank by.
///
/// # Errors
/// The file does not exist, cannot be used, or a coordinator uses it.
pub async fn compact(path: &Path) -> Result<u64, store::Error> {
    let there = std::fs::metadata(path);
    there.map_err(|source| store::Error::Io { path: path.display().to_string(), source })?;
    let store = SqliteStore::open(&Options::new(path)).await?;
    let given_back = store.compact().await;
    store.close().await;
    given_back
}
