//! The program `sweep-trainer`; `sweepctl trainer` is the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    sweep_trainer::run()
}
