//! The store under `kill -9`, and on a disk without room. Apart from the other tests: these start processes, and a lock
//! on a file is held for a moment by whatever was forked meanwhile.

#[cfg(test)]
mod child;
#[cfg(test)]
mod deleting;
#[cfg(test)]
#[path = "../store/env.rs"]
mod env;
#[cfg(test)]
mod full;
#[cfg(test)]
mod killed;

/// One test at a time, for the same reason.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
