//! The parts that a test needs besides a toolchain: a database server, a browser, the photographs. A test whose part is
//! missing calls [`skip`] and returns. On a developer's machine it then passes and prints that it was skipped. If the
//! environment variable `SWEEP_REQUIRE` names the part, as in CI, the test fails: a passing run means that it ran.
//!
//! `parts.txt` lists every part; the scripts under `ci/` read the same list and the same variable.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

pub mod postgres;

use std::fmt;

/// The names of all parts, of tests and of scripts, each with a description and how to get it.
const PARTS: &str = include_str!("../parts.txt");

/// The environment variable that names the parts without which tests fail, separated by commas; `all` names every one.
const VARIABLE: &str = "SWEEP_REQUIRE";

/// A part that tests in Rust can miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Chromium,
    Git,
    /// The renderer of manual pages.
    Groff,
    Latex,
    /// A small disk that a test may mount.
    Mount,
    /// The photographs in `shared/data/scenes`.
    Photographs,
    /// PostgreSQL's programs.
    Postgres,
    /// `script`, which makes a pseudo terminal.
    Terminal,
}

impl Part {
    /// Its name in `SWEEP_REQUIRE` and in `parts.txt`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Git => "git",
            Self::Groff => "groff",
            Self::Latex => "latex",
            Self::Mount => "mount",
            Self::Photographs => "photographs",
            Self::Postgres => "postgres",
            Self::Terminal => "terminal",
        }
    }
}

/// Prints that the calling test is skipped, and why. The test returns afterwards.
///
/// # Panics
/// `SWEEP_REQUIRE` names the part, or contains an unknown name.
#[track_caller]
#[expect(clippy::panic, reason = "this fails the test that calls it, which is what it is for")]
pub fn skip(part: Part, why: impl fmt::Display) {
    let required = std::env::var(VARIABLE).unwrap_or_default();
    match requires(&required, part.name()) {
        Err(unknown) => {
            panic!("{VARIABLE} names {unknown:?}; the parts are: all, {}", names().collect::<Vec<_>>().join(", "))
        }
        Ok(true) => panic!("{VARIABLE} asks for {}, and this test cannot run: {why}", part.name()),
        Ok(false) => eprintln!("SKIPPED, as {} is missing: {why}", part.name()),
    }
}

/// Whether the list names the part; a name of the list that is no part is the error.
fn requires<'a>(list: &'a str, part: &str) -> Result<bool, &'a str> {
    let asked = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
    match asked().find(|name| *name != "all" && !names().any(|known| known == *name)) {
        Some(unknown) => Err(unknown),
        None => Ok(asked().any(|name| name == "all" || name == part)),
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    PARTS.lines().filter_map(|line| line.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Part; 8] = [
        Part::Chromium,
        Part::Git,
        Part::Groff,
        Part::Latex,
        Part::Mount,
        Part::Photographs,
        Part::Postgres,
        Part::Terminal,
    ];

    #[test]
    fn every_part_is_in_the_list_with_what_it_is() {
        for part in ALL {
            assert!(names().any(|name| name == part.name()), "{part:?}");
        }
        assert!(PARTS.lines().all(|line| line.split_whitespace().count() > 2), "{PARTS}");
    }

    #[test]
    fn a_part_is_required_when_the_list_names_it_and_a_wrong_name_is_an_error() {
        assert_eq!(requires("", "postgres"), Ok(false));
        assert_eq!(requires("groff, latex", "postgres"), Ok(false));
        assert_eq!(requires("groff, postgres,", "postgres"), Ok(true));
        assert_eq!(requires("all", "postgres"), Ok(true));
        assert_eq!(requires("haproxy", "postgres"), Ok(false), "a part of the scripts is a part");
        assert_eq!(requires("groff,postgress", "groff"), Err("postgress"));
    }
}
