//! `/api/v1` over real HTTP: answers, pages, files, and refusals.

use std::collections::BTreeSet;

use sweep_proto::v1;

use crate::env::{Env, SPEC, by_filters};
use crate::http::{get, post, send};

/// A sweep that has ended.
async fn ended() -> (Env, u64) {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    (env, sweep)
}

#[tokio::test]
async fn a_sweep_is_told_as_the_command_line_tells_it() {
    let (env, sweep) = ended().await;
    let status: sweep_shapes::Sweep = env.status(sweep).await.into();
    let told = get(&env, "/sweeps/pretend").await;
    assert_eq!((told.status, told.json()), (200, serde_json::to_value(&status).unwrap()));
    let board: sweep_shapes::Leaderboard = env.leaderboard(sweep).await.try_into().unwrap();
    let board = serde_json::to_value(&board).unwrap();
    let page = get(&env, "/sweeps/1/leaderboard").await.json();
    assert_eq!((&page["rows"], &page["total"]), (&board["rows"], &serde_json::json!(7)));
    let list = get(&env, "/sweeps").await.json();
    assert_eq!(list["sweeps"][0], serde_json::to_value(&status).unwrap());
    let spec = get(&env, "/sweeps/1/specification").await.json();
    assert_eq!(spec["spec"], SPEC);
}

#[tokio::test]
async fn every_page_of_a_board_together_is_the_board_in_any_order() {
    let (env, _) = ended().await;
    let whole = get(&env, "/sweeps/1/leaderboard").await.json();
    for (sort, field) in
        [("rank", "/rank"), ("params", "/params"), ("position", "/position"), ("val_accuracy", "/val_accuracy/mean")]
    {
        for order in ["ascending", "descending"] {
            let mut rows = Vec::new();
            let mut after = String::new();
            loop {
                let path = format!("/sweeps/1/leaderboard?sort={sort}&order={order}&limit=3{after}");
                let page = get(&env, &path).await.json();
                rows.extend(page["rows"].as_array().unwrap().clone());
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            let positions: BTreeSet<u64> = rows.iter().map(|row| row["position"].as_u64().unwrap()).collect();
            assert_eq!((rows.len(), positions.len()), (7, 7), "{sort} {order}");
            let values: Vec<f64> = rows.iter().map(|row| row.pointer(field).unwrap().as_f64().unwrap()).collect();
            let in_order = |pair: &[f64]| if order == "ascending" { pair[0] <= pair[1] } else { pair[0] >= pair[1] };
            assert!(values.windows(2).all(in_order), "{sort} {order}: {values:?}");
        }
    }
    assert_eq!(whole["rows"].as_array().unwrap().len(), 7);
    let some = get(&env, "/sweeps/1/leaderboard?contains=DROPOUT").await.json();
    assert!(some["total"].as_u64().unwrap() > 0 && some["total"].as_u64().unwrap() < 7);
}

#[tokio::test]
async fn trials_come_in_pages_and_each_has_all_that_is_known_of_it() {
    let (env, _) = ended().await;
    let first = get(&env, "/sweeps/1/trials?limit=9&state=succeeded,failed").await.json();
    let next = first["next"].as_str().unwrap();
    let second = get(&env, &format!("/sweeps/1/trials?limit=9&after={next}")).await.json();
    let count = |page: &serde_json::Value| page["trials"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), &second["next"]), (9, 5, &serde_json::Value::Null));
    assert_eq!(count(&get(&env, "/sweeps/1/trials?state=failed").await.json()), 0);
    let asked = async |query: &str| count(&get(&env, &format!("/sweeps/1/trials?{query}")).await.json());
    assert_eq!((asked("configuration=%231").await, asked("seed=0").await), (2, 7));
    assert_eq!(asked("configuration=baseline&seed=0&state=succeeded").await, 1);
    get(&env, "/sweeps/1/trials?configuration=filters=7").await.problem(404);
    // A filter that matches no configuration is refused before the table begins.
    get(&env, "/sweeps/1/trials?configuration=filters=7&format=csv").await.problem(404);
    get(&env, "/sweeps/1/trials?seed=9007199254740992").await.problem(400);
    get(&env, "/sweeps/1/trials?configuration=").await.problem(400);
    let trial = first["trials"][0]["trial_id"].as_str().unwrap();
    let told = get(&env, &format!("/trials/{}", &trial[..10])).await.json();
    assert_eq!((told["trial_id"].as_str(), told["attempt_records"][0]["worker"].as_str()), (Some(trial), Some("w1")));
    assert_eq!(told["provenance"]["trainer"], "pretend 1");
    let curve = get(&env, &format!("/trials/{trial}/points")).await.json();
    assert_eq!((&curve["points"], curve["attempt"].as_u64()), (&told["points"], Some(1)));
    assert_eq!(get(&env, &format!("/trials/{trial}/log")).await.text(), "pretended");
    assert_eq!(get(&env, &format!("/trials/{trial}/log?attempt=1")).await.text(), "pretended");
    get(&env, &format!("/trials/{trial}/log?attempt=9")).await.problem(404);
    let explained = get(&env, &format!("/trials/{trial}/explanation")).await.json();
    assert_eq!(explained["trial"]["state"], "succeeded");
    let points = get(&env, "/sweeps/1/points?limit=2").await.json();
    assert_eq!((points["points"].as_array().unwrap().len(), points["next"].is_string()), (6, true));
}

#[tokio::test]
async fn the_audit_log_is_read_backwards_without_a_gap() {
    let (env, _) = ended().await;
    let all = get(&env, "/audit?limit=1000").await.json();
    let all = all["entries"].as_array().unwrap().clone();
    let mut read = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(&env, &format!("/audit?limit=7{after}")).await.json();
        read.extend(page["entries"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert!(all.len() > 40, "{}", all.len());
    assert_eq!(read, all);
    let of_worker = get(&env, "/sweeps/1/audit?worker=w1").await.json();
    assert!(
        of_worker["entries"].as_array().unwrap().iter().all(|entry| entry["worker"] == "w1" || entry["actor"] == "w1")
    );
}

#[tokio::test]
async fn tables_are_files_that_no_spreadsheet_runs() {
    let env = Env::new().await;
    let spec = SPEC.replace("name: wide", "name: \"=HYPERLINK(1)\"").replace("name: pretend", "name: '../a\"b'");
    let sweep = env.submit(&spec).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    let analysis = get(&env, "/sweeps/1/analysis").await.json();
    let comparisons = analysis["comparisons"].as_array().unwrap().len();
    assert!(comparisons > 0);
    for (path, rows, column) in [
        ("/sweeps/1/leaderboard?format=csv", 7, "val_accuracy_deviation"),
        ("/sweeps/1/trials?format=csv", 14, "seed"),
        ("/sweeps/1/points?format=csv", 42, "images_per_second"),
        ("/sweeps/1/analysis?format=csv", comparisons, "adjusted_p"),
        ("/sweeps?format=csv", 1, "best_value"),
        ("/workers?format=csv", 1, "busy"),
    ] {
        let file = get(&env, path).await;
        assert_eq!((file.status, file.header("content-type")), (200, "text/csv; charset=utf-8"), "{path}");
        let name = file.header("content-disposition").strip_prefix("attachment; filename=\"").unwrap();
        let safe = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
        assert!(name.trim_end_matches('"').chars().all(safe) && !name.contains(".."), "{name}");
        let mut reader = csv::Reader::from_reader(file.body.as_slice());
        let heads: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert!(heads.iter().any(|head| head == column), "{path}: {heads:?}");
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), rows, "{path}");
        for cell in records.iter().flat_map(|record| record.iter()) {
            let number = cell.parse::<f64>().is_ok();
            assert!(number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{path}: {cell}");
        }
    }
    assert!(get(&env, "/sweeps/1/leaderboard?format=csv").await.text().contains("'=HYPERLINK(1)"));
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again_and_what_is_long_is_compressed() {
    let (env, _) = ended().await;
    let address = env.handle.http_address();
    let path = "GET /api/v1/sweeps/1/leaderboard HTTP/1.1";
    let plain = send(address, path, b"").await;
    let mark = plain.header("etag").to_owned();
    assert!(mark.starts_with("W/\""));
    let same = send(address, &format!("{path}\r\nIf-None-Match: {mark}"), b"").await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, mark.as_str()));
    let small = send(address, &format!("{path}\r\nAccept-Encoding: gzip"), b"").await;
    assert_eq!((small.status, small.header("content-encoding")), (200, "gzip"));
    assert!(small.body.len() * 3 < plain.body.len(), "{} of {}", small.body.len(), plain.body.len());
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(small.body.as_slice()), &mut read).unwrap();
    assert_eq!(read, plain.body);
    let head = send(address, "HEAD /api/v1/sweeps/1 HTTP/1.1", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn a_watched_sweep_is_a_stream_of_events_that_ends_with_it() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let address = env.handle.http_address();
    let watch = tokio::spawn(async move { send(address, "GET /api/v1/sweeps/1/events HTTP/1.1", b"").await });
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    let stream = watch.await.unwrap();
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let events: Vec<&str> = stream.text().split("\n\n").filter(|event| event.contains("event: ")).collect();
    assert!(events.len() >= 2 && events[..events.len() - 1].iter().all(|event| event.contains("event: status")));
    let last = events[events.len() - 2].lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((last["state"].as_str(), last["counts"]["succeeded"].as_u64()), (Some("succeeded"), Some(14)));
    assert!(events.last().unwrap().contains("event: end"));
    get(&env, "/sweeps/nothing/events").await.problem(404);
}

#[tokio::test]
async fn people_change_sweeps_and_workers_with_json_alone() {
    let env = Env::new().await;
    env.submit(SPEC).await;
    env.worker("w1", 1).await;
    let paused = post(&env, "/sweeps/1/pause", "{}").await.json();
    assert_eq!(paused["paused"], true);
    assert_eq!(post(&env, "/sweeps/1/resume", r#"{"user":"ada"}"#).await.json()["paused"], false);
    assert_eq!(post(&env, "/sweeps/1/priority", r#"{"priority":7}"#).await.json()["priority"], 7);
    assert_eq!(post(&env, "/workers/w1/drain", "{}").await.json()["state"], "draining");
    let resumed = post(&env, "/workers/w1/resume", "{}").await.json();
    assert_eq!(resumed["state"], "connected");
    assert_eq!(resumed["labels"]["zone"], "a");
    post(&env, "/workers/nobody/drain", "{}").await.problem(404);
    assert_eq!(post(&env, "/sweeps/1/retry", "{}").await.json()["trials"], 0);
    assert_eq!(post(&env, "/sweeps/1/cancel", "{}").await.json()["state"], "cancelled");
    post(&env, "/sweeps/1/retry", "{}").await.problem(409);
    post(&env, "/sweeps/1/pause", "{}").await.problem(409);
    let line = &get(&env, "/audit?limit=100").await.json();
    assert!(line["entries"].as_array().unwrap().iter().any(|entry| entry["actor"] == "ada"));

    let body =
        serde_json::json!({ "spec": SPEC, "name": "again", "overrides": [{ "key": "protocol.epochs", "value": "5" }] });
    let submitted = post(&env, "/sweeps", &body.to_string()).await;
    assert_eq!((submitted.status, submitted.header("location")), (201, "/api/v1/sweeps/2"), "{submitted:?}");
    assert_eq!(submitted.json()["sweep"]["name"], "again");
    let address = env.handle.http_address();
    let yaml = send(address, "POST /api/v1/sweeps HTTP/1.1\r\nContent-Type: application/yaml", SPEC.as_bytes()).await;
    assert_eq!((yaml.status, yaml.json()["sweep"]["id"].as_u64()), (201, Some(3)));
    let wrong = send(address, "POST /api/v1/sweeps HTTP/1.1\r\nContent-Type: application/yaml", b"version: 2").await;
    assert!(wrong.problem(400).contains("version"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_reason() {
    let (env, _) = ended().await;
    for path in [
        "/sweeps?limit=0",
        "/sweeps?limit=101",
        "/sweeps?limit=x",
        "/sweeps?colour=red",
        "/sweeps?limit=1&limit=2",
        "/sweeps/1/leaderboard?limit=1001",
        "/sweeps/1/leaderboard?sort=beauty",
        "/sweeps/1/leaderboard?metric=seconds",
        "/sweeps/1/trials?state=gone",
        "/sweeps/1/trials?after=x",
        "/sweeps/1/trials?after=99999999999999.1",
        "/sweeps/1/comparison",
        "/sweeps/1/comparison?configuration=%00",
        "/sweeps/1/confusions?positions=1,x",
        "/sweeps/1/images?limit=1000",
        "/audit?since=-1",
        "/audit?after=1",
        "/trials/12",
        "/trials/zzzzzzzz",
        "/trials/aaaaaaaa/log?attempt=0",
        "/artifacts/zz",
        "/sweeps/1/report?format=exe",
        "/artifacts/..%2f..%2f..%2fetc%2fpasswd",
    ] {
        let sentence = get(&env, path).await.problem(400);
        assert!(!sentence.is_empty(), "{path}");
    }
    let long = "a".repeat(300);
    let digest = "0".repeat(64);
    for path in [
        "/nothing",
        "/sweeps/9",
        "/sweeps/nobody/leaderboard",
        "/sweeps/%00",
        "/sweeps/%ff",
        "/trials/00000000",
        &format!("/sweeps/{long}"),
        &format!("/artifacts/{digest}"),
        "/sweeps/..%2f1",
        "/../../etc/passwd",
        "/artifacts/../sweeps/1/x",
        "/sweeps/1/comparison?configuration=nobody",
        "/sweeps/1/leaderboard?after=4000000",
    ] {
        get(&env, path).await.problem(404);
    }
    let huge = format!("/sweeps?{}", "x".repeat(20_000));
    get(&env, &huge).await.problem(400);
}

#[tokio::test]
async fn a_body_of_another_kind_or_without_end_is_refused() {
    let (env, _) = ended().await;
    let address = env.handle.http_address();
    for kind in [
        "",
        "\r\nContent-Type: text/plain",
        "\r\nContent-Type: application/x-www-form-urlencoded",
        "\r\nContent-Type: application/json; charset=utf-16",
    ] {
        let head = format!("POST /api/v1/sweeps/1/cancel HTTP/1.1{kind}");
        send(address, &head, b"{}").await.problem(415);
    }
    let head = "POST /api/v1/sweeps HTTP/1.1\r\nContent-Type: application/json";
    send(address, head, &vec![b' '; 5 * 1024 * 1024]).await.problem(413);
    for body in
        ["", "[]", "{\"user\":1}", "{\"users\":\"x\"}", "{\"user\":\"\u{7}\"}", "nonsense", "{\"user\":\"a\"} x"]
    {
        post(&env, "/sweeps/1/cancel", body).await.problem(400);
    }
    post(&env, "/sweeps/1/priority", r#"{"priority":3000000000}"#).await.problem(400);
    let deep = "[".repeat(100_000);
    post(&env, "/sweeps", &format!("{{\"spec\":{deep}")).await.problem(400);
    for (method, path) in [
        ("DELETE", "/sweeps/1"),
        ("PUT", "/sweeps"),
        ("POST", "/workers"),
        ("GET", "/sweeps/1/cancel"),
        ("TRACE", "/sweeps"),
        ("BREW", "/sweeps"),
    ] {
        let answer = send(address, &format!("{method} /api/v1{path} HTTP/1.1"), b"").await;
        answer.problem(405);
        assert!(["GET,HEAD", "GET,HEAD,POST", "POST"].contains(&answer.header("allow")), "{method} {path}: {answer:?}");
    }
    assert_eq!(env.status(1).await.state(), v1::SweepState::Succeeded);
}

#[tokio::test]
async fn single_images_are_counted_over_networks() {
    let (env, _) = ended().await;
    let confusions = get(&env, "/sweeps/1/confusions").await.json();
    // The simulated data set has one class, and the simulated networks have two, so this matrix does not fit.
    assert_eq!((confusions["classes"][0].as_str(), confusions["matrices"].as_array().unwrap().len()), (Some("a"), 0));
    let images = get(&env, "/sweeps/1/images").await.json();
    assert_eq!((images["missed"].as_u64(), images["images"][0]["index"].as_u64()), (Some(1), Some(1)), "{images}");
    assert_eq!(images["images"][0]["picture"], serde_json::Value::Null);
    let compared = get(&env, "/sweeps/1/comparison?configuration=wide").await.json();
    assert_eq!(compared["comparison"]["configuration"], "wide");
    let report = get(&env, "/sweeps/1/report").await;
    assert!(
        report.text().starts_with("<!DOCTYPE html>") && report.header("content-security-policy").contains("sandbox")
    );
    assert_eq!(report.header("content-disposition"), "attachment; filename=\"1-report.html\"");
}
