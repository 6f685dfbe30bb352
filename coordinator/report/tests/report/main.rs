//! Reports of example studies: their content, how a browser and pdflatex render them, and the effect of hostile or
//! unusual studies.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by a panic")]

mod browser;
mod documents;
mod example;
mod look;
mod odd;
mod parts;
mod structure;
