//! `sweepctl reproduce`: runs one trial again in a new round, waits, and compares the new result with the old one.

use std::path::PathBuf;

use clap::Args;
use sweep_analysis::number::fixed;
use sweep_proto::v1::{GetReproductionRequest, ReproduceTrialRequest};
use sweep_shapes::text::{count, escape, plural};
use sweep_shapes::{Reproduction, Sweep};

use super::watch::say_how_to_come_back;
use super::{Context, status, trial};
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{FAINT, STRONG};
use crate::watch::{Display, Ending, Setting, follow};

#[derive(Debug, Args)]
#[command(
    after_help = "On CPUs with the same instruction set and thread count, the results must be equal bit for bit. \
        Elsewhere, such as on a GPU, the largest difference must stay within the tolerance. Exit codes: 0 reproduced, \
        1 not reproduced.\n\nExamples:\n  sweepctl reproduce 3fa1c2\n  sweepctl reproduce 3fa1c2 --tolerance 0.002\n  \
        sweepctl reproduce 3fa1c2 --local --data-root ~/data"
)]
pub(crate) struct Arguments {
    /// Id of the trial: at least its first six hexadecimal digits
    trial: String,
    /// Largest accepted difference of two numbers and share of changed predictions, where results need not be
    /// bit-identical [default: 0.01]
    #[arg(long, value_name = "X", value_parser = tolerance)]
    tolerance: Option<f64>,
    /// Priority of the new run, from -1000 to 1000; higher runs first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: i32,
    /// Run on this machine with the store of `submit --local`
    #[arg(long)]
    pub(crate) local: bool,
    /// With --local: folder with data sets, or with targets of links in them; repeatable [default: .]
    #[arg(long, value_name = "FOLDER", requires = "local")]
    data_root: Vec<PathBuf>,
    /// With --local: database file [default: .sweep/sweep.db]
    #[arg(long, value_name = "PATH", requires = "local")]
    store: Option<PathBuf>,
    /// With --local: slots, as `auto`, a number, or devices such as `cuda:0,cuda:1` [default: auto]
    #[arg(long, value_name = "SLOTS", requires = "local")]
    slots: Option<String>,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        Ok(_) | Err(_) => Err("expected a number above 0, such as 0.002".to_owned()),
    }
}

/// How the new run ended.
enum Run {
    Compared(Exit),
    Interrupted(u64, u8),
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let digits = trial::checked(&arguments.trial)?;
    let mut interrupt = Interrupt::listen()?;
    if arguments.local {
        return run_here(context, arguments, &digits, interrupt).await;
    }
    if context.backend.is_idle() {
        let failure = Failure::failed("no process trains on the local store now, so the trial cannot run again");
        return Err(
            failure.hint("add --local to train it here, and name the folder of the data sets with --data-root FOLDER")
        );
    }
    let mut client = client::connect(&context.coordinator).await?;
    match again(context, arguments, &digits, &mut client, &mut interrupt).await? {
        Run::Compared(exit) => Ok(exit),
        Run::Interrupted(sweep, number) => {
            interrupt.leave_at_the_next();
            say_how_to_come_back(context, sweep);
            Ok(Exit::Signal(number))
        }
    }
}

#[cfg(not(feature = "local"))]
async fn run_here(_: &Context, _: &Arguments, _: &str, _: Interrupt) -> Result<Exit, Failure> {
    Err(Failure::usage("this sweepctl was built without `--local`")
        .hint("build sweepctl with the feature `local`, or name a coordinator"))
}

#[cfg(feature = "local")]
async fn run_here(
    context: &Context,
    arguments: &Arguments,
    digits: &str,
    interrupt: Interrupt,
) -> Result<Exit, Failure> {
    use super::local_run::{Continuation, Job, Outcome, train};
    use super::unfinished::Own;
    use crate::local::{LocalOptions, data_roots};
    use crate::watch::LogWriter;

    let data_roots = data_roots(&arguments.data_root, std::path::Path::new("."));
    let (store, slots) = (arguments.store.clone(), arguments.slots.clone());
    let here = LocalOptions { store, data_roots, slots, accept_loss: false };
    let (progress, again_as_typed) = (LogWriter::default(), Continuation::AsTyped);
    let job = Job { here: &here, own: Own::New, resume_others: false, progress: &progress, again: again_as_typed };
    train(context, job, interrupt, async |client, interrupt, _store| {
        Ok(match again(context, arguments, digits, client, interrupt).await? {
            Run::Compared(exit) => Outcome::Exit(exit),
            Run::Interrupted(sweep, number) => Outcome::Interrupted(number, Some(sweep)),
        })
    })
    .await
}

async fn again(
    context: &Context,
    arguments: &Arguments,
    digits: &str,
    client: &mut Client,
    interrupt: &mut Interrupt,
) -> Result<Run, Failure> {
    let request =
        ReproduceTrialRequest { trial: digits.to_owned(), user: client::user(), priority: arguments.priority };
    let begun = client.reproduce_trial(request).await.map_err(trial::unknown)?.into_inner();
    let sweep = Sweep::from(sweep_shapes::expect(begun.sweep, "sweep")?);
    context.output.say(&format!(
        "sweep {} runs the trial again; its result will be compared with attempt {} of round {}",
        sweep.id, begun.attempt, begun.round
    ));
    let setting = Setting { output: context.output, embedded: arguments.local, made: true };
    let ended = match follow(client, sweep.id, Display::Quiet, interrupt, setting).await? {
        Ending::Ended(ended) => ended,
        Ending::Interrupted(number) => return Ok(Run::Interrupted(sweep.id, number)),
    };
    if !matches!(status::exit(&ended), Exit::Success) {
        let reason = ended.reason.as_deref().unwrap_or("no sweep needs the trial any more");
        return Err(Failure::failed(format!("the new run has no result: {}", escape(reason)))
            .hint(format!("run `sweepctl explain {digits}` to see what happened")));
    }
    let reference = client::reference(&sweep.id.to_string());
    let request = GetReproductionRequest { sweep: reference, tolerance: arguments.tolerance.unwrap_or(0.0) };
    let found = Reproduction::new(sweep.id, client.get_reproduction(request).await?.into_inner());
    if context.output.is_json() {
        context.output.json(&found)?;
    } else {
        context.output.prose(&describe(&found))?;
    }
    Ok(Run::Compared(if found.same { Exit::Success } else { Exit::Failed }))
}

fn describe(found: &Reproduction) -> String {
    let verdict = match (found.same, found.exactly) {
        (true, true) => "the same, bit for bit".to_owned(),
        (true, false) => format!("the same, within {}", found.tolerance),
        (false, true) => "not the same, bit for bit".to_owned(),
        (false, false) => format!("not the same, within {}", found.tolerance),
    };
    let mut lines = vec![format!("{STRONG}{verdict}{STRONG:#}")];
    let mut line = |label: &str, text: String| lines.push(format!("  {FAINT}{label:<19}{FAINT:#} {text}"));
    line("trial", escape(&found.trial_id));
    line("compared", escape(&found.reason));
    for mismatch in &found.mismatches {
        line("cannot be compared", escape(mismatch));
    }
    line("numbers", format!("{} of {} differ", count(found.numbers_changed), count(found.numbers)));
    let largest = match &found.largest_at {
        Some(place) => format!("{:e} ({})", found.largest_difference, escape(place)),
        None => "0".to_owned(),
    };
    line("largest difference", largest);
    let changed = count(found.predictions_changed);
    line("predictions", format!("{changed} of {} changed", plural(found.predictions, "image")));
    for (label, answer) in [("old result", &found.old), ("new result", &found.new)] {
        let Some(answer) = answer else { continue };
        let device = answer.provenance.as_ref().map_or("", |made| &made.device_name);
        let reported = answer.reported.map_or_else(String::new, |metrics| {
            let (accuracy, loss) = (fixed(metrics.val_accuracy, 4), fixed(metrics.val_loss, 4));
            format!(", epoch {}: validation {accuracy} (loss {loss})", metrics.epoch)
        });
        line(label, format!("round {}, attempt {}, {}{reported}", answer.round, answer.attempt, escape(device)));
    }
    lines.join("\n")
}
