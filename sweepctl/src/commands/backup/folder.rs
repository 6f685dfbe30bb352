//! The folder of a backup. Every file is downloaded under a temporary name, synced, verified and then renamed, so that
//! every file with a final name is complete, whatever interrupts the backup.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sweep_shapes::backup::{ARTIFACTS, MANIFEST, Manifest, NEXT_MANIFEST, STORE};
use sweep_spec::Digest;
use sweep_trust::lock::Lock;

use crate::failure::Failure;

/// The name of the current backup, and when its copy of the store was made.
const UNFINISHED: &str = "backup.unfinished";
/// Suffix of incomplete files.
const PART: &str = ".part";

/// The folder of a backup, locked against other processes.
pub(super) struct Folder {
    root: PathBuf,
    _lock: Lock,
}

/// A file to download.
pub(super) struct Target {
    place: PathBuf,
    part: PathBuf,
    digest: Digest,
    bytes: u64,
}

/// An open, incomplete file.
pub(super) struct Writing<'t> {
    target: &'t Target,
    file: File,
    hasher: blake3::Hasher,
    offset: u64,
}

/// The files of earlier backups, folder by folder in the order of the artifacts.
pub(super) struct Parts {
    root: PathBuf,
    /// Folders that later artifacts belong to.
    coming: Vec<PathBuf>,
    name: String,
    files: HashSet<PathBuf>,
    left: Vec<PathBuf>,
}

fn failed(path: &Path, error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot write the backup: {}", path.display())).because(error)
}

/// A folder that only its owner can enter: a store contains hashes of tokens, and all results.
fn make(path: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| failed(path, error))
}

fn sync(path: &Path) -> Result<(), Failure> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| failed(path, error))
}

/// Completes a backup that was interrupted between its last renames: if the store has its final name, its manifest gets
/// its own; otherwise the manifest belongs to an incomplete backup and is removed.
fn settle(root: &Path) -> Result<(), Failure> {
    let next = root.join(NEXT_MANIFEST);
    if !next.exists() {
        return Ok(());
    }
    let half = root.join(format!("{STORE}{PART}")).exists();
    let done = if half { std::fs::remove_file(&next) } else { std::fs::rename(&next, root.join(MANIFEST)) };
    done.map_err(|error| failed(&next, error))?;
    sync(root)
}

impl Folder {
    /// Opens the folder; creates it if missing.
    pub(super) fn open(root: &Path) -> Result<Self, Failure> {
        make(&root.join(ARTIFACTS))?;
        let path = root.join(".lock");
        let mut options = File::options();
        let opened = options.create(true).write(true).truncate(false).mode(0o600).open(&path);
        let lock = opened.map_err(|error| failed(&path, error))?;
        let lock = Lock::take(lock).map_err(|error| match error {
            TryLockError::WouldBlock => {
                Failure::failed(format!("another backup is writing to {}", root.display())).hint("wait until it ends")
            }
            TryLockError::Error(error) => failed(&path, error),
        })?;
        settle(root)?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// The name of the backup that was interrupted here, or a new one. It is saved before its first use, because a
    /// coordinator blocks other backups for a while once it knows the name.
    pub(super) fn name(&self) -> Result<String, Failure> {
        let (name, _) = self.unfinished();
        if !name.is_empty() {
            return Ok(name);
        }
        // Unique; not a secret.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let seed = format!("{} {} {}", self.root.display(), std::process::id(), now.as_nanos());
        let name = Digest::of(seed.as_bytes()).to_string().chars().take(32).collect::<String>();
        self.note(&name, 0)?;
        Ok(name)
    }

    /// The name of the backup that was interrupted here, and when its copy of the store was made; 0 if unknown.
    fn unfinished(&self) -> (String, i64) {
        let text = std::fs::read_to_string(self.root.join(UNFINISHED)).unwrap_or_default();
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        (name, words.next().and_then(|word| word.parse().ok()).unwrap_or(0))
    }

    /// Atomically: half a name would be another backup's.
    fn note(&self, name: &str, created_ms: i64) -> Result<(), Failure> {
        let path = self.root.join(UNFINISHED);
        let part = self.root.join(format!("{UNFINISHED}{PART}"));
        let written = std::fs::write(&part, format!("{name} {created_ms}\n"));
        written.and_then(|()| std::fs::rename(&part, &path)).map_err(|error| failed(&path, error))
    }

    /// Records which copy of the store is downloaded. Parts of another copy are discarded.
    pub(super) fn begin(&self, name: &str, created_ms: i64) -> Result<(), Failure> {
        if self.unfinished() == (name.to_owned(), created_ms) {
            return Ok(());
        }
        let part = self.root.join(format!("{STORE}{PART}"));
        match std::fs::remove_file(&part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&part, error)),
            Ok(()) | Err(_) => {}
        }
        self.note(name, created_ms)
    }

    /// The copy of the store. It is renamed together with the manifest.
    pub(super) fn store(&self, digest: Digest, bytes: u64) -> Target {
        Target { place: self.root.join(STORE), part: self.root.join(format!("{STORE}{PART}")), digest, bytes }
    }

    pub(super) fn artifact(&self, digest: Digest, bytes: u64) -> Target {
        let name = digest.to_string();
        let place = self.root.join(ARTIFACTS).join(part_of(&name)).join(&name);
        let mut part = place.clone().into_os_string();
        part.push(PART);
        Target { place, part: part.into(), digest, bytes }
    }

    /// The files of earlier backups.
    pub(super) fn parts(&self) -> Parts {
        let root = self.root.join(ARTIFACTS);
        let found = std::fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut coming: Vec<PathBuf> = found.filter(|path| path.is_dir()).collect();
        coming.sort_by(|one, other| other.cmp(one));
        Parts { root, coming, name: String::new(), files: HashSet::new(), left: Vec::new() }
    }

    /// Renames the copy of the store and the manifest to their final names. Between the two renames the folder has the
    /// new store and both manifests; a restore uses the one that matches the store.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(manifest);
        let text = text.map_err(|error| Failure::internal("cannot encode the manifest").because(error))?;
        let part = format!("{NEXT_MANIFEST}{PART}");
        let next = self.root.join(&part);
        let written = File::create(&next).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
        written.map_err(|error| failed(&next, error))?;
        sync(&self.root)?;
        for (from, to) in
            [(part, NEXT_MANIFEST), (format!("{STORE}{PART}"), STORE), (NEXT_MANIFEST.to_owned(), MANIFEST)]
        {
            let to = self.root.join(to);
            std::fs::rename(self.root.join(from), &to).map_err(|error| failed(&to, error))?;
            sync(&self.root)?;
        }
        Ok(())
    }

    /// Removes the backup's name after the coordinator has closed the backup. If the command is killed before that, the
    /// next run reopens this backup instead of being blocked by it.
    pub(super) fn forget(&self) -> Result<(), Failure> {
        let unfinished = self.root.join(UNFINISHED);
        std::fs::remove_file(&unfinished).map_err(|error| failed(&unfinished, error))
    }
}

/// The folder of a file within `artifacts`.
fn part_of(name: &str) -> &str {
    name.get(..2).unwrap_or(name)
}

impl Target {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens the file at the end of the part that exists.
    pub(super) fn go_on(&self) -> Result<Writing<'_>, Failure> {
        if let Some(folder) = self.part.parent() {
            make(folder)?;
        }
        let mut options = File::options();
        let opened = options.create(true).read(true).append(true).mode(0o600).open(&self.part);
        let mut file = opened.map_err(|error| failed(&self.part, error))?;
        let (mut hasher, mut buffer, mut offset) = (blake3::Hasher::new(), vec![0; 256 * 1024], 0);
        loop {
            let read = file.read(&mut buffer).map_err(|error| failed(&self.part, error))?;
            if read == 0 {
                break;
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            offset += read as u64;
        }
        Ok(Writing { target: self, file, hasher, offset })
    }

    /// The error for a complete download that does not match the announced digest.
    pub(super) fn broken(&self) -> Failure {
        Failure::failed(format!("{} was damaged during the transfer", self.place.display()))
            .hint("run the backup again: it fetches only this file")
    }

    /// Renames it to its final name.
    pub(super) fn keep(&self) -> Result<(), Failure> {
        std::fs::rename(&self.part, &self.place).map_err(|error| failed(&self.place, error))?;
        self.place.parent().map_or(Ok(()), sync)
    }
}

impl Writing<'_> {
    /// The length so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn write(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.hasher.update(chunk);
        self.offset += chunk.len() as u64;
        self.file.write_all(chunk).map_err(|error| failed(&self.target.part, error))
    }

    /// Whether it matches the announced size and digest.
    pub(super) fn is_whole(&self) -> bool {
        self.offset == self.target.bytes && self.hasher.finalize().as_bytes() == self.target.digest.as_bytes()
    }

    /// Synced when this returns.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| failed(&self.target.part, error))
    }

    /// Removes it, so that the next try starts at the beginning.
    pub(super) fn discard(self) -> Result<(), Failure> {
        std::fs::remove_file(&self.target.part).map_err(|error| failed(&self.target.part, error))
    }
}

impl Parts {
    /// Whether an artifact exists. Calls must be in the order of the digests.
    pub(super) fn has(&mut self, digest: Digest, bytes: u64) -> Result<bool, Failure> {
        let name = digest.to_string();
        let part = part_of(&name);
        if self.name != part {
            self.turn_to(part)?;
        }
        let place = self.root.join(part).join(&name);
        Ok(self.files.remove(&place) && std::fs::metadata(&place).is_ok_and(|found| found.len() == bytes))
    }

    fn turn_to(&mut self, name: &str) -> Result<(), Failure> {
        self.left.extend(self.files.drain());
        self.name = name.to_owned();
        let wanted = self.root.join(name);
        while let Some(folder) = self.coming.pop_if(|folder| *folder <= wanted) {
            let files = std::fs::read_dir(&folder).map_err(|error| failed(&folder, error))?;
            let files = files.flatten().map(|entry| entry.path());
            if folder == wanted {
                // Incomplete files are resumed; those that remain at the end are unreferenced.
                let (half, whole): (Vec<_>, Vec<_>) = files.partition(|path| path.extension().is_some());
                self.left.extend(half);
                self.files = whole.into_iter().collect();
            } else {
                self.left.extend(files);
            }
        }
        Ok(())
    }

    /// The unreferenced files.
    pub(super) fn finish(mut self) -> Result<Vec<PathBuf>, Failure> {
        // Behind every possible folder.
        self.turn_to("~")?;
        Ok(self.left)
    }
}

/// Removes files; returns how many.
pub(super) fn remove(files: &[PathBuf]) -> Result<u64, Failure> {
    let mut removed = 0;
    for path in files {
        match std::fs::remove_file(path) {
            Ok(()) => removed += 1,
            // An incomplete file that has been completed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(path, error)),
        }
    }
    Ok(removed)
}
