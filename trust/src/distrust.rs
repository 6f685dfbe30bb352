//! Why a peer's certificate is not trusted, as a sentence that names the certificate, its dates and its issuer, and how to
//! find that in an error of a connection.

use std::error::Error;
use std::fmt;
use std::io;

use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

use crate::certificate::{Certificate, plain, shown};

/// The reason why a certificate is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Its time is over, or that of one between it and the authority.
    Expired(OffsetDateTime),
    /// Not valid yet, by this machine's clock.
    NotYet(OffsetDateTime),
    /// No trusted authority issued it.
    UnknownIssuer,
    /// It is for other hosts.
    OtherName(String),
    /// Anything else, in the words of the TLS library.
    Other(String),
}

/// A certificate that is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Distrust {
    pub reason: Reason,
    /// Its content; `None` if it cannot be read.
    pub certificate: Option<Certificate>,
    /// The source of the trusted authorities: a file, or this machine.
    pub believed: String,
}

impl Distrust {
    pub(crate) fn new(error: &CertificateError, der: &[u8], believed: &str) -> Self {
        let reason = match error {
            CertificateError::ExpiredContext { not_after, .. } => Reason::Expired(moment(*not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => Reason::NotYet(moment(*not_before)),
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Reason::UnknownIssuer,
            CertificateError::NotValidForNameContext { expected, .. } => Reason::OtherName(plain(&expected.to_str())),
            other => Reason::Other(plain(&other.to_string())),
        };
        Self { reason, certificate: Certificate::from_der(der).ok(), believed: believed.to_owned() }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.certificate {
            Some(certificate) => write!(f, "{certificate}, ")?,
            None => f.write_str("the certificate ")?,
        }
        let own_end = self.certificate.as_ref().map(|certificate| certificate.not_after);
        match &self.reason {
            Reason::Expired(at) if own_end.is_none_or(|end| end == *at) => write!(f, "expired on {}", shown(*at)),
            Reason::Expired(at) => write!(f, "depends on another certificate, which expired on {}", shown(*at)),
            Reason::NotYet(at) => {
                write!(f, "is valid only from {} on; this machine's clock is earlier", shown(*at))
            }
            Reason::UnknownIssuer => write!(f, "is not signed by any authority of {}", self.believed),
            Reason::OtherName(dialled) => {
                let names = self.certificate.iter().flat_map(|certificate| &certificate.names);
                let names: Vec<&str> = names.map(String::as_str).collect();
                match names.as_slice() {
                    [] => write!(f, "names no host, but the address is `{dialled}`"),
                    names => write!(f, "is for {}, but the address is `{dialled}`", names.join(", ")),
                }
            }
            Reason::Other(why) => write!(f, "cannot be used: {why}"),
        }
    }
}

fn moment(at: UnixTime) -> OffsetDateTime {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Why the peer's certificate is not trusted, if that is behind an error of a connection.
pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Distrust> {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = of_tls(error)? else { return None };
    let inner: &'a (dyn Error + 'static) = other.0.as_ref();
    inner.downcast_ref()
}

/// The peer's reason for refusing our certificate, if it is a cause of a connection's error.
pub fn refused(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let rustls::Error::AlertReceived(alert) = of_tls(error)? else { return None };
    match alert {
        AlertDescription::CertificateRequired => Some("it requires a certificate"),
        AlertDescription::CertificateExpired => Some("the presented certificate has expired"),
        AlertDescription::CertificateRevoked => Some("the presented certificate was revoked"),
        AlertDescription::UnknownCA => Some("it does not know the authority of the presented certificate"),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => Some("it does not accept the presented certificate"),
        _ => None,
    }
}

/// The error of the TLS library at the root of another.
fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // What it carries is not its source, but the source's source is.
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use tokio_rustls::rustls::pki_types::ServerName;

    use super::*;
    use crate::certificate::tests::{NOW, certificate};

    fn said(error: CertificateError) -> String {
        let made = certificate("sweep-coordinator", Duration::days(-9), Duration::days(-1));
        Distrust::new(&error, made.der(), "ca.crt").to_string()
    }

    fn unix(at: OffsetDateTime) -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.unix_timestamp().cast_unsigned()))
    }

    #[test]
    fn every_reason_is_a_sentence_with_the_certificate_in_it() {
        let whose = "the certificate of `sweep-coordinator`, issued by `sweep-coordinator`";
        let (time, end) = (unix(NOW), unix(NOW - Duration::days(1)));
        let expired = CertificateError::ExpiredContext { time, not_after: end };
        assert_eq!(said(expired), format!("{whose}, expired on 2024-10-03 00:00 UTC"));
        let above = CertificateError::ExpiredContext { time, not_after: unix(NOW - Duration::days(2)) };
        assert!(said(above).contains("depends on another certificate, which expired on 2024-10-02"));
        let early = CertificateError::NotValidYetContext { time, not_before: unix(NOW + Duration::days(1)) };
        assert!(said(early).contains("is valid only from 2024-10-05 00:00 UTC on"));
        assert_eq!(said(CertificateError::UnknownIssuer), format!("{whose}, is not signed by any authority of ca.crt"));
        let expected = ServerName::try_from("other.example").unwrap();
        let named = CertificateError::NotValidForNameContext { expected, presented: Vec::new() };
        assert!(said(named).ends_with("is for sweep.example, 10.0.0.7, but the address is `other.example`"));
        assert!(said(CertificateError::Revoked).contains("cannot be used"));
    }

    #[test]
    fn it_is_found_below_other_errors() {
        let distrust = Distrust { reason: Reason::UnknownIssuer, certificate: None, believed: "x".into() };
        let other = rustls::OtherError(std::sync::Arc::new(distrust.clone()));
        let tls = rustls::Error::InvalidCertificate(CertificateError::Other(other));
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert_eq!(find(&wrapped), Some(&distrust));
        assert_eq!(find(&io::Error::other("else")), None);
        let alert = io::Error::other(rustls::Error::AlertReceived(AlertDescription::UnknownCA));
        assert!(refused(&alert).is_some_and(|said| said.contains("authority")));
    }
}
