//! Checkpoints in folders: found by name, copied so that no half one is ever seen under its name, and removed.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Error, Found, MAX_BYTES, Mark};

/// The checkpoints in a folder; none where there is no folder.
pub(super) async fn list(folder: &Path) -> Result<Vec<Found>, Error> {
    let folder = folder.to_owned();
    let listed = tokio::task::spawn_blocking(move || read(&folder).map_err(Error::at(&folder))).await;
    listed.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

fn read(folder: &Path) -> io::Result<Vec<Found>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(mark) = Mark::of(&name) else { continue };
        // It may have been removed since the folder was read.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() && metadata.len() <= MAX_BYTES {
            found.push(Found { mark, name, bytes: metadata.len() });
        }
    }
    Ok(found)
}

/// A name under which a file is written until it is whole; of this process, because another may write the same.
pub(super) fn unfinished(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".copying-{}-{name}", std::process::id()))
}

/// Copies a file from one folder to another: under another name, synced, renamed.
pub(super) async fn copy(from: &Path, to: &Path, name: &str) -> Result<(), Error> {
    let (from, to, name) = (from.to_owned(), to.to_owned(), name.to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&to).map_err(Error::at(&to))?;
        let begun = unfinished(&to, &name);
        let source = from.join(&name);
        // Trainers and other workers write here: a name may have become a link to anything since it was listed.
        let opened = crate::files::open_plain(&source, 1).map_err(Error::at(&source))?;
        let mut out = create_anew(&begun).map_err(Error::at(&begun))?;
        let copied = io::copy(&mut opened.take(MAX_BYTES + 1), &mut out).map_err(Error::at(&source))?;
        if copied > MAX_BYTES {
            std::fs::remove_file(&begun).map_err(Error::at(&begun))?;
            return Err(Error::TooLarge);
        }
        finish(&to, &name).map_err(Error::at(&begun))
    });
    copied.await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

/// Makes a file in the place of what an interruption left there, and never through a link.
fn create_anew(path: &Path) -> io::Result<std::fs::File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    std::fs::File::create_new(path)
}

/// Gives an unfinished file its name.
pub(super) fn finish(folder: &Path, name: &str) -> io::Result<()> {
    let begun = unfinished(folder, name);
    std::fs::File::open(&begun)?.sync_all()?;
    std::fs::rename(&begun, folder.join(name))?;
    std::fs::File::open(folder)?.sync_all()
}

/// Removes a round's folder, and its trial's if that is then empty.
pub(super) fn remove_round(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::at(folder)(error)),
    }
    if let Some(trial) = folder.parent() {
        // Other rounds keep it.
        drop(std::fs::remove_dir(trial));
    }
    Ok(())
}

/// Removes the folders of rounds that nothing was written to for `age`.
pub(super) fn sweep(root: &Path, now: SystemTime, age: Duration) {
    let entries = |path: &Path| {
        // What is no folder, or is gone, has nothing to remove.
        let entries = std::fs::read_dir(path).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    for round in entries(root).iter().flat_map(|trial| entries(trial)) {
        let written = std::fs::metadata(&round).and_then(|metadata| metadata.modified());
        let old = written.is_ok_and(|written| now.duration_since(written).is_ok_and(|since| since > age));
        if !old {
            continue;
        }
        match remove_round(&round) {
            Ok(()) => tracing::info!(folder = %round.display(), "removed forgotten checkpoints"),
            Err(error) => tracing::warn!(reason = %error, "forgotten checkpoints cannot be removed"),
        }
    }
}
