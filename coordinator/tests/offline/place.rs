//! The databases that the tests run on.

use std::sync::Arc;

use sweep_require::postgres;
use sweep_store::Store;
use sweep_store::leadership::{Leadership, Waiting};
use sweep_store::location::Location;
use sweep_store::postgres::durability::Safety;
use sweep_store::postgres::leader::Candidate;
use tokio::sync::watch;

use crate::env::Folder;

/// A store that can be opened again and again.
pub(crate) enum Place {
    /// A file.
    File(Folder),
    /// A database of a PostgreSQL server that ends with the test.
    Database(String),
}

impl Place {
    /// A file, and also a database if PostgreSQL is installed.
    pub(crate) fn all() -> Vec<Self> {
        let database = postgres::shared().map(|server| Self::Database(server.database()));
        [Self::File(Folder::new())].into_iter().chain(database).collect()
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::File(folder) => Arc::new(folder.open().await),
            Self::Database(url) => lead(url).await,
        }
    }
}

/// Opens the store with leadership.
pub(crate) async fn lead(url: &str) -> Arc<dyn Store> {
    let place: Location = url.parse().unwrap();
    let name = place.to_string();
    let Location::Postgres(options) = place else { panic!("{name} is not a database") };
    let candidate = Candidate::open(&options, name, "here".to_owned(), Safety::Required).await.unwrap();
    candidate.acquire(&watch::Sender::new(Waiting::Looking)).await.store
}
