//! Invalid certificates: the coordinator does not start with one, and `sweepctl`, `doctor` and a worker name the
//! certificate, its dates and its issuer.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::env::{Env, Ran};

/// An authority in the folder of a test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: String,
}

/// A certificate and its key.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(env: &Env, name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, format!("Authority {name}"));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let file = env.file(&format!("{name}.ca.crt"), &parameters.self_signed(&key).unwrap().pem());
        Self { issuer: Issuer::new(parameters, key), file }
    }

    /// A certificate for `hosts` that is valid from `from` to `to`, relative to now.
    fn sign(&self, env: &Env, hosts: &[&str], (from, to): (Duration, Duration)) -> Pair {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let name = format!("server-{}-{}", from.whole_days(), to.whole_days());
        let mut parameters = CertificateParams::new(hosts).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, "sweep-coordinator");
        let now = OffsetDateTime::now_utc();
        (parameters.not_before, parameters.not_after) = (now + from, now + to);
        let key = KeyPair::generate().unwrap();
        let certificate = env.file(&format!("{name}.crt"), &parameters.signed_by(&key, &self.issuer).unwrap().pem());
        let key = env.file(&format!("{name}.key"), &key.serialize_pem());
        Pair { certificate: certificate.into(), key: key.into() }
    }
}

const DAY: Duration = Duration::DAY;
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "sweep.example"];

/// A server that shows a certificate which no coordinator would start with. It ends with the process.
fn server(pair: &Pair) -> String {
    let chain = vec![CertificateDer::from_pem_file(&pair.certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                // The client ends the handshake, or says nothing more.
                tokio::spawn(acceptor.accept(stream));
            }
        });
    });
    format!("https://127.0.0.1:{}", address.port())
}

fn day(at: OffsetDateTime) -> String {
    format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
}

/// `list`, `doctor` and a worker at an address all print this, and none of them explains how to start a coordinator.
fn all_say(env: &Env, url: &str, authority: &str, said: &[&str]) {
    let connection = ["--coordinator", url, "--ca-file", authority];
    let listed = env.sweepctl(["list"].iter().chain(&connection)).expect_code(1);
    let diagnosed: Ran = env.sweepctl(["doctor", "--output", "json"].iter().chain(&connection)).expect_code(1);
    let mut command =
        env.command(["worker", "--listen-http", "off", "--name", "w1", "--slots", "1"].iter().chain(&connection));
    let worker = env.start("w1", command.arg("--state-dir").arg(env.path("w1.state")));
    env.until_log("w1", "cannot reach the coordinator");
    let log = env.log("w1");
    worker.kill();
    std::fs::remove_file(env.path("w1.log")).unwrap();
    for words in said {
        for text in [&listed.stderr, &diagnosed.stdout, &log] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    for text in [&listed.stderr, &diagnosed.stdout] {
        assert!(!text.contains("start a coordinator with"), "{text}");
    }
    let report = diagnosed.json();
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "tls" && check["state"] == "wrong"), "{report}");
}

#[test]
fn clients_name_the_certificate_its_date_and_its_issuer() {
    let env = Env::new();
    let ours = Authority::new(&env, "ours");
    let whose = "the certificate of `sweep-coordinator`, issued by `Authority ours`";
    let now = OffsetDateTime::now_utc();

    let expired = server(&ours.sign(&env, &LOCAL, (-9 * DAY, -2 * DAY)));
    all_say(&env, &expired, &ours.file, &[whose, &format!("expired on {}", day(now - 2 * DAY))]);

    let early = server(&ours.sign(&env, &LOCAL, (3 * DAY, 9 * DAY)));
    all_say(&env, &early, &ours.file, &[whose, &format!("is valid only from {}", day(now + 3 * DAY)), "clock"]);

    let other = server(&ours.sign(&env, &["sweep.example"], (-DAY, 30 * DAY)));
    all_say(&env, &other, &ours.file, &[whose, "is for sweep.example, but the address is `127.0.0.1`"]);

    let good = server(&ours.sign(&env, &LOCAL, (-DAY, 31 * DAY)));
    let theirs = Authority::new(&env, "theirs");
    let unknown = format!("is not signed by any authority of {}", theirs.file);
    all_say(&env, &good, &theirs.file, &[whose, &unknown, "--ca-file"]);
}

#[test]
fn a_file_without_an_authority_is_a_wrong_command_line() {
    let env = Env::new();
    let file = env.file("empty.crt", "");
    let words = ["--coordinator", "https://127.0.0.1:1", "--ca-file", &file];
    let ran = env.sweepctl(["list"].iter().chain(&words)).expect_code(2);
    assert!(
        ran.stderr.contains("contains no authority's certificate")
            && ran.stderr.contains("hint: pass the certificate (PEM)"),
        "{ran:?}"
    );
    let state = env.path("w1.state").display().to_string();
    let ran =
        env.sweepctl(["worker", "--listen-http", "off", "--slots", "1", "--state-dir", &state].iter().chain(&words));
    assert!(ran.expect_code(2).stderr.contains("contains no authority's certificate"));
}

#[test]
fn a_coordinator_does_not_start_with_a_certificate_that_does_not_hold() {
    let env = Env::new();
    let ours = Authority::new(&env, "ours");
    let now = OffsetDateTime::now_utc();
    let start = |pair: &Pair| {
        let text = |path: &PathBuf| path.display().to_string();
        env.coordinator().with("--tls-cert", &text(&pair.certificate)).with("--tls-key", &text(&pair.key))
    };
    let expired = ours.sign(&env, &LOCAL, (-9 * DAY, -2 * DAY));
    let ran = start(&expired).run().expect_code(1);
    let named = format!("issued by `Authority ours`, expired on {}", day(now - 2 * DAY));
    assert!(ran.stderr.contains(&named) && ran.stderr.contains("server--9--2.crt"), "{ran:?}");
    let early = ours.sign(&env, &LOCAL, (3 * DAY, 9 * DAY));
    let ran = start(&early).run().expect_code(1);
    assert!(ran.stderr.contains(&format!("is valid only from {}", day(now + 3 * DAY))), "{ran:?}");
    let mixed = Pair { key: early.key, ..ours.sign(&env, &LOCAL, (-DAY, 30 * DAY)) };
    let ran = start(&mixed).run().expect_code(1);
    assert!(ran.stderr.contains("does not belong to the certificate"), "{ran:?}");
    let ending = ours.sign(&env, &LOCAL, (-DAY, 5 * DAY));
    let _running = start(&ending).start();
    env.until_log("coordinator", "the certificate expires soon");
    assert!(env.log("coordinator").contains(&day(now + 5 * DAY)), "{}", env.log("coordinator"));
}

#[test]
fn a_worker_does_not_start_with_a_certificate_that_does_not_hold() {
    let env = Env::new();
    let ours = Authority::new(&env, "ours");
    let expired = ours.sign(&env, &LOCAL, (-9 * DAY, -2 * DAY));
    let state = env.path("w1.state").display().to_string();
    let text = |path: &PathBuf| path.display().to_string();
    let words = ["worker", "--listen-http", "off", "--slots", "1", "--state-dir", &state].map(str::to_owned);
    let shown =
        ["--ca-file", &ours.file, "--client-cert", &text(&expired.certificate), "--client-key", &text(&expired.key)];
    let shown =
        shown.map(str::to_owned).into_iter().chain(["--coordinator".to_owned(), "https://127.0.0.1:1".to_owned()]);
    let ran = env.sweepctl(words.iter().cloned().chain(shown)).expect_code(2);
    assert!(
        ran.stderr.contains("issued by `Authority ours`, is valid from") && ran.stderr.contains("but not now"),
        "{ran:?}"
    );
}
