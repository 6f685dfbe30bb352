//! The page of a large sweep: the time until its first byte, its size, and the time until a restarted coordinator shows
//! the ranking. Every core is busy at the same time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sweep_proto::v1::SubmitRequest;

use super::Error;
use super::coordinator::Process;
use super::machine;
use super::noop::Work;
use super::restart::filled;
use super::run::Layout;

/// Between two looks at a page that is not whole yet.
const PAUSE: Duration = Duration::from_millis(200);
/// A page that is not complete after this time is stuck.
const PAGE_TIMEOUT: Duration = Duration::from_secs(300);
/// A page contains it while a part is being computed.
const PENDING: &str = "data-pending";

/// How the store is filled, and how often the page is requested.
#[derive(Debug, Clone, clap::Args)]
pub struct Page {
    /// Seeds of each of the 10,000 configurations.
    #[arg(long, default_value_t = 5)]
    pub seeds: u32,
    /// How often each page is requested.
    #[arg(long, default_value_t = 20)]
    pub times: u32,
    /// Path of the store; an existing one is used unchanged
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Keep serving at the end, print the address on stderr, and end when stdin ends
    #[arg(long)]
    pub stay: bool,
    /// Leaves the cores idle
    #[arg(long)]
    pub idle: bool,
}

const CONFIGURATIONS: u32 = 10_000;
const PAGES: [(&str, &str); 5] = [
    ("leaderboard", "/sweeps/1"),
    ("last_page_by_parameters", "/sweeps/1?sort=params&order=desc&page=100"),
    ("filtered", "/sweeps/1?where=filters%3A8&q=kernel_size%3D5"),
    ("charts", "/sweeps/1/charts"),
    ("sweeps", "/"),
];

/// Runs it and returns the figures.
///
/// # Errors
/// The coordinator or a worker failed, or a page did not come.
pub async fn page(options: Page) -> Result<serde_json::Value, Error> {
    let load_before = machine::load();
    let own = tempfile::tempdir()?;
    let folder = options.folder.as_deref().unwrap_or(own.path());
    let trials = CONFIGURATIONS * options.seeds;
    if !folder.join("bench.db").exists() {
        std::fs::create_dir_all(folder)?;
        let layout = Layout { trials, workers: 4, slots: 32, work: Work { points: 1, batch: 1 } };
        let request = SubmitRequest {
            spec: spec(options.seeds).into(),
            trial_limit: u64::from(trials),
            ..SubmitRequest::default()
        };
        filled(folder, request, (layout, trials)).await?;
    }
    let coordinator = Process::start(folder)?;
    let (http, times, idle) = (coordinator.http, options.times, options.idle);
    let mut figures = tokio::task::spawn_blocking(move || measure(http, times, idle)).await??;
    if options.stay {
        say(http);
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    }
    if let Some(figures) = figures.as_object_mut() {
        figures.insert("trials".into(), trials.into());
        figures.insert("cores".into(), machine::cores().into());
        figures.insert("load_before".into(), load_before.into());
        figures.insert("load_after".into(), machine::load().into());
    }
    Ok(figures)
}

#[expect(clippy::print_stderr, reason = "whoever looks at the pages has to know where they are")]
fn say(http: SocketAddr) {
    eprintln!("http://{http}/sweeps/1");
}

fn spec(seeds: u32) -> Vec<u8> {
    format!(
        "version: 1\nname: large\ndataset: {{ kind: synthetic_scenes, image_size: 32, channels: 3, classes: 8 }}\n\
         protocol: {{ epochs: 1 }}\nseeds: {seeds}\nbaseline: {{ family: cnn }}\nstages:\n\
         - name: all\n  grid: {{ conv_layers: [1, 2, 3, 4, 5], filters: [4, 8, 12, 16, 20, 24, 28, 32, 40, 48], \
         kernel_size: [1, 3, 5, 7, 9], dense_units: [16, 24, 32, 48, 64, 80, 96, 112, 128, 160], \
         batch_norm: [false, true], max_pool: [false, true] }}\n"
    )
    .into_bytes()
}

/// Keeps every core busy until it goes.
struct Load(Arc<AtomicBool>);

impl Load {
    fn new(cores: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..cores {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut number = 1_u64;
                while !stop.load(Ordering::Relaxed) {
                    number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn measure(http: SocketAddr, times: u32, idle: bool) -> Result<serde_json::Value, Error> {
    let _load = (!idle).then(|| Load::new(machine::cores()));
    let begun = Instant::now();
    let cold = ask(http, "/sweeps/1")?;
    while begun.elapsed() < PAGE_TIMEOUT && ask(http, "/sweeps/1")?.text.contains(PENDING) {
        std::thread::sleep(PAUSE);
    }
    let ranked_seconds = begun.elapsed().as_secs_f64();
    let mut figures = serde_json::json!({
        "bench": "page",
        "cold_first_byte_ms": cold.first_byte_ms,
        "ranking_there_after_seconds": ranked_seconds,
        "cores_kept_busy": !idle,
    });
    for (name, path) in PAGES {
        let mut first = Vec::new();
        let mut whole = Vec::new();
        let mut bytes = 0;
        for _ in 0..times.max(1) {
            let page = ask(http, path)?;
            if page.text.contains(PENDING) {
                std::thread::sleep(PAUSE);
                continue;
            }
            bytes = page.text.len();
            first.push(page.first_byte_ms);
            whole.push(page.whole_ms);
        }
        if let Some(figures) = figures.as_object_mut() {
            let one = serde_json::json!({
                "first_byte_ms_p50": machine::quantile(&mut first, 0.5),
                "first_byte_ms_max": machine::quantile(&mut first, 1.0),
                "whole_ms_p50": machine::quantile(&mut whole, 0.5),
                "bytes": bytes,
                "measured": first.len(),
            });
            figures.insert(name.into(), one);
        }
    }
    Ok(figures)
}

struct Answer {
    first_byte_ms: f64,
    whole_ms: f64,
    text: String,
}

/// One uncompressed request on a new connection, like a browser's first.
fn ask(http: SocketAddr, path: &str) -> Result<Answer, Error> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(http)?;
    stream.set_read_timeout(Some(PAGE_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n")?;
    let mut text = vec![0; 1];
    stream.read_exact(&mut text)?;
    let first_byte_ms = begun.elapsed().as_secs_f64() * 1e3;
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    if !text.starts_with("HTTP/1.1 200") {
        return Err(format!("{path} was answered {}", text.lines().next().unwrap_or_default()).into());
    }
    Ok(Answer { first_byte_ms, whole_ms: begun.elapsed().as_secs_f64() * 1e3, text })
}
