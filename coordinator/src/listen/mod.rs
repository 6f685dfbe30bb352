//! The doors to the network: connections are taken, counted, made secret where a certificate says so, and watched, so that
//! nobody keeps a place by saying nothing. What is said on them is read elsewhere.

mod connection;
pub(crate) mod http;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

pub(crate) use connection::{Connection, Peer};
use tls::Tls;

/// How long a peer may take to agree on a secret.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections of one door at most. One that says nothing loses its place after some seconds.
const MOST: usize = 16_384;
/// Files that are left for everything else.
const OTHER_FILES: u64 = 256;
/// After an error of the whole listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that are ready and not yet taken.
const READY: usize = 64;
/// Of what happens again and again, one line in so long is enough.
const QUIET: Duration = Duration::from_secs(60);

/// What is spoken behind a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP/2 alone.
    Grpc,
    /// HTTP/1.1.
    Http,
}

impl Speech {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grpc => "gRPC",
            Self::Http => "HTTP",
        }
    }

    /// So many bytes must come soon after a connection is made: with fewer, nothing has begun that would be watched.
    fn first_bytes(self) -> usize {
        match self {
            Self::Grpc => 24,
            Self::Http => 1,
        }
    }
}

/// Lets this process open as many files as it may: every connection is one.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        if let Err(error) = raised {
            debug!(%error, "the limit of open files cannot be raised");
        }
    }
}

/// As many connections as a door may have, so that two doors leave files for the store.
fn places() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let half = usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX);
    half.clamp(16, MOST)
}

/// A door.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) speech: Speech,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Door {
    /// Takes connections until the token is cancelled.
    pub(crate) fn open(self, tasks: &TaskTracker, shutdown: &CancellationToken) -> mpsc::Receiver<Connection> {
        let (ready, taken) = mpsc::channel(READY);
        let (handshakes, shutdown) = (tasks.clone(), shutdown.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.run(&ready, &handshakes, &shutdown) => {}
            }
        });
        taken
    }

    async fn run(&self, ready: &mpsc::Sender<Connection>, tasks: &TaskTracker, shutdown: &CancellationToken) {
        let places = Arc::new(Semaphore::new(places()));
        let (mut full, mut failed) = (Said::default(), Said::default());
        loop {
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    if failed.is_due() {
                        warn!(%error, purpose = self.speech.name(), "no connection can be accepted now");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                if full.is_due() {
                    warn!(
                        purpose = self.speech.name(),
                        "the maximum number of connections is reached: further ones are refused"
                    );
                }
                continue;
            };
            // Every small answer would wait about 40 ms for an acknowledgement that the peer delays.
            stream.set_nodelay(true).ok();
            let speech = self.speech;
            match &self.tls {
                None => {
                    let connection = Connection::plain(stream, address, place, speech.first_bytes());
                    if ready.send(connection).await.is_err() {
                        return;
                    }
                }
                Some(tls) => {
                    let (tls, ready, shutdown) = (Arc::clone(tls), ready.clone(), shutdown.clone());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = shutdown.cancelled() => {}
                            () = greet(&tls, stream, address, (place, speech), &ready) => {}
                        }
                    });
                }
            }
        }
    }
}

/// Agrees on a secret, or gives up.
async fn greet(
    tls: &Tls,
    stream: TcpStream,
    address: SocketAddr,
    (place, speech): (OwnedSemaphorePermit, Speech),
    ready: &mpsc::Sender<Connection>,
) {
    match timeout(HANDSHAKE, tls.acceptor(speech).accept(stream)).await {
        Ok(Ok(stream)) => {
            let connection = Connection::secret(stream, address, place, speech.first_bytes());
            // Nobody takes it where the coordinator stops.
            ready.send(connection).await.ok();
        }
        Ok(Err(error)) => debug!(%address, %error, "a handshake failed"),
        Err(_) => debug!(%address, "a handshake took too long"),
    }
}

/// The peer went away before it was taken: the listener itself is well.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// When something was last said.
#[derive(Default)]
struct Said(Option<Instant>);

impl Said {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|at| at.elapsed() > QUIET);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}
