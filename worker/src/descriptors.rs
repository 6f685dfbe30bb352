//! Open files that a trainer must not inherit. What this process opens itself is closed when another program starts. A shell or a
//! supervisor may have left it files that are not: `--token-file <(command)` and `9> lock` do that, and libraries of devices may.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// A name for each open file of this process.
const OPEN: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// stdin, stdout and stderr are replaced when a program starts.
const STANDARD: std::ops::RangeInclusive<i32> = 0..=2;

/// Has every open file closed when this process starts another program.
///
/// # Errors
/// The system does not list the open files.
pub(crate) fn close_on_exec() -> io::Result<()> {
    for entry in std::fs::read_dir(OPEN)? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| !STANDARD.contains(number)) {
            close_one(number);
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "a file that others opened is known by its number alone")]
fn close_one(number: i32) {
    // SAFETY: the number is used for two system calls and kept by none. Where another thread has closed the file meanwhile, the
    // calls fail, or are about a newer file, which is to be closed too.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    if let Ok(flags) = fcntl_getfd(file)
        && !flags.contains(FdFlags::CLOEXEC)
    {
        // It can only have been closed.
        let _ = fcntl_setfd(file, flags | FdFlags::CLOEXEC);
    }
}
