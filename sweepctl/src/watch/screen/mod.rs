//! The live screen of one sweep: its slots, leaderboard, events and remaining time. It only observes: the sweep
//! continues without it.
//!
//! One task owns the state; it receives statuses, answers and keys, and draws. Others have a handle.

mod draw;
mod feed;
mod keys;
mod panes;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod tty;

use std::io;
use std::time::Duration;

use ratatui_core::terminal::Terminal;
use sweep_shapes::Sweep;
use sweep_shapes::text::now_unix_ms;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::Client;
use crate::failure::Failure;
use feed::{Brief, News};
use keys::Keys;
use state::{MOST_MESSAGES, State, Wish};
use theme::Theme;
use tty::Paper;

/// The shortest interval between two frames.
const PAUSE: Duration = Duration::from_millis(50);
/// How often clocks on the screen advance without news.
const TICK: Duration = Duration::from_secs(1);
/// Statuses, and answers to the screen's own questions, that wait to be drawn. Their senders wait while the queue is full.
const QUEUE: usize = 16;
/// Lines that wait to be drawn. Further ones are dropped, as those beyond the lines that the screen keeps.
const LINES: usize = MOST_MESSAGES;

enum Message {
    Status(Box<Sweep>),
    Lost(String),
}

/// A handle to the screen. Dropping it restores the terminal.
pub(crate) struct Screen {
    messages: Option<mpsc::Sender<Message>>,
    lines: mpsc::Sender<String>,
    left: Option<oneshot::Receiver<()>>,
    task: Option<JoinHandle<Vec<String>>>,
}

/// The settings of a screen.
pub(crate) struct Setting {
    pub(crate) coloured: bool,
    /// The coordinator is in this process: quitting stops it.
    pub(crate) embedded: bool,
}

impl Screen {
    /// Takes over the terminal and begins to show a sweep.
    ///
    /// # Errors
    /// The terminal cannot be switched to raw mode.
    pub(crate) fn begin(client: &Client, sweep: u64, setting: &Setting) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::failed("the terminal cannot show a live screen").because(error);
        let resized = signal(SignalKind::window_change()).map_err(failed)?;
        let taken = tty::take().and_then(|()| Terminal::new(Paper::default()));
        let terminal = taken.map_err(|error| {
            // It may be switched partly.
            tty::give_back();
            failed(error).hint("use `--progress lines`, which needs no terminal")
        })?;
        let (messages, incoming) = mpsc::channel(QUEUE);
        let (lines, said) = mpsc::channel(LINES);
        let (leave, left) = oneshot::channel();
        let (brief, briefs) = watch::channel(None);
        let (answers, news) = mpsc::channel(QUEUE);
        tokio::spawn(feed::run(client.clone(), sweep, briefs, answers));
        let shown = Shown {
            terminal,
            state: State { embedded: setting.embedded, ..State::default() },
            theme: Theme::new(setting.coloured),
            brief,
        };
        let inbox = Inbox { messages: incoming, lines: said, news };
        let task = tokio::spawn(shown.run(inbox, resized, leave));
        Ok(Self { messages: Some(messages), lines, left: Some(left), task: Some(task) })
    }

    async fn send(&self, message: Message) {
        if let Some(messages) = &self.messages {
            messages.send(message).await.ok();
        }
    }

    pub(crate) async fn update(&self, sweep: &Sweep) {
        self.send(Message::Status(Box::new(sweep.clone()))).await;
    }

    /// Shows why the coordinator does not answer.
    pub(crate) async fn lost(&self, why: &str) {
        self.send(Message::Lost(why.to_owned())).await;
    }

    /// Shows other lines one at a time; they are printed again at the end. False once the screen has gone.
    pub(crate) fn line_sink(&self) -> impl Fn(String) -> bool + Send + use<> {
        let lines = self.lines.clone();
        move |line| !matches!(lines.try_send(line), Err(TrySendError::Closed(_)))
    }

    /// Completes when the user quits, or with an error if the screen fails. Returned once.
    pub(crate) fn leaving(&mut self) -> Option<oneshot::Receiver<()>> {
        self.left.take()
    }

    /// Restores the terminal, and returns the messages.
    pub(crate) async fn end(mut self) -> Vec<String> {
        self.messages = None;
        let said = match self.task.take() {
            // A panic in it has been printed by now.
            Some(task) => task.await.unwrap_or_default(),
            None => Vec::new(),
        };
        tty::give_back();
        said
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        tty::give_back();
    }
}

/// The state that the task owns.
struct Shown {
    terminal: Terminal<Paper>,
    state: State,
    theme: Theme,
    brief: watch::Sender<Option<Brief>>,
}

/// What arrives for the task.
struct Inbox {
    messages: mpsc::Receiver<Message>,
    lines: mpsc::Receiver<String>,
    news: mpsc::Receiver<News>,
}

impl Shown {
    async fn run(
        mut self,
        mut inbox: Inbox,
        mut resized: tokio::signal::unix::Signal,
        leave: oneshot::Sender<()>,
    ) -> Vec<String> {
        let mut leave = Some(leave);
        let mut keys = Keys::read();
        let mut tick = tokio::time::interval(TICK);
        let mut drawn = Instant::now().checked_sub(PAUSE);
        let mut stale = true;
        loop {
            let next = drawn.map_or_else(Instant::now, |drawn| drawn + PAUSE);
            let wish = tokio::select! {
                message = inbox.messages.recv() => match message {
                    Some(message) => self.take(message),
                    None => break,
                },
                Some(line) = inbox.lines.recv() => self.say(line),
                Some(answer) = inbox.news.recv() => self.learn(answer),
                key = keys.next(), if leave.is_some() => key.map_or(Wish::Leave, |key| self.state.press(key)),
                _ = resized.recv() => Wish::Nothing,
                _ = tick.tick() => Wish::Nothing,
                () = tokio::time::sleep_until(next), if stale => {
                    stale = false;
                    drawn = Some(Instant::now());
                    if self.draw().is_err() { Wish::Leave } else { continue }
                }
            };
            stale = true;
            match wish {
                Wish::Nothing => {}
                Wish::Redraw => drop(self.terminal.clear()),
                Wish::Leave => {
                    if let Some(leave) = leave.take() {
                        leave.send(()).ok();
                    }
                }
            }
        }
        while let Ok(line) = inbox.lines.try_recv() {
            self.state.say(line);
        }
        self.state.messages
    }

    fn say(&mut self, line: String) -> Wish {
        self.state.say(line);
        Wish::Nothing
    }

    fn take(&mut self, message: Message) -> Wish {
        match message {
            Message::Status(sweep) => {
                self.brief.send_replace(Some(Brief::from(&*sweep)));
                self.state.status(*sweep, now_unix_ms());
            }
            Message::Lost(why) => self.state.lost = Some(why),
        }
        Wish::Nothing
    }

    fn learn(&mut self, news: News) -> Wish {
        match news {
            News::Workers(workers) => self.state.workers = workers,
            News::Board(Ok(board)) => self.state.leaderboard(*board, now_unix_ms()),
            News::Board(Err(why)) => self.state.board.missing = Some(why),
            News::Events(events) => self.state.happened(events),
            News::Earlier(trial, points) => self.state.earlier(&trial, points),
        }
        Wish::Nothing
    }

    fn draw(&mut self) -> io::Result<()> {
        let (state, theme) = (&mut self.state, &self.theme);
        self.terminal.draw(|frame| draw::draw(frame, state, theme, now_unix_ms())).map(drop)
    }
}
