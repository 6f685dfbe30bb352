//! The channel on which the owner task answers a command.

use tokio::sync::oneshot;

use crate::engine::error::Error;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;
