//! `sweepctl extend`: submits a sweep with more seeds, levels, stages or configurations, which reuses all results of
//! the old one.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::{Override, SubmitRequest};
use sweep_shapes::text::{count, plural};
use sweep_shapes::{Counts, Sweep};

use super::{Context, status};
use crate::client;
use crate::failure::{Exit, Failure};
use crate::study;

#[derive(Debug, Args)]
#[command(
    after_help = "The new sweep must contain every trial of the old one and gets its name. It reuses known results and \
        shares running trials.\n\nExamples:\n  sweepctl extend 3 --seeds 12\n  sweepctl extend scene-cnn --set \
        'stages[0].vary.filters=[32, 64, 128, 256, 512]'\n  sweepctl extend 3 --seeds 12 --local --data-root ~/data"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Number of seeds, or a list of seeds; short for `--set seeds=...`
    #[arg(long, value_name = "SEEDS")]
    seeds: Option<String>,
    /// Override of a spec value, such as `stages[0].vary.filters=[8, 16, 32]`; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = study::parse_override)]
    overrides: Vec<(String, String)>,
    /// New spec: a YAML file, or `-` for stdin [default: the sweep's spec with its overrides]
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Maximum number of trials of a grid [default: the sweep's]
    #[arg(long, value_name = "TRIALS")]
    trial_limit: Option<u64>,
    #[cfg(feature = "local")]
    #[command(flatten)]
    pub(crate) place: super::local_run::LocalArguments,
}

/// The answer of `extend` as JSON.
#[derive(Serialize)]
struct Extended<'a> {
    sweep: &'a Sweep,
    /// Trials with a known result.
    known: u64,
    /// Trials that another sweep is running.
    shared: u64,
    /// Trials to run.
    to_run: u64,
}

/// The request to submit.
fn request(arguments: &Arguments) -> Result<SubmitRequest, Failure> {
    let spec = arguments.spec.as_deref().map(study::load).transpose()?.unwrap_or_default();
    let seeds = arguments.seeds.iter().map(|seeds| ("seeds".to_owned(), seeds.clone()));
    let overrides: Vec<(String, String)> = seeds.chain(arguments.overrides.iter().cloned()).collect();
    if spec.is_empty() && overrides.is_empty() {
        return Err(Failure::usage("nothing to extend the sweep by").hint("add --seeds, --set or --spec"));
    }
    Ok(SubmitRequest {
        spec: spec.into(),
        overrides: overrides.into_iter().map(|(key, value)| Override { key, value }).collect(),
        trial_limit: arguments.trial_limit.unwrap_or(0),
        user: client::user(),
        extends: client::reference(&arguments.sweep),
        ..SubmitRequest::default()
    })
}

/// Extends the sweep in a local store, and trains the new trials here.
#[cfg(feature = "local")]
pub(crate) async fn run_here(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let request = request(arguments)?;
    let begin = async |client: &mut client::Client| {
        let answer = client.submit(request).await?.into_inner();
        let sweep = Sweep::from(sweep_shapes::expect(answer.sweep, "sweep")?);
        context.output.say(&summary(&sweep.counts));
        Ok(sweep)
    };
    arguments.place.train(context, super::unfinished::Own::New, begin).await
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let request = request(arguments)?;
    let mut client = client::connect(&context.coordinator).await?;
    let answer = client.submit(request).await?.into_inner();
    let sweep = Sweep::from(sweep_shapes::expect(answer.sweep, "sweep")?);
    let Counts { reused: known, running: shared, queued: to_run, .. } = sweep.counts;
    if context.output.is_json() {
        context.output.json(&Extended { sweep: &sweep, known, shared, to_run })?;
    } else {
        context.output.text(&status::headline(&sweep))?;
        context.output.text(&summary(&sweep.counts))?;
    }
    if context.backend.is_idle() {
        context.say_how_to_train(&sweep);
    } else if !context.output.is_json() {
        context.output.say(&format!("follow it with `sweepctl watch {}`", sweep.id));
    }
    Ok(Exit::Success)
}

/// For example `12 trials are known, 3 running trials are shared, 6 to run`.
fn summary(counts: &Counts) -> String {
    let known = plural(counts.reused, "trial");
    let verb = if counts.reused == 1 { "is" } else { "are" };
    let shared = match counts.running {
        0 => String::new(),
        1 => ", 1 running trial is shared".to_owned(),
        running => format!(", {} running trials are shared", count(running)),
    };
    let more = match counts.to_come_at_most {
        0 => String::new(),
        more => format!(", at most {} more to come", count(more)),
    };
    format!("{known} {verb} known{shared}, {} to run{more}", count(counts.queued))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_shared_and_to_run_is_told() {
        let counts = Counts { reused: 12, succeeded: 12, running: 3, queued: 6, ..Counts::default() };
        assert_eq!(summary(&counts), "12 trials are known, 3 running trials are shared, 6 to run");
        let counts = Counts { reused: 1, succeeded: 1, to_come_at_most: 8, ..Counts::default() };
        assert_eq!(summary(&counts), "1 trial is known, 0 to run, at most 8 more to come");
    }
}
