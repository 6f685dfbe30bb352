//! Messages beside a progress display: written around the bars, or shown on the screen and repeated at its end.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::MultiProgress;
use sweep_shapes::text::escape_log;
use tracing_subscriber::fmt::MakeWriter;

/// Takes a line, unless the screen is gone.
type LineSink = Box<dyn Fn(String) -> bool + Send>;

/// A writer to stderr that avoids the active progress display.
#[derive(Clone, Default)]
pub(crate) struct LogWriter {
    pub(super) bars: MultiProgress,
    screen: Arc<Mutex<Option<LineSink>>>,
    /// Messages from before the screen, to show on it too.
    first: Arc<Mutex<Vec<String>>>,
}

impl LogWriter {
    /// Adds a message that a screen shows from its beginning.
    #[cfg(feature = "local")]
    pub(crate) fn begin_with(&self, line: String) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Whether a message was written before the screen.
    pub(super) fn began_with(&self, line: &String) -> bool {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).contains(line)
    }

    /// From now on messages go to the screen, until it is gone.
    pub(super) fn write_to_screen(&self, line_sink: impl Fn(String) -> bool + Send + 'static) {
        for line in self.first.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            line_sink(line.clone());
        }
        *self.screen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(line_sink));
    }

    /// From now on messages go to stderr.
    pub(super) fn write_to_stderr(&self) {
        *self.screen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn through_screen(&self, line: &[u8]) -> bool {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = || escape_log(String::from_utf8_lossy(line).trim_end());
        screen.as_ref().is_some_and(|line_sink| line_sink(text()))
    }
}

impl io::Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.through_screen(line) {
            return Ok(line.len());
        }
        self.bars.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
