//! `chaos`: a sweep on real processes that are killed, frozen and asked to leave while it runs. It prints one JSON
//! line, and ends with status 1 if anything is wrong. It starts itself as coordinator, worker and trainer.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sweep_tests::chaos::{self, Options, partitions};
use sweep_tests::scripted;

#[derive(Parser)]
#[command(about = "Kills what a sweep runs on, and counts what became of it", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum Part {
    /// Cuts a worker in a network namespace off, in seven ways; `ci/partitions` makes the namespace.
    Partitions(partitions::Options),
    /// The coordinator, as it is.
    #[command(hide = true)]
    Coordinator(Box<sweep_coordinator::Args>),
    /// A worker, as it is, with a scripted trainer.
    #[command(hide = true)]
    Worker(Box<sweep_worker::Args>),
    /// The scripted trainer.
    #[command(hide = true)]
    Trainer(scripted::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Coordinator(args)) => sweep_coordinator::main_with(&args),
        Some(Part::Trainer(options)) => match scripted::run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        Some(Part::Worker(args)) => in_runtime(async { sweep_worker::main_with(*args, Vec::new()).await }),
        Some(Part::Partitions(options)) => in_runtime(async { partition(&options).await }),
        None => in_runtime(async { wreak(&arguments.options).await }),
    }
}

fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => fail(&error),
    }
}

async fn wreak(options: &Options) -> ExitCode {
    let run = async {
        let program = std::env::current_exe()?;
        let report = chaos::run(&program, options).await?;
        let line = serde_json::to_string(&report)?;
        Ok::<_, chaos::Error>((line, report.problems))
    };
    match run.await {
        Ok((line, problems)) => {
            print(&line);
            if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => fail(error.as_ref()),
    }
}

async fn partition(options: &partitions::Options) -> ExitCode {
    let run = async {
        let program = std::env::current_exe()?;
        let say = |outcome: &partitions::Outcome| print(&serde_json::json!(outcome).to_string());
        partitions::partitions(&program, options, say).await
    };
    match run.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(error.as_ref()),
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn print(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "a run that failed says why")]
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("chaos: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    ExitCode::FAILURE
}
