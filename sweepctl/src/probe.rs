//! Identifies the program that listens at an address without a coordinator. Sends one plain HTTP request, with
//! timeouts.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Timeout of each step: connecting, sending and reading.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST: &[u8] = b"GET /healthz HTTP/1.0\r\n\r\n";

/// The kind of program that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The port is closed.
    Closed,
    /// A web server: the coordinator's pages and metrics, a worker's, or another one.
    Http,
    /// A TLS server.
    Tls,
    /// An HTTP/2 server, such as gRPC.
    Http2,
    /// Another program, or one that sends nothing.
    Unknown,
}

impl Listener {
    /// The explanation for the user, and the remedy.
    pub(crate) fn advice(self, url: &str) -> Option<(String, String)> {
        match self {
            Self::Http => Some((
                format!("{url} is a web server, not the gRPC address of a coordinator"),
                "use the coordinator's gRPC port (7733 by default); its HTTP port (7734 by default) is for browsers \
                and Prometheus"
                    .to_owned(),
            )),
            Self::Tls if url.starts_with("https://") => None,
            Self::Tls => Some((
                format!("{url} requires TLS"),
                "use https:// instead of http://, and --ca-file for an authority of your own".to_owned(),
            )),
            Self::Http2 if url.starts_with("https://") => Some((
                format!("{url} does not use TLS"),
                "use http:// instead of https://, or set the coordinator's `tls_cert` and `tls_key`".to_owned(),
            )),
            Self::Closed | Self::Http2 | Self::Unknown => None,
        }
    }
}

/// Host and port of an address; the scheme may be omitted.
pub(crate) fn host_and_port(url: &str) -> Option<(String, u16)> {
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let uri: tonic::codegen::http::Uri = with_scheme.parse().ok()?;
    let port = uri.port_u16().or(match uri.scheme_str() {
        Some("https") => Some(443),
        _ => Some(80),
    })?;
    Some((uri.host()?.trim_matches(['[', ']']).to_owned(), port))
}

/// Probes the address.
pub(crate) async fn listener(url: &str) -> Listener {
    let Some((host, port)) = host_and_port(url) else { return Listener::Closed };
    let Ok(Ok(mut stream)) = timeout(STEP_TIMEOUT, TcpStream::connect((host.as_str(), port))).await else {
        return Listener::Closed;
    };
    let asked = async {
        stream.write_all(REQUEST).await?;
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).await?;
        std::io::Result::Ok(answer[..read].to_vec())
    };
    match timeout(STEP_TIMEOUT, asked).await {
        Ok(Ok(answer)) => recognised(&answer),
        Ok(Err(_)) | Err(_) => Listener::Unknown,
    }
}

/// By the first bytes of the answer.
fn recognised(answer: &[u8]) -> Listener {
    match answer {
        [b'H', b'T', b'T', b'P', b'/', b'1', ..] => Listener::Http,
        // An alert, or another record of TLS.
        [0x15 | 0x16, 0x03, ..] => Listener::Tls,
        // The head of a frame: its length, SETTINGS or GOAWAY, no flags.
        [0, _, _, 4 | 7, 0, ..] => Listener::Http2,
        _ => Listener::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_known_by_its_first_bytes() {
        assert_eq!(recognised(b"HTTP/1.0 200 OK\r\n"), Listener::Http);
        assert_eq!(recognised(&[0x15, 0x03, 0x03, 0, 2, 2, 70]), Listener::Tls);
        assert_eq!(recognised(&[0, 0, 24, 4, 0, 0, 0, 0, 0]), Listener::Http2);
        assert_eq!(recognised(b"SSH-2.0"), Listener::Unknown);
        assert_eq!(recognised(b""), Listener::Unknown);
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let found = |url: &str| host_and_port(url).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(found("127.0.0.1:7733").as_deref(), Some("127.0.0.1 7733"));
        assert_eq!(found("https://study.example").as_deref(), Some("study.example 443"));
        assert_eq!(found("http://[::1]:7733").as_deref(), Some("::1 7733"));
        assert_eq!(found("http://").as_deref(), None);
    }

    #[tokio::test]
    async fn a_real_listener_is_asked() {
        let listen = || async { tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let web = listen().await;
        let url = format!("http://{}", web.local_addr().unwrap());
        let answered = tokio::spawn(async move {
            let (mut stream, _) = web.accept().await.unwrap();
            stream.read_exact(&mut [0; REQUEST.len()]).await.unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").await.unwrap();
        });
        let found = listener(&url).await;
        assert_eq!(found, Listener::Http);
        assert!(found.advice(&url).unwrap().0.contains("web server"));
        answered.await.unwrap();
        let gone = listen().await;
        let url = gone.local_addr().unwrap().to_string();
        drop(gone);
        assert_eq!(listener(&url).await, Listener::Closed);
    }
}
