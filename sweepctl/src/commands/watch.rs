//! `sweepctl watch`: follows a sweep to its end, then shows the leaderboard.

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::GetSweepRequest;
use sweep_shapes::text::escape;
use sweep_shapes::{HeldBack, Leaderboard, Sweep};

use super::{Context, leaderboard, status};
use crate::client::{self, Client};
use crate::cost;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::study::Study;
use crate::watch::{Display, Ending, LogWriter, Progress, Setting, follow};

#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal this is a live screen. q or Ctrl-C leaves it (the sweep continues), Tab switches the \
        pane, the arrow keys scroll, and ? lists all keys. Exit codes: those of the sweep, or 130 if you leave before \
        it ends.\n\nExamples:\n  sweepctl watch scene-cnn\n  sweepctl watch 3 --progress lines 2>> sweep.log\n\n\
        With `--output json`, stdout contains one object per line: `{\"event\": \"status\", \"sweep\": ...}` at every \
        change, and `{\"event\": \"end\", \"leaderboard\": ..., \"store\": ...}` at the end."
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// Progress display; auto: a live screen on a terminal, else lines
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    progress: Progress,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let mut client = client::connect(&context.coordinator).await?;
    let request = GetSweepRequest { sweep: client::reference(&arguments.sweep) };
    let answer = client.get_sweep(request).await?.into_inner();
    let overrides = answer.overrides.into_iter().map(|entry| (entry.key, entry.value)).collect();
    let sweep = Sweep::from(sweep_shapes::expect(answer.sweep, "sweep")?);
    // A sweep whose spec needs a newer version is shown without its plan.
    if let Ok(study) = Study::read("spec", answer.spec.to_vec(), overrides, None) {
        context.output.say(&study.summary());
    }
    if context.backend.is_idle() && !sweep.state.has_ended() {
        let name = sweep_shapes::text::escape(&sweep.name);
        let text = format!("sweep {} {name} is unfinished, and no process trains on the local store now", sweep.id);
        let hint = format!("run `sweepctl resume {} --local` to train and follow it", sweep.id);
        return Err(Failure::failed(text).hint(hint));
    }
    let display = Display::new(context.output, arguments.progress, &LogWriter::default());
    let setting = Setting { output: context.output, embedded: false, made: false };
    match follow(&mut client, sweep.id, display, &mut interrupt, setting).await? {
        Ending::Ended(sweep) => finish(context, &mut client, &sweep, End { streamed: true, store: None }).await,
        Ending::Interrupted(number) => {
            interrupt.leave_at_the_next();
            say_how_to_come_back(context, sweep.id);
            Ok(Exit::Signal(number))
        }
    }
}

pub(crate) fn say_how_to_come_back(context: &Context, sweep: u64) {
    let coordinator = match context.coordinator.as_str() {
        crate::arguments::DEFAULT_COORDINATOR => String::new(),
        // The store's process announces its address and token beside the store.
        _ if context.backend.is_local() => String::new(),
        other => format!(" --coordinator {other}"),
    };
    let text = format!("sweep {sweep} continues: follow it again with `sweepctl watch {sweep}{coordinator}`");
    context.output.say(&text);
}

/// How to print the end.
pub(crate) struct End {
    /// Whether stdout already carries a line of JSON per status.
    pub(crate) streamed: bool,
    /// The store of the embedded coordinator.
    pub(crate) store: Option<String>,
}

/// The end of a watched sweep, as JSON.
#[derive(Serialize)]
struct Ended<'a> {
    event: &'static str,
    leaderboard: &'a Leaderboard,
    store: &'a Option<String>,
    /// Why it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back: Option<&'a HeldBack>,
}

/// Prints why a sweep is held back, and what the user can do.
fn say_what_is_held_back(output: &Output, sweep: &Sweep, embedded: bool) {
    let why = sweep.held_back.as_ref().map_or_else(String::new, |held| escape(&held.sentence));
    output.say(&format!("sweep {} has not ended: {why}", sweep.id));
    output.say(&if embedded {
        "fix the cause, then run the same command again: it continues with the trials that are held back".to_owned()
    } else {
        let id = sweep.id;
        format!("fix the cause, then run {}; `sweepctl cancel {id}` cancels the sweep", status::how_to_go_on(id))
    });
}

/// Prints the leaderboard of a sweep that has ended, and returns how it ended.
pub(crate) async fn finish(context: &Context, client: &mut Client, sweep: &Sweep, end: End) -> Result<Exit, Failure> {
    let board = leaderboard::fetch(client, sweep.id).await?;
    let output = &context.output;
    if output.is_json() {
        let held_back = sweep.held_back.as_ref().filter(|_| status::needs_a_person(sweep));
        let ended = Ended { event: "end", leaderboard: &board, store: &end.store, held_back };
        if end.streamed { output.json_line(&ended)? } else { output.json(&ended)? }
    } else {
        leaderboard::print(output, &board)?;
    }
    if let Some(store) = &end.store {
        output.say(&format!("store: {store}"));
    }
    if let Some(cost) = &sweep.cost {
        output.say(&format!("cost: {}", cost::sentence(cost)));
        if let Some(budget) = cost::budget(cost) {
            output.say(&format!("budget: {budget}"));
        }
        if let Some(accuracy) = cost.accuracy.first() {
            output.say(&cost::accuracy(accuracy));
        }
    }
    let exit = status::exit(sweep);
    if status::needs_a_person(sweep) {
        say_what_is_held_back(output, sweep, end.store.is_some());
        return Ok(exit);
    }
    if matches!(exit, Exit::TrialsFailed) {
        let text = format!(
            "some trials failed: `sweepctl trials {} --state failed` lists them, `sweepctl logs TRIAL` shows why",
            sweep.id
        );
        output.say(&text);
    }
    Ok(exit)
}
