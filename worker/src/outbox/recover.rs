//! Recovers the state of an earlier run from disk: endings that are not reported yet, attempts that died with the
//! worker, and damaged journals, which are moved aside.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;
use sweep_spec::Digest;
use sweep_spec::trainer::EpochMetrics;

use super::journal::{MAX_BYTES, journal_of, log_of, root};
use super::record::{self, Record};
use crate::artifact::{self, Artifact};
use crate::files;
use crate::log_tail::LOG_TAIL_BYTES;
use crate::wire::{self, Lease};

/// Damaged folders that are kept for inspection; older ones are removed.
const MAX_DAMAGED: usize = 64;

/// An attempt to report.
#[derive(Debug, Clone)]
pub(crate) struct Recovered {
    pub(crate) lease: Lease,
    pub(crate) slot: u32,
    /// In order; the last one has sequence number `last`.
    pub(crate) points: Vec<EpochMetrics>,
    pub(crate) last: u64,
    pub(crate) ending: v1::FinishRequest,
    /// Files to upload before the ending.
    pub(crate) artifacts: Vec<Artifact>,
    /// Bytes of its journal; `None` without one.
    pub(crate) length: Option<u64>,
    pub(crate) state: State,
}

/// The state in which it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It had ended.
    Ended,
    /// The worker was stopping it.
    Stopped,
    /// It was running.
    Lost,
    /// Its journal is damaged.
    Damaged,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
            Self::Damaged => "damaged",
        }
    }
}

/// Reads all journals below `state_folder`.
///
/// # Errors
/// The folder itself cannot be read.
pub(crate) fn recover(state_folder: &Path) -> io::Result<Vec<Recovered>> {
    let root = root(state_folder);
    std::fs::create_dir_all(&root)?;
    let mut recovered = Vec::new();
    for entry in std::fs::read_dir(&root)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(lease) = Lease::from_folder_name(&name) else {
            set_aside(state_folder, &path, "its name does not identify an attempt");
            continue;
        };
        match attempt(state_folder, &path, lease) {
            Ok(Some(attempt)) => recovered.push(attempt),
            Ok(None) => drop(files::remove_folder(&path)),
            Err(what) => {
                set_aside(state_folder, &path, &what);
                let reason = format!("its worker's journal of it is damaged: {what}");
                recovered.push(lost(lease, 0, reason, String::new(), None, State::Damaged));
            }
        }
    }
    // Restarts report in the same order, independent of the file system's.
    recovered.sort_by_key(|attempt| attempt.lease);
    Ok(recovered)
}

/// The attempt of one folder, or why it is damaged; `None` if the worker died before it had written anything.
fn attempt(state_folder: &Path, folder: &Path, lease: Lease) -> Result<Option<Recovered>, String> {
    let path = journal_of(folder);
    let bytes = match read_whole(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("its journal cannot be read: {error}")),
    };
    let journal = record::read(&bytes).map_err(|damaged| format!("its journal is damaged {damaged}"))?;
    if journal.whole < bytes.len() {
        let cut = files::open_to_append(&path).and_then(|file| file.set_len(journal.whole as u64));
        cut.map_err(|error| format!("the incomplete record at the end of its journal cannot be cut off: {error}"))?;
    }
    if journal.records.is_empty() {
        return Ok(None);
    }
    let length = Some(journal.whole as u64);
    let summary = Summary::by(journal.records, lease)?;
    let Some(ending) = summary.ending else {
        let log_tail = log_tail(folder);
        let Some(stopping) = summary.stopping else {
            let reason = "its worker ended during the attempt (killed, crashed, or its machine did) and has restarted";
            return Ok(Some(lost(lease, summary.slot, reason.to_owned(), log_tail, length, State::Lost)));
        };
        let mut stopped = lost(lease, summary.slot, String::new(), log_tail, length, State::Stopped);
        stopped.ending.ending = Some(Ending::Stopped(stopping));
        return Ok(Some(stopped));
    };
    let (points, last) = handed_in(summary.points, summary.last, ending.last_sequence)?;
    let artifacts =
        summary.artifacts.iter().map(|header| artifact(state_folder, lease, header)).collect::<Result<_, _>>()?;
    let slot = summary.slot;
    Ok(Some(Recovered { lease, slot, points, last, ending, artifacts, length, state: State::Ended }))
}

/// The points up to the `last_sequence` of an ending, and the number of the last of them; `newest` is the number of the
/// journal's last point.
fn handed_in(
    mut points: Vec<EpochMetrics>,
    newest: u64,
    last_sequence: u64,
) -> Result<(Vec<EpochMetrics>, u64), String> {
    if points.is_empty() {
        return Ok((points, last_sequence));
    }
    if newest < last_sequence {
        return Err(format!("its points end with {newest}, but its ending has {last_sequence}"));
    }
    let first = newest + 1 - points.len() as u64;
    // Later points were dropped before the attempt ended.
    let kept = last_sequence.saturating_add(1).saturating_sub(first);
    points.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    let last = if points.is_empty() { last_sequence } else { first + points.len() as u64 - 1 };
    Ok((points, last))
}

/// How many points a journal with these bytes reports, if it belongs to `lease`.
pub(crate) fn points_of(bytes: &[u8], lease: Lease) -> Result<usize, String> {
    points_in(record::read(bytes).map_err(|damaged| damaged.to_string())?.records, lease)
}

/// The same for a journal's payloads.
pub(crate) fn points_of_records(payloads: &[&[u8]], lease: Lease) -> Result<usize, String> {
    points_in(payloads.iter().map(|payload| Record::parse(payload)).collect::<Result<_, _>>()?, lease)
}

fn points_in(records: Vec<Record>, lease: Lease) -> Result<usize, String> {
    let summary = Summary::by(records, lease)?;
    let Some(ending) = summary.ending else { return Ok(0) };
    handed_in(summary.points, summary.last, ending.last_sequence).map(|(points, _)| points.len())
}

fn lost(lease: Lease, slot: u32, reason: String, log_tail: String, length: Option<u64>, state: State) -> Recovered {
    let ending =
        v1::FinishRequest { ending: Some(Ending::Lost(v1::Lost { reason })), log_tail, ..v1::FinishRequest::default() };
    // Without points: the next attempt reports them all.
    Recovered { lease, slot, points: Vec::new(), last: 0, ending, artifacts: Vec::new(), length, state }
}

fn artifact(state_folder: &Path, lease: Lease, header: &v1::ArtifactHeader) -> Result<Artifact, String> {
    let name = artifact::file_name(header.kind()).ok_or("it names a file of an unknown kind")?;
    let data_digest = Digest::try_from(&header.data_digest[..]).map_err(|error| error.to_string())?;
    let path = artifact::folder(state_folder, &lease).join(name);
    Ok(Artifact { kind: header.kind(), path, lease, data_digest })
}

/// The summary of a journal's records.
struct Summary {
    slot: u32,
    points: Vec<EpochMetrics>,
    last: u64,
    stopping: Option<v1::Stopped>,
    artifacts: Vec<v1::ArtifactHeader>,
    ending: Option<v1::FinishRequest>,
}

impl Summary {
    fn by(records: Vec<Record>, lease: Lease) -> Result<Self, String> {
        let mut summary =
            Self { slot: 0, points: Vec::new(), last: 0, stopping: None, artifacts: Vec::new(), ending: None };
        let ours = |named: Option<&v1::Lease>| match named.and_then(Lease::from_wire) == Some(lease) {
            true => Ok(()),
            false => Err("its journal belongs to another attempt".to_owned()),
        };
        for record in records {
            match record {
                Record::Opened(opened) => {
                    ours(opened.lease.as_ref())?;
                    summary.slot = opened.slot;
                }
                Record::Point(point) => {
                    ours(point.lease.as_ref())?;
                    summary.point(&point)?;
                }
                Record::Stopping(stopped) => summary.stopping = Some(stopped),
                Record::Artifact(header) => summary.artifacts.push(header),
                Record::Ending(ending) => {
                    ours(ending.lease.as_ref())?;
                    if ending.ending.is_none() {
                        return Err("its ending is empty".to_owned());
                    }
                    // A later ending replaces the earlier one, and its files.
                    if summary.ending.is_some() {
                        summary.artifacts.clear();
                    }
                    summary.ending = Some(*ending);
                }
            }
        }
        Ok(summary)
    }

    fn point(&mut self, point: &v1::Point) -> Result<(), String> {
        let metrics = point.metrics.as_ref().ok_or("one of its points has no metrics")?;
        let expected = if self.points.is_empty() { point.sequence.max(1) } else { self.last + 1 };
        if point.sequence != expected || point.sequence == u64::MAX {
            return Err(format!("its point {} is where point {expected} should be", point.sequence));
        }
        self.last = point.sequence;
        self.points.push(wire::metrics_of(metrics));
        Ok(())
    }
}

/// Path components that a trainer could replace by links: the folder of all attempts, the attempt's folder, and the
/// file.
const DEPTH: usize = 3;

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let file = files::open_regular(path, DEPTH)?.file;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn log_tail(folder: &Path) -> String {
    let read = files::open_regular(&log_of(folder), DEPTH).and_then(|opened| {
        let mut bytes = Vec::new();
        opened.file.take(LOG_TAIL_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    // The file does not exist if the trainer wrote nothing.
    let text = String::from_utf8_lossy(&read.unwrap_or_default()).into_owned();
    crate::log_tail::end_of(&text).to_owned()
}

/// Moves a folder aside for inspection.
fn set_aside(state_folder: &Path, path: &Path, what: &str) {
    let damaged = state_folder.join("damaged");
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let moved = std::fs::create_dir_all(&damaged).and_then(|()| {
        make_room(&damaged)?;
        let free = (1..).map(|n: u64| damaged.join(format!("{name}-{n}"))).find(|path| !path.exists());
        let free = free.ok_or(io::ErrorKind::AlreadyExists)?;
        std::fs::rename(path, &free)?;
        Ok(free)
    });
    match moved {
        Ok(to) => {
            tracing::warn!(folder = %path.display(), what, set_aside = %to.display(), "the journal of an attempt is damaged, moving it aside")
        }
        Err(error) => {
            tracing::warn!(folder = %path.display(), what, error = %error, "the journal of an attempt is damaged and cannot be moved aside");
        }
    }
}

/// Removes the oldest folders until there is room for one more.
fn make_room(damaged: &Path) -> io::Result<()> {
    let mut kept: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(damaged)? {
        let entry = entry?;
        kept.push((entry.metadata()?.modified()?, entry.path()));
    }
    kept.sort();
    for (_, path) in kept.iter().take((kept.len() + 1).saturating_sub(MAX_DAMAGED)) {
        files::remove_folder(path)?;
    }
    Ok(())
}
