//! A TCP proxy between a worker and its coordinator that misbehaves on request: it stalls one way or both, delays,
//! resets and half-closes connections, and refuses new ones. It runs on the runtime in which it is started.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes that are forwarded at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who dialled to who is behind the proxy.
    There,
    Back,
}

/// The treatment of every connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rules {
    stalled: Vec<Way>,
    delay: Duration,
    refusing: bool,
    /// Counted up; every connection of before is reset.
    resets: u64,
    /// Counted up; every connection of before is closed that way.
    closes: [u64; 2],
}

impl Rules {
    fn closes(&self, way: Way) -> u64 {
        self.closes[usize::from(way == Way::Back)]
    }
}

/// A proxy; it ends, with all of its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    _tasks: JoinSet<io::Result<()>>,
}

impl Proxy {
    /// A proxy on a free port of loopback that forwards to `target`.
    ///
    /// # Errors
    /// No port is to be had.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (rules, heard) = watch::channel(Rules::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, heard));
        Ok(Self { address, rules, _tasks: tasks })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything passes again, at once.
    pub fn heal(&self) {
        self.rules.send_modify(|rules| {
            rules.stalled.clear();
            rules.delay = Duration::ZERO;
            rules.refusing = false;
        });
    }

    /// Nothing passes these ways; connections stay open.
    pub fn stall(&self, ways: &[Way]) {
        self.rules.send_modify(|rules| rules.stalled = ways.to_vec());
    }

    /// Everything takes so much longer, each way.
    pub fn delay(&self, time: Duration) {
        self.rules.send_modify(|rules| rules.delay = time);
    }

    /// New connections are refused.
    pub fn refuse(&self) {
        self.rules.send_modify(|rules| rules.refusing = true);
    }

    /// Every connection is reset, on both sides.
    pub fn reset(&self) {
        self.rules.send_modify(|rules| rules.resets += 1);
    }

    /// Every connection is closed this way, and left open the other.
    pub fn half_close(&self, way: Way) {
        self.rules.send_modify(|rules| rules.closes[usize::from(way == Way::Back)] += 1);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mut rules: watch::Receiver<Rules>) -> io::Result<()> {
    let address = listener.local_addr()?;
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if rules.borrow_and_update().refusing {
            // Without a listener the system refuses.
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await?);
        }
        let dialled = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = rules.changed() => if changed.is_err() { return Ok(()) },
            dialled = dialled => {
                let near = dialled?.0;
                connections.spawn(forward(near, target, rules.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Forwards one connection until either side ends it.
async fn forward(mut near: TcpStream, target: SocketAddr, rules: watch::Receiver<Rules>) -> io::Result<()> {
    let mut far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let resets = rules.borrow().resets;
    let mut reset = rules.clone();
    {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        let there = pump(near_read, far_write, Way::There, rules.clone());
        let back = pump(far_read, near_write, Way::Back, rules);
        tokio::select! {
            ended = async { tokio::try_join!(there, back) } => return ended.map(|_| ()),
            _ = reset.wait_for(|rules| rules.resets != resets) => {}
        }
    }
    // Closed with nothing lingering is what the other side sees as a reset.
    for stream in [&near, &far] {
        set_socket_linger(stream, Some(Duration::ZERO))?;
    }
    Ok(())
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    mut rules: watch::Receiver<Rules>,
) -> io::Result<()> {
    let closes = rules.borrow().closes(way);
    let mut closed = rules.clone();
    let forwarding = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from.read(&mut chunk).await?;
            if count == 0 {
                return Ok::<_, io::Error>(());
            }
            let delay = rules.borrow().delay;
            tokio::time::sleep(delay).await;
            // The rules end with the proxy, and then this does too.
            if rules.wait_for(|rules| !rules.stalled.contains(&way)).await.is_err() {
                return Ok(());
            }
            to.write_all(&chunk[..count]).await?;
        }
    };
    tokio::select! {
        ended = forwarding => ended?,
        _ = closed.wait_for(|rules| rules.closes(way) != closes) => {}
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy in front of an echo server.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    drop(tokio::io::copy(&mut read, &mut write).await);
                });
            }
        });
        let proxy = Proxy::start(target).await.unwrap();
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, stream)
    }

    async fn said_back(stream: &mut TcpStream) {
        stream.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[tokio::test]
    async fn what_is_stalled_arrives_when_it_heals() {
        let (proxy, mut stream) = echo().await;
        said_back(&mut stream).await;
        for ways in [&[Way::There][..], &[Way::Back], &[Way::There, Way::Back]] {
            proxy.stall(ways);
            stream.write_all(b"hello").await.unwrap();
            let mut heard = [0; 5];
            let early = tokio::time::timeout(Duration::from_millis(50), stream.read_exact(&mut heard)).await;
            assert!(early.is_err(), "{ways:?} let it through");
            proxy.heal();
            stream.read_exact(&mut heard).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_reset_is_one_and_the_next_connection_is_good() {
        let (proxy, mut stream) = echo().await;
        said_back(&mut stream).await;
        proxy.reset();
        let error = stream.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        said_back(&mut TcpStream::connect(proxy.address()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn a_half_closed_connection_ends_one_way_only() {
        let (proxy, mut stream) = echo().await;
        said_back(&mut stream).await;
        proxy.half_close(Way::Back);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        stream.write_all(b"still open").await.unwrap();
    }

    #[tokio::test]
    async fn it_refuses_and_takes_again_on_the_same_port() {
        let (proxy, mut stream) = echo().await;
        said_back(&mut stream).await;
        proxy.refuse();
        // Who was dialling just then may be reset.
        while !TcpStream::connect(proxy.address())
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            tokio::task::yield_now().await;
        }
        said_back(&mut stream).await;
        proxy.heal();
        while TcpStream::connect(proxy.address()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
