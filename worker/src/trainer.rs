//! A trainer process: started, spoken to in lines of trainer protocol 1, and stopped with its whole process group.

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

/// Bytes of a trainer's log that are read per window.
const LOG_BYTES: usize = 1 << 20;

/// The length of the window.
const LOG_WINDOW: Duration = Duration::from_millis(250);

/// Timeout for the exit of a process that was killed or that closed its stdout.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a trainer process cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("cannot start the trainer `{command}`")]
    Start {
        command: String,
        #[source]
        source: io::Error,
    },
    /// It did not send hello in time, or sent nothing for too long.
    #[error("the trainer sent nothing for {seconds} seconds, expected {awaited}{log}")]
    Silent {
        /// The time limit.
        seconds: u64,
        /// The expected event.
        awaited: &'static str,
        /// The end of its log.
        log: String,
    },
    /// It exited unexpectedly.
    #[error("the trainer exited unexpectedly ({status}){half_line}{log}")]
    Ended {
        status: String,
        /// An incomplete last line.
        half_line: String,
        /// The end of its log.
        log: String,
    },
    /// It broke trainer protocol 1.
    #[error("the trainer broke trainer protocol {PROTOCOL}: {what}")]
    Protocol {
        /// How it broke the protocol.
        what: String,
    },
    /// A pipe to it failed.
    #[error("the pipe to the trainer failed{log}")]
    Pipe {
        /// The end of its log.
        log: String,
        #[source]
        source: io::Error,
    },
}

/// How to start trainers of this worker.
pub(crate) struct Launcher {
    pub(crate) command: Vec<String>,
    /// Names of variables that trainers get in addition to the usual ones.
    pub(crate) more_environment: Vec<String>,
    pub(crate) spawner: Spawner,
    pub(crate) start_limit: Duration,
    pub(crate) grace: Duration,
    pub(crate) metrics: Arc<Metrics>,
}

/// The number of threads of a trainer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// One, for a CPU slot.
    One,
    /// Unlimited.
    Any,
}

/// A running trainer that has sent hello.
pub(crate) struct Trainer {
    child: Child,
    group: ProcessGroup,
    stdin: Option<ChildStdin>,
    lines: Lines<ChildStdout>,
    line_count: u64,
    log: LogTail,
    /// `None` once the log was read to its end.
    log_reader: Option<JoinHandle<()>>,
    hello: Hello,
    grace: Duration,
    /// Keeps the thread alive whose end would kill the child.
    _spawner: Spawner,
}

impl Launcher {
    /// Starts a trainer, with its stderr in `log`, and waits for its hello. `Err(None)` if `stop` was cancelled first.
    /// On failure its processes are gone when this returns.
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
        let group = ProcessGroup { id: child.id().and_then(|id| Pid::from_raw(id.cast_signed())) };
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
        // A trainer communicates only with its worker, so it needs no credentials.
        process.env_clear().envs(environment::of_trainers(&self.more_environment));
        // Makes `cuda:1` the second GPU of nvidia-smi, not the second fastest.
        process.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        if threads == Threads::One {
            // A CPU slot is one thread; common libraries read these variables.
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
            // If the trainer has exited, its exit status explains more than the pipe's error.
            Err(source) => match timeout(REAP_TIMEOUT, self.child.wait()).await {
                Ok(Ok(status)) => Err(self.ended(status, &[]).await),
                Ok(Err(_)) | Err(_) => Err(self.pipe(source)),
            },
        }
    }

    /// Reads the next event. Cancelling it loses nothing.
    pub(crate) async fn event(&mut self) -> Result<Event, Error> {
        match self.lines.next().await {
            Ok(Line::Whole(line)) => {
                self.line_count += 1;
                serde_json::from_slice(&line).map_err(|error| {
                    let what = format!(
                        "line {} of its stdout is not an event ({error}): {:?}; write logs to stderr",
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

    /// Reads the next event, or returns `Error::Silent` after `limit`; zero means no limit.
    pub(crate) async fn event_within(&mut self, limit: Duration, awaited: &'static str) -> Result<Event, Error> {
        if limit.is_zero() {
            return self.event().await;
        }
        match timeout(limit, self.event()).await {
            Ok(event) => event,
            Err(_) => Err(Error::Silent { seconds: limit.as_secs(), awaited, log: self.quoted_log() }),
        }
    }

    /// Closes stdin, then continues as `interrupt`. Returns when the trainer and its group are gone.
    pub(crate) async fn leave(mut self) {
        self.stdin = None;
        if self.wait_and_discard(self.grace).await.is_none() {
            self.interrupt().await;
        }
    }

    /// SIGTERM, the grace period, then SIGKILL for the group. Returns when the trainer is gone.
    pub(crate) async fn interrupt(mut self) -> Option<ExitStatus> {
        self.group.signal(Signal::TERM);
        match self.wait_and_discard(self.grace).await {
            Some(status) => Some(status),
            None => {
                tracing::warn!(grace_seconds = self.grace.as_secs_f64(), "the trainer ignored SIGTERM, killing it");
                self.kill().await
            }
        }
    }

    /// SIGKILL for the group. Returns when the trainer is gone.
    pub(crate) async fn kill(mut self) -> Option<ExitStatus> {
        self.group.signal(Signal::KILL);
        self.wait_and_discard(REAP_TIMEOUT).await
    }

    /// Waits for the exit of the process, and discards its output so that a full pipe cannot block it.
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

    /// The log is complete once its pipe is closed; a stray grandchild may keep it open.
    async fn read_log_to_its_end(&mut self) {
        if let Some(mut reader) = self.log_reader.take()
            && timeout(REAP_TIMEOUT, &mut reader).await.is_err()
        {
            reader.abort();
        }
    }

    async fn gone(&mut self, half_line: &[u8]) -> Error {
        match timeout(REAP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) => self.ended(status, half_line).await,
            Ok(Err(source)) => self.pipe(source),
            Err(_) => Error::Protocol { what: "it closed its stdout but keeps running".to_owned() },
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

/// The processes of one trainer. Dropping the group kills them.
struct ProcessGroup {
    /// The leader's id; `None` once all are gone.
    id: Option<Pid>,
}

impl ProcessGroup {
    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // The group may be gone already.
            rustix::process::kill_process_group(id, signal).ok();
        }
    }

    /// The leader has exited: kills its remaining children.
    fn end(&mut self) {
        self.signal(Signal::KILL);
        self.id = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.end();
    }
}

/// Limits the log's rate, so that a trainer that writes too much waits instead of using a core of this process.
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

/// An event's name in the protocol.
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
