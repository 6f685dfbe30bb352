//! Safe access to files that untrusted programs may have written: bounded reads, opening without following links or
//! blocking, safe creation, and removal at any depth.

mod removal;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fsync, openat, statat};
use rustix::io::Errno;

pub(crate) use removal::{entries, remove_folder};
pub(crate) use sweep_trust::bounded::read;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open regular file, with the folders on its path.
pub(crate) struct RegularFile {
    pub(crate) file: File,
    /// The innermost folder is last.
    folders: Vec<OwnedFd>,
}

impl RegularFile {
    /// Syncs the file, and the names on its path, to disk.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all()?;
        self.folders.iter().rev().try_for_each(|folder| Ok(fsync(folder)?))
    }
}

/// Opens a regular file whose last `depth` path components were created by an untrusted program. None of them may be a
/// link, and the file may not be a pipe or a device. A file with a second hard link is refused too: it could be another
/// program's file, such as one with a token.
///
/// # Errors
/// The file cannot be opened, is behind a link, is not a regular file, or has a second hard link.
pub(crate) fn open_regular(path: &Path, depth: usize) -> Result<RegularFile> {
    let parts: Vec<&OsStr> = path.iter().collect();
    let (root, below) = parts.split_at(parts.len().saturating_sub(depth.max(1)));
    let [inner @ .., name] = below else { return Err(ErrorKind::InvalidInput.into()) };
    let root = if root.is_empty() { PathBuf::from(".") } else { root.iter().collect() };
    let mut at = openat(CWD, &root, FOLDER, Mode::empty())?;
    let mut folders = Vec::with_capacity(depth);
    for part in inner {
        let next = openat(&at, *part, FOLDER | OFlags::NOFOLLOW, Mode::empty());
        let next = next.map_err(|error| refused(&at, part, FileType::Directory).unwrap_or_else(|| error.into()))?;
        folders.push(std::mem::replace(&mut at, next));
    }
    // Opening a device can have effects, so its type is checked first.
    if let Some(error) = refused(&at, name, FileType::RegularFile) {
        return Err(error);
    }
    // It may have been replaced since. Opening a pipe without a writer would block, and a terminal would become the
    // controlling one.
    let plain = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(&at, *name, plain, Mode::empty()).map_err(|error| match error {
        Errno::LOOP => unwanted(name, FileType::Symlink, FileType::RegularFile),
        error => error.into(),
    })?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(unwanted(name, FileType::from_raw_mode(found.mode()), FileType::RegularFile));
    }
    if found.nlink() > 1 {
        let names = found.nlink();
        return Err(Error::other(format!("{name:?} has {names} hard links: write a file with one name")));
    }
    folders.push(at);
    Ok(RegularFile { file, folders })
}

/// Why the entry `name` of `at` is not of the type `wanted`. The system's own errors are misleading: "too many links"
/// for a link that is not followed, "not a folder" for a link to a folder.
fn refused(at: &OwnedFd, name: &OsStr, wanted: FileType) -> Option<Error> {
    let found = statat(at, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let kind = FileType::from_raw_mode(found.st_mode);
    (kind != wanted).then(|| unwanted(name, kind, wanted))
}

fn unwanted(name: &OsStr, kind: FileType, wanted: FileType) -> Error {
    let is = match kind {
        FileType::Symlink => "a link, which is not followed",
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    };
    let make = if wanted == FileType::Directory { "make it a folder" } else { "write a regular file" };
    Error::other(format!("{name:?} is {is}: {make}"))
}

/// Creates a file, replaces what is there, such as a leftover of an interruption, and never follows a link.
///
/// # Errors
/// The existing entry cannot be removed, or the file cannot be created.
pub(crate) fn create_anew(path: &Path) -> Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    File::create_new(path)
}

/// Opens a file that is there, to append to it, and never through a link. A trainer may write into the folder, so a pipe is
/// not waited for.
///
/// # Errors
/// It does not exist, is a link or not a plain file, or cannot be written.
pub(crate) fn open_to_append(path: &Path) -> Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let name = path.file_name().unwrap_or_default();
    let opened = File::options().append(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => unwanted(name, FileType::Symlink, FileType::RegularFile),
        _ => error,
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(unwanted(name, FileType::from_raw_mode(found.mode()), FileType::RegularFile));
    }
    Ok(file)
}

/// Syncs the names in a folder to disk.
///
/// # Errors
/// It is not a folder, or the disk fails.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    Ok(fsync(openat(CWD, path, FOLDER, Mode::empty())?)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn pipe(path: &Path) {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from(0o600), 0).unwrap();
    }

    /// The files `state/attempt/plain` and `elsewhere/token`.
    fn disk() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("state/attempt")).unwrap();
        std::fs::create_dir_all(root.join("elsewhere")).unwrap();
        std::fs::write(root.join("state/attempt/plain"), "content").unwrap();
        std::fs::write(root.join("elsewhere/token"), "secret").unwrap();
        (folder, root)
    }

    #[track_caller]
    fn reason(path: &Path, depth: usize) -> String {
        open_regular(path, depth).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_file_is_opened_and_synced_with_its_folders() {
        let (_kept, root) = disk();
        let opened = open_regular(&root.join("state/attempt/plain"), 3).unwrap();
        opened.sync().unwrap();
        assert_eq!((opened.folders.len(), std::io::read_to_string(opened.file).unwrap().as_str()), (3, "content"));
        let missing = open_regular(&root.join("state/attempt/none"), 2).map(drop).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let missing = open_regular(&root.join("state/none/plain"), 2).map(drop).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_link_in_the_place_of_the_file_or_of_a_folder_is_named_and_not_followed() {
        let (_kept, root) = disk();
        symlink(root.join("elsewhere/token"), root.join("state/attempt/link")).unwrap();
        symlink(root.join("nowhere"), root.join("state/attempt/dangling")).unwrap();
        symlink(root.join("elsewhere"), root.join("state/folder")).unwrap();
        for name in ["link", "dangling"] {
            let found = reason(&root.join("state/attempt").join(name), 2);
            assert_eq!(found, format!("{name:?} is a link, which is not followed: write a regular file"));
        }
        let found = reason(&root.join("state/folder/token"), 2);
        assert_eq!(found, "\"folder\" is a link, which is not followed: make it a folder");
        assert!(open_regular(&root.join("state/folder/token"), 1).is_ok(), "a folder that is trusted may be a link");
    }

    #[test]
    fn what_is_no_plain_file_is_named_and_refused_without_waiting() {
        let (_kept, root) = disk();
        pipe(&root.join("state/attempt/pipe"));
        pipe(&root.join("state/pipe"));
        let _listener = UnixListener::bind(root.join("state/attempt/socket")).unwrap();
        for (path, is) in [
            ("state/attempt/pipe", "\"pipe\" is a pipe: write a regular file"),
            ("state/attempt/socket", "\"socket\" is a socket: write a regular file"),
            ("state/attempt", "\"attempt\" is a folder: write a regular file"),
            ("state/pipe/plain", "\"pipe\" is a pipe: make it a folder"),
            ("elsewhere/token/plain", "\"token\" is a file: make it a folder"),
        ] {
            assert_eq!(reason(&root.join(path), 2), is);
        }
        assert_eq!(reason(Path::new("/dev/null"), 1), "\"null\" is a device: write a regular file");
    }

    #[test]
    fn a_file_with_a_second_name_is_refused() {
        let (_kept, root) = disk();
        let path = root.join("state/attempt/plain");
        std::fs::hard_link(&path, root.join("state/attempt/second")).unwrap();
        assert_eq!(reason(&path, 2), "\"plain\" has 2 hard links: write a file with one name");
        std::fs::remove_file(root.join("state/attempt/second")).unwrap();
        assert!(open_regular(&path, 2).is_ok());
    }

    #[test]
    fn only_a_plain_file_is_appended_to() {
        let (_kept, root) = disk();
        symlink(root.join("elsewhere/token"), root.join("state/attempt/link")).unwrap();
        pipe(&root.join("state/attempt/pipe"));
        for name in ["link", "pipe", "none"] {
            assert!(open_to_append(&root.join("state/attempt").join(name)).is_err(), "{name}");
        }
        let reason = open_to_append(&root.join("state/attempt/link")).unwrap_err().to_string();
        assert_eq!(reason, "\"link\" is a link, which is not followed: write a regular file");
        let path = root.join("state/attempt/plain");
        std::io::Write::write_all(&mut open_to_append(&path).unwrap(), b", and more").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"content, and more");
        assert_eq!(std::fs::read(root.join("elsewhere/token")).unwrap(), b"secret");
    }

    #[test]
    fn a_file_is_made_anew_and_what_a_link_leads_to_stays_as_it_is() {
        let (_kept, root) = disk();
        let path = root.join("state/attempt/link");
        for _ in 0..2 {
            symlink(root.join("elsewhere/token"), &path).unwrap();
            drop(create_anew(&path).unwrap());
            assert!(path.symlink_metadata().unwrap().is_file());
            assert_eq!(std::fs::read(root.join("elsewhere/token")).unwrap(), b"secret");
            std::fs::remove_file(&path).unwrap();
        }
        drop(create_anew(&root.join("state/attempt/plain")).unwrap());
        assert_eq!(std::fs::read(root.join("state/attempt/plain")).unwrap(), b"");
        sync_folder(&root.join("state")).unwrap();
        assert!(sync_folder(&root.join("elsewhere/token")).is_err());
    }
}
