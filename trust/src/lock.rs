//! Locks of files, which keep other processes out of a store, a state folder or a backup.

use std::fs::{File, TryLockError};
use std::io;

/// The lock of a file. No other process can take it until it is released or dropped.
///
/// A call releases it, and closing the file alone would not do: a process that another thread starts at that moment has a
/// copy of the file until it executes its program, and the copy would keep the lock.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock of an open file.
    ///
    /// # Errors
    /// Another process has the lock, or the file cannot be locked.
    pub fn take(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        Ok(Self(file))
    }

    /// Releases the lock.
    ///
    /// # Errors
    /// The system refuses; the lock then stays until this process ends.
    pub fn release(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Where this fails, closing the file, which follows, is all that is left to do.
        let _ = self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_file_in_a_process_that_is_being_started_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = File::create(&path).unwrap();
        let copy = file.try_clone().unwrap();
        let lock = Lock::take(file).unwrap();
        assert!(matches!(Lock::take(File::open(&path).unwrap()), Err(TryLockError::WouldBlock)));
        drop(lock);
        let again = Lock::take(File::open(&path).unwrap()).unwrap();
        again.release().unwrap();
        Lock::take(copy).unwrap();
    }
}
