//! What a sweep's results say: which change helps, by how much, at what cost, and whether the difference is real. Pure: no
//! network, no store, no clock, and random numbers only from fixed seeds, so that the same results always say the same.
//!
//! `study` is what is analysed, `result` what comes out of it, `statistics` the numbers themselves; `cost` says what trials
//! will take.

pub mod cost;
pub mod result;
pub mod statistics;
pub mod study;
