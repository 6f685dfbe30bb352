//! TCP listeners for gRPC and HTTP: they accept connections, limit their number, do the TLS handshake, and close a
//! connection that sends nothing or reads nothing. Requests are read elsewhere.

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

/// The time limit of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most connections of one listener. A silent connection is closed after `FIRST_BYTES_TIMEOUT`.
const MAX_CONNECTIONS: usize = 16_384;
/// Open files that are reserved for everything but connections.
const RESERVED_FILES: u64 = 256;
/// The wait after an error of the whole listener, such as too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Accepted connections that wait for the server to take them.
const READY_CONNECTIONS: usize = 64;
/// A warning that repeats is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// HTTP/1.1.
    Http,
}

impl Protocol {
    /// The name for log lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grpc => "gRPC",
            Self::Http => "HTTP",
        }
    }

    /// The bytes that a client must send within `FIRST_BYTES_TIMEOUT`. Later timeouts of the protocol start only after them.
    fn min_first_bytes(self) -> usize {
        match self {
            Self::Grpc => 24,
            Self::Http => 1,
        }
    }
}

/// Raises the soft limit of open files to the hard limit: every connection is an open file.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        if let Err(error) = raised {
            debug!(%error, "the limit of open files cannot be raised");
        }
    }
}

/// The connection limit of one listener. Two listeners leave enough files for the store.
fn max_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let half = usize::try_from(files.saturating_sub(RESERVED_FILES) / 2).unwrap_or(usize::MAX);
    half.clamp(16, MAX_CONNECTIONS)
}

/// A bound socket and how to serve it.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) protocol: Protocol,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Accepts connections until the token is cancelled.
    pub(crate) fn open(self, tasks: &TaskTracker, shutdown: &CancellationToken) -> mpsc::Receiver<Connection> {
        let (ready, connections) = mpsc::channel(READY_CONNECTIONS);
        let (handshakes, shutdown) = (tasks.clone(), shutdown.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.run(&ready, &handshakes, &shutdown) => {}
            }
        });
        connections
    }

    async fn run(&self, ready: &mpsc::Sender<Connection>, tasks: &TaskTracker, shutdown: &CancellationToken) {
        let slots = Arc::new(Semaphore::new(max_connections()));
        let (mut full, mut failed) = (LogThrottle::default(), LogThrottle::default());
        loop {
            let (stream, address) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    if failed.is_due() {
                        warn!(%error, purpose = self.protocol.name(), "no connection can be accepted now");
                    }
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                if full.is_due() {
                    warn!(
                        purpose = self.protocol.name(),
                        "the maximum number of connections is reached: further ones are refused"
                    );
                }
                continue;
            };
            // With Nagle's algorithm a small response waits about 40 ms for the delayed acknowledgement of the peer.
            stream.set_nodelay(true).ok();
            let protocol = self.protocol;
            match &self.tls {
                None => {
                    let connection = Connection::plain(stream, address, slot, protocol.min_first_bytes());
                    if ready.send(connection).await.is_err() {
                        return;
                    }
                }
                Some(tls) => {
                    let (tls, ready, shutdown) = (Arc::clone(tls), ready.clone(), shutdown.clone());
                    tasks.spawn(async move {
                        tokio::select! {
                            () = shutdown.cancelled() => {}
                            () = handshake(&tls, stream, address, (slot, protocol), &ready) => {}
                        }
                    });
                }
            }
        }
    }
}

/// Does the TLS handshake, within a time limit.
async fn handshake(
    tls: &Tls,
    stream: TcpStream,
    address: SocketAddr,
    (slot, protocol): (OwnedSemaphorePermit, Protocol),
    ready: &mpsc::Sender<Connection>,
) {
    match timeout(HANDSHAKE_TIMEOUT, tls.acceptor(protocol).accept(stream)).await {
        Ok(Ok(stream)) => {
            let connection = Connection::tls(stream, address, slot, protocol.min_first_bytes());
            // The send fails only if the coordinator is stopping.
            ready.send(connection).await.ok();
        }
        Ok(Err(error)) => debug!(%address, %error, "a handshake failed"),
        Err(_) => debug!(%address, "a handshake took too long"),
    }
}

/// Whether only this connection failed, because the peer left before it was accepted. The listener still works.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The time of the last log line, so that a repeated warning is logged once per `LOG_INTERVAL`.
#[derive(Default)]
struct LogThrottle(Option<Instant>);

impl LogThrottle {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|at| at.elapsed() > LOG_INTERVAL);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}
