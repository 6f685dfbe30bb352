//! One run: start, submit, let things happen as far as the sweep has come, wait for its end, count.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sweep_proto::v1::SubmitRequest;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::Error;
use super::count::Witness;
use super::crew::Crew;
use super::plan::{Counts, plan};
use super::report::{Poison, Report, read_journal};
use super::scribe::{Book, Scribe, forgotten};
use super::study::{grid, poison};
use crate::fleet::Fleet;
use crate::scripted::Script;

/// How often the store is looked at. It is the only one who is believed, and it cannot be awaited.
const LOOK: Duration = Duration::from_millis(20);

/// A sweep without progress for this long is stuck.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(600);

/// How long a process stays frozen; leases are 2 s.
const PAUSE: Duration = Duration::from_secs(4);

/// The most time that killed processes may take to disappear.
const GOING: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Trials of the sweep
    #[arg(long, default_value_t = 2000)]
    pub trials: u32,
    /// Worker processes, with two slots each
    #[arg(long, default_value_t = 8)]
    pub workers: usize,
    /// Seed of the schedule
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub counts: Counts,
    /// Trials besides that kill their worker every time
    #[arg(long, default_value_t = 0)]
    pub poison: u32,
    /// Share of first attempts whose trainer misbehaves
    #[arg(long, default_value_t = 0.15)]
    pub faults: f64,
    /// Additional workers that train nothing and write down all acknowledgements
    #[arg(long, default_value_t = 1)]
    pub scribes: usize,
    /// Milliseconds of an epoch, on average
    #[arg(long, default_value_t = 12)]
    pub epoch_ms: u64,
    /// Where everything is kept; without it, nothing is unless something is wrong
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// Submits a spec and gives the sweep's number.
///
/// # Errors
/// The coordinator does not take it.
pub async fn submit(address: SocketAddr, spec: String) -> Result<u64, Error> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let request = SubmitRequest { spec: spec.into(), user: "chaos".into(), ..SubmitRequest::default() };
    let answer = SweepServiceClient::new(channel).submit(request).await?.into_inner();
    Ok(answer.sweep.ok_or("the coordinator made no sweep")?.id)
}

/// Runs a sweep under faults; `program` is `chaos` itself.
///
/// # Errors
/// The run could not be finished. The report contains problems of a finished run.
pub async fn run(program: &Path, options: &Options) -> Result<Report, Error> {
    let temporary = tempfile::tempdir()?;
    let folder = options.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let folder = std::fs::canonicalize(folder)?;
    let result = run_in(program, &folder, options).await;
    if options.folder.is_none() && result.as_ref().map_or(true, |report| !report.problems.is_empty()) {
        let kept = temporary.keep();
        return result.map_err(|error| format!("{error}; everything is kept in {}", kept.display()).into());
    }
    result
}

async fn run_in(program: &Path, folder: &Path, options: &Options) -> Result<Report, Error> {
    let script = Script { faults: options.faults, epoch_ms: options.epoch_ms, ..Script::default() };
    let fleet = Fleet::new(program, folder, &script);
    let begun = Instant::now();
    let mut crew = Crew::start(&fleet, options.workers, PAUSE, options.poison > 0)?;
    let scribes = Scribes::start(options, crew.address());
    let sweep = submit(crew.address(), grid(options.trials)).await?;
    let poisonous = match options.poison {
        0 => None,
        trials => Some(submit(crew.address(), poison(trials)).await?),
    };
    let mut witness = Witness::open(&fleet.store()).await?;
    until_the_end(&mut crew, &mut witness, options, sweep).await?;
    if let Some(other) = poisonous {
        until_ended(&mut crew, &mut witness, other).await?;
    }
    let Book { entries: book, poisoned } = scribes.stop().await?;
    let mut problems = Vec::new();
    let mut done = crew.done.clone();
    done.poisoned += poisoned;
    if let Err(error) = crew.dismiss() {
        problems.push(error.to_string());
    }
    let count = witness.count(sweep).await?;
    let poison = match poisonous {
        None => None,
        Some(other) => Some(given_up(&mut witness, other, options.poison).await?),
    };
    let (begun_attempts, begun_twice) = read_journal(&fleet.journal());
    let mut report = Report {
        seconds: begun.elapsed().as_secs_f64(),
        seed: options.seed,
        workers: options.workers,
        count,
        done,
        begun: begun_attempts,
        begun_twice,
        acknowledged: book.len(),
        forgotten: forgotten(&book, &mut witness).await?,
        left_behind: left_behind(&fleet).await,
        poison,
        problems: Vec::new(),
    };
    report.judge(options.trials, problems);
    Ok(report)
}

/// The scribes of a run.
struct Scribes {
    tasks: JoinSet<Book>,
    end: CancellationToken,
}

impl Scribes {
    fn start(options: &Options, address: SocketAddr) -> Self {
        let epoch = Duration::from_millis(options.epoch_ms);
        let (mut tasks, end) = (JoinSet::new(), CancellationToken::new());
        for number in 1..=options.scribes {
            tasks.spawn(Scribe::new(format!("scribe{number}"), address, epoch).run(end.clone()));
        }
        Self { tasks, end }
    }

    /// The notes of all of them.
    async fn stop(mut self) -> Result<Book, Error> {
        self.end.cancel();
        let mut book = Book::default();
        while let Some(written) = self.tasks.join_next().await {
            let written = written?;
            book.entries.extend(written.entries);
            book.poisoned += written.poisoned;
        }
        Ok(book)
    }
}

/// Lets the schedule happen as far as the sweep has come, until it has ended.
async fn until_the_end(crew: &mut Crew<'_>, witness: &mut Witness, options: &Options, sweep: u64) -> Result<(), Error> {
    let mut coming = plan(options.seed, options.workers, &options.counts).into_iter().peekable();
    let mut progress = (0, Instant::now());
    while !witness.has_ended(sweep).await? {
        let succeeded = witness.succeeded(sweep).await?;
        let share = succeeded as f64 / f64::from(options.trials.max(1));
        // One at a time, so that who comes back is seen to.
        if let Some((_, fault)) = coming.next_if(|(at, _)| *at <= share) {
            crew.befall(fault)?;
        }
        if succeeded != progress.0 {
            progress = (succeeded, Instant::now());
        } else if progress.1.elapsed() > PROGRESS_TIMEOUT {
            return Err(format!("the sweep is stuck at {succeeded} of {} trials", options.trials).into());
        }
        crew.look_after()?;
        tokio::time::sleep(LOOK).await;
    }
    match coming.count() {
        0 => Ok(()),
        rest => Err(format!("the sweep ended before the last {rest} faults: give it more or longer trials").into()),
    }
}

async fn until_ended(crew: &mut Crew<'_>, witness: &mut Witness, sweep: u64) -> Result<(), Error> {
    let by = Instant::now() + PROGRESS_TIMEOUT;
    while !witness.has_ended(sweep).await? {
        if Instant::now() > by {
            return Err(format!("sweep {sweep} does not end").into());
        }
        crew.look_after()?;
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn given_up(witness: &mut Witness, sweep: u64, trials: u32) -> Result<Poison, Error> {
    let failed =
        "SELECT COUNT(*) FROM sweep_trials t JOIN rounds r ON r.trial = t.trial WHERE t.sweep = ?1 AND r.state = 2";
    let reasons = "SELECT DISTINCT r.reason FROM sweep_trials t JOIN rounds r ON r.trial = t.trial WHERE t.sweep = ?1";
    let failed = witness.number(sweep, failed).await?;
    Ok(Poison { trials, failed, reasons: witness.texts(sweep, reasons).await? })
}

/// Processes that are still alive when killed ones must be gone.
async fn left_behind(fleet: &Fleet) -> usize {
    let by = Instant::now() + GOING;
    while fleet.living() > 0 && Instant::now() < by {
        tokio::time::sleep(LOOK).await;
    }
    fleet.living()
}
