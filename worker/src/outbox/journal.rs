//! The outbox on disk: one folder per attempt, written by one thread, so that the agent never waits for a disk.
//!
//! ```text
//! <state>/outbox/<trial>-<round>-<attempt>/journal    see `record`
//!                                         /log        the end of the trainer's log, as of a moment ago
//! ```
//! A journal that cannot be written stays in memory, and is written again as a whole when the agent asks for it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::record::{MAGIC, Record};
use crate::files::{create_anew, open_to_append, remove_folder, sync_folder};
use crate::wire::Lease;

/// The capacity of the thread's queue.
const QUEUE: usize = 4096;

/// Orders that the agent keeps for a slow thread before trainers wait.
const MAX_BACKLOG: usize = 4096;

/// The most bytes on disk, over all attempts. When they reach it, trainers wait.
pub(crate) const MAX_BYTES: u64 = 4 << 30;

const JOURNAL: &str = "journal";
const LOG: &str = "log";

/// The folder of all journals.
pub(crate) fn root(state_folder: &Path) -> PathBuf {
    state_folder.join("outbox")
}

pub(super) fn journal_of(folder: &Path) -> PathBuf {
    folder.join(JOURNAL)
}

pub(super) fn log_of(folder: &Path) -> PathBuf {
    folder.join(LOG)
}

/// A command to the thread.
pub(super) enum Command {
    /// Appends, without a sync.
    Append { lease: Lease, record: Record },
    /// Appends and syncs before the next order.
    Keep { lease: Lease, records: Vec<Record> },
    /// Replaces a journal that could not be written completely.
    Replace { lease: Lease, records: Vec<Record> },
    /// Writes the end of the trainer's log.
    Log { lease: Lease, text: String },
    /// Removes the attempt's folder.
    Remove { lease: Lease },
    /// Answers when all earlier orders are done.
    Flush(oneshot::Sender<()>),
}

/// The state of the journals on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Attempts with records that are only in memory, and the error of each.
    pub(crate) failed: BTreeMap<Lease, String>,
    /// The size of all journals.
    pub(crate) bytes: u64,
}

/// The agent's side.
pub(crate) struct Journal {
    orders: mpsc::Sender<Command>,
    /// Orders that did not fit into the queue.
    backlog: VecDeque<Command>,
    health: watch::Receiver<Health>,
}

/// A slot's handle for writing logs.
#[derive(Clone)]
pub(crate) struct LogSender(mpsc::Sender<Command>);

impl LogSender {
    pub(crate) async fn write(&self, lease: Lease, text: String) {
        // The thread ends only with the worker; the log is not needed then.
        drop(self.0.send(Command::Log { lease, text }).await);
    }
}

impl Journal {
    /// Starts the thread, which ends when the journal and all log books are dropped. `known` has the existing journals
    /// and their lengths.
    pub(crate) fn start(state_folder: &Path, known: BTreeMap<Lease, u64>) -> io::Result<Self> {
        let root = root(state_folder);
        std::fs::create_dir_all(&root)?;
        let (orders, queue) = mpsc::channel(QUEUE);
        let bytes = known.values().sum();
        let (health_sender, health) = watch::channel(Health { failed: BTreeMap::new(), bytes });
        let writer = Writer { root, lengths: known, health: health_sender };
        std::thread::Builder::new().name("sweep-journal".to_owned()).spawn(move || writer.run(queue))?;
        Ok(Self { orders, backlog: VecDeque::new(), health })
    }

    pub(crate) fn log_sender(&self) -> LogSender {
        LogSender(self.orders.clone())
    }

    pub(super) fn order(&mut self, order: Command) {
        self.backlog.push_back(order);
        self.drain_backlog();
    }

    /// Moves orders from the backlog to the queue.
    fn drain_backlog(&mut self) {
        while let Some(order) = self.backlog.pop_front() {
            match self.orders.try_send(order) {
                Ok(()) => {}
                Err(TrySendError::Full(order)) => return self.backlog.push_front(order),
                // The thread ends before its handles only if it failed; the outbox then continues in memory.
                Err(TrySendError::Closed(_)) => self.backlog.clear(),
            }
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.backlog.len() < MAX_BACKLOG && self.health.borrow().bytes < MAX_BYTES
    }

    /// Returns when a write fails, or recovers. Moves orders from the backlog to the queue.
    pub(crate) async fn changed(&mut self) {
        let blocked = !self.backlog.is_empty();
        tokio::select! {
            changed = self.health.changed() => match changed {
                Ok(()) => {}
                // The thread ends before its handles only if it failed.
                Err(_) => std::future::pending().await,
            },
            room = self.orders.reserve(), if blocked => drop(room),
        }
        self.drain_backlog();
    }

    pub(crate) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Returns when all earlier orders are done.
    pub(crate) async fn flush(&mut self) {
        let (sender, done) = oneshot::channel();
        self.backlog.push_back(Command::Flush(sender));
        while let Some(order) = self.backlog.pop_front() {
            if self.orders.send(order).await.is_err() {
                return;
            }
        }
        // An error means that the thread has ended: nothing is left to wait for.
        drop(done.await);
    }
}

/// The thread's side.
struct Writer {
    root: PathBuf,
    /// The existing journals and their lengths.
    lengths: BTreeMap<Lease, u64>,
    health: watch::Sender<Health>,
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        while let Some(order) = queue.blocking_recv() {
            self.carry_out(order);
        }
    }

    fn carry_out(&mut self, order: Command) {
        match order {
            Command::Append { lease, record } => self.append(lease, &[record], false),
            Command::Keep { lease, records } => self.append(lease, &records, true),
            Command::Replace { lease, records } => self.replace(lease, &records),
            Command::Log { lease, text } => {
                if self.lengths.contains_key(&lease) {
                    // The log is for people, and is written again soon.
                    drop(
                        create_anew(&log_of(&self.folder(&lease))).and_then(|mut file| file.write_all(text.as_bytes())),
                    );
                }
            }
            Command::Remove { lease } => self.remove(lease),
            // The waiting task may have ended.
            Command::Flush(done) => drop(done.send(())),
        }
    }

    fn folder(&self, lease: &Lease) -> PathBuf {
        self.root.join(lease.folder_name())
    }

    fn append(&mut self, lease: Lease, records: &[Record], synced: bool) {
        if self.health.borrow().failed.contains_key(&lease) {
            // The agent has all records, and orders a replacement.
            return;
        }
        let known = self.lengths.get(&lease).copied();
        match append(&self.folder(&lease), known, records, synced) {
            Ok(length) => {
                self.lengths.insert(lease, length);
                self.health.send_if_modified(|health| {
                    health.bytes += length - known.unwrap_or(0);
                    // No task waits for it.
                    false
                });
            }
            Err(error) => self.failed(lease, &error),
        }
    }

    fn replace(&mut self, lease: Lease, records: &[Record]) {
        match replace(&self.folder(&lease), records) {
            Ok(length) => {
                let before = self.lengths.insert(lease, length).unwrap_or(0);
                self.health.send_modify(|health| {
                    health.bytes = health.bytes.saturating_sub(before) + length;
                    health.failed.remove(&lease);
                });
            }
            Err(error) => self.failed(lease, &error),
        }
    }

    fn failed(&mut self, lease: Lease, error: &io::Error) {
        let reason = format!("{}: {error}", self.folder(&lease).display());
        self.health.send_modify(|health| drop(health.failed.insert(lease, reason)));
    }

    fn remove(&mut self, lease: Lease) {
        let length = self.lengths.remove(&lease);
        let failed = self.health.borrow().failed.contains_key(&lease);
        if length.is_none() && !failed {
            return;
        }
        let folder = self.folder(&lease);
        if let Err(error) = remove(&folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), error = %error, "cannot remove the journal of a reported attempt");
        }
        self.health.send_if_modified(|health| {
            health.bytes = health.bytes.saturating_sub(length.unwrap_or(0));
            health.failed.remove(&lease).is_some()
        });
    }
}

/// Appends to the journal in `folder`, of which `known` bytes are valid; creates it if missing. Returns the new length.
fn append(folder: &Path, known: Option<u64>, records: &[Record], synced: bool) -> io::Result<u64> {
    let path = journal_of(folder);
    let mut bytes = Vec::new();
    let (mut file, begin) = match known {
        Some(length) => (open_to_append(&path)?, length),
        None => {
            std::fs::create_dir_all(folder)?;
            bytes.extend_from_slice(&MAGIC);
            (create_anew(&path)?, 0)
        }
    };
    records.iter().for_each(|record| record.append(&mut bytes, begin));
    write_behind(&mut file, begin, &bytes)?;
    if synced && let Err(error) = sync(&file, folder) {
        cut(&file, begin);
        return Err(error);
    }
    Ok(begin + bytes.len() as u64)
}

/// Writes all of the bytes at the end of a file of this length, or nothing.
fn write_behind(file: &mut File, length: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes).inspect_err(|_| cut(file, length))
}

/// If this fails too, a partial record remains at the end, which readers cut off.
fn cut(file: &File, length: u64) {
    drop(file.set_len(length));
}

/// Writes a new journal and renames it over the old one.
fn replace(folder: &Path, records: &[Record]) -> io::Result<u64> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join("journal.new");
    let mut bytes = MAGIC.to_vec();
    records.iter().for_each(|record| record.append(&mut bytes, 0));
    let mut file = create_anew(&path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&path, journal_of(folder))?;
    sync(&file, folder)?;
    Ok(bytes.len() as u64)
}

/// Syncs the file, its name in its folder, and its folder's name.
fn sync(file: &File, folder: &Path) -> io::Result<()> {
    file.sync_data()?;
    sync_folder(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Removes the journal first: a folder without one is ignored.
fn remove(folder: &Path) -> io::Result<()> {
    std::fs::remove_file(journal_of(folder))?;
    remove_folder(folder)
}

#[cfg(test)]
mod tests {
    use sweep_proto::v1;
    use sweep_spec::TrialId;

    use super::super::record;
    use super::*;

    fn lease(attempt: u32) -> Lease {
        Lease { trial_id: TrialId::of(b"trial"), round: 1, attempt }
    }

    fn stopping(reason: &str) -> Record {
        Record::Stopping(v1::Stopped { reason: reason.to_owned() })
    }

    fn failed(journal: &Journal) -> Vec<Lease> {
        journal.health().failed.into_keys().collect()
    }

    fn records(state: &Path, lease: Lease) -> Vec<Record> {
        let bytes = std::fs::read(journal_of(&root(state).join(lease.folder_name()))).unwrap();
        let journal = record::read(&bytes).unwrap();
        assert_eq!(journal.whole, bytes.len());
        journal.records
    }

    #[tokio::test]
    async fn orders_are_carried_out_one_by_one_and_nothing_is_left_of_what_is_removed() {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::start(state.path(), BTreeMap::new()).unwrap();
        for n in 0..10 {
            journal.order(Command::Append { lease: lease(1), record: stopping(&n.to_string()) });
        }
        journal.order(Command::Keep { lease: lease(1), records: vec![stopping("a"), stopping("b")] });
        journal.order(Command::Log { lease: lease(1), text: "last words".to_owned() });
        journal.order(Command::Log { lease: lease(2), text: "of no attempt".to_owned() });
        journal.flush().await;
        assert_eq!(records(state.path(), lease(1)).len(), 12);
        let folder = root(state.path()).join(lease(1).folder_name());
        assert_eq!(std::fs::read_to_string(log_of(&folder)).unwrap(), "last words");
        let bytes = journal.health().bytes;
        assert_eq!(bytes, std::fs::metadata(journal_of(&folder)).unwrap().len());
        journal.order(Command::Replace { lease: lease(1), records: vec![stopping("only")] });
        journal.flush().await;
        assert_eq!(records(state.path(), lease(1)), [stopping("only")]);
        journal.order(Command::Remove { lease: lease(1) });
        journal.flush().await;
        assert_eq!(std::fs::read_dir(root(state.path())).unwrap().count(), 0);
        assert_eq!(journal.health(), Health::default());
    }

    #[tokio::test]
    async fn nothing_is_written_through_a_link_that_lies_in_the_place_of_a_new_file() {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::start(state.path(), BTreeMap::new()).unwrap();
        let folder = root(state.path()).join(lease(1).folder_name());
        let other = state.path().join("other");
        std::fs::write(&other, "untouched").unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        for name in [JOURNAL, LOG, "journal.new"] {
            std::os::unix::fs::symlink(&other, folder.join(name)).unwrap();
        }
        journal.order(Command::Append { lease: lease(1), record: stopping("a") });
        journal.order(Command::Log { lease: lease(1), text: "last words".to_owned() });
        journal.order(Command::Replace { lease: lease(1), records: vec![stopping("b")] });
        journal.flush().await;
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "untouched");
        assert_eq!(std::fs::read_to_string(log_of(&folder)).unwrap(), "last words");
        assert_eq!(records(state.path(), lease(1)), [stopping("b")]);
    }

    /// A trainer runs as the same user, and may put a link in the place of the journal.
    #[tokio::test]
    async fn nothing_is_appended_through_a_link_and_the_journal_is_written_anew_in_its_place() {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::start(state.path(), BTreeMap::new()).unwrap();
        let folder = root(state.path()).join(lease(1).folder_name());
        journal.order(Command::Append { lease: lease(1), record: stopping("a") });
        journal.flush().await;
        let written = journal.health().bytes;
        let other = state.path().join("other");
        std::fs::write(&other, "untouched").unwrap();
        std::fs::remove_file(journal_of(&folder)).unwrap();
        std::os::unix::fs::symlink(&other, journal_of(&folder)).unwrap();
        journal.order(Command::Append { lease: lease(1), record: stopping("b") });
        journal.order(Command::Keep { lease: lease(1), records: vec![stopping("c")] });
        journal.flush().await;
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "untouched");
        let said = journal.health().failed.into_values().next().unwrap();
        assert!(said.contains("is a link, which is not followed"), "{said}");
        assert_eq!(journal.health().bytes, written);
        // The agent then orders all of it, which takes the place of the link.
        journal.order(Command::Replace { lease: lease(1), records: vec![stopping("a"), stopping("b")] });
        journal.flush().await;
        assert!(failed(&journal).is_empty());
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "untouched");
        assert_eq!(records(state.path(), lease(1)), [stopping("a"), stopping("b")]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_without_room_is_an_error() {
        let mut full = File::options().append(true).open("/dev/full").unwrap();
        assert_eq!(write_behind(&mut full, 0, b"record").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said_and_written_later() {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::start(state.path(), BTreeMap::new()).unwrap();
        // A file in the place of the folder also stops root, who may write everywhere.
        let folder = root(state.path()).join(lease(1).folder_name());
        std::fs::write(&folder, "in the way").unwrap();
        journal.order(Command::Append { lease: lease(1), record: stopping("a") });
        journal.order(Command::Append { lease: lease(2), record: stopping("b") });
        journal.flush().await;
        assert_eq!(failed(&journal), [lease(1)]);
        assert_eq!(records(state.path(), lease(2)), [stopping("b")], "others go on");
        journal.order(Command::Replace { lease: lease(1), records: vec![stopping("a")] });
        journal.flush().await;
        assert_eq!(failed(&journal), [lease(1)]);
        std::fs::remove_file(&folder).unwrap();
        journal.order(Command::Replace { lease: lease(1), records: vec![stopping("a")] });
        journal.order(Command::Append { lease: lease(1), record: stopping("c") });
        journal.flush().await;
        assert!(failed(&journal).is_empty());
        assert_eq!(records(state.path(), lease(1)), [stopping("a"), stopping("c")]);
    }
}
