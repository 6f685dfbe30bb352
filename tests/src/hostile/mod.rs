//! Random bytes: the committed corpus of the fuzz targets, and seeded mutations of it that know some of its structure.
//! The same seed gives the same bytes.

mod mutate;
mod wire;

use std::path::{Path, PathBuf};

pub use mutate::{Kind, Mutator};

/// The corpus of a fuzz target: its name below `fuzz/corpus`.
pub fn folder(target: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target)
}

/// The files of a corpus with their names, sorted.
///
/// # Errors
/// The folder is not there or cannot be read, or is empty.
pub fn corpus(target: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder(target))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push((name, std::fs::read(&path)?));
    }
    found.sort();
    if found.is_empty() { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(found) }
}
