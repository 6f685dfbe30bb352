//! Two coordinators on one PostgreSQL database: one leads, and the other takes over when it is killed or frozen.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use sweep_require::postgres::{Server, shared};

use super::env::{Env, Process, study};

/// The most time until a command reports that the store cannot be reached.
const OUTAGE_TIMEOUT: Duration = Duration::from_secs(600);

/// How long the right to lead lasts after a renewal, as `docs/reliability.md` has it.
const TERM: &str = "interval '3 seconds'";

/// A study that is long enough for a fault in the middle.
fn long(env: &Env) -> String {
    env.file("long.yaml", &study("long", 400, &[2, 3, 4, 5], &[0, 1]))
}

/// A coordinator on the database, and its address. It may lead or stand by.
fn coordinator(env: &Env, name: &str, url: &str) -> (Process, String) {
    let words = ["coordinator", "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--store", url];
    let mut command = env.command(words);
    command.args(["--artifacts", "artifacts", "--lease-ttl-ms", "10000"]);
    let mut process = env.start(name, &mut command);
    let address = process.until("it said where it listens", |line| {
        let rest = line.strip_prefix("ready grpc=").or_else(|| line.strip_prefix("standby grpc="))?;
        rest.split(' ').next().map(|address| format!("http://{address}"))
    });
    (process, address)
}

/// Two of them; the first leads.
fn pair(env: &Env, url: &str) -> [Process; 2] {
    let (first, one) = coordinator(env, "first", url);
    let (second, two) = coordinator(env, "second", url);
    env.set_address(&format!("{one},{two}"));
    [first, second]
}

fn trials_once(server: &Server, url: &str, trials: usize) {
    let expected = trials.to_string();
    assert_eq!(server.ask(url, "SELECT COUNT(*) FROM results"), expected, "every trial has one result");
    let accepted = "SELECT COUNT(*) FROM rounds o JOIN attempts a ON a.trial = o.trial AND a.attempt = o.attempt \
                    JOIN results r ON r.attempt = a.key WHERE o.state = 1 AND a.state = 1";
    assert_eq!(server.ask(url, accepted), expected);
    let holes = "SELECT COUNT(*) FROM (SELECT attempt FROM points GROUP BY attempt \
                 HAVING COUNT(*) <> MAX(sequence) OR MIN(sequence) <> 1) holes";
    assert_eq!(server.ask(url, holes), "0", "no point is missing in the middle");
}

/// The acknowledged points: those in the leader's database.
fn points(server: &Server, url: &str) -> u64 {
    server.ask(url, "SELECT COUNT(*) FROM points").parse().unwrap()
}

/// Returns when the process leads. How long that takes depends on the machine; it is printed and never asserted.
fn took_over(what: &str, process: &mut Process, since: Instant) {
    process.until("it led", |line| line.strip_prefix("ready ").map(drop));
    eprintln!("{what}: the other led after {:.2} s", since.elapsed().as_secs_f64());
}

/// When the right of the present leader ends, by the database's clock.
fn deadline(server: &Server, url: &str) -> String {
    server.ask(url, "SELECT deadline FROM leader")
}

/// The present leader took the right only when the one before had lost it. A renewal moves a deadline into the future, and
/// the newest one is one term after the moment at which it was made.
fn waited_for(server: &Server, url: &str, before: &str) {
    let waited = format!("SELECT deadline - {TERM} >= '{before}' FROM leader");
    assert_eq!(server.ask(url, &waited), "t", "the right was taken before {before}");
}

fn runs(sweep: &Value) -> bool {
    sweep["running"][0]["newest"].is_object() && sweep["counts"]["succeeded"].as_u64() > Some(0)
}

#[test]
fn the_other_leads_when_the_leader_is_killed_and_nothing_is_lost() {
    let Some(server) = shared() else { return };
    let (env, url) = (Env::new(), server.database());
    let [first, mut second] = pair(&env, &url);
    let _workers = [env.worker("w1").slots(2).start(), env.worker("w2").start()];
    let sweep = env.submit(&long(&env));
    let mut watch = env.watch(sweep);
    watch.until_sweep("it ran", runs);
    let since = Instant::now();
    first.kill();
    let (right_ends, stored) = (deadline(server, &url), points(server, &url));
    took_over("kill -9", &mut second, since);
    waited_for(server, &url, &right_ends);
    // The watch follows.
    watch.until_sweep("it was done", |sweep| sweep["state"] == "succeeded");
    assert!(points(server, &url) > stored);
    trials_once(server, &url, 8);
    let again = "SELECT COUNT(*) FROM attempts WHERE state <> 1";
    assert_eq!(server.ask(&url, again), "0", "no attempt was lost: the workers went on and were adopted");
}

#[test]
fn a_leader_that_was_frozen_cannot_write_and_stands_by() {
    let Some(server) = shared() else { return };
    let (env, url) = (Env::new(), server.database());
    let [first, mut second] = pair(&env, &url);
    let _workers = [env.worker("w1").slots(2).start(), env.worker("w2").start()];
    let sweep = env.submit(&long(&env));
    let mut watch = env.watch(sweep);
    watch.until_sweep("it ran", runs);
    let since = Instant::now();
    first.signal(Signal::STOP);
    let right_ends = deadline(server, &url);
    took_over("SIGSTOP", &mut second, since);
    waited_for(server, &url, &right_ends);
    let term = server.ask(&url, "SELECT term FROM leader");
    first.signal(Signal::CONT);
    // It says that it stands by, and to whom.
    let (one, two) = env.address().split_once(',').map(|(one, two)| (one.to_owned(), two.to_owned())).unwrap();
    env.until_log("first", "no longer leads");
    let refused = env.sweepctl(["list", "--coordinator", &one]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("standby") || refused.stderr.contains("which one leads"), "{refused:#?}");
    env.sweepctl(["list", "--coordinator", &two]).expect_code(0);
    watch.until_sweep("it was done", |sweep| sweep["state"] == "succeeded");
    trials_once(server, &url, 8);
    assert_eq!(server.ask(&url, "SELECT term FROM leader"), term, "nobody else has led since");
}

/// The first line of the answer of an HTTP address.
fn status(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_standby_is_ready_to_take_over_but_not_to_answer() {
    let Some(server) = shared() else { return };
    let (env, url) = (Env::new(), server.database());
    let http = |name: &str, begins: &str| {
        let words = ["coordinator", "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--store", &url];
        let mut process = env.start(name, env.command(words).args(["--artifacts", "artifacts"]));
        let address = process.until("it said where it listens", |line| {
            let (_, rest) = line.strip_prefix(begins)?.split_once("http=")?;
            rest.split(' ').next().map(str::to_owned)
        });
        (process, address)
    };
    let (_first, leader) = http("first", "ready ");
    let (_second, standby) = http("second", "standby ");
    let of = |address: &str| ["/healthz", "/readyz", "/readyz?standby=ready"].map(|path| status(address, path));
    assert!(of(&leader).iter().all(|line| line.contains(" 200 ")), "{:?}", of(&leader));
    let [healthy, answers, takes_over] = of(&standby);
    assert!(
        healthy.contains(" 200 ") && answers.contains(" 503 ") && takes_over.contains(" 200 "),
        "{:?}",
        of(&standby)
    );
}

#[test]
fn a_leader_that_leaves_lets_the_other_lead_at_once() {
    let Some(server) = shared() else { return };
    let (env, url) = (Env::new(), server.database());
    let [first, mut second] = pair(&env, &url);
    let _worker = env.worker("w1").slots(2).start();
    let sweep = env.submit(&long(&env));
    let mut watch = env.watch(sweep);
    watch.until_sweep("it ran", runs);
    let since = Instant::now();
    let holder = server.ask(&url, "SELECT holder FROM leader");
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code(), Some(0));
    // It gave the right back: the other one has no deadline to wait for.
    let free = format!("SELECT holder <> '{holder}' OR deadline <= clock_timestamp() FROM leader");
    assert_eq!(server.ask(&url, &free), "t", "the right that {holder} had was not given back");
    took_over("SIGTERM", &mut second, since);
    watch.until_sweep("it was done", |sweep| sweep["state"] == "succeeded");
    trials_once(server, &url, 8);
}

#[test]
fn workers_train_on_while_the_database_is_away() {
    let Some(server) = Server::start() else { return };
    let (env, url) = (Env::new(), server.database());
    let (_coordinator, address) = coordinator(&env, "first", &url);
    env.set_address(&address);
    let _worker = env.worker("w1").slots(2).start();
    let spec = long(&env);
    let mut watch = env.watch(env.submit(&spec));
    watch.until_sweep("it ran", runs);
    let stored = points(&server, &url);
    server.stop();
    let refused = env.sweepctl(["submit", &spec]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(
        refused.stderr.contains("the store cannot be reached") || refused.stderr.contains("try again"),
        "{refused:#?}"
    );
    let begun = Instant::now();
    loop {
        let refused = env.sweepctl(["submit", &spec]);
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        if refused.stderr.contains("the store cannot be reached") {
            break;
        }
        assert!(begun.elapsed() < OUTAGE_TIMEOUT, "{refused:#?}");
    }
    assert!(env.living().iter().any(|line| line.contains("trainer")), "they train on: {:?}", env.living());
    server.start_again();
    watch.until_sweep("it was done", |sweep| sweep["state"] == "succeeded");
    assert!(points(&server, &url) > stored);
    trials_once(&server, &url, 8);
    assert_eq!(server.ask(&url, "SELECT COUNT(*) FROM sweeps"), "1", "nothing refused was taken");
}

#[test]
fn doctor_tells_the_standby_from_the_leader() {
    let Some(server) = shared() else { return };
    let (env, url) = (Env::new(), server.database());
    let _both = pair(&env, &url);
    let report = env.sweepctl(["doctor", "--output", "json"]).expect_code(0).json();
    let stores: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["name"] == "store")
        .map(|check| check["found"].as_str().unwrap())
        .collect();
    assert_eq!(stores.len(), 2, "{report}");
    assert!(stores[0].starts_with("postgres; this coordinator leads"), "{stores:?}");
    assert!(stores[1].starts_with("postgres; this coordinator is a standby; the coordinator at "), "{stores:?}");
}
