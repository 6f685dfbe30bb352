//! The commands, one file each: arguments and implementation.

pub(crate) mod ablation;
pub(crate) mod artifacts;
mod backend;
pub(crate) mod backup;
pub(crate) mod cancel;
pub(crate) mod certs;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod control;
#[cfg(feature = "local")]
pub(crate) mod data;
pub(crate) mod delete;
pub(crate) mod doctor;
pub(crate) mod estimate;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod extend;
pub(crate) mod gc;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod leaderboard;
pub(crate) mod list;
#[cfg(feature = "local")]
pub(crate) mod local_run;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod reproduce;
#[cfg(feature = "store")]
pub(crate) mod restore;
pub(crate) mod status;
#[cfg(feature = "store")]
pub(crate) mod store;
pub(crate) mod submit;
pub(crate) mod token;
pub(crate) mod trial;
pub(crate) mod trials;
#[cfg(feature = "local")]
pub(crate) mod unfinished;
pub(crate) mod watch;
pub(crate) mod workers;

use std::future::Future;

use clap::CommandFactory;
use sweep_shapes::Sweep;

use crate::arguments::{Cli, Command, DEFAULT_COORDINATOR};
use crate::coordinator::Coordinator;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::probe;
pub(crate) use backend::Backend;

/// The context of a command.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) coordinator: Coordinator,
    /// Whether a flag or variable named it; otherwise it is the default.
    pub(crate) named: bool,
    /// What answers instead, if it is not a coordinator.
    pub(crate) backend: Backend,
}

impl Context {
    /// Prints how to train a sweep that was changed while nothing trains.
    pub(crate) fn say_how_to_train(&self, sweep: &Sweep) {
        if self.backend.is_idle() && !sweep.state.has_ended() {
            self.output.say(&format!(
                "no process trains on the local store now: run `sweepctl resume {} --local` to train and follow the \
                sweep",
                sweep.id
            ));
        }
    }
}

/// Runs the command. If the address has no coordinator, the error includes what listens there instead.
pub(crate) fn run(cli: Cli, output: Output) -> Result<Exit, Failure> {
    let named = cli.named_coordinator();
    let urls = named.clone().unwrap_or_else(|| DEFAULT_COORDINATOR.to_owned());
    let (token, ca_file) = cli.credentials();
    let coordinator = Coordinator { urls, token, ca_file };
    let context = Context { output, coordinator, named: named.is_some(), backend: Backend::default() };
    match dispatch(&context, cli) {
        Err(failure) if failure.is_of_the_connection() => {
            let found = block_on(async { Ok(probe::listener(context.coordinator.as_str()).await) });
            match found.ok().and_then(|listener| listener.advice(context.coordinator.as_str())) {
                Some((found, advice)) => Err(Failure::failed(found).hint(advice)),
                None => Err(failure),
            }
        }
        answered => answered,
    }
}

fn dispatch(context: &Context, cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Plan(verb) => block_on(plan::run(context, &verb.arguments)),
        Command::Import(verb) => import::run(context, &verb),
        Command::Submit(verb) => block_on(submit::run(context, &verb.arguments)),
        Command::List(_) => ask(context, async |context| list::run(context).await),
        Command::Status(verb) => ask(context, async |context| status::run(context, &verb.arguments).await),
        Command::Watch(verb) => ask(context, async |context| watch::run(context, &verb.arguments).await),
        Command::Leaderboard(verb) => ask(context, async |context| leaderboard::run(context, &verb.arguments).await),
        Command::Compare(verb) => ask(context, async |context| compare::run(context, &verb.arguments).await),
        Command::Ablation(verb) => ask(context, async |context| ablation::run(context, &verb.arguments).await),
        Command::Trials(verb) => ask(context, async |context| trials::run(context, &verb.arguments).await),
        Command::Trial(verb) => ask(context, async |context| trial::run(context, &verb.arguments).await),
        Command::Logs(verb) => ask(context, async |context| trial::logs(context, &verb.arguments).await),
        Command::Cancel(verb) => ask(context, async |context| cancel::run(context, &verb.arguments).await),
        Command::Delete(verb) => ask(context, async |context| delete::run(context, &verb.arguments).await),
        Command::Backup(verb) => ask(context, async |context| backup::run(context, &verb.arguments).await),
        #[cfg(feature = "store")]
        Command::Restore(verb) => block_on(restore::run(context, &verb)),
        Command::Gc(verb) => ask(context, async |context| gc::run(context, &verb.arguments).await),
        Command::Pause(verb) => {
            ask(context, async |context| control::pause(context, verb.arguments.sweep(), true).await)
        }
        #[cfg(feature = "local")]
        Command::Resume(verb) if verb.arguments.place.local => block_on(control::resume_here(context, &verb.arguments)),
        Command::Resume(verb) => {
            ask(context, async |context| control::pause(context, verb.arguments.sweep(), false).await)
        }
        Command::Priority(verb) => ask(context, async |context| control::priority(context, &verb.arguments).await),
        #[cfg(feature = "local")]
        Command::Retry(verb) if verb.arguments.place.local => block_on(control::retry_here(context, &verb.arguments)),
        Command::Retry(verb) => ask(context, async |context| control::retry(context, &verb.arguments).await),
        Command::Reproduce(verb) if verb.arguments.local => block_on(reproduce::run(context, &verb.arguments)),
        Command::Reproduce(verb) => ask(context, async |context| reproduce::run(context, &verb.arguments).await),
        Command::Explain(verb) => ask(context, async |context| explain::run(context, &verb.arguments).await),
        Command::Audit(verb) => ask(context, async |context| explain::audit(context, &verb.arguments).await),
        Command::Workers(verb) => ask(context, async |context| workers::run(context, &verb.arguments).await),
        Command::Token(verb) => block_on(token::run(context, &verb.arguments)),
        Command::Certs(verb) => certs::run(context, &verb),
        #[cfg(feature = "local")]
        Command::Extend(verb) if verb.arguments.place.local => block_on(extend::run_here(context, &verb.arguments)),
        Command::Extend(verb) => ask(context, async |context| extend::run(context, &verb.arguments).await),
        Command::Report(verb) => ask(context, async |context| report::run(context, &verb.arguments).await),
        Command::Export(verb) => ask(context, async |context| export::run(context, &verb.arguments).await),
        Command::Artifacts(verb) => ask(context, async |context| artifacts::run(context, &verb.arguments).await),
        #[cfg(feature = "local")]
        Command::Data(verb) => data::run(context, &verb),
        #[cfg(feature = "store")]
        Command::Store(verb) => block_on(store::run(context, &verb)),
        #[cfg(feature = "local")]
        Command::Coordinator(arguments) => Ok(Exit::Program(sweep_coordinator::main_with(&arguments))),
        #[cfg(feature = "local")]
        Command::Worker(_) if cli.connection.coordinator.is_some() => {
            Err(Failure::usage("`--coordinator` before `worker` has no effect").hint("put it after `worker`"))
        }
        #[cfg(feature = "local")]
        Command::Worker(arguments) => block_on(async {
            let command = crate::local::trainer_command()?;
            Ok(Exit::Program(sweep_worker::main_with(*arguments, command).await))
        }),
        #[cfg(feature = "local")]
        Command::Trainer => Ok(Exit::Program(sweep_trainer::run())),
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Doctor(verb) => block_on(doctor::run(context, &verb.arguments)),
        Command::Completions(arguments) => completions::run(context, &arguments, Cli::command()),
        Command::Man(arguments) => man::run(context, &arguments, Cli::command()),
    }
}

/// Runs a command that asks a coordinator, or the local store instead.
fn ask(context: &Context, verb: impl AsyncFnOnce(&Context) -> Result<Exit, Failure>) -> Result<Exit, Failure> {
    block_on(backend::ask(context, verb))
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed("cannot start the runtime").because(error))?;
    runtime.block_on(work)
}
