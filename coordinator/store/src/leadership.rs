//! Which coordinator may write. Of those on one PostgreSQL database one leads; a SQLite file has one by its lock.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::tokens::TokenRecord;
use super::{Error, Store};
use crate::SessionKey;

/// Why a coordinator does not lead yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Waiting {
    /// It has only begun to look.
    #[default]
    Looking,
    /// Another one leads.
    Led {
        /// Where that one is dialled.
        address: String,
    },
    /// The database cannot be reached.
    Unreachable {
        /// Why not.
        why: String,
    },
}

/// The right to write, until it is lost.
pub struct Led {
    /// The store, in this term alone: after it, every write fails. Closing it gives the right up.
    pub store: Arc<dyn Store>,
    /// Cancelled when the right is lost.
    pub lost: CancellationToken,
}

/// Who leads.
#[async_trait]
pub trait Leadership: Send + Sync + 'static {
    /// Waits until this coordinator leads, and says meanwhile why it does not.
    async fn acquire(&self, waiting: &watch::Sender<Waiting>) -> Led;

    /// Every token, whoever leads.
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error>;

    /// The key for sessions of browsers, the same for every leader; none before the first leader has stored one.
    async fn session_key(&self) -> Result<Option<SessionKey>, Error>;

    /// Whether others can change the store, so that what was read of it grows old.
    fn is_shared(&self) -> bool;
}

/// A store that nobody else can open.
pub struct Alone(Arc<dyn Store>);

impl Alone {
    /// Leads as long as the store is open.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

#[async_trait]
impl Leadership for Alone {
    async fn acquire(&self, _waiting: &watch::Sender<Waiting>) -> Led {
        Led { store: Arc::clone(&self.0), lost: CancellationToken::new() }
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        self.0.tokens().await
    }

    async fn session_key(&self) -> Result<Option<SessionKey>, Error> {
        self.0.session_key().await
    }

    fn is_shared(&self) -> bool {
        false
    }
}
