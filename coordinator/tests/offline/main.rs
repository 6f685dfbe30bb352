//! Stores that no coordinator has open, on both databases: cancelling a sweep, and restoring a backup.

#[cfg(test)]
mod cancel;
#[cfg(test)]
#[path = "../../store/tests/store/env.rs"]
mod env;
#[cfg(test)]
mod place;
#[cfg(test)]
mod restored;
