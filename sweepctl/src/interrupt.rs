//! Ctrl-C and SIGTERM: the first one requests a stop, the second one exits at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Listens from its creation on.
#[derive(Debug)]
pub(crate) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// # Errors
    /// The signal handlers cannot be installed.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::failed("cannot receive signals").because(error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for a signal and returns its number. Cancelling it misses no signal.
    pub(crate) async fn signalled(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
        }
    }

    /// From here on the next signal ends the process, whatever it does.
    pub(crate) fn leave_at_the_next(mut self) {
        tokio::spawn(async move {
            let number = self.signalled().await;
            std::process::exit(i32::from(128 + number));
        });
    }
}
