//! The command line for clap. The arguments of each command are in the command's own file.

use std::path::PathBuf;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand};

#[cfg(feature = "local")]
use crate::commands::data;
use crate::commands::{
    ablation, artifacts, backup, cancel, certs, compare, completions, control, delete, doctor, explain, export, extend,
    gc, import, init, leaderboard, list, man, plan, report, reproduce, status, submit, token, trial, trials, watch,
    workers,
};
#[cfg(feature = "store")]
use crate::commands::{restore, store};
use crate::coordinator::{Token, TokenSource};
use crate::output::{Color, Format};

/// The default address of a coordinator on this machine.
pub(crate) const DEFAULT_COORDINATOR: &str = "http://127.0.0.1:7733";
pub(crate) const COORDINATOR_VARIABLE: &str = "SWEEP_COORDINATOR";
const TOKEN_VARIABLE: &str = "SWEEP_TOKEN";
const TOKEN_FILE_VARIABLE: &str = "SWEEP_TOKEN_FILE";
const CA_FILE_VARIABLE: &str = "SWEEP_CA_FILE";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Ablation studies: one YAML file in, a finished leaderboard out
#[derive(Debug, Parser)]
#[command(
    name = "sweepctl",
    version,
    styles = STYLES,
    max_term_width = 100,
    after_help = "Example:\n  sweepctl submit sweeps/quickstart.yaml --local --watch\n\n\
        Exit codes: 0 success, 1 failure, 2 invalid command line or spec,\n\
        3 the sweep ended with failed trials or is held back, 130 and 143 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Format of stdout: text for people, json for programs
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM", help_heading = "Global options")]
    pub(crate) output: Format,
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Global options")]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// Not a global argument of clap, because `worker` has a flag with this name and another meaning. So the root and each
// command that connects to a coordinator have it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Connection {
    /// Address of the coordinator; separate several with commas [env: SWEEP_COORDINATOR]
    /// [default: http://127.0.0.1:7733]
    #[arg(long, value_name = "URL", help_heading = "Global options")]
    pub(crate) coordinator: Option<String>,
    /// File with the access token; SWEEP_TOKEN may contain the token itself [env: SWEEP_TOKEN_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Global options")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate of the coordinator's certificate authority (PEM) [env: SWEEP_CA_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Global options")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Connection {
    /// Fills the missing values of `self` from `other`.
    pub(crate) fn or(&self, other: &Self) -> Self {
        Self {
            coordinator: self.coordinator.clone().or_else(|| other.coordinator.clone()),
            token_file: self.token_file.clone().or_else(|| other.token_file.clone()),
            ca_file: self.ca_file.clone().or_else(|| other.ca_file.clone()),
        }
    }
}

/// A command that connects to a coordinator, with the connection flags after the command.
#[derive(Debug, Args)]
pub(crate) struct WithConnection<T: Args> {
    #[command(flatten)]
    pub(crate) arguments: T,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented spec from a few answers
    Init(Box<init::Arguments>),
    /// Check the coordinator, the workers or this machine, and suggest fixes
    Doctor(Box<WithConnection<doctor::Arguments>>),
    /// Show the configurations of a spec, its statistical power and its expected cost
    Plan(Box<WithConnection<plan::Arguments>>),
    /// Convert a sweep file of another system into a spec
    #[command(subcommand, after_help = "Example:\n  sweepctl import wandb sweep.yaml > study.yaml")]
    Import(import::Verb),
    /// Submit a spec to a coordinator, or run it on this machine
    Submit(Box<WithConnection<submit::Arguments>>),
    /// Extend a sweep with more seeds, levels or stages; known results are reused
    Extend(WithConnection<extend::Arguments>),
    /// List the sweeps
    List(WithConnection<list::Arguments>),
    /// Show the state of a sweep
    Status(WithConnection<status::Arguments>),
    /// Follow a sweep until it ends
    Watch(WithConnection<watch::Arguments>),
    /// Show a sweep's configurations, best first
    Leaderboard(WithConnection<leaderboard::Arguments>),
    /// Compare two configurations, seed by seed
    Compare(WithConnection<compare::Arguments>),
    /// Show one table per factor, with differences and verdicts
    Ablation(WithConnection<ablation::Arguments>),
    /// List the trials of a sweep with their states, workers, values and failures
    Trials(WithConnection<trials::Arguments>),
    /// Show one trial: its settings, attempts and epochs
    Trial(WithConnection<trial::Arguments>),
    /// Show the log of a trial's trainer
    Logs(WithConnection<trial::LogArguments>),
    /// Cancel a sweep
    Cancel(WithConnection<cancel::Arguments>),
    /// Delete an ended sweep with the trials and artifacts that only it uses
    Delete(WithConnection<delete::Arguments>),
    /// Pause a sweep; running trials finish
    Pause(WithConnection<control::PauseArguments>),
    /// Resume a sweep that is paused or held back
    Resume(WithConnection<control::ResumeArguments>),
    /// Change the priority of a sweep
    Priority(WithConnection<control::PriorityArguments>),
    /// Retry the failed trials of a sweep
    Retry(WithConnection<control::RetryArguments>),
    /// Run one trial again and compare the new result with the old one
    Reproduce(WithConnection<reproduce::Arguments>),
    /// Explain why a trial waits, or what happened to it
    Explain(WithConnection<explain::Arguments>),
    /// Show the audit log: events, and the users who caused them
    Audit(WithConnection<explain::AuditArguments>),
    /// List the workers and their slots, or take one out of service
    Workers(WithConnection<workers::Arguments>),
    /// Create, list and revoke access tokens
    Token(Box<WithConnection<token::Arguments>>),
    /// Remove unreferenced data: trials of no sweep, files of no artifact
    Gc(WithConnection<gc::Arguments>),
    /// Back up the store and the artifacts of a running coordinator into a folder
    Backup(WithConnection<backup::Arguments>),
    /// Restore a backup into a new store
    #[cfg(feature = "store")]
    Restore(restore::Arguments),
    /// Create TLS certificates for a development fleet
    #[command(subcommand)]
    Certs(certs::Verb),
    /// Write a report of a sweep as a page, a document or a table
    Report(WithConnection<report::Arguments>),
    /// Export trials or epochs as CSV or JSON, or curves to TensorBoard or MLflow
    Export(WithConnection<export::Arguments>),
    /// List a sweep's artifacts, or fetch one
    Artifacts(WithConnection<artifacts::Arguments>),
    /// Check a data set before training
    #[cfg(feature = "local")]
    #[command(subcommand, after_help = "Example:\n  sweepctl data check sweeps/scene-cnn.yaml --data-root ~/data")]
    Data(data::Verb),
    /// Check, compact or copy a store, or cancel a sweep, without a coordinator
    #[cfg(feature = "store")]
    #[command(subcommand, after_help = "Example:\n  sweepctl store check .sweep/sweep.db")]
    Store(store::Verb),
    /// Run a coordinator: it accepts sweeps, assigns trials and stores every metric
    #[cfg(feature = "local")]
    #[command(after_help = "Example:\n  sweepctl coordinator --store sweeps.db --listen 127.0.0.1:7733")]
    Coordinator(Box<sweep_coordinator::Args>),
    /// Run a worker: it trains the trials that a coordinator assigns
    #[cfg(feature = "local")]
    #[command(
        after_help = "Example:\n  sweepctl worker --coordinator http://127.0.0.1:7733 --data-root ~/data --slots auto"
    )]
    Worker(Box<sweep_worker::Args>),
    /// Run a trainer: it reads trials from stdin and writes their results to stdout
    #[cfg(feature = "local")]
    #[command(
        after_help = "Workers start their trainers themselves. worker/trainer/PROTOCOL.md describes the messages.\n\n\
            Example:\n  echo '{\"command\": \"devices\"}' | sweepctl trainer"
    )]
    Trainer,
    /// Print shell completions
    Completions(completions::Arguments),
    /// Write manual pages
    Man(man::Arguments),
}

impl Command {
    /// The connection flags after the command, if it connects to a coordinator.
    pub(crate) fn connection(&self) -> Option<Connection> {
        let given = match self {
            Self::Plan(verb) => Some(&verb.connection),
            Self::Submit(verb) => Some(&verb.connection),
            Self::Extend(verb) => Some(&verb.connection),
            Self::List(verb) => Some(&verb.connection),
            Self::Status(verb) => Some(&verb.connection),
            Self::Watch(verb) => Some(&verb.connection),
            Self::Leaderboard(verb) => Some(&verb.connection),
            Self::Compare(verb) => Some(&verb.connection),
            Self::Ablation(verb) => Some(&verb.connection),
            Self::Trials(verb) => Some(&verb.connection),
            Self::Trial(verb) => Some(&verb.connection),
            Self::Logs(verb) => Some(&verb.connection),
            Self::Cancel(verb) => Some(&verb.connection),
            Self::Delete(verb) => Some(&verb.connection),
            Self::Gc(verb) => Some(&verb.connection),
            Self::Backup(verb) => Some(&verb.connection),
            Self::Pause(verb) => Some(&verb.connection),
            Self::Resume(verb) => Some(&verb.connection),
            Self::Priority(verb) => Some(&verb.connection),
            Self::Retry(verb) => Some(&verb.connection),
            Self::Reproduce(verb) => Some(&verb.connection),
            Self::Explain(verb) => Some(&verb.connection),
            Self::Audit(verb) => Some(&verb.connection),
            Self::Workers(verb) => return Some(deeper(verb.arguments.connection(), &verb.connection)),
            Self::Token(verb) => return Some(deeper(verb.arguments.connection(), &verb.connection)),
            Self::Report(verb) => Some(&verb.connection),
            Self::Export(verb) => Some(&verb.connection),
            Self::Artifacts(verb) => Some(&verb.connection),
            Self::Doctor(verb) => Some(&verb.connection),
            Self::Import(_) | Self::Certs(_) | Self::Init(_) | Self::Completions(_) | Self::Man(_) => None,
            #[cfg(feature = "store")]
            Self::Store(_) | Self::Restore(_) => None,
            #[cfg(feature = "local")]
            Self::Data(_) | Self::Coordinator(_) | Self::Worker(_) | Self::Trainer => None,
        };
        given.cloned()
    }
}

/// The flags after a subcommand take precedence over those after its command.
fn deeper(own: Option<&Connection>, verb: &Connection) -> Connection {
    own.map_or_else(|| verb.clone(), |own| own.or(verb))
}

impl Cli {
    /// The connection from the flags; those after the command take precedence over those before it.
    fn connection(&self) -> Connection {
        self.command.connection().map_or_else(|| self.connection.clone(), |behind| behind.or(&self.connection))
    }

    /// The coordinator from a flag or the environment.
    pub(crate) fn named_coordinator(&self) -> Option<String> {
        self.connection().coordinator.or_else(|| variable(COORDINATOR_VARIABLE))
    }

    /// The credentials and the trusted authority.
    pub(crate) fn credentials(&self) -> (TokenSource, Option<PathBuf>) {
        self.connection().credentials()
    }
}

impl Connection {
    /// The credentials and the trusted authority, from flags, then from the environment. A token is not a flag, because
    /// flags appear in the list of processes.
    pub(crate) fn credentials(self) -> (TokenSource, Option<PathBuf>) {
        let shown = match (self.token_file, variable(TOKEN_VARIABLE), variable(TOKEN_FILE_VARIABLE)) {
            (Some(path), ..) => TokenSource::File(path),
            (None, Some(token), _) => TokenSource::Token(Token::new(&token)),
            (None, None, Some(path)) => TokenSource::File(path.into()),
            (None, None, None) => TokenSource::Absent,
        };
        (shown, self.ca_file.or_else(|| variable(CA_FILE_VARIABLE).map(PathBuf::from)))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command and subcommand, with the text after its help.
    fn verbs(command: &clap::Command) -> Vec<(String, String)> {
        let own = command.get_subcommands().filter(|verb| verb.get_name() != "help");
        let name = |verb: &clap::Command| verb.get_display_name().unwrap_or_else(|| verb.get_name()).to_owned();
        own.flat_map(|verb| {
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut all = vec![(name(verb), after)];
            all.extend(verbs(verb));
            all
        })
        .collect()
    }

    #[test]
    fn the_command_line_is_consistent_and_every_verb_has_an_example() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        let all = verbs(&command);
        assert!(all.iter().any(|(name, _)| name == "sweepctl-workers-drain"), "verbs within verbs are looked at");
        for (name, help) in all {
            assert!(help.contains("Example:") || help.contains("Examples:"), "{name} has no example");
        }
    }

    /// The words of an example up to a pipe or a redirection, split as a shell does.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for letter in line.chars() {
            match letter {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        let end = |word: &String| word == "|" || word == "&&" || word.starts_with('>') || word.starts_with("2>");
        let ends = words.iter().position(end).unwrap_or(words.len());
        words.truncate(ends);
        words
    }

    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        let mut command = Cli::command();
        command.build();
        let mut tried = 0;
        for (name, help) in verbs(&command) {
            // A backslash continues a line.
            let help = help.replace("\\\n", " ");
            let lines = help.lines().map(str::trim).filter(|line| line.starts_with("sweepctl "));
            for line in lines {
                tried += 1;
                if let Err(error) = Cli::try_parse_from(words(line)) {
                    panic!("{name}: `{line}` is not understood: {error}");
                }
            }
        }
        assert!(tried > 40, "{tried} examples");
    }

    /// The command lines of `sweepctl` in the code blocks of a page, each with the line that follows it.
    #[cfg(feature = "local")]
    fn boxed_commands(page: &str) -> Vec<(String, String)> {
        let page = page.replace("\\\n", " ");
        let boxes = page.split("```").skip(1).step_by(2);
        let mut found = Vec::new();
        for text in boxes {
            let mut lines = text.lines().peekable();
            while let Some(line) = lines.next() {
                let line = line.trim_start().trim_start_matches("$ ");
                let line = line
                    .strip_prefix("cargo run --bin sweepctl -- ")
                    .map_or_else(|| line.to_owned(), |arguments| format!("sweepctl {arguments}"));
                if line.starts_with("sweepctl ") {
                    // Text after a command is a comment.
                    let command = line.split("  #").next().unwrap_or_default().to_owned();
                    found.push((command, lines.peek().map(|next| (*next).to_owned()).unwrap_or_default()));
                }
            }
        }
        found
    }

    #[cfg(feature = "local")]
    #[test]
    fn every_command_in_the_documents_is_a_command_line_that_is_understood() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let pages = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
        let mut tried = 0;
        for path in pages.chain([root.join("README.md"), root.join("sweeps/README.md")]) {
            for (line, answer) in boxed_commands(&std::fs::read_to_string(&path).unwrap()) {
                tried += 1;
                let refused = Cli::try_parse_from(words(&line)).err();
                let expected = answer.starts_with("error: unrecognized subcommand");
                let place = path.display();
                assert_eq!(
                    refused.is_some(),
                    expected,
                    "{place}: `{line}`: {}",
                    refused.map_or_else(String::new, |error| error.to_string())
                );
            }
        }
        assert!(tried > 30, "{tried} commands");
    }

    #[test]
    fn the_coordinator_may_stand_before_or_behind_the_verb() {
        let named = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap().named_coordinator().unwrap();
        assert_eq!(named("sweepctl --coordinator a list"), "a");
        assert_eq!(named("sweepctl list --coordinator b"), "b");
        assert_eq!(named("sweepctl --coordinator a list --coordinator b"), "b");
    }
}
