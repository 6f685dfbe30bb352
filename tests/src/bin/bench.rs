//! `bench dispatch | ingest | board | page | restart | train`: ends in one JSON line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sweep_tests::bench;

#[derive(Parser)]
#[command(about = "What one coordinator and one trainer thread can do on this machine")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Trials that do nothing, through real gRPC and durable commits.
    Dispatch(bench::Dispatch),
    /// Durable metric points.
    Ingest(bench::Ingest),
    /// The page of a large sweep, as a browser waits for it.
    Page(bench::Page),
    /// Pages of a large leaderboard, over HTTP.
    Board(bench::Board),
    /// From the start of a coordinator that was killed to its first answer.
    Restart(bench::Restart),
    /// Training of the reference's networks on one thread.
    Train(bench::Train),
    /// The coordinator of a run, in its own process.
    #[command(hide = true)]
    Coordinator {
        /// The folder of its store.
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().what {
        What::Dispatch(options) => bench::dispatch(options).await.map(Some),
        What::Ingest(options) => bench::ingest(options).await.map(Some),
        What::Page(options) => bench::page(options).await.map(Some),
        What::Board(options) => bench::board(options).await.map(Some),
        What::Restart(options) => bench::restart(options).await.map(Some),
        What::Train(options) => bench::train(options).map(Some),
        What::Coordinator { folder } => bench::serve(&folder).await.map(|()| None),
    };
    match result {
        Ok(figures) => {
            if let Some(figures) = figures {
                print(&figures.to_string());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn print(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "a failed benchmark says why")]
fn complain(line: &str) {
    eprintln!("bench: {line}");
}
