//! Stores that no coordinator has open, on both databases: a sweep is cancelled, and a backup is restored.

#[cfg(test)]
mod cancel;
#[cfg(test)]
#[path = "../../store/tests/store/env.rs"]
mod env;
#[cfg(test)]
mod place;
#[cfg(test)]
mod restored;
