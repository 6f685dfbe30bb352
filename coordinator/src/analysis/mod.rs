//! What the results say. Pure functions over what the store holds; statistics have their room here.

pub mod leaderboard;
pub mod reproduction;
