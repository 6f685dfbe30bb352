//! Starts child processes from one long-lived thread. Linux sends the parent-death signal when the *thread* that
//! started a child ends, and a runtime's threads come and go.

use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::descriptors;

/// The capacity of the thread's queue; there are fewer slots.
const QUEUE: usize = 2048;

struct Request {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// A handle to the thread, which ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Spawner {
    requests: SyncSender<Request>,
}

impl Spawner {
    /// Starts the thread. Call it within a runtime, which then waits for the children.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub(crate) fn start() -> io::Result<Self> {
        let (requests, queue) = sync_channel::<Request>(QUEUE);
        let runtime = Handle::current();
        std::thread::Builder::new().name("sweep-spawner".to_owned()).spawn(move || {
            let _entered = runtime.enter();
            for mut request in queue {
                if let Err(error) = descriptors::close_on_exec() {
                    tracing::warn!(%error, "a trainer may inherit files that the worker's parent left open");
                }
                // If the caller is gone, the child is dropped and thereby killed.
                drop(request.answer.send(request.command.spawn()));
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts `command` as the leader of its own process group that dies with this process.
    pub(crate) async fn spawn(&self, mut command: Command) -> io::Result<Child> {
        command.process_group(0).kill_on_drop(true);
        die_with_parent(&mut command);
        let (answer, child) = oneshot::channel();
        self.requests.try_send(Request { command, answer }).map_err(|error| match error {
            TrySendError::Full(_) => io::Error::other("too many processes are being started"),
            TrySendError::Disconnected(_) => io::Error::other("the thread that starts processes has ended"),
        })?;
        child.await.map_err(|_| io::Error::other("the thread that starts processes has ended"))?
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the parent-death signal can only be asked for between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have died before the signal was requested.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::Error::from(rustix::io::Errno::SRCH)) }
    };
    // SAFETY: the closure makes two system calls; it takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(ask);
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}
