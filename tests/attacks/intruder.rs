//! A fleet with tokens, and an intruder's tools: clients with any token or none, and HTTP as bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sweep_proto::v1;
use sweep_proto::v1::access_service_client::AccessServiceClient;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::worker_service_client::WorkerServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::env::{Env, Process};

/// A request without an answer after this time hangs.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// A coordinator that asks for tokens, and one token of each role.
pub(crate) struct Fleet {
    pub(crate) env: Env,
    pub(crate) grpc: String,
    pub(crate) http: String,
    pub(crate) admin: String,
    pub(crate) submit: String,
    pub(crate) read: String,
    pub(crate) worker: String,
    pub(crate) coordinator: Process,
}

impl Fleet {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(flags: &[&str]) -> Self {
        let env = Env::new();
        let make = |role: &str| made(&env, &[role, "--role", role, "--store", "sweep.db"]);
        let (admin, submit, read, worker) = (make("admin"), make("submit"), make("read"), make("worker"));
        let (coordinator, grpc, http) = coordinator(&env, flags);
        env.set_address(&format!("http://{grpc}"));
        Self { env, grpc, http, admin, submit, read, worker, coordinator }
    }

    /// A token that an admin makes.
    pub(crate) fn token(&self, words: &[&str]) -> String {
        let mut command = self.env.command(["token", "create"].iter().chain(words));
        let output = command.env("SWEEP_TOKEN", &self.admin).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn revoke(&self, name: &str) {
        let output = self.env.command(["token", "revoke", name]).env("SWEEP_TOKEN", &self.admin).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    pub(crate) async fn sweeps(&self, token: &str) -> SweepServiceClient<Client> {
        SweepServiceClient::with_interceptor(channel(&self.grpc).await, Shown::new(token))
    }

    pub(crate) async fn workers(&self, token: &str) -> WorkerServiceClient<Client> {
        WorkerServiceClient::with_interceptor(channel(&self.grpc).await, Shown::new(token))
    }

    pub(crate) async fn access(&self, token: &str) -> AccessServiceClient<Client> {
        AccessServiceClient::with_interceptor(channel(&self.grpc).await, Shown::new(token))
    }
}

/// Starts a coordinator on the store of this folder; returns its gRPC and HTTP addresses.
pub(crate) fn coordinator(env: &Env, flags: &[&str]) -> (Process, String, String) {
    let words = ["coordinator", "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--store", "sweep.db"];
    let mut process = env.start("coordinator", &mut env.command(words.iter().chain(flags)));
    let (grpc, http) = process.until("it was ready", |line| {
        let mut parts = line.strip_prefix("ready grpc=")?.split(' ');
        Some((parts.next()?.to_owned(), parts.next()?.strip_prefix("http=")?.to_owned()))
    });
    (process, grpc, http)
}

/// A token that is made in a store.
pub(crate) fn made(env: &Env, words: &[&str]) -> String {
    let ran = env.sweepctl(["token", "create"].iter().chain(words)).expect_code(0);
    ran.stdout.trim().to_owned()
}

pub(crate) type Client = InterceptedService<Channel, Shown>;

/// Shows a token, or none where it is empty.
#[derive(Clone)]
pub(crate) struct Shown(Option<MetadataValue<Ascii>>);

impl Shown {
    pub(crate) fn new(token: &str) -> Self {
        Self((!token.is_empty()).then(|| format!("Bearer {token}").parse().unwrap()))
    }
}

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

pub(crate) async fn channel(address: &str) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The registration of a worker with one slot.
pub(crate) fn registration(name: &str) -> v1::RegisterRequest {
    let slot = v1::Slot { index: 0, device: "cpu".into(), device_name: "pretend".into(), memory_bytes: 0 };
    v1::RegisterRequest {
        worker: name.to_owned(),
        version: "0".into(),
        trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
        slots: vec![slot],
        ..Default::default()
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// Sends bytes and reads until the other side closes.
pub(crate) fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
    // Whoever refuses in the middle of a request may close at once.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return answer,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return answer,
            Err(error) => panic!("no end of the answer: {error}"),
        }
    }
}

/// One request: `GET /path`, headers, and a body.
pub(crate) fn ask(address: &str, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut text = format!("{line} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str(&format!("host: {address}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    let bytes = exchange(address, format!("{text}\r\n{body}").as_bytes());
    let answer = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
