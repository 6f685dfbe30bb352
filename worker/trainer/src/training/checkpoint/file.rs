//! Files of a checkpoint folder: names, atomic writes, setting damaged files aside. A file gets its final name only
//! when it is complete and synced.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const PREFIX: &str = "epoch-";
const STEP: &str = "-step-";
const SUFFIX: &str = ".checkpoint";
const WRITING: &str = ".writing-";

/// The progress of a trial: completed epochs, then steps of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) epochs: u32,
    pub(super) steps: u32,
}

impl Position {
    /// The name of the checkpoint file.
    pub(super) fn name(self) -> String {
        let Self { epochs, steps } = self;
        if steps == 0 {
            return format!("{PREFIX}{epochs:06}{SUFFIX}");
        }
        format!("{PREFIX}{epochs:06}{STEP}{steps:06}{SUFFIX}")
    }

    fn of(name: &str) -> Option<Self> {
        let numbers = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (epochs, steps) = numbers.split_once(STEP).unwrap_or((numbers, "0"));
        let position = Self { epochs: epochs.parse().ok()?, steps: steps.parse().ok()? };
        (position.name() == name).then_some(position)
    }
}

/// The checkpoints of a folder, the newest first; none if the folder is missing.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(Position, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(position) = entry.file_name().to_str().and_then(Position::of) {
            found.push((position, entry.path()));
        }
    }
    found.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
    Ok(found)
}

/// Opens a regular file; opening anything else could block.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path)
}

/// Writes a file atomically: the output of `write`, followed by its digest.
pub(super) fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let file = tempfile::Builder::new().prefix(WRITING).tempfile_in(folder)?;
    let mut out = BufWriter::new(Digesting { out: file, hasher: blake3::Hasher::new() });
    write(&mut out)?;
    let Digesting { mut out, hasher } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.write_all(hasher.finalize().as_bytes())?;
    out.as_file().sync_all()?;
    out.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Renames a checkpoint that was refused, so that it is not tried again; returns the new name.
pub(super) fn put_aside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    let aside = PathBuf::from(name);
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Removes temporary files of killed trainers. The folder belongs to one trial, and a trial has one trainer.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(WRITING)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

struct Digesting<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_nothing_else_is() {
        for (epochs, steps, name) in [
            (12, 0, "epoch-000012.checkpoint"),
            (0, 345, "epoch-000000-step-000345.checkpoint"),
            (u32::MAX, u32::MAX, "epoch-4294967295-step-4294967295.checkpoint"),
        ] {
            let position = Position { epochs, steps };
            assert_eq!(position.name(), name);
            assert_eq!(Position::of(name), Some(position));
        }
        for name in [
            "",
            "epoch-.checkpoint",
            "epoch-12.checkpoint",
            "epoch-+00012.checkpoint",
            "epoch-000012-step-000000.checkpoint",
            "epoch-000012.checkpoint.damaged",
            "epoch-99999999999.checkpoint",
            ".writing-epoch-000012.checkpoint",
        ] {
            assert_eq!(Position::of(name), None, "{name}");
        }
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Position { epochs: 1, steps: 0 }.name());
        write(&path, |out| out.write_all(b"first")).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(first.len(), 5 + 32);
        write(&path, |out| out.write_all(b"half").and(Err(io::Error::other("full")))).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no half file stays");
    }

    #[test]
    fn unfinished_files_are_removed_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".writing-x"), b"half").unwrap();
        fs::write(folder.path().join("mine.txt"), b"whole").unwrap();
        remove_unfinished(folder.path()).unwrap();
        assert!(!folder.path().join(".writing-x").exists() && folder.path().join("mine.txt").exists());
        remove_unfinished(&folder.path().join("absent")).unwrap();
        assert!(list(&folder.path().join("absent")).unwrap().is_empty());
    }
}
