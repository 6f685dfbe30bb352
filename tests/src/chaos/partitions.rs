//! Partitions of a real network: a worker in a separate network namespace, whose packets iptables drops or answers with
//! resets, one way or both, for longer than its lease. `ci/partitions` makes the namespaces.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::Error;
use super::count::{Count, Witness};
use super::run::submit;
use super::study::grid;
use crate::fleet::Fleet;
use crate::scripted::Script;

/// How long a partition lasts; leases are 2 s.
const CUT: Duration = Duration::from_secs(6);

/// A sweep that takes longer to reach a state is stuck.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(600);

/// The interval between reads of the store.
const LOOK: Duration = Duration::from_millis(20);

/// Addresses and paths.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The network namespace of the worker that is cut off
    #[arg(long)]
    namespace: String,
    /// The coordinator's address as the worker reaches it
    #[arg(long)]
    listen: SocketAddr,
    /// The worker's network interface
    #[arg(long)]
    interface: String,
    /// Trials of each sweep
    #[arg(long, default_value_t = 120)]
    trials: u32,
}

/// A way to cut a worker off.
struct Cut {
    name: &'static str,
    /// Chains of the worker's side, each with what happens to its packets.
    rules: &'static [(&'static str, &'static [&'static str])],
}

const DROP: &[&str] = &["-j", "DROP"];
const RESET: &[&str] = &["-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"];

const CUTS: [Cut; 7] = [
    Cut { name: "drop", rules: &[("INPUT", DROP), ("OUTPUT", DROP)] },
    Cut { name: "drop there", rules: &[("OUTPUT", DROP)] },
    Cut { name: "drop back", rules: &[("INPUT", DROP)] },
    Cut { name: "reset", rules: &[("INPUT", RESET), ("OUTPUT", RESET)] },
    Cut { name: "reset there", rules: &[("OUTPUT", RESET)] },
    Cut { name: "reset back", rules: &[("INPUT", RESET)] },
    Cut { name: "link down", rules: &[] },
];

/// The result of one partition.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The kind of partition.
    pub cut: &'static str,
    /// From its first to its last moment.
    pub cut_seconds: f64,
    /// From healing to the end of a sweep that only this worker could do.
    pub back_seconds: f64,
    /// Whether the first sweep still ran when it healed.
    pub healed_within: bool,
    /// The final counts of the first sweep.
    #[serde(flatten)]
    pub count: Count,
    pub problems: Vec<String>,
}

/// Partitions a worker in every way, one after the other, and reports each result.
///
/// # Errors
/// Something cannot be run, or a sweep does not end.
pub async fn partitions(program: &Path, options: &Options, say: impl Fn(&Outcome)) -> Result<bool, Error> {
    let mut all_well = true;
    for cut in &CUTS {
        let outcome = one(program, options, cut).await.map_err(|error| format!("{}: {error}", cut.name))?;
        all_well &= outcome.problems.is_empty();
        say(&outcome);
    }
    Ok(all_well)
}

async fn one(program: &Path, options: &Options, cut: &Cut) -> Result<Outcome, Error> {
    let folder = tempfile::tempdir()?;
    let script = Script { faults: 0.1, ..Script::default() };
    let fleet = Fleet::new(program, folder.path(), &script).coordinator_key("insecure", json!(true));
    let (_coordinator, address) = fleet.coordinator(options.listen)?;
    let within = ["ip", "netns", "exec", &options.namespace];
    let _far = fleet.worker_within(&within, "far", address)?;
    let near = fleet.worker("near", address)?;
    let trials = options.trials;
    let sweep = submit(address, grid(trials)).await?;
    let mut witness = Witness::open(&fleet.store()).await?;
    until(&mut witness, sweep, Until::Succeeded(i64::from(trials / 8))).await?;
    let cut_at = Instant::now();
    apply(options, cut, true)?;
    tokio::time::sleep(CUT).await;
    let healed_within = !witness.has_ended(sweep).await?;
    apply(options, cut, false)?;
    let healed_at = Instant::now();
    until(&mut witness, sweep, Until::Ended).await?;
    // Only the worker that was cut off is left: when it has done another sweep, it has said all that it had to say.
    drop(near);
    // Its first trials are those of the first sweep.
    let next = submit(address, grid(2 * trials)).await?;
    until(&mut witness, next, Until::Ended).await?;
    let count = witness.count(sweep).await?;
    let problems = count.problems(i64::from(trials));
    Ok(Outcome {
        cut: cut.name,
        cut_seconds: healed_at.duration_since(cut_at).as_secs_f64(),
        back_seconds: healed_at.elapsed().as_secs_f64(),
        healed_within,
        count,
        problems,
    })
}

/// An event to wait for.
enum Until {
    Succeeded(i64),
    Ended,
}

async fn until(witness: &mut Witness, sweep: u64, wanted: Until) -> Result<(), Error> {
    let by = Instant::now() + SWEEP_TIMEOUT;
    loop {
        let there = match wanted {
            Until::Succeeded(count) => witness.succeeded(sweep).await? >= count,
            Until::Ended => witness.has_ended(sweep).await?,
        };
        if there {
            return Ok(());
        }
        if Instant::now() > by {
            return Err(format!("sweep {sweep} is stuck").into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Partitions the worker or heals it, in its own namespace: no other packets are touched.
fn apply(options: &Options, cut: &Cut, on: bool) -> Result<(), Error> {
    if cut.rules.is_empty() {
        return within(options, &["ip", "link", "set", &options.interface, if on { "down" } else { "up" }]);
    }
    for (chain, what) in cut.rules {
        let side = if *chain == "INPUT" { "-i" } else { "-o" };
        let action = if on { "-A" } else { "-D" };
        let words: Vec<&str> =
            ["iptables", action, chain, side, &options.interface].into_iter().chain(what.iter().copied()).collect();
        within(options, &words)?;
    }
    Ok(())
}

fn within(options: &Options, words: &[&str]) -> Result<(), Error> {
    let status = Command::new("ip").args(["netns", "exec", &options.namespace]).args(words).status()?;
    if status.success() { Ok(()) } else { Err(format!("{words:?} ended with {status}").into()) }
}
