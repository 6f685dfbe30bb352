//! Training in this process, for every command with `--local`: opens the store, decides about other unfinished sweeps,
//! starts the worker, follows the sweep, and stops everything at the end.

use std::path::{Path, PathBuf};

use clap::Args;
use sweep_shapes::Sweep;

use super::unfinished::{self, Own};
use super::watch::{End, finish};
use super::{Context, status};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::local::{Local, LocalOptions, data_roots};
use crate::watch::{Display, Ending, LogWriter, Progress, Setting, follow};

/// The work and its location.
pub(crate) struct Job<'a> {
    pub(crate) here: &'a LocalOptions,
    pub(crate) own: Own,
    /// Whether to train the store's other unfinished sweeps too.
    pub(crate) resume_others: bool,
    pub(crate) progress: &'a LogWriter,
    /// The command to continue after an interruption.
    pub(crate) again: Continuation,
}

/// How the user continues interrupted work.
pub(crate) enum Continuation {
    /// With the same command line.
    AsTyped,
    /// With `sweepctl resume`, the sweep's number, and these flags.
    Resume(String),
}

impl Continuation {
    fn line(&self, sweep: Option<u64>) -> Option<String> {
        match (self, sweep) {
            (Self::AsTyped, _) => Some(command_line()),
            (Self::Resume(flags), Some(sweep)) => Some(format!("sweepctl resume {sweep} --local{flags}")),
            (Self::Resume(_), None) => None,
        }
    }
}

/// How the work ended.
pub(crate) enum Outcome {
    /// It completed.
    Exit(Exit),
    /// A signal with this number arrived while this sweep was training.
    Interrupted(u8, Option<u64>),
}

/// Runs `work` with a coordinator and a worker in this process.
pub(crate) async fn train(
    context: &Context,
    job: Job<'_>,
    mut interrupt: Interrupt,
    work: impl AsyncFnOnce(&mut Client, &mut Interrupt, &str) -> Result<Outcome, Failure>,
) -> Result<Exit, Failure> {
    let opened = tokio::select! {
        biased;
        number = interrupt.signalled() => return Ok(Exit::Signal(number)),
        opened = Local::open(job.here, context.output, job.progress) => opened,
    };
    let (mut local, mut client) = opened?;
    let begun = tokio::select! {
        biased;
        number = interrupt.signalled() => Ok(Some(number)),
        begun = begin(context, &job, &mut local, &mut client) => begun.map(|()| None),
    };
    let (store, damage) = (local.store.display().to_string(), local.damage());
    let done = match begun {
        Ok(None) => tokio::select! {
            biased;
            done = Box::pin(work(&mut client, &mut interrupt, &store)) => done,
            failure = local.failed() => Err(failure),
        },
        Ok(Some(number)) => Ok(Outcome::Interrupted(number, None)),
        Err(failure) => Err(failure),
    };
    match &done {
        Ok(Outcome::Interrupted(..)) => context.output.say("stopping; interrupt again to exit at once"),
        // Stopping takes some seconds if the worker has lost its coordinator.
        Err(_) if damage.borrow().is_some() => context.output.say("stopping, because the store is gone or damaged"),
        Ok(Outcome::Exit(_)) | Err(_) => {}
    }
    interrupt.leave_at_the_next();
    drop(client);
    local.stop().await;
    // A failing store first shows as a request without an answer.
    let damaged = damage.borrow().clone().filter(|_| done.is_err());
    if let Some(what) = damaged {
        return Err(Failure::failed(what));
    }
    match done? {
        Outcome::Exit(exit) => Ok(exit),
        Outcome::Interrupted(number, sweep) => {
            let again = job.again.line(sweep).map(|line| format!("; continue with `{line}`"));
            context.output.say(&format!("stopped{}", again.unwrap_or_default()));
            Ok(Exit::Signal(number))
        }
    }
}

async fn begin(context: &Context, job: &Job<'_>, local: &mut Local, client: &mut Client) -> Result<(), Failure> {
    // Without a worker nothing is assigned, so sweeps paused here are paused before any trial starts.
    unfinished::settle(context, client, &job.own, job.resume_others).await?;
    local.train(job.here).await?;
    local.say_page(job.progress)
}

/// Where a command trains a sweep of the local store.
#[derive(Debug, Clone, Args)]
pub(crate) struct LocalArguments {
    /// Train on this machine with the store of `submit --local`, and follow the sweep until it ends
    #[arg(long)]
    pub(crate) local: bool,
    /// With --local: progress display; auto: a live screen on a terminal, else lines
    #[arg(long, value_enum, default_value_t, value_name = "FORM", requires = "local")]
    progress: Progress,
    /// With --local: also train the other unfinished sweeps of the store
    #[arg(long, requires = "local")]
    resume_others: bool,
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

impl LocalArguments {
    /// These flags, for a command line that continues the work.
    fn flags(&self) -> String {
        let text = |path: &PathBuf| path.display().to_string();
        let roots = self.data_root.iter().map(|root| ("--data-root", text(root)));
        let store = self.store.iter().map(|store| ("--store", text(store)));
        let slots = self.slots.iter().map(|slots| ("--slots", slots.clone()));
        let given = roots.chain(store).chain(slots);
        given.map(|(flag, value)| format!(" {flag} {}", quoted(&value))).collect()
    }

    /// Trains the sweep that `begin` returns, and follows it to its end.
    pub(crate) async fn train(
        &self,
        context: &Context,
        own: Own,
        begin: impl AsyncFnOnce(&mut Client) -> Result<Sweep, Failure>,
    ) -> Result<Exit, Failure> {
        let data_roots = data_roots(&self.data_root, Path::new("."));
        let (store, slots) = (self.store.clone(), self.slots.clone());
        let here = LocalOptions { store, data_roots, slots, accept_loss: false };
        let progress = LogWriter::default();
        let made = matches!(own, Own::New);
        let job = Job {
            here: &here,
            own,
            resume_others: self.resume_others,
            progress: &progress,
            again: Continuation::Resume(self.flags()),
        };
        let display = Display::new(context.output, self.progress, &progress);
        let interrupt = Interrupt::listen()?;
        train(context, job, interrupt, async |client, interrupt, store| {
            let sweep = begin(client).await?;
            let sweep = if sweep.paused { unfinished::let_go_on(client, sweep.id).await? } else { sweep };
            context.output.say(&format!("{}; {}", status::headline(&sweep), status::counts(&sweep.counts)));
            let followed = FollowedSweep { sweep: sweep.id, display, streamed: true, made };
            follow_here(context, client, followed, interrupt, store).await
        })
        .await
    }
}

/// A sweep to follow.
pub(crate) struct FollowedSweep {
    pub(crate) sweep: u64,
    pub(crate) display: Display,
    /// Whether stdout carries its statuses.
    pub(crate) streamed: bool,
    /// Whether this command has created it.
    pub(crate) made: bool,
}

/// Follows a sweep that is trained here, and prints its end.
pub(crate) async fn follow_here(
    context: &Context,
    client: &mut Client,
    followed: FollowedSweep,
    interrupt: &mut Interrupt,
    store: &str,
) -> Result<Outcome, Failure> {
    let FollowedSweep { sweep, display, streamed, made } = followed;
    let setting = Setting { output: context.output, embedded: true, made };
    match follow(client, sweep, display, interrupt, setting).await? {
        Ending::Ended(sweep) => {
            let end = End { streamed, store: Some(store.to_owned()) };
            finish(context, client, &sweep, end).await.map(Outcome::Exit)
        }
        Ending::Interrupted(number) => Ok(Outcome::Interrupted(number, Some(sweep))),
    }
}

/// The command line as the user typed it.
fn command_line() -> String {
    let words = std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    std::iter::once("sweepctl".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./=:,@%+".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
