//! Checkpoints in folders: listed by name, copied atomically, and removed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{CheckpointFile, Error, MAX_BYTES, Position};
use crate::files::{create_anew, entries, open_regular, remove_folder, sync_folder};

/// Path components that a trainer or another worker could replace by links: the trial's folder, the round's, and the
/// file.
pub(super) const DEPTH: usize = 3;

/// Lists the checkpoints in a folder; a missing folder has none.
pub(super) async fn list(folder: &Path) -> Result<Vec<CheckpointFile>, Error> {
    let folder = folder.to_owned();
    let listed = tokio::task::spawn_blocking(move || read(&folder).map_err(Error::at(&folder))).await;
    listed.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

fn read(folder: &Path) -> io::Result<Vec<CheckpointFile>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(position) = Position::of(&name) else { continue };
        // The file may have been removed after the folder was read.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() && metadata.len() <= MAX_BYTES {
            found.push(CheckpointFile { position, name, bytes: metadata.len() });
        }
    }
    Ok(found)
}

/// A temporary name, unique to this process because another may write the same checkpoint.
pub(super) fn unfinished(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".copying-{}-{name}", std::process::id()))
}

/// Copies a file between folders: writes a temporary file, syncs it and renames it.
pub(super) async fn copy(from: &Path, to: &Path, name: &str) -> Result<(), Error> {
    let (from, to, name) = (from.to_owned(), to.to_owned(), name.to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&to).map_err(Error::at(&to))?;
        let begun = unfinished(&to, &name);
        let source = from.join(&name);
        // Trainers and other workers can write here, so a name may have become a link since it was listed.
        let opened = open_regular(&source, DEPTH).map_err(Error::at(&source))?.file;
        let mut out = create_anew(&begun).map_err(Error::at(&begun))?;
        let copied = io::copy(&mut opened.take(MAX_BYTES + 1), &mut out).map_err(Error::at(&source))?;
        if copied > MAX_BYTES {
            std::fs::remove_file(&begun).map_err(Error::at(&begun))?;
            return Err(Error::TooLarge);
        }
        finish(&out, &to, &name).map_err(Error::at(&begun))
    });
    copied.await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

/// Renames a complete temporary file to its final name.
pub(super) fn finish(file: &File, folder: &Path, name: &str) -> io::Result<()> {
    file.sync_all()?;
    std::fs::rename(unfinished(folder, name), folder.join(name))?;
    sync_folder(folder)
}

/// Removes a round's folder, and its trial's folder if that is then empty.
pub(super) fn remove_round(folder: &Path) -> Result<(), Error> {
    match remove_folder(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::at(folder)(error)),
    }
    if let Some(trial) = folder.parent() {
        // It is not empty while other rounds have checkpoints.
        drop(std::fs::remove_dir(trial));
    }
    Ok(())
}

/// Removes the folders of rounds without changes for `age`.
pub(super) fn remove_old(root: &Path, now: SystemTime, age: Duration) {
    // Skips files and missing folders, and does not follow links.
    let folders = |path: &Path| {
        let entries = entries(path).unwrap_or_default().into_iter();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
    };
    for round in folders(root).flat_map(|trial| folders(&trial)) {
        let written = std::fs::symlink_metadata(&round).and_then(|metadata| metadata.modified());
        let old = written.is_ok_and(|written| now.duration_since(written).is_ok_and(|since| since > age));
        if !old {
            continue;
        }
        match remove_round(&round) {
            Ok(()) => tracing::info!(folder = %round.display(), "removed old checkpoints"),
            Err(error) => tracing::warn!(reason = %error, "cannot remove old checkpoints"),
        }
    }
}
