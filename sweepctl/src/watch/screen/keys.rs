//! Parses keys from the bytes of a terminal in raw mode.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use tokio::sync::mpsc;

/// How often the reader checks whether keys are still wanted.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// The capacity of the queue; keys beyond it are lost.
const QUEUE: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Leave,
    Interrupt,
    Escape,
    Help,
    NextPane,
    PreviousPane,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Redraw,
}

/// The keys of one read. An escape byte alone is the escape key; unknown sequences are ignored.
pub(super) fn parse(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        let key = match first {
            b'q' | b'Q' => Some(Key::Leave),
            // Ctrl-C and Ctrl-D.
            0x03 | 0x04 => Some(Key::Interrupt),
            b'?' | b'h' => Some(Key::Help),
            b'\t' => Some(Key::NextPane),
            b'k' => Some(Key::Up),
            b'j' => Some(Key::Down),
            b'g' => Some(Key::First),
            b'G' => Some(Key::Last),
            b' ' => Some(Key::PageDown),
            // Ctrl-L.
            0x0c => Some(Key::Redraw),
            0x1b => match after {
                [b'[' | b'O', ..] => {
                    let (key, length) = sequence(&after[1..]);
                    rest = &after[1 + length..];
                    key
                }
                [] => Some(Key::Escape),
                // Alt and a letter.
                [_, beyond @ ..] => {
                    rest = beyond;
                    None
                }
            },
            _ => None,
        };
        keys.extend(key);
    }
    keys
}

/// Parses the parameters after `ESC [` and the final byte.
fn sequence(bytes: &[u8]) -> (Option<Key>, usize) {
    let Some(last) = bytes.iter().position(|byte| (0x40..=0x7e).contains(byte)) else { return (None, bytes.len()) };
    let key = match (bytes[last], &bytes[..last]) {
        (b'A', _) => Some(Key::Up),
        (b'B', _) => Some(Key::Down),
        (b'C', _) => Some(Key::NextPane),
        (b'D' | b'Z', _) => Some(Key::PreviousPane),
        (b'H', _) | (b'~', b"1" | b"7") => Some(Key::First),
        (b'F', _) | (b'~', b"4" | b"8") => Some(Key::Last),
        (b'~', b"5") => Some(Key::PageUp),
        (b'~', b"6") => Some(Key::PageDown),
        _ => None,
    };
    (key, last + 1)
}

/// Reads keys on its own thread until it is dropped or the terminal is gone.
pub(super) struct Keys {
    keys: mpsc::Receiver<Key>,
    ended: Arc<AtomicBool>,
}

impl Keys {
    pub(super) fn read() -> Self {
        let (sender, keys) = mpsc::channel(QUEUE);
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        std::thread::spawn(move || {
            let mut bytes = [0; 256];
            while !end.load(Ordering::Relaxed) {
                let mut wanted = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
                match poll(&mut wanted, Some(&LOOK)) {
                    Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                    Ok(_) => {}
                    Err(_) => return,
                }
                match rustix::io::read(stdin(), &mut bytes) {
                    Ok(0) => return,
                    Ok(read) => parse(&bytes[..read]).into_iter().for_each(|key| {
                        // The queue is full, or the receiver is gone.
                        sender.try_send(key).ok();
                    }),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                    Err(_) => return,
                }
            }
        });
        Self { keys, ended }
    }

    /// The next key; `None` once the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<Key> {
        self.keys.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        assert_eq!(parse(b"q"), [Key::Leave]);
        assert_eq!(parse(b"\x1b"), [Key::Escape]);
        assert_eq!(parse(b"\x03"), [Key::Interrupt]);
        assert_eq!(parse(b"\x1b[A\x1bOBjk"), [Key::Up, Key::Down, Key::Down, Key::Up]);
        assert_eq!(parse(b"\t\x1b[Z"), [Key::NextPane, Key::PreviousPane]);
        assert_eq!(parse(b"\x1b[5~\x1b[6~\x1b[1~\x1b[F"), [Key::PageUp, Key::PageDown, Key::First, Key::Last]);
    }

    #[test]
    fn what_is_not_known_is_passed_over_whole() {
        assert_eq!(parse(b"\x1b[1;5C?"), [Key::NextPane, Key::Help]);
        assert_eq!(parse(b"\x1b[200~q"), [Key::Leave]);
        assert_eq!(parse(b"\x1bq"), []);
        assert_eq!(parse(b"\x1b[12"), []);
        assert_eq!(parse("é語".as_bytes()), []);
    }
}
