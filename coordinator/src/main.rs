//! The coordinator's program; `sweepctl coordinator` is the same.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    sweep_coordinator::main_with(&sweep_coordinator::Args::parse())
}
