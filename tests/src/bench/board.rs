//! The time until a page of the leaderboard of a large sweep arrives over HTTP, during the sweep and after it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sweep_proto::v1::SubmitRequest;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::Error;
use super::coordinator::Process;
use super::machine;
use super::noop::{Counted, Work, Worker};

/// Between two looks at how far the sweep is.
const PAUSE: Duration = Duration::from_millis(5);
/// The requests, each sent many times.
const QUESTIONS: [&str; 5] = [
    "/sweeps/1",
    "/sweeps/1/leaderboard?limit=100",
    "/sweeps/1/leaderboard?limit=100&sort=delta&order=descending",
    "/sweeps/1/leaderboard?limit=100&contains=filters=1",
    "/sweeps/1/trials?limit=100",
];
/// The whole board as a file, asked once.
const FILE: &str = "/sweeps/1/leaderboard?format=csv";

/// The size of the sweep, and the number of requests.
#[derive(Debug, Clone, clap::Args)]
pub struct Board {
    /// Widths of the network's convolutions.
    #[arg(long, default_value_t = 250)]
    pub widths: u32,
    /// Widths of its dense layer; each with each of the others is a configuration.
    #[arg(long, default_value_t = 40)]
    pub dense: u32,
    /// Seeds of each configuration.
    #[arg(long, default_value_t = 5)]
    pub seeds: u32,
    /// How often each request is sent.
    #[arg(long, default_value_t = 20)]
    pub times: u32,
}

/// Runs it and returns the figures.
///
/// # Errors
/// The coordinator or a worker failed.
pub async fn board(options: Board) -> Result<Value, Error> {
    let folder = tempfile::tempdir()?;
    let load_before = machine::load();
    let (live, ended) = measure(folder.path(), &options).await?;
    Ok(json!({
        "bench": "board",
        "trials": trials(&options),
        "configurations": options.widths * options.dense,
        "live": live,
        "ended": ended,
        "cores": machine::cores(),
        "load_before": load_before,
        "load_after": machine::load(),
    }))
}

fn trials(options: &Board) -> u64 {
    u64::from(options.widths * options.dense) * u64::from(options.seeds)
}

async fn measure(folder: &Path, options: &Board) -> Result<(Value, Value), Error> {
    let work = Work { points: 1, batch: 1 };
    let coordinator = Process::start(folder)?;
    let endpoint = Endpoint::from_shared(format!("http://{}", coordinator.address))?;
    let counted = Arc::new(Counted::default());
    let stop = CancellationToken::new();
    let mut client = SweepServiceClient::new(endpoint.connect().await?);
    client.submit(SubmitRequest { spec: spec(options)?.into(), ..SubmitRequest::default() }).await?;
    let mut workers = JoinSet::new();
    for index in 0..4 {
        let shared = (work, Arc::clone(&counted));
        let worker = Worker::register(endpoint.connect().await?, format!("bench-{index}"), 32, shared).await?;
        workers.spawn(worker.run(stop.clone()));
    }
    until(&counted, &mut workers, trials(options) / 2).await?;
    // The workers go on meanwhile, so that results come in while the board is asked for.
    let live = ask_all(coordinator.http, options.times).await?;
    until(&counted, &mut workers, trials(options)).await?;
    stop.cancel();
    while workers.join_next().await.is_some() {}
    let ended = ask_all(coordinator.http, options.times).await?;
    Ok((live, ended))
}

fn spec(options: &Board) -> Result<String, Error> {
    let levels = |count: u32| (1..=count).map(|level| level.to_string()).collect::<Vec<_>>().join(", ");
    let mut spec = String::new();
    write!(
        spec,
        "version: 1\nname: board\ndataset: {{ kind: synthetic_scenes, image_size: 8, channels: 3, classes: 8 }}\n\
         protocol: {{ epochs: 1 }}\nseeds: {}\nbaseline: {{ family: cnn }}\n\
         stages: [ {{ name: all, grid: {{ filters: [{}], dense_units: [{}] }} }} ]\n",
        options.seeds,
        levels(options.widths),
        levels(options.dense)
    )?;
    Ok(spec)
}

async fn until(counted: &Counted, workers: &mut JoinSet<Result<(), Error>>, done: u64) -> Result<(), Error> {
    while counted.finished.load(Ordering::Relaxed) < done {
        tokio::select! {
            Some(ended) = workers.join_next() => return Err(format!("a worker ended early: {ended:?}").into()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}

/// Seconds until the first byte, seconds until the last, and bytes.
struct Asked {
    first: f64,
    last: f64,
    bytes: usize,
}

async fn ask_all(http: SocketAddr, times: u32) -> Result<Value, Error> {
    let cold = ask(http, QUESTIONS[1]).await?;
    let mut figures = json!({ "cold_first_byte_seconds": cold.first });
    for question in QUESTIONS {
        let mut first = Vec::new();
        let mut bytes = 0;
        for _ in 0..times.max(1) {
            let asked = ask(http, question).await?;
            first.push(asked.first);
            bytes = asked.bytes;
        }
        figures[question] = json!({
            "first_byte_seconds_p50": machine::quantile(&mut first, 0.5),
            "first_byte_seconds_max": machine::quantile(&mut first, 1.0),
            "bytes": bytes,
        });
    }
    let file = ask(http, FILE).await?;
    figures[FILE] = json!({ "first_byte_seconds": file.first, "seconds": file.last, "bytes": file.bytes });
    Ok(figures)
}

async fn ask(http: SocketAddr, question: &str) -> Result<Asked, Error> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(http).await?;
    let request = format!("GET /api/v1{question} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 64 * 1024];
    let mut bytes = stream.read(&mut answer).await?;
    let first = began.elapsed().as_secs_f64();
    if !answer.starts_with(b"HTTP/1.1 200") {
        let head = String::from_utf8_lossy(&answer).chars().take(300).collect::<String>();
        return Err(format!("{question} was answered {head}").into());
    }
    loop {
        match stream.read(&mut answer).await? {
            0 => return Ok(Asked { first, last: began.elapsed().as_secs_f64(), bytes }),
            read => bytes += read,
        }
    }
}
