//! `--healthy`: checks the coordinator that runs with the same configuration on this machine. Container images without a
//! shell and an HTTP client use it as their health check.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
};

use crate::config::Config;
use crate::listen::tls::Files;

/// Timeout to connect, and for each read and write.
const STEP_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 4096;
const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Why a coordinator is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The coordinator does not answer.
    #[error("no answer from {address}")]
    Silent {
        /// Its address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// TLS cannot be set up with the files of the configuration.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The answer is not `200 OK`.
    #[error("it answered {0:?}")]
    Ill(String),
}

/// Sends a request to `/healthz`.
///
/// # Errors
/// The coordinator is not healthy.
pub fn ask(config: &Config) -> Result<(), Error> {
    let address = near(config.listen_http);
    let silent = |source| Error::Silent { address, source };
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT).map_err(silent)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT)).map_err(silent)?;
    stream.set_write_timeout(Some(STEP_TIMEOUT)).map_err(silent)?;
    let answer = match &config.tls {
        None => speak(&mut stream).map_err(silent)?,
        Some(files) => {
            let mut connection = ClientConnection::new(trusting(files)?, ServerName::from(address.ip()))?;
            speak(&mut rustls::Stream::new(&mut connection, &mut stream)).map_err(silent)?
        }
    };
    let first = answer.lines().next().unwrap_or_default();
    if first.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(Error::Ill(first.to_owned())) }
}

/// The address at which this machine reaches a listener.
fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn speak(stream: &mut (impl Read + Write)) -> io::Result<String> {
    stream.write_all(QUESTION)?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer) {
        // An error after the answer does not matter.
        Err(error) if answer.is_empty() => Err(error),
        Ok(_) | Err(_) => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Trusts only the coordinator's own certificate, with any name in it: the request does not leave this machine.
fn trusting(files: &Files) -> Result<Arc<ClientConfig>, rustls::Error> {
    let unreadable = |_| rustls::Error::General(format!("cannot read {}", files.certificate.display()));
    let certificate = CertificateDer::from_pem_file(&files.certificate).map_err(unreadable)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let only = Arc::new(Only { certificate, provider });
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(only).with_no_client_auth()))
}

#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match *shown == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, shown, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, shown, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_on_loopback() {
        let near = |text: &str| near(text.parse().unwrap()).to_string();
        assert_eq!(near("0.0.0.0:7734"), "127.0.0.1:7734");
        assert_eq!(near("[::]:7734"), "[::1]:7734");
        assert_eq!(near("10.0.0.7:1"), "10.0.0.7:1");
    }

    #[test]
    fn who_says_something_else_or_nothing_is_not_healthy() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config { listen_http: listener.local_addr().unwrap(), ..Config::defaults().unwrap() };
        let answers = ["HTTP/1.1 200 OK\r\n\r\nok\n", "HTTP/1.1 503 Service Unavailable\r\n\r\n", "no HTTP"];
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = vec![0; QUESTION.len()];
                stream.read_exact(&mut question).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert!(ask(&config).is_ok());
        assert!(matches!(ask(&config), Err(Error::Ill(said)) if said.contains("503")));
        assert!(matches!(ask(&config), Err(Error::Ill(_))));
        server.join().unwrap();
        assert!(matches!(ask(&config), Err(Error::Silent { .. })));
    }
}
