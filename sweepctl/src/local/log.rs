//! The log of the embedded coordinator and worker: a file beside the store, so that log lines do not disturb the
//! terminal. If the file cannot be written, the log goes to stderr, around the progress display.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sweep_trust::private::Sharing;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::sibling;
use crate::output::Output;
use crate::watch::LogWriter;

/// A larger file is truncated at the start.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The file, and how many lines this process has written.
#[derive(Clone)]
pub(super) struct Log {
    file: Arc<File>,
    lines: Arc<AtomicU64>,
    path: PathBuf,
}

impl Log {
    /// Sends the log of this process to the store's log file: warnings, or the level of SWEEP_LOG.
    pub(super) fn start(store: &Path, output: Output, progress: &LogWriter) -> Option<Self> {
        let filter = EnvFilter::try_from_env("SWEEP_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        // Tests may have installed one already.
        match Self::open(store) {
            Ok(file) => {
                log.with_writer(file.clone()).try_init().ok();
                Some(file)
            }
            Err(error) => {
                output.say(&format!(
                    "printing the log here, because {} cannot be written: {error}",
                    path(store).display()
                ));
                log.with_writer(progress.clone()).try_init().ok();
                None
            }
        }
    }

    fn open(store: &Path) -> io::Result<Self> {
        let path = path(store);
        let folder = path.parent().unwrap_or(Path::new("."));
        let sharing = Sharing::of(folder);
        sharing.make_folder(folder)?;
        // A log file of another user is not written: it may be a link to anything.
        sharing.mend(&path).map_err(io::Error::other)?;
        let file = File::options().create(true).append(true).mode(sharing.file_mode()).open(&path)?;
        if file.metadata()?.len() > MAX_BYTES {
            file.set_len(0)?;
        }
        Ok(Self { file: Arc::new(file), lines: Arc::default(), path })
    }

    /// Prints where the log is, if it has new lines.
    pub(super) fn tell(&self, output: Output) {
        let lines = self.lines.load(Ordering::Relaxed);
        if lines > 0 {
            let lines = sweep_shapes::text::plural(lines, "line");
            output.say(&format!("log: {lines} of this run in {}", self.path.display()));
        }
    }
}

/// `.sweep/sweep.log` for `.sweep/sweep.db`.
fn path(store: &Path) -> PathBuf {
    let path = store.with_extension("log");
    if path == store { sibling(store, ".log") } else { path }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a File;

    fn make_writer(&'a self) -> &'a File {
        self.lines.fetch_add(1, Ordering::Relaxed);
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn it_lies_beside_the_store_and_is_never_the_store() {
        assert_eq!(path(Path::new(".sweep/sweep.db")), Path::new(".sweep/sweep.log"));
        assert_eq!(path(Path::new("study")), Path::new("study.log"));
        assert_eq!(path(Path::new("study.log")), Path::new("study.log.log"));
    }

    #[test]
    fn lines_are_counted_and_a_large_file_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("new/sweep.db");
        let log = Log::open(&store).unwrap();
        log.make_writer().write_all(b"a line\n").unwrap();
        assert_eq!(log.lines.load(Ordering::Relaxed), 1);
        assert_eq!(std::fs::read(&log.path).unwrap(), b"a line\n");
        log.file.set_len(MAX_BYTES + 1).unwrap();
        Log::open(&store).unwrap();
        assert_eq!(std::fs::metadata(&log.path).unwrap().len(), 0);
    }
}
