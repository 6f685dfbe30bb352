//! The cache of autotuned kernels. On a GPU the tensor library times several kernels per shape once and stores the
//! fastest in files. Another kernel adds in another order, so results of one device are bit-identical only under the
//! same cache.

use std::fs;
use std::path::{Path, PathBuf};

use sweep_spec::Digest;

/// The folder's name within the root that the tensor library chooses.
const FOLDER: &str = "autotune";
/// A larger cache is described by its folder only: its digest would take too long.
const MOST_FILES: usize = 10_000;

/// Describes the cache of a device: its folder and the digest of its content, or `none`.
pub(crate) fn describe(device: &str) -> String {
    if device == "cpu" {
        return "none".to_owned();
    }
    let Ok(here) = std::env::current_dir() else { return "folder not known".to_owned() };
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    describe_folder(&root(&here, home.as_deref()).join(FOLDER))
}

/// The tensor library's default root: the `target` folder of the workspace in which it starts, otherwise the user's
/// cache folder.
fn root(here: &Path, home: Option<&Path>) -> PathBuf {
    let workspace = here.ancestors().find(|folder| folder.join("Cargo.toml").exists());
    match (workspace, home) {
        (Some(workspace), _) => workspace.join("target"),
        (None, Some(home)) => home.join("cubecl"),
        (None, None) => here.join("target"),
    }
}

fn describe_folder(folder: &Path) -> String {
    let mut files = Vec::new();
    gather(folder, &mut files);
    if files.is_empty() {
        return format!("{}, empty", folder.display());
    }
    if files.len() > MOST_FILES {
        return format!("{}, {} files or more", folder.display(), MOST_FILES);
    }
    format!("{}, {} files, digest {}", folder.display(), files.len(), digest(folder, &mut files).short())
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => gather(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            Ok(_) | Err(_) => {}
        }
        if files.len() > MOST_FILES {
            return;
        }
    }
}

/// Digest of the files' names and contents, in the order of their names.
fn digest(folder: &Path, files: &mut [PathBuf]) -> Digest {
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files.iter() {
        let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned();
        // A file that another trainer is replacing counts as empty: the next trial includes the new one.
        let content = fs::read(file).unwrap_or_default();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        hasher.update(&(content.len() as u64).to_le_bytes()).update(&content);
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_tunes_nothing() {
        assert_eq!(describe("cpu"), "none");
        assert_ne!(describe("cuda:0"), "none");
    }

    #[test]
    fn the_folder_is_the_workspace_s_or_the_person_s() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, home) = (folder.path().join("a/b"), Path::new("/home/x/.cache"));
        fs::create_dir_all(&inside).unwrap();
        assert_eq!(root(&inside, Some(home)), home.join("cubecl"));
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(root(&inside, Some(home)), folder.path().join("target"));
    }

    #[test]
    fn the_digest_follows_every_name_and_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        assert!(describe_folder(folder.path()).ends_with(", empty"));
        assert!(describe_folder(&folder.path().join("absent")).ends_with(", empty"));
        let file = folder.path().join("device/matmul.json.log");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut seen = Vec::new();
        for (path, content) in [(&file, "1"), (&file, "2"), (&folder.path().join("other"), "2")] {
            fs::write(path, content).unwrap();
            seen.push(describe_folder(folder.path()));
        }
        assert_eq!(describe_folder(folder.path()), seen[2], "the same twice");
        assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0].contains("1 files, digest "), "{seen:?}");
    }
}
