//! A random key in the state folder that distinguishes workers of the same name. A worker that restarts on its folder
//! sends the same key and takes over its name at once; a worker with another key waits until the name is free.

use std::io::{Error, ErrorKind, Write};
use std::path::Path;

use crate::{files, machine};

/// The file's name in the state folder.
const FILE: &str = "key";
/// Hexadecimal digits of a key.
const DIGITS: usize = 32;

/// Reads the key of a state folder; creates it if missing.
///
/// # Errors
/// The folder cannot be read or written.
pub(crate) fn of(state_folder: &Path) -> Result<String, Error> {
    let path = state_folder.join(FILE);
    match files::read(&path, DIGITS as u64).map(String::from_utf8) {
        Ok(Ok(text)) if is_key(&text) => return Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if error.kind() != ErrorKind::FileTooLarge => return Err(error),
        Ok(_) | Err(_) => tracing::warn!(path = %path.display(), "the worker's key is damaged, creating a new one"),
    }
    let bytes = [machine::random_bytes(), machine::random_bytes()].concat();
    let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // Renamed when complete, so that a crash leaves no partial file.
    let draft = state_folder.join("key.tmp");
    let mut file = files::create_anew(&draft)?;
    file.write_all(key.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, &path)?;
    Ok(key)
}

fn is_key(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_key_and_every_folder_has_its_own() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = of(one.path()).unwrap();
        assert_eq!((key.len(), &of(one.path()).unwrap()), (DIGITS, &key));
        assert_ne!(of(other.path()).unwrap(), key);
    }

    #[test]
    fn a_damaged_key_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        for damage in [&b""[..], b"0123", b"not thirty-two digits of sixteen", &[0xff; DIGITS]] {
            std::fs::write(folder.path().join(FILE), damage).unwrap();
            let key = of(folder.path()).unwrap();
            assert!(is_key(&key) && of(folder.path()).unwrap() == key, "{damage:?}");
        }
    }
}
