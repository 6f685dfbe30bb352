//! `sweepctl completions`: shell scripts that complete commands, flags and paths, and names of sweeps and workers from
//! the coordinator.

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use clap::{Args, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};
use sweep_proto::v1::{ListSweepsRequest, ListWorkersRequest};

use super::Context;
use crate::arguments::{COORDINATOR_VARIABLE, Connection, DEFAULT_COORDINATOR};
use crate::client;
use crate::coordinator::Coordinator;
use crate::failure::{Exit, Failure};

/// Set by the scripts when they request candidates.
const VARIABLE: &str = "SWEEPCTL_COMPLETE";
/// Time limit of one request, because a user waits after pressing Tab.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(800);
/// The most candidates.
const MOST: usize = 200;
/// Sweeps that are requested: the newest.
const NEWEST: u32 = 100;

#[derive(Debug, Args)]
#[command(
    after_help = "The script runs sweepctl at every Tab, so it also completes the names of sweeps and workers. Script \
        and program must have the same version, so create the script when a shell starts. --static prints a script \
        that does not run sweepctl.\n\n\
        Examples:\n  source <(sweepctl completions bash)\n  sweepctl completions fish > \
        ~/.config/fish/completions/sweepctl.fish\n  sweepctl completions zsh --static > _sweepctl"
)]
pub(crate) struct Arguments {
    /// Shell that the script is for
    shell: Shell,
    /// Print a script that completes only commands and flags, without running sweepctl
    #[arg(long = "static")]
    alone: bool,
}

pub(crate) fn run(context: &Context, arguments: &Arguments, mut whole: Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    if arguments.alone {
        clap_complete::generate(arguments.shell, &mut whole, "sweepctl", &mut script);
    } else {
        let shells = Shells::builtins();
        let shell = shells.completer(&arguments.shell.to_string());
        let shell =
            shell.ok_or_else(|| Failure::usage("this shell supports only the static script").hint("add --static"))?;
        let made = shell.write_registration(VARIABLE, "sweepctl", "sweepctl", "sweepctl", &mut script);
        made.map_err(|error| Failure::internal("cannot create the script").because(error))?;
    }
    let mut out = context.output.data();
    out.write_all(&script).and_then(|()| out.flush()).map_err(Failure::writing)?;
    Ok(Exit::Success)
}

/// Answers a request for candidates and exits; otherwise returns.
pub(crate) fn answer(whole: fn() -> Command) {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(move || with_names(whole())).var(VARIABLE).bin("sweepctl").complete();
    }
}

/// Adds completion of sweep and worker names to the command line.
fn with_names(command: Command) -> Command {
    let named = |arg: clap::Arg| {
        if arg.get_possible_values().is_empty() {
            match arg.get_id().as_str() {
                "sweep" => return arg.add(ArgValueCandidates::new(sweeps)),
                "worker" => return arg.add(ArgValueCandidates::new(workers)),
                _ => {}
            }
        }
        arg
    };
    let of_workers = command.get_name() == "workers";
    let command = command.mut_args(named);
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |verb| {
            let verb = with_names(verb);
            let has_name = verb.get_arguments().any(|arg| arg.get_id() == "name" && arg.is_positional());
            match of_workers && has_name {
                true => verb.mut_arg("name", |arg| arg.add(ArgValueCandidates::new(workers))),
                false => verb,
            }
        })
    })
}

fn sweeps() -> Vec<CompletionCandidate> {
    let found = ask(async |mut client| {
        let sweeps = client
            .list_sweeps(ListSweepsRequest { page_size: NEWEST, ..Default::default() })
            .await
            .ok()?
            .into_inner()
            .sweeps;
        Some(sweeps.into_iter().take(MOST).map(|sweep| (sweep.id, sweep.name)).collect::<Vec<_>>())
    });
    let mut seen = HashSet::new();
    let mut candidates = Vec::new();
    for (id, name) in found.unwrap_or_default() {
        let about = format!("sweep {id}");
        // A name refers to the newest of its sweeps, which is listed first.
        if is_a_word(&name) && seen.insert(name.clone()) {
            candidates.push(CompletionCandidate::new(name.clone()).help(Some(about.into())));
        }
        candidates.push(CompletionCandidate::new(id.to_string()).help(is_a_word(&name).then(|| name.into())));
    }
    candidates
}

fn workers() -> Vec<CompletionCandidate> {
    let found = ask(async |mut client| {
        let workers = client.list_workers(ListWorkersRequest {}).await.ok()?.into_inner().workers;
        Some(workers.into_iter().take(MOST).collect::<Vec<_>>())
    });
    let workers = found.unwrap_or_default().into_iter().filter(|worker| is_a_word(&worker.name));
    workers.map(|worker| CompletionCandidate::new(worker.name).help(Some(worker.state.into()))).collect()
}

/// Whether a name is safe to complete. Bash inserts it unquoted, so a sweep's name must not contain characters that a
/// shell interprets; such sweeps can be given by number.
fn is_a_word(name: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || "-_.@+".contains(letter);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

/// Asks the coordinator within the time limit; `None` on any failure.
fn ask<T>(question: impl AsyncFnOnce(client::Client) -> Option<T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let asked = async { question(client::connect(&coordinator()).await.ok()?).await };
        tokio::time::timeout(REQUEST_TIMEOUT, asked).await.ok().flatten()
    })
}

/// The coordinator and credentials from the line so far, or from the environment.
fn coordinator() -> Coordinator {
    let words: Vec<String> = std::env::args().collect();
    let (token, ca_file) = typed(&words).credentials();
    let urls = typed(&words).coordinator.or_else(|| std::env::var(COORDINATOR_VARIABLE).ok());
    let urls = urls.filter(|url| !url.is_empty()).unwrap_or_else(|| DEFAULT_COORDINATOR.to_owned());
    Coordinator { urls, token, ca_file }
}

/// The connection flags on the line so far.
fn typed(words: &[String]) -> Connection {
    let value = |flag: &str| {
        let behind = words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1).cloned());
        let joined = || words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('=').map(str::to_owned));
        behind.or_else(joined)
    };
    Connection {
        coordinator: value("--coordinator"),
        token_file: value("--token-file").map(Into::into),
        ca_file: value("--ca-file").map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_act_on_is_never_put_on_its_line() {
        for word in ["scene-cnn", "größe_2", "v1.2", "gpu@7"] {
            assert!(is_a_word(word), "{word}");
        }
        for other in ["", "-rf", "$(id)", "`id`", "a;b", "a*", "a b", "a\u{1b}[31m", "a'b", "a|b", "~root", "a&"] {
            assert!(!is_a_word(other), "{other}");
        }
    }
}
