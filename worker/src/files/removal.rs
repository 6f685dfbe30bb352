//! Removes folders that an untrusted program created. Such a folder can be deeper than the stack and than the number of
//! open files that a process may have, so a recursive removal could crash this process. Instead, folders are moved up
//! until none is deeper than one level, with three open files at a time. Links are not followed.

use std::ffi::CStr;
use std::fs::DirEntry;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::FOLDER;

/// The most passes over the top folder. Each pass lifts all its folders by one level; the limit stops a program that
/// keeps creating folders.
const MAX_ROUNDS: usize = 1_000_000;

/// The entries of a folder. A link to a folder has none.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn entries(path: &Path) -> Result<Vec<DirEntry>> {
    if path.symlink_metadata()?.is_dir() { std::fs::read_dir(path)?.collect() } else { Ok(Vec::new()) }
}

/// Removes a folder and its content. Of a link, only the link is removed.
///
/// # Errors
/// Some entry cannot be removed, or the folder does not exist ([`ErrorKind::NotFound`]).
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    if !path.symlink_metadata()?.is_dir() {
        return std::fs::remove_file(path);
    }
    let top = openat(CWD, path, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
    let mut lifted = 0;
    for _ in 0..MAX_ROUNDS {
        let mut is_empty = true;
        each(&top, |name| {
            is_empty = false;
            if !remove_entry(&top, name)? {
                lift(&top, name, &mut lifted)?;
            }
            Ok(())
        })?;
        if is_empty {
            return std::fs::remove_dir(path);
        }
    }
    Err(Error::new(ErrorKind::DirectoryNotEmpty, "a program adds files while it is removed"))
}

/// Removes the files in a folder of `top`, and moves its folders to `top`.
fn lift(top: &OwnedFd, name: &CStr, lifted: &mut u64) -> Result<()> {
    let folder = openat(top, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
    each(&folder, |inner| {
        while !remove_entry(&folder, inner)? {
            let place = format!("lifted-{lifted}");
            *lifted += 1;
            match renameat(&folder, inner, top, place.as_str()) {
                Ok(()) => break,
                // The name exists: try the next number.
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })?;
    match unlinkat(top, name, AtFlags::REMOVEDIR) {
        // The next pass finds what this one missed.
        Ok(()) | Err(Errno::NOENT | Errno::EXIST | Errno::NOTEMPTY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Calls `act` for each name in a folder.
fn each(folder: &OwnedFd, mut act: impl FnMut(&CStr) -> Result<()>) -> Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            act(entry.file_name())?;
        }
    }
    Ok(())
}

/// Removes a file or an empty folder; returns `false` for a folder that is not empty.
fn remove_entry(folder: &OwnedFd, name: &CStr) -> Result<bool> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // It is a folder; POSIX allows both errors for one.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    match unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Nested folders: deeper than a thread's stack or a path allows.
    fn deep(top: &Path, depth: usize) {
        std::fs::create_dir_all(top).unwrap();
        let mut at = openat(CWD, top, FOLDER, Mode::empty()).unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&at, "d", Mode::from(0o700)).unwrap();
            rustix::fs::openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::from(0o600)).unwrap();
            at = openat(&at, "d", FOLDER, Mode::empty()).unwrap();
        }
    }

    #[test]
    fn a_folder_of_any_depth_is_removed_with_few_open_files_and_a_small_stack() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        deep(&top, 5_000);
        let work = move || (remove_folder(&top).unwrap(), top.exists());
        let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(work).unwrap();
        assert_eq!(thread.join().unwrap(), ((), false));
    }

    #[test]
    fn a_full_folder_is_removed_and_nothing_that_links_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let (top, other) = (folder.path().join("top"), folder.path().join("other"));
        std::fs::create_dir_all(other.join("inner")).unwrap();
        std::fs::write(other.join("inner/file"), "kept").unwrap();
        for number in 0..30 {
            // Includes names that the removal itself uses.
            std::fs::create_dir_all(top.join(format!("a/lifted-{number}/c"))).unwrap();
            std::fs::create_dir_all(top.join(format!("lifted-{number}/x/y"))).unwrap();
            std::fs::write(top.join(format!("a/lifted-{number}/file")), "gone").unwrap();
        }
        std::fs::write(top.join("lifted-30"), "a file").unwrap();
        symlink(&other, top.join("link")).unwrap();
        symlink(other.join("inner"), top.join("a/link")).unwrap();
        remove_folder(&top).unwrap();
        assert!(!top.exists());
        symlink(&other, &top).unwrap();
        assert!(entries(&top).unwrap().is_empty(), "a link has nothing");
        remove_folder(&top).unwrap();
        assert!(top.symlink_metadata().is_err());
        assert_eq!(std::fs::read(other.join("inner/file")).unwrap(), b"kept");
        assert_eq!(entries(folder.path()).unwrap().len(), 1);
        assert_eq!(remove_folder(&top).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
