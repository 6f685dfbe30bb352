//! `sweep-worker`: the worker alone, with the trainer next to its binary.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Run a worker: it trains the trials that a coordinator assigns
#[derive(Parser)]
#[command(name = "sweep-worker", version)]
struct Program {
    #[command(flatten)]
    args: sweep_worker::Args,
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = Program::parse();
    sweep_worker::main_with(program.args, trainer_command()).await
}

/// `sweep-trainer` in this program's folder, otherwise on the PATH.
fn trainer_command() -> Vec<String> {
    let beside = |program: PathBuf| Some(program.parent()?.join("sweep-trainer")).filter(|path| path.exists());
    let trainer = std::env::current_exe().ok().and_then(beside).and_then(|path| path.to_str().map(str::to_owned));
    vec![trainer.unwrap_or_else(|| "sweep-trainer".to_owned())]
}
