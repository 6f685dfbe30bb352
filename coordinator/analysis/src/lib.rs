//! The analysis of a sweep's results: which change helps, by how much, at what cost, and whether the difference is
//! significant. It is pure: no network, no store, no clock, and random numbers only from fixed seeds, so equal results
//! give equal answers.
//!
//! `study` is the input and `result` the output of `analyse`; `statistics` computes the numbers. `leaderboard`,
//! `tables`, `prose` and `number` present them to users. `resolve` and `title` name configurations. `cost` predicts the
//! time of trials.

pub mod adaptive;
pub mod analyse;
pub mod best;
pub mod choice;
pub mod cost;
#[cfg(test)]
mod fixtures;
pub mod leaderboard;
pub mod number;
pub mod prose;
pub mod resolve;
pub mod result;
pub mod statistics;
pub mod study;
pub mod tables;
pub mod title;
