//! `sweepctl submit`: creates a sweep from a spec, on a coordinator or on this machine.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::{Override, SubmitRequest};
use sweep_shapes::text::escape;
use sweep_shapes::{Outlook, Sweep};

use super::estimate::Money;
use super::watch::{End, finish, say_how_to_come_back};
use super::{Context, status};
use crate::client::{self, Client};
use crate::cost;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::revision;
use crate::study::{self, Study};
use crate::watch::{Display, Ending, LogWriter, Progress, Setting, follow};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sweepctl submit sweeps/quickstart.yaml --local --watch\n  \
    sweepctl submit sweeps/ablation.yaml --set protocol.epochs=10 --name short --wait")]
pub(crate) struct Arguments {
    /// Spec: a YAML file, or `-` for stdin
    pub(crate) file: PathBuf,
    /// Run on this machine with an embedded coordinator, worker and store; an unfinished sweep of this spec is resumed
    #[arg(long)]
    pub(crate) local: bool,
    /// Show the plan and the progress, then the leaderboard
    #[arg(long)]
    watch: bool,
    /// Progress display of `--watch`; auto: a live screen on a terminal, else lines
    #[arg(long, value_enum, default_value_t, value_name = "FORM", requires = "watch")]
    progress: Progress,
    /// Wait without showing progress, then show the leaderboard
    #[arg(long, conflicts_with = "watch")]
    wait: bool,
    /// Override of a spec value, such as `protocol.epochs=10`; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = study::parse_override)]
    overrides: Vec<(String, String)>,
    /// Name of the sweep, instead of the spec's
    #[arg(long)]
    name: Option<String>,
    /// Priority from -1000 to 1000; higher runs first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    priority: i32,
    /// Run every trial again in a new round, even if its result is known; old results are kept
    #[arg(long)]
    fresh: bool,
    /// Maximum number of trials of a grid; a larger grid is refused
    #[arg(long, value_name = "TRIALS")]
    trial_limit: Option<u64>,
    #[command(flatten)]
    money: Money,
    /// With --local: folder with data sets, or with targets of links in them; repeatable [default: the spec's folder]
    #[arg(long, value_name = "FOLDER", requires = "local")]
    pub(crate) data_root: Vec<PathBuf>,
    /// With --local: database file [default: .sweep/sweep.db]
    #[arg(long, value_name = "PATH", requires = "local")]
    pub(crate) store: Option<PathBuf>,
    /// With --local: slots, as `auto`, a number, or devices such as `cuda:0,cuda:1` [default: auto]
    #[arg(long, value_name = "SLOTS", requires = "local")]
    pub(crate) slots: Option<String>,
    /// With --local: also train the store's other unfinished sweeps; otherwise they are paused
    #[arg(long, requires = "local")]
    resume_others: bool,
    /// With --local: start without the damaged or lost parts of the store, and log them
    #[arg(long, requires = "local")]
    accept_loss: bool,
}

/// The answer of `submit` as JSON without `--wait`.
#[derive(Serialize)]
struct Submitted<'a> {
    sweep: &'a Sweep,
    /// It existed and is resumed.
    resumed: bool,
    /// The forecast of its opened stages; `None` for a resumed sweep.
    outlook: Option<Outlook>,
    /// Possible problems, in sentences.
    warnings: Vec<String>,
}

/// The coordinator's answer.
struct Accepted {
    sweep: Sweep,
    resumed: bool,
    outlook: Option<Outlook>,
    warnings: Vec<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    // The spec is also checked here: the errors then have its file name, and need no coordinator.
    let text = study::load(&arguments.file)?;
    let file = arguments.file.display().to_string();
    let overrides = arguments.money.overrides(&arguments.overrides);
    let study = Study::read(&file, text, overrides, arguments.trial_limit)?;
    let study = study.named(arguments.name.as_deref());
    for warning in study.warnings() {
        context.output.say(&format!("warning: {warning}"));
    }
    let interrupt = Interrupt::listen()?;
    if arguments.local {
        return run_here(context, arguments, &study, interrupt).await;
    }
    run_there(context, arguments, &study, interrupt).await
}

/// Submits to a coordinator, which continues without this process.
async fn run_there(
    context: &Context,
    arguments: &Arguments,
    study: &Study,
    mut interrupt: Interrupt,
) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let Accepted { sweep, resumed, outlook, warnings } = submit(&mut client, arguments, study, false).await?;
    say_who_is_out_of_service(context, &sweep);
    for warning in &warnings {
        context.output.say(&format!("warning: {}", escape(warning)));
    }
    if arguments.watch || arguments.wait {
        tell(context, outlook);
    } else {
        if context.output.is_json() {
            context.output.json(&Submitted { sweep: &sweep, resumed, outlook, warnings })?;
        } else {
            context.output.text(&status::headline(&sweep))?;
            if let Some(outlook) = outlook {
                context.output.text(&outlook.to_string())?;
            }
            say_cost(context, &sweep);
            context.output.say(&format!("follow it with `sweepctl watch {}`", sweep.id));
        }
        return Ok(Exit::Success);
    }
    let display = display(context, arguments, study, &LogWriter::default());
    let setting = Setting { output: context.output, embedded: false, made: !resumed };
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

#[cfg(not(feature = "local"))]
async fn run_here(_: &Context, _: &Arguments, _: &Study, _: Interrupt) -> Result<Exit, Failure> {
    Err(Failure::usage("this sweepctl was built without `--local`")
        .hint("build sweepctl with the feature `local`, or submit to a coordinator"))
}

/// Trains in this process; everything ends with it.
#[cfg(feature = "local")]
async fn run_here(
    context: &Context,
    arguments: &Arguments,
    study: &Study,
    interrupt: Interrupt,
) -> Result<Exit, Failure> {
    use super::local_run::{Continuation, Job, train};
    use super::unfinished::Own;
    use crate::local::{LocalOptions, data_roots};

    let here = LocalOptions {
        store: arguments.store.clone(),
        data_roots: data_roots(&arguments.data_root, study::folder_of(&arguments.file)),
        slots: arguments.slots.clone(),
        accept_loss: arguments.accept_loss,
    };
    let digest = study.plan.spec().digest();
    let digest = digest.map_err(|error| Failure::internal("the spec has no digest").because(error))?;
    // With `--fresh`, this is a new sweep and not a resumed one.
    let own = if arguments.fresh { Own::New } else { Own::Spec(digest) };
    let progress = LogWriter::default();
    let display = display(context, arguments, study, &progress);
    let (resume_others, again) = (arguments.resume_others, Continuation::AsTyped);
    let job = Job { here: &here, own, resume_others, progress: &progress, again };
    train(context, job, interrupt, async |client, interrupt, store| {
        watch_here(context, (arguments, study), client, (display, store), interrupt).await
    })
    .await
}

/// Submits to the embedded coordinator and follows the sweep to its end.
#[cfg(feature = "local")]
async fn watch_here(
    context: &Context,
    (arguments, study): (&Arguments, &Study),
    client: &mut Client,
    (display, store): (Display, &str),
    interrupt: &mut Interrupt,
) -> Result<super::local_run::Outcome, Failure> {
    use super::local_run::{FollowedSweep, follow_here};

    let Accepted { mut sweep, resumed, outlook, .. } = submit(client, arguments, study, !arguments.fresh).await?;
    tell(context, outlook);
    if sweep.paused {
        sweep = super::unfinished::let_go_on(client, sweep.id).await?;
    }
    if resumed {
        let known = status::counts(&sweep.counts);
        context.output.say(&format!("sweep {} is resumed: {known}", sweep.id));
    }
    say_cost(context, &sweep);
    let followed = FollowedSweep { sweep: sweep.id, display, streamed: arguments.watch, made: !resumed };
    follow_here(context, client, followed, interrupt, store).await
}

/// Lists workers that will train nothing of it in their current state.
fn say_who_is_out_of_service(context: &Context, sweep: &Sweep) {
    for absent in &sweep.out_of_service {
        context.output.say(&format!("warning: {}", escape(&absent.to_string())));
    }
}

/// Prints the expected cost, and what the budget excluded, if known.
fn say_cost(context: &Context, sweep: &Sweep) {
    let Some(cost) = &sweep.cost else { return };
    if cost.left_slot_seconds.is_some_and(|left| left.expected > 0.0) {
        context.output.say(&format!("cost: {}", cost::sentence(cost)));
    }
    if let Some(budget) = cost::budget(cost) {
        context.output.say(&format!("budget: {budget}"));
    }
}

/// The display of progress; the plan is printed before it.
fn display(context: &Context, arguments: &Arguments, study: &Study, log_writer: &LogWriter) -> Display {
    if !arguments.watch {
        return Display::Quiet;
    }
    context.output.say(&study.summary());
    Display::new(context.output, arguments.progress, log_writer)
}

/// Prints how many trials are known or shared; nothing for a sweep that shares none.
fn tell(context: &Context, outlook: Option<Outlook>) {
    if let Some(outlook) = outlook.filter(|outlook| outlook.known + outlook.shared > 0) {
        context.output.say(&outlook.to_string());
    }
}

async fn submit(client: &mut Client, arguments: &Arguments, study: &Study, resume: bool) -> Result<Accepted, Failure> {
    let overrides = arguments.money.overrides(&arguments.overrides);
    let overrides = overrides.into_iter().map(|(key, value)| Override { key, value });
    let request = SubmitRequest {
        spec: study.text().to_vec().into(),
        overrides: overrides.collect(),
        name: arguments.name.clone().unwrap_or_default(),
        trial_limit: arguments.trial_limit.unwrap_or(0),
        priority: arguments.priority,
        resume,
        user: client::user(),
        extends: None,
        fresh: arguments.fresh,
        revision: revision::of(&arguments.file).unwrap_or_default(),
    };
    let answer = client.submit(request).await?.into_inner();
    Ok(Accepted {
        sweep: sweep_shapes::expect(answer.sweep, "sweep")?.into(),
        resumed: answer.resumed,
        outlook: answer.outlook.map(Outlook::from),
        warnings: answer.warnings,
    })
}
