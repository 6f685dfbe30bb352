//! How much memory something takes at its highest. One thing at a time: the count is the whole program's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static ALONE: Mutex<()> = Mutex::new(());

/// The bytes of memory that any input may take, and that each of its bytes may add.
const FIXED: usize = 16 << 20;
const PER_BYTE: usize = 256;

/// Locked by the test that measures.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` on `bytes`; panics if it takes more memory than they explain.
#[track_caller]
pub(crate) fn bounded<T>(what: &str, bytes: &[u8], work: impl FnOnce(&[u8]) -> T) -> T {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = work(bytes);
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    let most = FIXED + PER_BYTE * bytes.len();
    assert!(taken <= most, "{what}: {} bytes took {taken} bytes of memory, more than {most}", bytes.len());
    result
}

#[test]
fn memory_that_is_taken_is_seen() {
    let _alone = alone();
    let taken =
        std::panic::catch_unwind(|| bounded("a test", b"", |_| std::hint::black_box(vec![1_u8; FIXED + 4096]).len()));
    assert!(taken.is_err());
    assert_eq!(bounded("a test", b"x", <[u8]>::len), 1);
}
