//! Opens files of a data set: regular files only, without blocking, with a size limit. A pipe or a device could be
//! endless, and a file can be as large as the disk.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::failure::Failure;

/// The largest file of one image, in bytes.
pub(super) const MAX_PICTURE_BYTES: u64 = 256 << 20;

/// A file that is open for reading.
#[derive(Debug)]
pub(super) struct RegularFile {
    file: File,
    /// Its size when it was opened.
    pub(super) bytes: u64,
    limit: u64,
}

/// Opens a regular file of at most `limit` bytes.
///
/// # Errors
/// It cannot be opened, is not a regular file, or is larger.
pub(super) fn open(path: &Path, limit: u64) -> Result<RegularFile, Failure> {
    let unreadable = |error| Failure::data(format!("cannot read {}", path.display())).because(error);
    // Opening a pipe without a writer would block.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(Failure::data(format!("{} is not a regular file", path.display())));
    }
    let bytes = found.len();
    if bytes > limit {
        return Err(too_large(path, bytes, limit));
    }
    Ok(RegularFile { file, bytes, limit })
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// It cannot be read, is not a regular file, or is larger.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let plain = open(path, limit)?;
    let mut bytes = Vec::with_capacity(usize::try_from(plain.bytes).unwrap_or_default());
    let unreadable = |error| Failure::data(format!("cannot read {}", path.display())).because(error);
    plain.bounded().read_to_end(&mut bytes).map_err(unreadable)?;
    // It has grown since it was opened.
    if bytes.len() as u64 > limit { Err(too_large(path, bytes.len() as u64, limit)) } else { Ok(bytes) }
}

impl RegularFile {
    /// Its content, up to one byte more than the limit.
    pub(super) fn bounded(self) -> impl Read {
        self.file.take(self.limit.saturating_add(1))
    }
}

fn too_large(path: &Path, bytes: u64, limit: u64) -> Failure {
    Failure::data(format!("{} has {bytes} bytes, but a file of this kind may have at most {limit}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_a_larger_one_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read(&path, 10).unwrap(), [7; 10]);
        let reason = read(&path, 9).unwrap_err().reason;
        assert!(reason.contains("file has 10 bytes") && reason.ends_with("may have at most 9"), "{reason}");
        assert!(read(&folder.path().join("none"), 9).unwrap_err().reason.contains("cannot read"));
    }

    #[test]
    fn what_is_no_plain_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.png");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            let reason = read(path, 1000).unwrap_err().reason;
            assert!(reason.contains("is not a regular file"), "{reason}");
        }
    }

    #[test]
    fn a_file_that_says_it_is_empty_and_goes_on_is_read_up_to_its_limit() {
        // The kernel's files report no size.
        let path = Path::new("/proc/cpuinfo");
        if path.exists() {
            let reason = read(path, 20).unwrap_err().reason;
            assert!(reason.contains("has 21 bytes"), "{reason}");
        }
    }
}
