//! Follows a sweep to its end: reads its status stream, updates the display, reconnects after a lost connection, and
//! handles signals.

mod bars;
mod log_writer;
mod plain;
mod screen;
mod unplaceable;

use std::future::Future;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use sweep_proto::v1::{WatchSweepRequest, WatchSweepResponse};
use sweep_shapes::text::escape;
use sweep_shapes::{Sweep, Unplaceable};
use tonic::{Code, Status, Streaming};

use crate::client::{self, Client};
use crate::commands::status::needs_a_person;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::Output;
use bars::Bars;
pub(crate) use log_writer::LogWriter;
use plain::Plain;
use screen::Screen;

/// Delays between two tries to reconnect: the first, doubled up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// The signal number for quitting by key, which counts as Ctrl-C: the sweep has not ended.
const LEFT: u8 = 2;

/// The progress display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Progress {
    // The best one for the terminal, or for its absence.
    #[default]
    Auto,
    // A live screen with keys.
    Screen,
    // Bars below the messages.
    Bars,
    // Lines at changes, for a log.
    Lines,
}

/// How following ended.
pub(crate) enum Ending {
    /// The sweep has ended, or is held back until a user acts.
    Ended(Box<Sweep>),
    /// A signal with this number arrived.
    Interrupted(u8),
}

/// The active display.
pub(crate) enum Display {
    Quiet,
    /// Lines to stderr at changes, for a log file.
    Plain(Plain),
    /// Progress bars on stderr.
    Bars(Box<Bars>),
    /// A live screen on stderr, once there is something to show.
    Screen(Option<Screen>, LogWriter),
    /// A line of JSON to stdout for each status.
    Json(Output),
}

#[derive(Serialize)]
struct Event<'a> {
    event: &'static str,
    sweep: &'a Sweep,
}

impl Display {
    /// The display for the output and the requested progress. Other messages go to `log_writer` while it is active.
    pub(crate) fn new(output: Output, progress: Progress, log_writer: &LogWriter) -> Self {
        let keys = output.stderr_is_terminal() && output.is_interactive();
        match progress {
            _ if output.is_json() => Self::Json(output),
            Progress::Screen => Self::Screen(None, log_writer.clone()),
            Progress::Auto if keys => Self::Screen(None, log_writer.clone()),
            Progress::Bars => Self::Bars(Box::new(Bars::new(output, log_writer.bars.clone()))),
            Progress::Auto if output.stderr_is_terminal() => {
                Self::Bars(Box::new(Bars::new(output, log_writer.bars.clone())))
            }
            Progress::Auto | Progress::Lines => Self::Plain(Plain::new(output)),
        }
    }

    /// Begins to show a sweep.
    fn begin(&mut self, client: &Client, id: u64, setting: Setting) -> Result<(), Failure> {
        if let Self::Screen(screen, log_writer) = self {
            let how = screen::Setting { coloured: setting.output.stderr_is_coloured(), embedded: setting.embedded };
            let begun = Screen::begin(client, id, &how)?;
            log_writer.write_to_screen(begun.line_sink());
            *screen = Some(begun);
        }
        Ok(())
    }

    /// Returns when the user quits, which only a screen allows.
    fn left(&mut self) -> impl Future<Output = Result<(), Failure>> + use<> {
        let leaving = match self {
            Self::Screen(Some(screen), _) => screen.leaving(),
            Self::Screen(None, _) | Self::Quiet | Self::Plain(_) | Self::Bars(_) | Self::Json(_) => None,
        };
        async move {
            match leaving {
                Some(leaving) => leaving.await.map_err(|_| Failure::internal("the screen failed")),
                None => std::future::pending().await,
            }
        }
    }

    async fn update(&mut self, sweep: &Sweep) -> Result<(), Failure> {
        match self {
            Self::Quiet => {}
            Self::Plain(plain) => plain.update(sweep),
            Self::Bars(bars) => bars.update(sweep),
            Self::Screen(Some(screen), _) => screen.update(sweep).await,
            Self::Screen(None, _) => {}
            Self::Json(output) => output.json_line(&Event { event: "status", sweep })?,
        }
        Ok(())
    }

    /// Shows that the connection to the coordinator is lost.
    async fn lost(&self, output: Output, why: &str) {
        let text = format!("lost the coordinator ({why}); the sweep continues, waiting to reconnect");
        match self {
            Self::Bars(bars) => bars.say(&text),
            Self::Screen(Some(screen), _) => screen.lost(why).await,
            Self::Screen(None, _) | Self::Quiet | Self::Plain(_) | Self::Json(_) => output.say(&text),
        }
    }

    /// Restores the terminal. Messages on a screen are printed again.
    async fn end(self, output: Output) {
        match self {
            Self::Bars(mut bars) => bars.clear(),
            Self::Screen(Some(screen), log_writer) => {
                log_writer.write_to_stderr();
                let said = screen.end().await;
                said.iter().filter(|line| !log_writer.began_with(line)).for_each(|line| output.say(line));
            }
            Self::Screen(None, _) | Self::Quiet | Self::Plain(_) | Self::Json(_) => {}
        }
    }
}

/// Follows sweep `id` until it has ended, needs a user, or a signal arrives. Reconnects to a lost coordinator, unless
/// it is in this process (`embedded`).
///
/// # Errors
/// The sweep does not exist; the embedded coordinator failed, or its worker can run no trial of it; stdout cannot be
/// written.
pub(crate) async fn follow(
    client: &mut Client,
    id: u64,
    mut display: Display,
    interrupt: &mut Interrupt,
    setting: Setting,
) -> Result<Ending, Failure> {
    display.begin(client, id, setting)?;
    let left = display.left();
    let ending = tokio::select! {
        biased;
        number = interrupt.signalled() => Ok(Ending::Interrupted(number)),
        left = left => left.map(|()| Ending::Interrupted(LEFT)),
        ended = to_the_end(client, id, &mut display, setting) => ended.map(|sweep| Ending::Ended(Box::new(sweep))),
    };
    display.end(setting.output).await;
    ending
}

/// Settings of following besides the sweep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) output: Output,
    /// The coordinator is in this process: it cannot come back, and no other worker can join.
    pub(crate) embedded: bool,
    /// This command has created the sweep.
    pub(crate) made: bool,
}

async fn to_the_end(client: &mut Client, id: u64, display: &mut Display, setting: Setting) -> Result<Sweep, Failure> {
    let mut wait = FIRST_RETRY;
    loop {
        let request = WatchSweepRequest { sweep: client::reference(&id.to_string()) };
        let lost = match client.watch_sweep(request).await {
            Ok(answer) => match until_lost(answer.into_inner(), display, &mut wait, setting).await? {
                Watched::Ended(sweep) => return Ok(*sweep),
                Watched::Stuck(sweep, why) => {
                    return Err(unplaceable::give_up(client, &sweep, &why, setting.made).await);
                }
                Watched::Lost(status) => status,
            },
            Err(status) => status,
        };
        if setting.embedded || !may_come_back(&lost) {
            return Err(lost.into());
        }
        if wait == FIRST_RETRY {
            let why = escape(lost.message());
            display.lost(setting.output, &why).await;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
}

enum Watched {
    Ended(Box<Sweep>),
    /// The embedded worker can run no trial of it.
    Stuck(Box<Sweep>, Unplaceable),
    Lost(Status),
}

async fn until_lost(
    mut stream: Streaming<WatchSweepResponse>,
    display: &mut Display,
    wait: &mut Duration,
    setting: Setting,
) -> Result<Watched, Failure> {
    loop {
        match stream.message().await {
            Ok(Some(answer)) => {
                let sweep = Sweep::from(sweep_shapes::expect(answer.sweep, "sweep")?);
                display.update(&sweep).await?;
                *wait = FIRST_RETRY;
                if sweep.state.has_ended() || needs_a_person(&sweep) {
                    return Ok(Watched::Ended(Box::new(sweep)));
                }
                if let Some(why) = sweep.unplaceable.clone().filter(|_| setting.embedded) {
                    return Ok(Watched::Stuck(Box::new(sweep), why));
                }
            }
            Ok(None) => return Ok(Watched::Lost(Status::unavailable("it closed the stream"))),
            Err(status) => return Ok(Watched::Lost(status)),
        }
    }
}

/// Whether a retry may succeed. A broken connection has any of these codes.
fn may_come_back(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded
    )
}
