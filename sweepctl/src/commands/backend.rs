//! Selects who answers a command that names no coordinator: the one at the default address; without one, the local
//! store of this folder, through the process that trains on it or through a temporary coordinator in this process.

use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Context;
use crate::arguments::DEFAULT_COORDINATOR;
use crate::failure::Failure;
use crate::probe::host_and_port;

/// The store that `submit --local` creates in the current folder.
const STORE: &str = ".sweep/sweep.db";
/// Timeout for a connection to the default address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Who answers a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Backend {
    #[default]
    Coordinator,
    /// A process that trains on the local store.
    #[cfg(feature = "local")]
    Process,
    /// The local store, without a process that trains on it.
    #[cfg(feature = "local")]
    Store,
}

impl Backend {
    /// Whether no process can train what the command changes.
    pub(crate) fn is_idle(self) -> bool {
        #[cfg(feature = "local")]
        return self == Self::Store;
        #[cfg(not(feature = "local"))]
        false
    }

    /// Whether the local store is used.
    pub(crate) fn is_local(self) -> bool {
        self != Self::Coordinator
    }
}

/// Runs `verb` with the coordinator or the store that answers.
pub(super) async fn ask<T>(
    context: &Context,
    verb: impl AsyncFnOnce(&Context) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if context.named || !Path::new(STORE).exists() || listens(DEFAULT_COORDINATOR).await {
        return Box::pin(verb(context)).await;
    }
    ask_here(context, verb).await
}

async fn listens(url: &str) -> bool {
    let Some((host, port)) = host_and_port(url) else { return false };
    matches!(timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), port))).await, Ok(Ok(_)))
}

#[cfg(feature = "local")]
async fn ask_here<T>(context: &Context, verb: impl AsyncFnOnce(&Context) -> Result<T, Failure>) -> Result<T, Failure> {
    use crate::local::StoreQuery;

    let store = Path::new(STORE);
    let Some(asked) = StoreQuery::open(Some(store), context.output).await? else {
        return Box::pin(verb(context)).await;
    };
    let (backend, how) = match &asked {
        StoreQuery::Embedded(_) => (Backend::Store, ""),
        StoreQuery::Process(_) => (Backend::Process, ", through the process that trains on it"),
    };
    context.output.say(&format!("using the local store {STORE}{how}"));
    let context = Context { coordinator: asked.coordinator(), backend, ..*context };
    let answered = Box::pin(verb(&context)).await;
    asked.stop().await;
    answered
}

#[cfg(not(feature = "local"))]
async fn ask_here<T>(_: &Context, _: impl AsyncFnOnce(&Context) -> Result<T, Failure>) -> Result<T, Failure> {
    let text = format!(
        "no coordinator answers at {DEFAULT_COORDINATOR}, and this sweepctl was built without the feature `local`, so \
        it cannot read the store {STORE}"
    );
    Err(Failure::failed(text)
        .hint("name a coordinator with --coordinator URL, or build sweepctl with the feature `local`"))
}
