//! TLS with real processes: a client that does not trust the authority does not connect, a worker without a certificate
//! does not train, and a listener on the wire sees no secrets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::env::{Env, study};
use super::intruder::{ANSWER_TIMEOUT, coordinator, made};

struct Secret {
    env: Env,
    grpc: String,
    http: String,
    submit: String,
    worker: String,
    _coordinator: super::env::Process,
}

fn start() -> Secret {
    let env = Env::new();
    env.sweepctl(["certs", "init", "certs", "--host", "sweep.example"]).expect_code(0);
    let submit = made(&env, &["submit", "--role", "submit", "--store", "sweep.db"]);
    let worker = made(&env, &["worker", "--role", "worker", "--store", "sweep.db"]);
    let flags = ["--tls-cert", "certs/server.crt", "--tls-key", "certs/server.key", "--tls-client-ca", "certs/ca.crt"];
    let (process, grpc, http) = coordinator(&env, &flags);
    env.set_address(&format!("https://{grpc}"));
    Secret { env, grpc, http, submit, worker, _coordinator: process }
}

impl Secret {
    fn sweepctl(&self, words: &[&str]) -> super::env::Ran {
        let output = self.env.command(words).env("SWEEP_TOKEN", &self.submit).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        super::env::Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn worker(&self, name: &str, more: &[&str]) -> super::env::Process {
        let words = ["worker", "--listen-http", "off", "--data-root", ".", "--slots", "1", "--name", name];
        let mut command = self.env.command(words.iter().chain(more));
        let state = self.env.path(&format!("{name}.state"));
        command.arg("--state-dir").arg(state).args(["--coordinator", &format!("https://{}", self.grpc)]);
        self.env.start(name, command.env("SWEEP_WORKER_TOKEN", &self.worker))
    }
}

#[test]
fn a_sweep_runs_over_tls_with_client_certificates() {
    let fleet = start();
    let spec = fleet.env.file("study.yaml", &study("secret", 1, &[2, 3], &[1]));
    let certificate =
        ["--ca-file", "certs/ca.crt", "--client-cert", "certs/worker.crt", "--client-key", "certs/worker.key"];
    let _worker = fleet.worker("w1", &certificate);
    let words = ["submit", &spec, "--watch", "--ca-file", "certs/ca.crt", "--output", "json"];
    fleet.sweepctl(&words).expect_code(0);
}

#[test]
fn whoever_does_not_know_the_authority_does_not_speak_and_a_plain_voice_is_not_heard() {
    let fleet = start();
    let unknown = fleet.sweepctl(&["list"]).expect_code(1);
    assert!(unknown.stderr.contains("certificate") || unknown.stderr.contains("UnknownIssuer"), "{unknown:?}");
    // An authority of somebody else's.
    fleet.env.sweepctl(["certs", "init", "evil", "--host", "sweep.example"]).expect_code(0);
    fleet.sweepctl(&["list", "--ca-file", "evil/ca.crt"]).expect_code(1);
    fleet.sweepctl(&["list", "--ca-file", "certs/ca.crt"]).expect_code(0);
    let plain = format!("http://{}", fleet.grpc);
    fleet.sweepctl(&["list", "--coordinator", &plain]).expect_code(1);
    let mut stream = TcpStream::connect(&fleet.http).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    assert!(!String::from_utf8_lossy(&answer).contains("ok"), "{answer:?}");
}

#[test]
fn a_worker_without_the_right_certificate_does_not_train() {
    let fleet = start();
    let none = fleet.worker("none", &["--ca-file", "certs/ca.crt"]).wait();
    assert_eq!(none.code(), Some(1));
    assert!(fleet.env.log("none").contains("must present a certificate"), "{}", fleet.env.log("none"));
    // One that another authority signed ends the handshake: the worker tries again and again, and never gets in.
    fleet.env.sweepctl(["certs", "init", "evil"]).expect_code(0);
    let evil = ["--ca-file", "certs/ca.crt", "--client-cert", "evil/worker.crt", "--client-key", "evil/worker.key"];
    let _evil = fleet.worker("evil", &evil);
    fleet.env.until_log("evil", "coordinator");
    let listed = fleet.sweepctl(&["workers", "--ca-file", "certs/ca.crt", "--output", "json"]).expect_code(0);
    assert_eq!(listed.json()["workers"].as_array().unwrap().len(), 0);
    // The coordinator's own certificate is for servers and no worker's.
    let server = ["--ca-file", "certs/ca.crt", "--client-cert", "certs/server.crt", "--client-key", "certs/server.key"];
    let _server = fleet.worker("server", &server);
    fleet.env.until_log("server", "coordinator");
    let listed = fleet.sweepctl(&["workers", "--ca-file", "certs/ca.crt", "--output", "json"]).expect_code(0);
    assert_eq!(listed.json()["workers"].as_array().unwrap().len(), 0);
}

#[test]
fn handshakes_that_never_end_keep_nobody_out() {
    let fleet = start();
    let mut open: Vec<_> = (0..500).map(|_| TcpStream::connect(&fleet.grpc).unwrap()).collect();
    for stream in &mut open {
        // The beginning of a hello.
        stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).unwrap();
    }
    fleet.sweepctl(&["list", "--ca-file", "certs/ca.crt"]).expect_code(0);
    let begun = Instant::now();
    for stream in &mut open {
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut piece = [0; 64];
        loop {
            assert!(begun.elapsed() < ANSWER_TIMEOUT, "a handshake waits without an end");
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }
}
