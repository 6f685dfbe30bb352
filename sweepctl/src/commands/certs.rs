//! `sweepctl certs`: creates a certificate authority with certificates for a coordinator and its workers, for
//! development and small fleets. Only their owner can read the keys.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde::Serialize;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::table::Table;

/// Default validity in days; the authority is valid ten times as long.
const DAYS: i64 = 365;
/// Certificates are valid from this long before now, because clocks differ.
const BEFORE: time::Duration = time::Duration::hours(1);

#[derive(Debug, Subcommand)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sweepctl certs init certs --host sweep.example --host 10.0.0.7"
)]
pub(crate) enum Verb {
    /// Create an authority, a certificate for the coordinator and one for workers in a new folder
    #[command(
        after_help = "Then:\n  sweepctl coordinator --tls-cert DIR/server.crt --tls-key DIR/server.key --tls-client-ca \
            DIR/ca.crt\n  sweepctl worker --coordinator https://HOST:7733 --ca-file DIR/ca.crt \\\n    --client-cert \
            DIR/worker.crt --client-key DIR/worker.key\n  sweepctl list --coordinator https://HOST:7733 --ca-file \
            DIR/ca.crt\n\nca.key can sign more certificates. Do not copy it to other machines.\n\n\
            Example:\n  sweepctl certs init certs --host sweep.example --host 10.0.0.7"
    )]
    Init {
        /// Folder to create
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Host name or IP address of the coordinator, besides localhost; repeatable
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<String>,
        /// Validity of the certificates, in days
        #[arg(long, default_value_t = DAYS, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: i64,
    },
}

#[derive(Serialize)]
struct Answer {
    files: Vec<Made>,
}

#[derive(Serialize)]
struct Made {
    path: String,
    what: &'static str,
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<Exit, Failure> {
    let Verb::Init { folder, hosts, days } = verb;
    let names = names(hosts)?;
    let made = make(&names, *days).map_err(|error| Failure::failed("cannot create the certificates").because(error))?;
    let failed = |path: &Path, error: std::io::Error| {
        Failure::usage(format!("cannot create {}", path.display()))
            .because(error)
            .hint("name a folder that does not exist yet")
    };
    std::fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| failed(folder, error))?;
    let mut files = Vec::new();
    for (name, what, mode, content) in made {
        let path = folder.join(name);
        let file = std::fs::File::options().write(true).create_new(true).mode(mode).open(&path);
        let written = file.and_then(|mut file| file.write_all(content.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| failed(&path, error))?;
        files.push(Made { path: path.display().to_string(), what });
    }
    if context.output.is_json() {
        context.output.json(&Answer { files })?;
    } else {
        let mut table = Table::new(&["file", "what"]);
        for file in files {
            table.row([file.path, file.what.to_owned()]);
        }
        context.output.table(table)?;
    }
    Ok(Exit::Success)
}

/// Validates the coordinator's host names and IP addresses.
fn names(hosts: &[String]) -> Result<Vec<SanType>, Failure> {
    let mut names = Vec::new();
    for host in hosts.iter().map(String::as_str).chain(["localhost", "127.0.0.1", "::1"]) {
        let wrong = || {
            Failure::usage(format!("`{host}` is not a host name or address"))
                .hint("use a name such as sweep.example or an address such as 10.0.0.7")
        };
        names.push(match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) if host.is_empty() || host.contains([':', '/', ' ']) => return Err(wrong()),
            Err(_) => SanType::DnsName(host.try_into().map_err(|error| wrong().because(error))?),
        });
    }
    Ok(names)
}

type File = (&'static str, &'static str, u32, String);

fn make(names: &[SanType], days: i64) -> Result<Vec<File>, rcgen::Error> {
    const OPEN: u32 = 0o644;
    const PRIVATE: u32 = 0o600;
    let authority_key = KeyPair::generate()?;
    let mut authority = parameters("Sweep development authority", days.saturating_mul(10));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key)?;
    let authority_pem = authority_key.serialize_pem();
    let issuer = Issuer::new(authority, authority_key);
    let leaf = |name: &str, usage, names: &[SanType]| -> Result<(String, String), rcgen::Error> {
        let mut leaf = parameters(name, days);
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![usage];
        leaf.subject_alt_names = names.to_vec();
        let key = KeyPair::generate()?;
        Ok((leaf.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    };
    let (server, server_key) = leaf("sweep-coordinator", ExtendedKeyUsagePurpose::ServerAuth, names)?;
    let (worker, worker_key) = leaf("sweep-worker", ExtendedKeyUsagePurpose::ClientAuth, &[])?;
    Ok(vec![
        (
            "ca.crt",
            "the authority: `tls_client_ca`, and `ca_file` of workers and sweepctl",
            OPEN,
            authority_certificate.pem(),
        ),
        ("ca.key", "its key: can sign more certificates", PRIVATE, authority_pem),
        ("server.crt", "the coordinator's certificate: `tls_cert`", OPEN, server),
        ("server.key", "its key: `tls_key`", PRIVATE, server_key),
        ("worker.crt", "a certificate for workers: `client_cert`", OPEN, worker),
        ("worker.key", "its key: `client_key`", PRIVATE, worker_key),
    ])
}

fn parameters(name: &str, days: i64) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let now = time::OffsetDateTime::now_utc();
    parameters.not_before = now - BEFORE;
    parameters.not_after = now + time::Duration::days(days);
    parameters
}
