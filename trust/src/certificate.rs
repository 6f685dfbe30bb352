//! Facts about a certificate for users: its hosts, its issuer and its validity.

use std::fmt;
use std::net::IpAddr;

use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// A name is shown up to this many characters: a peer makes it up.
const MAX_NAME: usize = 100;
/// Names of one certificate that are kept.
const MAX_NAMES: usize = 20;
/// A certificate with less time left should be renewed.
const SOON: Duration = Duration::days(14);

/// Why a certificate cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// The file has no PEM.
    #[error("it is not PEM")]
    Pem(#[from] pem::Error),
    /// The content is not a certificate.
    #[error("it is not an X.509 certificate")]
    Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    /// The hosts that it is valid for; a bounded number of them.
    pub names: Vec<String>,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
}

/// The validity of a certificate at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Valid for longer than `SOON`.
    Holds,
    EndsSoon,
    Expired,
    NotYet,
}

impl Certificate {
    /// Reads a certificate that a peer sent.
    ///
    /// # Errors
    /// It is not a certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, Damaged> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| Damaged::Content)?;
        let moment = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Damaged::Content);
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(host).take(MAX_NAMES);
        Ok(Self {
            subject: name(parsed.subject()),
            issuer: name(parsed.issuer()),
            names: names.collect(),
            not_before: moment(parsed.validity().not_before.timestamp())?,
            not_after: moment(parsed.validity().not_after.timestamp())?,
        })
    }

    /// Reads the first certificate of a PEM file: the one that is presented, before intermediate ones.
    ///
    /// # Errors
    /// There is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Damaged> {
        Self::from_der(&CertificateDer::from_pem_slice(pem)?)
    }

    pub fn validity(&self, now: OffsetDateTime) -> Validity {
        if now < self.not_before {
            Validity::NotYet
        } else if now > self.not_after {
            Validity::Expired
        } else if self.not_after - now < SOON {
            Validity::EndsSoon
        } else {
            Validity::Holds
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate of `{}`, issued by `{}`", self.subject, self.issuer)
    }
}

/// A moment as people read it, to the minute.
pub fn shown(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", at.hour(), at.minute())
}

/// The common name where there is one, else the whole.
fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|common| common.as_str().ok()).map(str::to_owned);
    plain(&common.unwrap_or_else(|| name.to_string()))
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(plain(name)),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The text without characters that would move a terminal's cursor.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    pub(crate) const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::days(20_000));

    /// A self-signed certificate.
    pub(crate) fn certificate(name: &str, from: Duration, to: Duration) -> rcgen::Certificate {
        let mut parameters = CertificateParams::new(vec!["sweep.example".to_owned(), "10.0.0.7".to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        (parameters.not_before, parameters.not_after) = (NOW + from, NOW + to);
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn names_and_dates_are_read() {
        let made = certificate("a\u{1b}[31mb", Duration::days(-1), Duration::days(100));
        let read = Certificate::from_pem(made.pem().as_bytes()).unwrap();
        assert_eq!(read, Certificate::from_der(made.der()).unwrap());
        assert_eq!((read.subject.as_str(), read.issuer.as_str()), ("a[31mb", "a[31mb"), "nothing moves a cursor");
        assert_eq!(read.names, ["sweep.example", "10.0.0.7"]);
        assert_eq!(shown(read.not_after), "2025-01-12 00:00 UTC");
    }

    #[test]
    fn a_certificate_holds_from_its_beginning_to_its_end() {
        let day = Duration::days;
        let found = |from, to| {
            let made = certificate("a", day(from), day(to));
            Certificate::from_der(made.der()).unwrap().validity(NOW)
        };
        assert_eq!(found(-1, 15), Validity::Holds);
        assert_eq!(found(-1, 13), Validity::EndsSoon);
        assert_eq!(found(-2, -1), Validity::Expired);
        assert_eq!(found(1, 2), Validity::NotYet);
    }

    #[test]
    fn an_invalid_certificate_is_an_error() {
        for bytes in [&b""[..], b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(Certificate::from_pem(bytes).is_err() && Certificate::from_der(bytes).is_err());
        }
    }
}
