//! `sweepctl pause`, `resume`, `priority` and `retry`: what people change about a sweep while it runs, or after. Each says
//! where the sweep stands now.

use clap::Args;
use sweep_proto::v1::{PauseSweepRequest, RetrySweepRequest, SetPriorityRequest, SweepStatus};
use sweep_shapes::Sweep;
use sweep_shapes::text::plural;

use super::{Context, status};
use crate::client;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(
    after_help = "What runs goes on; nothing new is started until `sweepctl resume`.\n\nExample:\n  sweepctl pause 3"
)]
pub(crate) struct PauseArguments {
    /// The sweep: its number, or a name (the newest sweep of that name)
    sweep: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl resume 3")]
pub(crate) struct ResumeArguments {
    /// The sweep: its number, or a name (the newest sweep of that name)
    sweep: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl priority 3 10\n  sweepctl priority 3 -- -5")]
pub(crate) struct PriorityArguments {
    /// The sweep: its number, or a name (the newest sweep of that name)
    sweep: String,
    /// Sweeps of a higher priority go first; a sweep begins with 0 unless its spec says otherwise
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: i32,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl retry 3 --failed")]
pub(crate) struct RetryArguments {
    /// The sweep: its number, or a name (the newest sweep of that name)
    sweep: String,
    /// Run again what failed, and nothing else. There is nothing else to retry, so it may be left out
    #[arg(long)]
    failed: bool,
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
    let request = RetrySweepRequest { sweep: client::reference(&arguments.sweep), user: client::user() };
    let answer = client.retry_sweep(request).await?.into_inner();
    context.output.say(&match answer.trials {
        0 => "nothing of it has failed: nothing is run again".to_owned(),
        1 => "1 trial runs again".to_owned(),
        trials => format!("{} run again", plural(trials, "trial")),
    });
    tell(context, answer.sweep)
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
    Ok(Exit::Well)
}
