//! Floods of connections, frames, messages and handshakes. Other clients are still answered during each.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sweep_proto::v1;
use tonic::Code;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS, call, connect, farewell, frame, next,
};
use super::intruder::{Fleet, ask, runtime};

/// Reasons of a GOAWAY.
const ENHANCE_YOUR_CALM: u32 = 11;
const IDLE: usize = 10_000;

/// An honest person's question is answered.
#[track_caller]
fn answered(fleet: &Fleet) -> Duration {
    let begun = Instant::now();
    runtime().block_on(async {
        let asked = fleet.sweeps(&fleet.read).await.list_sweeps(v1::ListSweepsRequest::default()).await;
        assert!(asked.is_ok(), "{asked:?}");
    });
    assert_eq!(ask(&fleet.http, "GET /healthz", &[], "").status, 200);
    begun.elapsed()
}

#[test]
fn ten_thousand_connections_that_say_nothing_keep_nobody_out() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(65_536);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).unwrap();
    let fleet = Fleet::start();
    let count = IDLE.min(usize::try_from(most.saturating_sub(500)).unwrap_or(IDLE));
    if count < IDLE {
        eprintln!("only {count} connections: this machine allows no more open files");
    }
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        let address = if number % 2 == 0 { &fleet.grpc } else { &fleet.http };
        open.push(TcpStream::connect(address).unwrap_or_else(|error| panic!("connection {number}: {error}")));
    }
    eprintln!("with {count} open: answered in {:?}", answered(&fleet));
    drop(open);
    // Those that have said hello stay, and keep nobody out either.
    let greeted: Vec<_> = (0..1000).map(|_| connect(&fleet.grpc)).collect();
    eprintln!("with {} greeted: answered in {:?}", greeted.len(), answered(&fleet));
    assert!(!fleet.env.log("coordinator").contains("panicked"));
}

#[test]
fn calls_that_are_taken_back_at_once_end_their_connection() {
    let fleet = Fleet::start();
    let mut stream = connect(&fleet.grpc);
    let headers = call("/sweep.v1.SweepService/ListSweeps", &fleet.read);
    let cancel = 8_u32.to_be_bytes();
    let mut sent = 0;
    'flood: for wave in 0..200 {
        let mut bytes = Vec::new();
        for call in 0..100 {
            let id = (wave * 100 + call) * 2 + 1;
            bytes.extend(frame(HEADERS, END_HEADERS, id, &headers));
            bytes.extend(frame(RST_STREAM, 0, id, &cancel));
        }
        if stream.write_all(&bytes).is_err() {
            break 'flood;
        }
        sent += 100;
    }
    let said = farewell(&mut stream);
    eprintln!("{sent} calls were begun and taken back; the farewell was {said:?}");
    assert!(said == Some(ENHANCE_YOUR_CALM) || sent < 20_000, "it was borne to the end");
    answered(&fleet);
}

#[test]
fn pings_and_settings_without_end_harm_nobody() {
    let fleet = Fleet::start();
    for (name, kind) in [("ping", PING), ("settings", SETTINGS)] {
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[] };
        let flood: Vec<u8> = std::iter::repeat_n(frame(kind, 0, 0, payload), 1000).flatten().collect();
        let mut stream = connect(&fleet.grpc);
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sent = 0;
        // Never reading the answers, which is what makes such a flood fill a server's memory.
        while sent < 2_000_000 && stream.write_all(&flood).is_ok() {
            sent += 1000;
        }
        let memory = memory(&fleet);
        eprintln!("{sent} of {name} were sent without reading an answer; the coordinator has {memory} MiB");
        assert!(memory < 512, "{memory} MiB after {sent} of {name}");
        answered(&fleet);
    }
}

/// The coordinator's memory in MiB.
fn memory(fleet: &Fleet) -> u64 {
    let process = fleet.coordinator.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn headers_that_go_on_for_ever_end_their_connection() {
    let fleet = Fleet::start();
    let mut stream = connect(&fleet.grpc);
    stream.write_all(&frame(HEADERS, 0, 1, &call("/sweep.v1.SweepService/ListSweeps", ""))).unwrap();
    // A literal header of 100 bytes, again and again.
    let mut block = vec![0, 1, b'x', 100];
    block.extend([b'a'; 100]);
    let piece = frame(CONTINUATION, 0, 1, &block.repeat(100));
    let mut sent: usize = 0;
    while sent < 64 << 20 && stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    eprintln!("{} KiB of headers were taken before the end", sent / 1024);
    assert!(sent < 64 << 20, "headers without an end are taken without an end");
    answered(&fleet);
}

#[test]
fn a_connection_has_so_many_calls_at_a_time_and_no_more() {
    let fleet = Fleet::start();
    let mut stream = connect(&fleet.grpc);
    // Health is watched for ever, and anybody may.
    let headers = call("/grpc.health.v1.Health/Watch", "");
    let body = frame(DATA, 1, 0, &[0; 5]);
    let mut bytes = Vec::new();
    for id in (1..2000).step_by(2) {
        bytes.extend(frame(HEADERS, END_HEADERS, id, &headers));
        let mut body = body.clone();
        body[5..9].copy_from_slice(&id.to_be_bytes());
        bytes.extend(body);
    }
    let _ = stream.write_all(&bytes);
    let (mut begun, mut refused) = (0, 0);
    while begun + refused < 1000 {
        match next(&mut stream) {
            Some((HEADERS, flags, _)) if flags & 1 == 0 => begun += 1,
            Some((RST_STREAM, ..)) => refused += 1,
            Some(_) => {}
            None => break,
        }
    }
    eprintln!("{begun} calls were begun, {refused} refused");
    assert!(begun <= 256, "{begun} calls at a time");
    answered(&fleet);
}

#[test]
fn messages_that_are_too_long_are_refused_before_they_are_read() {
    let fleet = Fleet::start();
    runtime().block_on(async {
        let spec = vec![b'#'; 8 << 20];
        let submit = v1::SubmitRequest { spec: spec.into(), ..Default::default() };
        let refused = fleet.sweeps(&fleet.submit).await.submit(submit).await.unwrap_err();
        assert!(matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted), "{refused:?}");
        let points = vec![v1::Point::default(); 2_000_000];
        let report = v1::ReportRequest { session: 1, points };
        let refused = fleet.workers(&fleet.worker).await.report(report).await.unwrap_err();
        assert!(matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted), "{refused:?}");
    });
    // A message that says that it is 4 GiB long, and one that says that it is compressed and is not.
    for (flag, length) in [(0, u32::MAX), (1, 10)] {
        let mut stream = connect(&fleet.grpc);
        let headers = call("/sweep.v1.SweepService/GetSweep", &fleet.read);
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &headers)).unwrap();
        let mut message = vec![flag];
        message.extend(length.to_be_bytes());
        message.extend([0; 10]);
        stream.write_all(&frame(DATA, 1, 1, &message)).unwrap();
        let answer = next_of(&mut stream, HEADERS).expect("an answer");
        assert!(answer > 0);
    }
    answered(&fleet);
}

/// The length of the next frame of a kind.
fn next_of(stream: &mut TcpStream, kind: u8) -> Option<usize> {
    loop {
        match next(stream) {
            Some((found, _, payload)) if found == kind => return Some(payload.len()),
            Some(_) => {}
            None => return None,
        }
    }
}
