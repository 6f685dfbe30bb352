//! A trainer process: started, spoken to in lines of trainer protocol 1, and ended with its whole process group.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use sweep_spec::trainer::{Command, Event, Hello, MAX_LINE_BYTES, PROTOCOL};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::environment;
use crate::lines::{Line, Lines, excerpt};
use crate::log_tail::LogTail;
use crate::metrics::Metrics;
use crate::spawner::Spawner;

/// Lines of the log that an error message quotes.
const QUOTED_LINES: usize = 5;

/// Bytes of a trainer's log that are read in one window of time.
const LOG_BYTES: usize = 1 << 20;

/// The window.
const LOG_WINDOW: Duration = Duration::from_millis(250);

/// How long a process that was killed, or that closed its stdout by itself, may take to end.
const REAP: Duration = Duration::from_secs(5);

/// Why a trainer is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("the trainer `{command}` cannot be started")]
    Start {
        /// The words of its command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not say hello in time, or was silent for too long.
    #[error("the trainer said nothing for {seconds} seconds while {awaited} was awaited{log}")]
    Silent {
        /// How long was waited.
        seconds: u64,
        /// What for.
        awaited: &'static str,
        /// The end of its log.
        log: String,
    },
    /// It ended by itself.
    #[error("the trainer ended by itself ({status}){half_line}{log}")]
    Ended {
        /// Its exit status.
        status: String,
        /// What it had begun to say.
        half_line: String,
        /// The end of its log.
        log: String,
    },
    /// It said what trainer protocol 1 does not allow.
    #[error("the trainer broke trainer protocol {PROTOCOL}: {what}")]
    Protocol {
        /// What it said, or failed to.
        what: String,
    },
    /// A pipe to it cannot be used.
    #[error("the trainer cannot be spoken to{log}")]
    Pipe {
        /// The end of its log.
        log: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How trainers of this worker are started.
pub(crate) struct Launcher {
    pub(crate) command: Vec<String>,
    /// Names of variables that trainers get beside the usual ones.
    pub(crate) more_environment: Vec<String>,
    pub(crate) spawner: Spawner,
    pub(crate) start_limit: Duration,
    pub(crate) grace: Duration,
    pub(crate) metrics: Arc<Metrics>,
}

/// How many threads a trainer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// One: a CPU slot.
    One,
    /// As many as it likes.
    Any,
}

/// A running trainer that has said hello.
pub(crate) struct Trainer {
    child: Child,
    group: Group,
    stdin: Option<ChildStdin>,
    lines: Lines<ChildStdout>,
    line_count: u64,
    log: LogTail,
    /// `None` once the log has been read to its end.
    log_reader: Option<JoinHandle<()>>,
    hello: Hello,
    grace: Duration,
    /// Keeps the thread alive whose end would kill the child.
    _spawner: Spawner,
}

impl Launcher {
    /// Starts a trainer, whose stderr goes to `log`, and waits for its hello. `Err(None)` when `stop` came first. Where no
    /// trainer comes of it, its processes are gone when this returns.
    pub(crate) async fn start(
        &self,
        threads: Threads,
        log: LogTail,
        stop: &CancellationToken,
    ) -> Result<Trainer, Option<Error>> {
        let mut trainer = self.spawn(threads, log).await?;
        let greeting = tokio::select! {
            biased;
            () = stop.cancelled() => Err(None),
            greeting = trainer.event_within(self.start_limit, "its hello") => greeting.map_err(Some),
        };
        let broken = |what| Err(Some(Error::Protocol { what }));
        let refused = match greeting {
            Ok(Event::Hello(hello)) if hello.protocol == PROTOCOL => {
                trainer.hello = hello;
                return Ok(trainer);
            }
            Ok(Event::Hello(hello)) => {
                broken(format!("it speaks trainer protocol {}; this worker speaks {PROTOCOL}", hello.protocol))
            }
            Ok(other) => broken(format!("its first event is `{}`, not `hello`", name_of(&other))),
            Err(error) => Err(error),
        };
        trainer.kill().await;
        refused
    }

    async fn spawn(&self, threads: Threads, log: LogTail) -> Result<Trainer, Error> {
        self.metrics.trainer_starts.inc();
        let start = |source| Error::Start { command: self.command.join(" "), source };
        let mut child = self.spawner.spawn(self.process(threads)?).await.map_err(start)?;
        let missing = || start(io::Error::other("a pipe is missing"));
        let group = Group { id: child.id().and_then(|id| Pid::from_raw(id.cast_signed())) };
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let log_reader = Some(tokio::spawn(read_log(stderr, log.clone())));
        Ok(Trainer {
            child,
            group,
            stdin: Some(stdin),
            lines: Lines::new(stdout, MAX_LINE_BYTES),
            line_count: 0,
            log,
            log_reader,
            hello: Hello { protocol: 0, semantics: 0, trainer: String::new() },
            grace: self.grace,
            _spawner: self.spawner.clone(),
        })
    }

    fn process(&self, threads: Threads) -> Result<tokio::process::Command, Error> {
        let (program, arguments) = self.command.split_first().ok_or_else(|| Error::Start {
            command: String::new(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"),
        })?;
        let mut process = tokio::process::Command::new(program);
        process.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A trainer talks to its worker alone, so it needs no credentials.
        process.env_clear().envs(environment::of_trainers(&self.more_environment));
        // So that `cuda:1` is the second GPU of nvidia-smi too, and not the second fastest.
        process.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        if threads == Threads::One {
            // A CPU slot is one thread; these are the names that libraries ask for.
            process.envs([("RAYON_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "1")]);
        }
        Ok(process)
    }
}

impl Trainer {
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    pub(crate) fn log(&self) -> &LogTail {
        &self.log
    }

    /// Writes one command line.
    pub(crate) async fn send(&mut self, command: &Command) -> Result<(), Error> {
        let mut line = serde_json::to_vec(command).map_err(|error| self.pipe(error.into()))?;
        line.push(b'\n');
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(&line).await,
            None => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        };
        match written {
            Ok(()) => Ok(()),
            // A trainer that has ended says more by its exit status than the pipe does.
            Err(source) => match timeout(REAP, self.child.wait()).await {
                Ok(Ok(status)) => Err(self.ended(status, &[]).await),
                Ok(Err(_)) | Err(_) => Err(self.pipe(source)),
            },
        }
    }

    /// The next event. One that is given up loses nothing.
    pub(crate) async fn event(&mut self) -> Result<Event, Error> {
        match self.lines.next().await {
            Ok(Line::Whole(line)) => {
                self.line_count += 1;
                serde_json::from_slice(&line).map_err(|error| {
                    let what = format!(
                        "line {} of its stdout is no event ({error}): {:?}; logs belong to stderr",
                        self.line_count,
                        excerpt(&line)
                    );
                    Error::Protocol { what }
                })
            }
            Ok(Line::End) => Err(self.gone(&[]).await),
            Ok(Line::Half(line)) => Err(self.gone(&line).await),
            Err(crate::lines::Error::TooLong { limit }) => {
                Err(Error::Protocol { what: format!("line {} is longer than {limit} bytes", self.line_count + 1) })
            }
            Err(crate::lines::Error::Read(source)) => Err(self.pipe(source)),
        }
    }

    /// The next event, or `Error::Silent` after `limit`; a limit of zero is none.
    pub(crate) async fn event_within(&mut self, limit: Duration, awaited: &'static str) -> Result<Event, Error> {
        if limit.is_zero() {
            return self.event().await;
        }
        match timeout(limit, self.event()).await {
            Ok(event) => event,
            Err(_) => Err(Error::Silent { seconds: limit.as_secs(), awaited, log: self.quoted_log() }),
        }
    }

    /// Lets it leave: end of file, then as `interrupt`. Returns when it and its group are gone.
    pub(crate) async fn leave(mut self) {
        self.stdin = None;
        if self.wait_and_discard(self.grace).await.is_none() {
            self.interrupt().await;
        }
    }

    /// SIGTERM, the grace period, SIGKILL for the group. Returns when it is gone.
    pub(crate) async fn interrupt(mut self) -> Option<ExitStatus> {
        self.group.signal(Signal::TERM);
        match self.wait_and_discard(self.grace).await {
            Some(status) => Some(status),
            None => {
                tracing::warn!(grace_seconds = self.grace.as_secs_f64(), "trainer ignored its interrupt and is killed");
                self.kill().await
            }
        }
    }

    /// SIGKILL for the group. Returns when it is gone.
    pub(crate) async fn kill(mut self) -> Option<ExitStatus> {
        self.group.signal(Signal::KILL);
        self.wait_and_discard(REAP).await
    }

    /// Waits for the end of the process; what it still says is read, so that a full pipe cannot hold it, and dropped.
    async fn wait_and_discard(&mut self, limit: Duration) -> Option<ExitStatus> {
        let wait = timeout(limit, self.child.wait());
        let discard = async {
            while !matches!(self.lines.next().await, Ok(Line::End) | Err(_)) {}
            std::future::pending::<()>().await;
        };
        let waited = tokio::select! {
            waited = wait => waited,
            () = discard => return None,
        };
        match waited {
            Ok(Ok(status)) => {
                self.group.end();
                self.read_log_to_its_end().await;
                Some(status)
            }
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// The log is whole once its pipe is closed; a stray grandchild may keep it open.
    async fn read_log_to_its_end(&mut self) {
        if let Some(mut reader) = self.log_reader.take()
            && timeout(REAP, &mut reader).await.is_err()
        {
            reader.abort();
        }
    }

    async fn gone(&mut self, half_line: &[u8]) -> Error {
        match timeout(REAP, self.child.wait()).await {
            Ok(Ok(status)) => self.ended(status, half_line).await,
            Ok(Err(source)) => self.pipe(source),
            Err(_) => Error::Protocol { what: "it closed its stdout and goes on running".to_owned() },
        }
    }

    async fn ended(&mut self, status: ExitStatus, half_line: &[u8]) -> Error {
        self.group.end();
        self.read_log_to_its_end().await;
        let half_line = match half_line {
            [] => String::new(),
            half => format!(" in the middle of the line {:?}", excerpt(half)),
        };
        Error::Ended { status: status.to_string(), half_line, log: self.quoted_log() }
    }

    fn pipe(&self, source: io::Error) -> Error {
        Error::Pipe { log: self.quoted_log(), source }
    }

    fn quoted_log(&self) -> String {
        match self.log.last_lines(QUOTED_LINES) {
            lines if lines.is_empty() => String::new(),
            lines => format!("; its log ends: {lines}"),
        }
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        if let Some(reader) = &self.log_reader {
            reader.abort();
        }
    }
}

/// The processes of one trainer. What is dropped alive is killed.
struct Group {
    /// The leader's id; `None` once all are gone.
    id: Option<Pid>,
}

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // It may have gone by itself, which is what is wanted.
            rustix::process::kill_process_group(id, signal).ok();
        }
    }

    /// The leader has ended: whatever it left behind goes too.
    fn end(&mut self) {
        self.signal(Signal::KILL);
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// A trainer that writes more than anybody reads waits for the next window: its log costs a core of ours nothing.
async fn read_log(mut stderr: ChildStderr, log: LogTail) {
    let mut buffer = [0; 4096];
    let (mut window, mut read) = (Instant::now(), 0);
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        log.push(&buffer[..count]);
        read += count;
        if read > LOG_BYTES {
            sleep_until(window + LOG_WINDOW).await;
        }
        if window.elapsed() >= LOG_WINDOW {
            (window, read) = (Instant::now(), 0);
        }
    }
}

/// An event's name on the wire.
pub(crate) fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Hello(_) => "hello",
        Event::Devices(_) => "devices",
        Event::Described(_) => "described",
        Event::Started(_) => "started",
        Event::Epoch(_) => "epoch",
        Event::Checkpoint(_) => "checkpoint",
        Event::Finished(_) => "finished",
        Event::Failed(_) => "failed",
    }
}
