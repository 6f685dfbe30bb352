//! Everything that comes from outside, with bytes that nobody wrote on purpose: the corpus of the fuzz targets and seeded
//! mutations of it, on every run. Whatever it is, it is refused or understood; nothing panics, and no input takes more memory
//! than its length can explain. What the real programs do with the same bytes is tested beside the other processes.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod memory;
mod seeds;
mod targets;
