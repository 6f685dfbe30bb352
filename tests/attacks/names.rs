//! Names that are more than names: markup, terminal escapes, formulas, labels that end early; and a spec that is a bomb.

use std::time::Instant;

use sweep_proto::v1;
use tonic::Code;

use super::env::study;
use super::intruder::{Fleet, ask, runtime};

const SCRIPT: &str = "<script>alert(1)</script>";
const FORMULA: &str = "=HYPERLINK(1)";

fn named(name: &str) -> String {
    study("plain", 1, &[2, 3], &[1]).replace("name: plain", &format!("name: {name:?}"))
}

#[test]
fn a_script_in_a_sweeps_name_is_a_name_wherever_it_is_shown() {
    let fleet = Fleet::start();
    runtime().block_on(async {
        let mut client = fleet.sweeps(&fleet.submit).await;
        let submit =
            |name: &str| v1::SubmitRequest { spec: named("safe").into(), name: name.into(), ..Default::default() };
        // As a spec's own name it may be refused; as a submit's it is what it is.
        let answer = client.submit(submit(SCRIPT)).await;
        let refused = answer.as_ref().is_err_and(|status| status.code() == Code::InvalidArgument);
        assert!(answer.is_ok() || refused, "{answer:?}");
        client.submit(submit(FORMULA)).await.ok();
        client.submit(submit("a\"} 1\nevil{x=\"")).await.ok();
    });
    let bearer = format!("Bearer {}", fleet.read);
    let metrics = ask(&fleet.http, "GET /metrics", &[("authorization", &bearer)], "");
    assert_eq!(metrics.status, 200);
    assert!(!metrics.body.lines().any(|line| line.starts_with("evil")), "{}", metrics.body);
    for id in ["1", "2"] {
        let shown = |words: &[&str]| {
            let output = fleet.env.command(words).env("SWEEP_TOKEN", &fleet.read).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let page = shown(&["report", id, "--format", "html"]);
        assert!(!page.contains(SCRIPT), "a script of a name in a page");
        let table = shown(&["export", id, "--format", "csv"]);
        for cell in table.lines().flat_map(|line| line.split(',')) {
            let cell = cell.trim_start_matches('"');
            assert!(!cell.starts_with(['=', '@']), "a spreadsheet would run {cell:?}");
        }
    }
}

#[test]
fn what_cannot_be_shown_on_a_terminal_is_refused_as_a_name() {
    let fleet = Fleet::start();
    runtime().block_on(async {
        for name in ["a\u{1b}[31mb", "a\u{9b}2Jb", "a\nb", "a\u{0}b"] {
            let submit = v1::SubmitRequest { spec: named("x").into(), name: name.into(), ..Default::default() };
            let refused = fleet.sweeps(&fleet.submit).await.submit(submit).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{name:?}");
            let request = v1::CreateTokenRequest { name: name.into(), role: 1, ..Default::default() };
            let refused = fleet.access(&fleet.admin).await.create_token(request).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{name:?}");
        }
    });
}

#[test]
fn a_spec_that_grows_when_it_is_read_is_refused_and_costs_little() {
    let fleet = Fleet::start();
    // Ten levels of nine aliases each: three and a half thousand million values.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let begun = Instant::now();
    runtime().block_on(async {
        for spec in [bomb, deep, "a: &a [*a]".to_owned()] {
            let submit = v1::SubmitRequest { spec: spec.into(), ..Default::default() };
            let refused = fleet.sweeps(&fleet.submit).await.submit(submit).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        }
    });
    eprintln!("three bombs were refused in {:?}", begun.elapsed());
    assert_eq!(ask(&fleet.http, "GET /healthz", &[], "").status, 200);
}
