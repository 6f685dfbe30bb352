//! `sweepctl pause`, `resume`, `priority` and `retry`: change a sweep while it runs or after, and print its new state.

use clap::Args;
use sweep_proto::v1::{PauseSweepRequest, RetrySweepRequest, SetPriorityRequest, SweepStatus};
use sweep_shapes::Sweep;
use sweep_shapes::text::plural;

#[cfg(feature = "local")]
use super::unfinished::Own;
use super::{Context, status};
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(after_help = "The coordinator starts no new trial of the sweep until `sweepctl resume`.\n\n\
        Example:\n  sweepctl pause 3")]
pub(crate) struct PauseArguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
}

#[derive(Debug, Args)]
#[command(after_help = "A sweep is held back after its first trials failed with the same error.\n\n\
        Examples:\n  sweepctl resume 3\n  sweepctl resume 3 --local --data-root ~/data")]
pub(crate) struct ResumeArguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    #[cfg(feature = "local")]
    #[command(flatten)]
    pub(crate) place: super::local_run::LocalArguments,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl priority 3 10\n  sweepctl priority 3 -- -5")]
pub(crate) struct PriorityArguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// New priority, from -1000 to 1000; higher runs first, and a sweep starts with 0 or its spec's priority
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: i32,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sweepctl retry 3 --failed\n  sweepctl retry 3 --local --data-root ~/data")]
pub(crate) struct RetryArguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Retry failed trials; this is the default and may be omitted
    #[arg(long)]
    failed: bool,
    #[cfg(feature = "local")]
    #[command(flatten)]
    pub(crate) place: super::local_run::LocalArguments,
}

pub(crate) async fn pause(context: &Context, sweep: &str, paused: bool) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let request = PauseSweepRequest { sweep: client::reference(sweep), paused, user: client::user() };
    let answer = client.pause_sweep(request).await?.into_inner();
    tell(context, answer.sweep)
}

pub(crate) async fn priority(context: &Context, arguments: &PriorityArguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let sweep = client::reference(&arguments.sweep);
    let request = SetPriorityRequest { sweep, priority: arguments.priority, user: client::user() };
    let answer = client.set_priority(request).await?.into_inner();
    tell(context, answer.sweep)
}

pub(crate) async fn retry(context: &Context, arguments: &RetryArguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let answer = reopen(context, &mut client, &arguments.sweep).await?;
    tell(context, answer)
}

async fn reopen(context: &Context, client: &mut Client, sweep: &str) -> Result<Option<SweepStatus>, Failure> {
    let request = RetrySweepRequest { sweep: client::reference(sweep), user: client::user() };
    let answer = client.retry_sweep(request).await?.into_inner();
    context.output.say(&match answer.trials {
        0 => "no trial of the sweep has failed: nothing to retry".to_owned(),
        1 => "1 trial is retried".to_owned(),
        trials => format!("{} are retried", plural(trials, "trial")),
    });
    Ok(answer.sweep)
}

/// Retries the failed trials of a local store's sweep here.
#[cfg(feature = "local")]
pub(crate) async fn retry_here(context: &Context, arguments: &RetryArguments) -> Result<Exit, Failure> {
    let own = Own::Sweep(arguments.sweep.clone());
    let begin = async |client: &mut Client| {
        let answer = reopen(context, client, &arguments.sweep).await?;
        Ok(sweep_shapes::expect(answer, "sweep")?.into())
    };
    arguments.place.train(context, own, begin).await
}

/// Trains the rest of a local store's sweep here.
#[cfg(feature = "local")]
pub(crate) async fn resume_here(context: &Context, arguments: &ResumeArguments) -> Result<Exit, Failure> {
    let own = Own::Sweep(arguments.sweep.clone());
    let begin = async |client: &mut Client| {
        let sweep = client::reference(&arguments.sweep);
        let request = PauseSweepRequest { sweep, paused: false, user: client::user() };
        let answer = client.pause_sweep(request).await?.into_inner();
        Ok(sweep_shapes::expect(answer.sweep, "sweep")?.into())
    };
    arguments.place.train(context, own, begin).await
}

impl PauseArguments {
    pub(crate) fn sweep(&self) -> &str {
        &self.sweep
    }
}

impl ResumeArguments {
    pub(crate) fn sweep(&self) -> &str {
        &self.sweep
    }
}

fn tell(context: &Context, answer: Option<SweepStatus>) -> Result<Exit, Failure> {
    let sweep = Sweep::from(sweep_shapes::expect(answer, "sweep")?);
    if context.output.is_json() {
        context.output.json(&sweep)?;
    } else {
        context.output.text(&format!("{}; {}", status::headline(&sweep), status::counts(&sweep.counts)))?;
    }
    if !sweep.paused {
        context.say_how_to_train(&sweep);
    }
    Ok(Exit::Success)
}
