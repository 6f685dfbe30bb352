//! What a sweep's results say: which change helps, by how much, at what cost, and whether the difference is real. Pure: no
//! network, no store, no clock, and random numbers only from fixed seeds, so that the same results always say the same.
//!
//! `study` is what is analysed, `result` what comes out of it, `analyse` makes the one of the other, `statistics` the numbers
//! themselves; `leaderboard`, `tables`, `words` and `number` are how people read it; `cost` says what trials will take.

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
