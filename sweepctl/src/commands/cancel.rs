//! `sweepctl cancel`: ends a sweep. Trials that another sweep needs continue.

use clap::Args;
use sweep_proto::v1::CancelSweepRequest;
use sweep_shapes::Sweep;

use super::{Context, status};
use crate::client;
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl cancel 3")]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let request = CancelSweepRequest { sweep: client::reference(&arguments.sweep), user: client::user() };
    let answer = client.cancel_sweep(request).await?.into_inner();
    let sweep = Sweep::from(sweep_shapes::expect(answer.sweep, "sweep")?);
    if context.output.is_json() {
        context.output.json(&sweep)?;
    } else {
        context.output.text(&format!("{}; {}", status::headline(&sweep), status::counts(&sweep.counts)))?;
    }
    Ok(Exit::Success)
}
