//! The program `sweep-trainer`; `sweepctl trainer` does the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    sweep_trainer::run()
}
