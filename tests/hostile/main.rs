//! All external input, with random bytes: the corpus of the fuzz targets and seeded mutations of it, on every run. Each
//! input is refused or understood; nothing panics, and no input takes more memory than its length explains. Tests of
//! the processes send the same bytes to the real programs.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod memory;
mod seeds;
mod targets;
