//! The end of a trainer's stderr, in bounded memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bytes of a trainer's log that are kept and reported.
pub(crate) const LOG_TAIL_BYTES: usize = 16 * 1024;

/// A ring buffer that a reader task fills and its slot reads.
#[derive(Clone, Default)]
pub(crate) struct LogTail(Arc<Shared>);

#[derive(Default)]
struct Shared {
    ring: Mutex<VecDeque<u8>>,
    grown: Notify,
}

impl LogTail {
    fn ring(&self) -> MutexGuard<'_, VecDeque<u8>> {
        // The bytes are valid after any panic, so a poisoned lock can be used.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was written since the last call returned. For one waiting task.
    pub(crate) async fn grown(&self) {
        self.0.grown.notified().await;
    }

    /// Clears the log for the next attempt.
    pub(crate) fn clear(&self) {
        self.ring().clear();
    }

    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut ring = self.ring();
        ring.extend(&bytes[bytes.len().saturating_sub(LOG_TAIL_BYTES)..]);
        let excess = ring.len().saturating_sub(LOG_TAIL_BYTES);
        ring.drain(..excess);
        drop(ring);
        self.0.grown.notify_one();
    }

    /// The tail as text of at most `LOG_TAIL_BYTES`, starting at a character boundary.
    pub(crate) fn text(&self) -> String {
        let bytes: Vec<u8> = self.ring().iter().copied().collect();
        end_of(&String::from_utf8_lossy(&bytes)).to_owned()
    }

    /// The last lines, for an error message.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let text = self.text();
        let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let shown = lines[lines.len().saturating_sub(count)..].join(" | ");
        shown.chars().take(500).collect()
    }
}

/// The last `LOG_TAIL_BYTES` of `text`, starting at a character boundary.
pub(crate) fn end_of(text: &str) -> &str {
    let mut start = text.len().saturating_sub(LOG_TAIL_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_bytes_are_kept() {
        let tail = LogTail::default();
        for n in 0..10_000 {
            tail.push(format!("line {n}\n").as_bytes());
        }
        assert!(tail.text().len() <= LOG_TAIL_BYTES);
        assert!(tail.text().ends_with("line 9999\n"));
        assert_eq!(tail.last_lines(2), "line 9998 | line 9999");
        tail.clear();
        assert_eq!(tail.text(), "");
        assert_eq!(tail.last_lines(3), "");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_lengthen_it() {
        let tail = LogTail::default();
        tail.push(&[0xff; 3 * LOG_TAIL_BYTES]);
        assert!(tail.text().len() <= LOG_TAIL_BYTES);
    }
}
