//! `sweepctl`: the command line of Sweep. It asks the coordinator and prints the answer, without policy of its own.

mod arguments;
mod client;
mod commands;
mod coordinator;
mod cost;
mod failover;
mod failure;
mod interrupt;
#[cfg(feature = "local")]
mod local;
mod names;
mod output;
mod power;
mod probe;
mod prose;
mod revision;
mod study;
mod table;
mod trial_pages;
mod watch;

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};

use arguments::Cli;
use output::Output;

fn main() -> ExitCode {
    commands::completions::answer(Cli::command);
    let command = Cli::command().color(asked_color());
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // If the reader of the help is gone, the error has no reader either.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(cli.output, cli.color);
    match commands::run(cli, output) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.fail(&failure);
            failure.exit_code()
        }
    }
}

/// The value of `--color`, parsed before clap parses the line, because clap's own messages are coloured too.
fn asked_color() -> ColorChoice {
    let mut choice = ColorChoice::Auto;
    let mut arguments = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .take_while(|argument| argument != "--")
        .peekable();
    while let Some(argument) = arguments.next() {
        let value = match argument.as_str() {
            "--color" => arguments.peek().map(String::as_str),
            other => other.strip_prefix("--color="),
        };
        match value {
            Some("always") => choice = ColorChoice::Always,
            Some("never") => choice = ColorChoice::Never,
            _ => {}
        }
    }
    choice
}
