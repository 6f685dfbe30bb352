//! A coordinator in a separate process, so that its CPU time can be measured.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sweep_coordinator::Config;
use tokio_util::sync::CancellationToken;

use super::Error;

/// A running coordinator; it is killed when this goes.
pub(crate) struct Process {
    child: Child,
    /// For gRPC.
    pub(crate) address: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Process {
    /// Starts this program with `coordinator FOLDER` and waits for its address.
    pub(crate) fn start(folder: &Path) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("coordinator")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the coordinator has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let (grpc, http) = line.trim().split_once(' ').ok_or("the coordinator does not say where it listens")?;
        let (address, http) = (grpc.parse()?, http.parse()?);
        Ok(Self { child, address, http })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have gone by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a coordinator on a store in `folder` until stdin ends, and prints where it listens.
///
/// # Errors
/// It cannot start.
pub async fn serve(folder: &Path) -> Result<(), Error> {
    let config = Config {
        store: folder.join("bench.db").into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        listen_http: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..Config::defaults()?
    };
    let stop = CancellationToken::new();
    let handle = sweep_coordinator::start(config, stop.clone()).await?;
    say(handle.grpc_address(), handle.http_address());
    // The one that started this process holds the other end.
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    stop.cancel();
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the addresses are what the parent waits for")]
fn say(grpc: SocketAddr, http: SocketAddr) {
    println!("{grpc} {http}");
}
