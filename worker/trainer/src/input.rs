//! The trainer's inputs: lines on stdin, SIGTERM, and the death of its parent. All arrive in one channel, so the
//! trainer waits in one place.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use sweep_spec::trainer::MAX_LINE_BYTES;

/// Commands of the agent, and requests to exit.
#[derive(Debug)]
pub struct Input {
    messages: Receiver<Message>,
    leave: Arc<AtomicBool>,
}

/// One input.
#[derive(Debug)]
pub(crate) enum Message {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line that is longer than any command.
    TooLong,
    /// Exit now.
    Leave,
}

impl Input {
    /// Lines from this process's stdin, and its SIGTERM.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub fn of_process() -> io::Result<Self> {
        let (sender, messages) = channel();
        let leave = Arc::new(AtomicBool::new(false));
        let mut signals = Signals::new([SIGTERM])?;
        let (on_signal, flag) = (sender.clone(), Arc::clone(&leave));
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if signals.forever().next().is_some() {
                flag.store(true, Ordering::SeqCst);
                // While a trial trains or the trainer exits, nothing receives the message; the flag is checked instead.
                let _ = on_signal.send(Message::Leave);
            }
        })?;
        read_in_thread(io::stdin(), sender, Arc::clone(&leave))?;
        Ok(Self { messages, leave })
    }

    /// Lines from `reader`, without signals.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn of_reader(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, messages) = channel();
        let leave = Arc::new(AtomicBool::new(false));
        read_in_thread(reader, sender, Arc::clone(&leave))?;
        Ok(Self { messages, leave })
    }

    /// Waits for the next message; `None` at the end of the input.
    pub(crate) fn next(&self) -> Option<Message> {
        self.messages.recv().ok()
    }

    /// Set once the trainer has to exit.
    pub(crate) fn leave(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.leave)
    }
}

/// Asks the kernel to send SIGTERM to this process when the thread that started it ends.
pub(crate) fn end_with_parent() -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before the request.
    if getppid() != parent {
        return Err(io::Error::other("the parent process has exited"));
    }
    Ok(())
}

fn read_in_thread(
    reader: impl Read + Send + 'static,
    sender: Sender<Message>,
    leave: Arc<AtomicBool>,
) -> io::Result<()> {
    let read = move || {
        let mut reader = BufReader::new(reader);
        while !leave.load(Ordering::SeqCst) {
            match read_line(&mut reader) {
                Ok(Some(message)) => {
                    if sender.send(message).is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot read stdin");
                    break;
                }
            }
        }
        // The signal thread's sender keeps the channel open.
        let _ = sender.send(Message::Leave);
    };
    thread::Builder::new().name("stdin".to_owned()).spawn(read).map(drop)
}

/// Reads the next line, with at most `MAX_LINE_BYTES` of it in memory; `None` at the end.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut line = Vec::new();
    let limit = MAX_LINE_BYTES as u64 + 1;
    if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(Message::Line(line)));
    }
    if line.len() <= MAX_LINE_BYTES {
        return Ok(Some(Message::Line(line)));
    }
    drop(line);
    loop {
        let part = reader.fill_buf()?;
        let (used, ended) = match part.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (part.len(), part.is_empty()),
        };
        reader.consume(used);
        if ended {
            return Ok(Some(Message::TooLong));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let mut bytes = vec![b'x'; MAX_LINE_BYTES + 1];
        bytes.extend(b"\nshort\nlast");
        let mut reader = BufReader::new(bytes.as_slice());
        assert!(matches!(read_line(&mut reader).unwrap(), Some(Message::TooLong)));
        for expected in ["short", "last"] {
            let Some(Message::Line(line)) = read_line(&mut reader).unwrap() else { panic!("{expected}") };
            assert_eq!(line, expected.as_bytes());
        }
        assert!(read_line(&mut reader).unwrap().is_none());
    }

    #[test]
    fn a_line_of_just_the_limit_is_taken() {
        let mut bytes = vec![b'x'; MAX_LINE_BYTES];
        bytes.push(b'\n');
        let Some(Message::Line(line)) = read_line(&mut bytes.as_slice()).unwrap() else { panic!("not a line") };
        assert_eq!(line.len(), MAX_LINE_BYTES);
    }
}
