//! One file a verb: its arguments, and what it does with them.

pub(crate) mod ablation;
pub(crate) mod artifacts;
pub(crate) mod cancel;
pub(crate) mod certs;
pub(crate) mod compare;
pub(crate) mod completions;
#[cfg(feature = "local")]
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod estimate;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod extend;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod leaderboard;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod reproduce;
pub(crate) mod status;
pub(crate) mod steer;
#[cfg(feature = "local")]
pub(crate) mod store;
pub(crate) mod submit;
pub(crate) mod token;
pub(crate) mod trial;
pub(crate) mod trials;
pub(crate) mod watch;
pub(crate) mod workers;

use std::future::Future;

use clap::CommandFactory;

use crate::arguments::{Cli, Command, DEFAULT_COORDINATOR};
use crate::coordinator::Coordinator;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::probe;

/// What every verb has.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) coordinator: Coordinator,
    /// Somebody named it; otherwise it is the default.
    pub(crate) named: bool,
}

/// Does what the command line says. Where nobody at the address speaks as a coordinator does, it is said what does listen.
pub(crate) fn run(cli: Cli, output: Output) -> Result<Exit, Failure> {
    let named = cli.named_coordinator();
    let urls = named.clone().unwrap_or_else(|| DEFAULT_COORDINATOR.to_owned());
    let (shown, ca_file) = cli.credentials();
    let coordinator = Coordinator { urls, shown, ca_file };
    let context = Context { output, coordinator, named: named.is_some() };
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
        Command::List(_) => block_on(list::run(context)),
        Command::Status(verb) => block_on(status::run(context, &verb.arguments)),
        Command::Watch(verb) => block_on(watch::run(context, &verb.arguments)),
        Command::Leaderboard(verb) => block_on(leaderboard::run(context, &verb.arguments)),
        Command::Compare(verb) => block_on(compare::run(context, &verb.arguments)),
        Command::Ablation(verb) => block_on(ablation::run(context, &verb.arguments)),
        Command::Trials(verb) => block_on(trials::run(context, &verb.arguments)),
        Command::Trial(verb) => block_on(trial::run(context, &verb.arguments)),
        Command::Logs(verb) => block_on(trial::logs(context, &verb.arguments)),
        Command::Cancel(verb) => block_on(cancel::run(context, &verb.arguments)),
        Command::Pause(verb) => block_on(steer::pause(context, verb.arguments.sweep(), true)),
        Command::Resume(verb) => block_on(steer::pause(context, verb.arguments.sweep(), false)),
        Command::Priority(verb) => block_on(steer::priority(context, &verb.arguments)),
        Command::Retry(verb) => block_on(steer::retry(context, &verb.arguments)),
        Command::Reproduce(verb) => block_on(reproduce::run(context, &verb.arguments)),
        Command::Explain(verb) => block_on(explain::run(context, &verb.arguments)),
        Command::Audit(verb) => block_on(explain::audit(context, &verb.arguments)),
        Command::Workers(verb) => block_on(workers::run(context, &verb.arguments)),
        Command::Token(verb) => block_on(token::run(context, &verb.arguments)),
        Command::Certs(verb) => certs::run(context, &verb),
        Command::Extend(verb) => block_on(extend::run(context, &verb.arguments)),
        Command::Report(verb) => block_on(report::run(context, &verb.arguments)),
        Command::Export(verb) => block_on(export::run(context, &verb.arguments)),
        Command::Artifacts(verb) => block_on(artifacts::run(context, &verb.arguments)),
        #[cfg(feature = "local")]
        Command::Data(verb) => data::run(context, &verb),
        #[cfg(feature = "local")]
        Command::Store(verb) => block_on(store::run(context, &verb)),
        #[cfg(feature = "local")]
        Command::Coordinator(arguments) => Ok(Exit::Program(sweep_coordinator::main_with(&arguments))),
        #[cfg(feature = "local")]
        Command::Worker(_) if cli.connection.coordinator.is_some() => {
            Err(Failure::usage("`--coordinator` before `worker` would not be heard").hint("put it behind `worker`"))
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

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed("cannot start the runtime").because(error))?;
    runtime.block_on(work)
}
