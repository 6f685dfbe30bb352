//! Files that others may have written: read up to a limit, and opened without following links and without waiting.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

/// The whole of a file of at most `limit` bytes. Its size is what was read: that which a pipe or a file of the kernel's says of
/// itself is 0.
///
/// # Errors
/// It cannot be read, or is longer ([`ErrorKind::FileTooLarge`]).
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Opens a plain file whose last `depth` components were made by a program that is not trusted: none of them may be a link,
/// and the file may not be a pipe or a device.
///
/// # Errors
/// It cannot be opened, lies behind a link, or is no plain file.
pub(crate) fn open_plain(path: &Path, depth: usize) -> Result<File> {
    let parts: Vec<&OsStr> = path.iter().collect();
    let (root, below) = parts.split_at(parts.len().saturating_sub(depth.max(1)));
    let [folders @ .., name] = below else { return Err(ErrorKind::InvalidInput.into()) };
    let root = if root.is_empty() { Path::new(".").into() } else { root.iter().collect::<std::path::PathBuf>() };
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, &root, folder, Mode::empty())?;
    for part in folders {
        at = openat(&at, *part, folder | OFlags::NOFOLLOW, Mode::empty()).map_err(of_link)?;
    }
    // A pipe that nothing writes to would be waited for.
    let plain = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&at, *name, plain, Mode::empty()).map_err(of_link)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(Error::other("it is not a plain file")) }
}

/// The system's words for a link that is not followed are about too many links.
fn of_link(error: rustix::io::Errno) -> Error {
    match error {
        rustix::io::Errno::LOOP => Error::other("it is a link, and links are not followed here"),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"0123456789");
        assert_eq!(read(&path, 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
        // It has no end, and says that it has no bytes.
        assert_eq!(read(Path::new("/dev/zero"), 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_plain_file_is_opened_and_a_link_on_the_way_to_it_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("state/attempt")).unwrap();
        std::fs::create_dir_all(root.join("elsewhere")).unwrap();
        std::fs::write(root.join("state/attempt/plain"), "content").unwrap();
        std::fs::write(root.join("elsewhere/token"), "secret").unwrap();
        symlink(root.join("elsewhere/token"), root.join("state/attempt/link")).unwrap();
        symlink(root.join("elsewhere"), root.join("state/folder")).unwrap();
        let content = std::io::read_to_string(open_plain(&root.join("state/attempt/plain"), 2).unwrap());
        assert_eq!(content.unwrap(), "content");
        let reason = open_plain(&root.join("state/attempt/link"), 2).unwrap_err().to_string();
        assert!(reason.contains("it is a link"), "{reason}");
        assert!(open_plain(&root.join("state/folder/token"), 2).is_err());
        assert!(open_plain(&root.join("state/folder/token"), 1).is_ok(), "what is not doubted may be a link");
        assert_eq!(open_plain(&root.join("state/attempt/none"), 2).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_pipe_and_a_folder_are_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, Mode::from(0o600), 0).unwrap();
        for path in [pipe.as_path(), folder.path()] {
            assert!(open_plain(path, 1).unwrap_err().to_string().contains("not a plain file"));
        }
    }
}
