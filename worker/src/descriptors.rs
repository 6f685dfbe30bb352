//! Prevents that trainers inherit open files. Files that this process opens are closed on exec. A shell or a supervisor
//! may pass others to it, for example with `--token-file <(command)` or `9> lock`; device libraries may also open some.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// The folder that lists the open files of this process.
const OPEN: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// stdin, stdout and stderr are replaced when a program starts.
const STANDARD: std::ops::RangeInclusive<i32> = 0..=2;

/// Marks every open file as close-on-exec.
///
/// # Errors
/// The system cannot list the open files.
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
    // SAFETY: the number is used for two system calls and not kept. If another thread has closed the file, the calls
    // fail or affect a newer file, which must be closed on exec too.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    if let Ok(flags) = fcntl_getfd(file)
        && !flags.contains(FdFlags::CLOEXEC)
    {
        // It can only have been closed.
        let _ = fcntl_setfd(file, flags | FdFlags::CLOEXEC);
    }
}
