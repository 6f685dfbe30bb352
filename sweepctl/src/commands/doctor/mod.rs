//! `sweepctl doctor`: checks everything that a sweep needs, one after the other, and suggests fixes. It changes nothing
//! except the cache of decoded images, which a sweep then reuses. No check takes longer than a minute.

mod address;
mod coordinator;
#[cfg(feature = "local")]
mod dataset;
#[cfg(feature = "local")]
mod machine;
mod workers;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sweep_shapes::text::{escape, plural};

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::{ERROR, FAINT, GOOD, Output, STRONG, WARNING};
use crate::study::{self, Study};

#[derive(Debug, Args)]
#[command(
    after_help = "By default, doctor checks the coordinator and its workers. With a SPEC it also checks this machine, \
        with --local only this machine, as `submit SPEC --local` would use it. Exit codes: 0 no errors (warnings are \
        possible), 1 errors.\n\nExamples:\n  sweepctl doctor\n  sweepctl doctor --coordinator \
        http://first-machine:7733 --output json\n  sweepctl doctor sweeps/quickstart.yaml --local"
)]
pub(crate) struct Arguments {
    /// Spec whose data set and network sizes to check too
    #[arg(value_name = "SPEC")]
    file: Option<PathBuf>,
    /// Check only this machine, as `submit --local` would use it
    #[arg(long)]
    local: bool,
    /// Folder with data sets, or with targets of links in them; repeatable [default: the spec's folder]
    #[arg(long, value_name = "FOLDER")]
    data_root: Vec<PathBuf>,
    /// Database of `submit --local` [default: .sweep/sweep.db]
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// Slots of `submit --local`: `auto`, a number, or devices such as `cuda:0,cuda:1`
    #[arg(long, value_name = "SLOTS")]
    slots: Option<String>,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// It works, but maybe not as expected.
    Warning,
    Wrong,
    /// Skipped because of another failed check.
    NotChecked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    /// The finding, in a sentence.
    found: String,
    /// The suggested fix.
    advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), advice: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    fn wrong(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Wrong, found: found.into(), advice: Some(advice.into()) }
    }

    fn not_checked(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, state: State::NotChecked, found: why.into(), advice: None }
    }
}

/// All checks.
#[derive(Debug, Serialize)]
struct Report {
    checks: Vec<Check>,
    warnings: usize,
    wrong: usize,
}

impl Report {
    fn new(checks: Vec<Check>) -> Self {
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        Self { warnings: count(State::Warning), wrong: count(State::Wrong), checks }
    }

    /// One line for people.
    fn verdict(&self) -> String {
        match (self.wrong as u64, self.warnings as u64) {
            (0, 0) => "all checks passed".to_owned(),
            (0, warnings) => format!("no check failed; {}", plural(warnings, "warning")),
            (1, 0) => "1 check failed".to_owned(),
            (wrong, 0) => format!("{} failed", plural(wrong, "check")),
            (wrong, warnings) => format!("{} failed; {}", plural(wrong, "check"), plural(warnings, "warning")),
        }
    }
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let study = match &arguments.file {
        Some(file) => Some(Study::read(&file.display().to_string(), study::load(file)?, Vec::new(), None)?),
        None => None,
    };
    let mut checks = Vec::new();
    if !arguments.local {
        // Without a named coordinator and with a spec, a coordinator may not be wanted.
        let needed = context.named || study.is_none();
        coordinator::look(&context.coordinator, needed, study.as_ref(), &mut checks).await;
    }
    if arguments.local || study.is_some() {
        this_machine(arguments, study.as_ref(), &mut checks).await;
    }
    let report = Report::new(checks);
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        print(&context.output, &report)?;
    }
    Ok(if report.wrong > 0 { Exit::Failed } else { Exit::Success })
}

#[cfg(feature = "local")]
async fn this_machine(arguments: &Arguments, study: Option<&Study>, checks: &mut Vec<Check>) {
    machine::look(arguments, study, checks).await;
}

#[cfg(not(feature = "local"))]
async fn this_machine(_: &Arguments, _: Option<&Study>, checks: &mut Vec<Check>) {
    let advice = "build sweepctl with the feature `local`, or submit to a coordinator";
    checks.push(Check::wrong("this machine", "this sweepctl was built without `--local`", advice));
}

fn print(output: &Output, report: &Report) -> Result<(), Failure> {
    let widest = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in &report.checks {
        let (word, style) = match check.state {
            State::Ok => ("ok", GOOD),
            State::Warning => ("warning", WARNING),
            State::Wrong => ("wrong", ERROR),
            State::NotChecked => ("-", FAINT),
        };
        let found = escape(&check.found);
        output.prose(&format!("{style}{word:<7}{style:#}  {:<widest$}  {found}", check.name))?;
        if let Some(advice) = &check.advice {
            output.prose(&format!("{:<7}  {:<widest$}  {FAINT}>{FAINT:#} {}", "", "", escape(advice)))?;
        }
    }
    output.say(&format!("{STRONG}{}{STRONG:#}", report.verdict()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_counts_what_is_wrong() {
        let (ok, warning) = (Check::ok("a", ""), Check::warning("b", "", ""));
        let wrong = Check::wrong("c", "", "");
        let said = |checks: &[&Check]| Report::new(checks.iter().map(|check| (*check).clone()).collect()).verdict();
        assert_eq!(said(&[&ok]), "all checks passed");
        assert_eq!(said(&[&ok, &warning]), "no check failed; 1 warning");
        assert_eq!(said(&[&wrong]), "1 check failed");
        assert_eq!(said(&[&wrong, &wrong]), "2 checks failed");
        assert_eq!(said(&[&wrong, &warning, &warning]), "1 check failed; 2 warnings");
    }
}
