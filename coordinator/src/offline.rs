//! Tokens of a store that is opened for this alone: the first one, and the way back in. SQLite's file must be free; a
//! PostgreSQL database may be in use, and its coordinators hear of the change within a second or two.

use sweep_proto::v1;

use crate::convert::{self, MAX_NAME_BYTES};
use crate::engine::Error;
use crate::grpc::access;
use crate::store::location::Location;
use crate::store::postgres::tokens::Beside;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::tokens::Tokens;
use crate::store::{self, Store};

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
        let (secret, token) = access::create(self.tokens(), access::wanted(request)?).await?;
        Ok(v1::CreateTokenResponse { token: Some(access::message(token)), secret: secret.reveal().to_owned() })
    }

    /// Shows every token.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list(&self) -> Result<v1::ListTokensResponse, Error> {
        let tokens = self.tokens().tokens().await?;
        Ok(v1::ListTokensResponse { tokens: tokens.into_iter().map(access::message).collect() })
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is none, or the store refuses.
    pub async fn revoke(&self, request: v1::RevokeTokenRequest) -> Result<v1::RevokeTokenResponse, Error> {
        let token = convert::name("token", request.token, MAX_NAME_BYTES)?;
        let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
        let revoked = access::revoke(self.tokens(), &token, &user).await?;
        Ok(v1::RevokeTokenResponse { token: Some(access::message(revoked)) })
    }

    /// Closes it.
    pub async fn close(self) {
        if let Self::File(store) = self {
            store.close().await;
        }
    }
}
