//! Reports of an example study: what is in them, how a browser and pdflatex take them, and what hostile or odd studies
//! make of them.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by a panic")]

mod browser;
mod documents;
mod example;
mod look;
mod odd;
mod parts;
mod structure;
