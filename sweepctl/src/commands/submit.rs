//! `sweepctl submit`: makes a sweep of a spec, on a coordinator or on this machine alone.

use std::path::PathBuf;

use clap::Args;
use indicatif::MultiProgress;
use serde::Serialize;
use sweep_proto::v1::{Override, SubmitRequest};

use super::watch::{End, finish, say_how_to_come_back};
use super::{Context, status};
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::shapes::Sweep;
use crate::study::{self, Study};
use crate::watch::{Display, Ending, Setting, follow};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sweepctl submit sweeps/quickstart.yaml --local --watch\n  \
    sweepctl submit sweeps/ablation.yaml --set protocol.epochs=10 --name short --wait")]
pub(crate) struct Arguments {
    /// The spec: a YAML file, or `-` for stdin
    pub(crate) file: PathBuf,
    /// Run it here: an embedded coordinator, worker and store; a sweep that was not finished is taken up again
    #[arg(long)]
    pub(crate) local: bool,
    /// Show the plan and the progress, then the leaderboard
    #[arg(long)]
    watch: bool,
    /// Wait quietly, then show the leaderboard
    #[arg(long, conflicts_with = "watch")]
    wait: bool,
    /// Change a value of the spec, such as `protocol.epochs=10`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = study::parse_override)]
    overrides: Vec<(String, String)>,
    /// Replace the spec's name
    #[arg(long)]
    name: Option<String>,
    /// Sweeps of a higher priority go first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Refuse a grid of more trials than this
    #[arg(long, value_name = "TRIALS")]
    trial_limit: Option<u64>,
    /// With --local: the folder that data sets lie in [default: the spec's]
    #[arg(long, value_name = "FOLDER", requires = "local")]
    pub(crate) data_root: Option<PathBuf>,
    /// With --local: the database that keeps everything [default: .sweep/sweep.db]
    #[arg(long, value_name = "PATH", requires = "local")]
    pub(crate) store: Option<PathBuf>,
    /// With --local: `auto`, a number, or devices such as `cuda:0,cuda:1` [default: auto]
    #[arg(long, value_name = "SLOTS", requires = "local")]
    pub(crate) slots: Option<String>,
}

/// What `submit` answers as JSON when it does not wait.
#[derive(Serialize)]
struct Submitted<'a> {
    sweep: &'a Sweep,
    /// It was there before and is taken up.
    resumed: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    // Read and checked here as well: a wrong spec is answered with its file's name, and without a coordinator.
    let text = study::load(&arguments.file)?;
    let file = arguments.file.display().to_string();
    let study = Study::read(&file, text, arguments.overrides.clone(), arguments.trial_limit)?;
    let study = study.named(arguments.name.as_deref());
    if arguments.local {
        return Err(Failure::usage("this sweepctl was built without `--local`")
            .hint("build it with the feature `local`, or submit to a coordinator"));
    }
    let mut interrupt = Interrupt::listen()?;
    let mut client = client::connect(&context.coordinator).await?;
    let (sweep, resumed) = submit(&mut client, arguments, &study, false).await?;
    if !arguments.watch && !arguments.wait {
        if context.output.is_json() {
            context.output.json(&Submitted { sweep: &sweep, resumed })?;
        } else {
            context.output.text(&status::headline(&sweep))?;
            context.output.say(&format!("follow it with `sweepctl watch {}`", sweep.id));
        }
        return Ok(Exit::Well);
    }
    let display = display(context, arguments, &study, &MultiProgress::new());
    let setting = Setting { output: context.output, embedded: false };
    match follow(&mut client, sweep.id, display, &mut interrupt, setting).await? {
        Ending::Ended(sweep) => {
            finish(context, &mut client, &sweep, End { streamed: arguments.watch, store: None }).await
        }
        Ending::Interrupted(number) => {
            interrupt.leave_at_the_next();
            say_how_to_come_back(context, sweep.id);
            Ok(Exit::Signal(number))
        }
    }
}

/// What is shown on the way; the plan comes first.
fn display(context: &Context, arguments: &Arguments, study: &Study, progress: &MultiProgress) -> Display {
    if !arguments.watch {
        return Display::Quiet;
    }
    context.output.say(&study.summary());
    Display::new(context.output, progress)
}

async fn submit(
    client: &mut Client,
    arguments: &Arguments,
    study: &Study,
    resume: bool,
) -> Result<(Sweep, bool), Failure> {
    let overrides = arguments.overrides.iter().cloned().map(|(key, value)| Override { key, value });
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let request = SubmitRequest {
        spec: study.text().to_vec().into(),
        overrides: overrides.collect(),
        name: arguments.name.clone().unwrap_or_default(),
        trial_limit: arguments.trial_limit.unwrap_or(0),
        priority: arguments.priority,
        resume,
        user: user.unwrap_or_default(),
    };
    let answer = client.submit(request).await?.into_inner();
    Ok((client::expect(answer.sweep, "sweep")?.into(), answer.resumed))
}
