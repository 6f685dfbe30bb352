//! Pages over real HTTP, without a browser: their content and headers, forms, and refusals.

use sweep_proto::v1;

use crate::env::{Env, SPEC, by_filters};
use crate::http::{Answer, send};

/// Every page of a sweep.
const PARTS: [&str; 6] = ["", "/charts", "/curves", "/images", "/trials", "/question"];

async fn page(env: &Env, path: &str) -> Answer {
    send(env.handle.http_address(), &format!("GET {path} HTTP/1.1"), b"").await
}

/// The page after all its parts have been computed.
async fn whole(env: &Env, path: &str) -> String {
    loop {
        let answer = page(env, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        if !answer.text().contains("data-pending") {
            return answer.text().to_owned();
        }
    }
}

async fn form(env: &Env, path: &str, body: &str, more: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded{more}");
    send(env.handle.http_address(), &head, body.as_bytes()).await
}

/// A sweep that has ended.
async fn ended(spec: &str) -> (Env, u64) {
    let env = Env::new().await;
    let sweep = env.submit(spec).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    (env, sweep)
}

/// Every address in backticks in the documentation's table.
fn documented() -> Vec<String> {
    let text = include_str!("../../../docs/pages.md");
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.contains("!["));
    let addresses = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|word| word.starts_with('/'));
    addresses.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_address_that_the_documentation_names_answers() {
    let (env, sweep) = ended(SPEC).await;
    let trials = whole(&env, "/sweeps/1/trials").await;
    let trial = trials.split("href=\"/trials/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let addresses = documented();
    assert!(addresses.len() >= 10, "{addresses:?}");
    for address in addresses {
        let path = address.replace("/sweeps/7", &format!("/sweeps/{sweep}")).replace("3de5b414", &trial[..8]);
        let answer = page(&env, &path).await;
        // A short id redirects to the page of the full id.
        let path = if answer.status == 308 { answer.header("location").to_owned() } else { path };
        whole(&env, &path).await;
    }
}

#[tokio::test]
async fn a_configuration_is_found_by_its_position_or_its_name_and_a_wrong_one_is_told_which_there_are() {
    let (env, _) = ended(SPEC).await;
    for (address, title) in
        [("0", "baseline"), ("baseline", "baseline"), ("filters=16", "filters=16"), ("wide", "wide")]
    {
        let text = whole(&env, &format!("/sweeps/1/configurations/{address}")).await;
        let heading = text.split("id=\"configuration-title\">").nth(1).unwrap_or_default();
        assert!(heading.starts_with(title), "{address}: {}", &heading[..heading.len().min(80)]);
    }
    for address in ["999", "nothing", "-1"] {
        let answer = page(&env, &format!("/sweeps/1/configurations/{address}")).await;
        assert_eq!(answer.status, 404, "{address}");
        assert!(answer.text().contains("filters=16"), "{address} names none: {}", answer.text());
    }
}

#[tokio::test]
async fn every_page_is_whole_and_lets_a_browser_load_nothing_from_elsewhere() {
    let (env, _) = ended(SPEC).await;
    let trials = whole(&env, "/sweeps/1/trials").await;
    let trial = trials.split("href=\"/trials/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut paths: Vec<String> = PARTS.iter().map(|part| format!("/sweeps/1{part}")).collect();
    paths.extend(["/", "/workers", "/sweeps/1/configurations/0", "/sweeps/1/cancel"].map(str::to_owned));
    paths.push(format!("/trials/{trial}"));
    for path in paths {
        let text = whole(&env, &path).await;
        let answer = page(&env, &path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        for inline in [" style=\"", "<style", "<script>", " onclick", "javascript:"] {
            assert!(!text.contains(inline), "{path} has {inline}");
        }
        for part in ["<html lang=\"en\"", "<main id=\"main\"", "href=\"#main\"", "<h1>"] {
            assert!(text.contains(part), "{path} lacks {part}");
        }
        assert_eq!(text.matches("<h1").count(), 1, "{path}");
        let tables = text.matches("<table").count();
        assert!(text.matches("<caption").count() == tables, "{path}: a table without a caption");
    }
}

#[tokio::test]
async fn what_pages_load_has_the_hash_of_its_content_in_its_name() {
    let env = Env::new().await;
    let home = whole(&env, "/").await;
    let assets: Vec<&str> = home.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert_eq!(assets.len(), 4, "{assets:?}");
    for asset in assets {
        let answer = page(&env, asset).await;
        assert_eq!(answer.status, 200, "{asset}");
        assert!(answer.header("cache-control").contains("immutable"), "{asset}");
        let other = asset.replace('-', "-0");
        assert_eq!(page(&env, &other).await.status, 404, "{other}");
    }
    assert_eq!(page(&env, "/assets/..%2f..%2fCargo.toml").await.status, 404);
}

#[tokio::test]
async fn the_leaderboard_is_ordered_narrowed_and_chosen_by_its_address() {
    let (env, _) = ended(SPEC).await;
    let rows = |text: &str| -> Vec<u32> {
        let rows = text.split("<tr id=\"configuration-").skip(1);
        rows.map(|row| row.split('"').next().unwrap().parse().unwrap()).collect()
    };
    let best = rows(&whole(&env, "/sweeps/1").await);
    assert_eq!(best.len(), 7);
    let mut worst = rows(&whole(&env, "/sweeps/1?sort=rank&order=desc").await);
    worst.reverse();
    assert_eq!(best, worst);
    let by_name = whole(&env, "/sweeps/1?sort=name&order=asc").await;
    assert!(by_name.contains("aria-sort=\"ascending\"") && rows(&by_name) != best);
    let narrowed = whole(&env, "/sweeps/1?where=filters%3A16").await;
    assert!(!rows(&narrowed).is_empty() && rows(&narrowed).len() < 8);
    assert!(narrowed.contains("filters = 16"));
    assert_eq!(rows(&whole(&env, "/sweeps/1?q=WIDE").await).len(), 1);
    assert!(whole(&env, "/sweeps/1?q=nothing-is-called-so").await.contains("No configuration matches"));
    let chosen = whole(&env, "/sweeps/1?chosen=1,2").await;
    assert_eq!(chosen.matches(" checked>").count(), 2);
    assert!(chosen.contains("/sweeps/1/curves?chosen=1%2C2"), "what is chosen goes along");
    for nonsense in
        ["?sort=%3Cscript%3E", "?page=99999999999999999999", "?chosen=-1,x", "?metric=nothing", "?where=a:b:c&where="]
    {
        assert_eq!(page(&env, &format!("/sweeps/1{nonsense}")).await.status, 200, "{nonsense}");
    }
}

#[tokio::test]
async fn script_in_a_name_is_text_wherever_the_name_stands() {
    let name = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&";
    let spec = SPEC.replace("name: pretend", &format!("name: '{}'", name.replace('\'', "''")));
    let spec = spec.replace("name: wide", "name: '<b onmouseover=alert(3)>wide</b>'");
    let (env, _) = ended(&spec).await;
    let mut paths: Vec<String> = PARTS.iter().map(|part| format!("/sweeps/1{part}")).collect();
    paths.extend(
        ["/", "/sweeps/1/cancel", "/workers", "/?q=%3Cscript%3E", "/sweeps/1?q=%22%3E%3Cscript%3E"].map(str::to_owned),
    );
    for path in paths {
        let text = whole(&env, &path).await;
        for live in ["<script>", "<img src=x", "<b onmouseover"] {
            assert!(!text.contains(live), "{path} has {live}");
        }
    }
    assert!(whole(&env, "/").await.contains("&lt;script&gt;alert(1)"));
    let missing = page(&env, "/sweeps/%3Cscript%3Ealert(1)").await;
    assert_eq!(missing.status, 404);
    assert!(!missing.text().contains("<script>"));
}

#[tokio::test]
async fn forms_change_a_sweep_and_lead_back_to_it() {
    let env = Env::new().await;
    env.submit(SPEC).await;
    let changed = form(&env, "/sweeps/1/pause", "", "").await;
    assert_eq!((changed.status, changed.header("location")), (303, "/sweeps/1"));
    assert!(env.status(1).await.paused);
    assert!(whole(&env, "/sweeps/1").await.contains("action=\"/sweeps/1/resume\""));
    assert_eq!(form(&env, "/sweeps/1/resume", "", "").await.status, 303);
    assert!(!env.status(1).await.paused);
    assert_eq!(form(&env, "/sweeps/1/priority", "priority=7", "").await.status, 303);
    assert_eq!(env.status(1).await.priority, 7);
    for nonsense in ["priority=", "priority=many", "priority=5000", "", "priority=1.5"] {
        let refused = form(&env, "/sweeps/1/priority", nonsense, "").await;
        assert_eq!(refused.status, 400, "{nonsense}");
        assert!(refused.text().contains("Nothing was changed"), "{nonsense}");
    }
    assert_eq!(env.status(1).await.priority, 7);
    let asks = whole(&env, "/sweeps/1/cancel").await;
    assert!(asks.contains("Keep it running") && asks.contains("method=\"post\" action=\"/sweeps/1/cancel\""));
    assert_eq!(env.status(1).await.state(), v1::SweepState::Running, "asking changes nothing");
    assert_eq!(form(&env, "/sweeps/1/cancel", "", "").await.status, 303);
    assert_eq!(env.status(1).await.state(), v1::SweepState::Cancelled);
    assert_eq!(form(&env, "/sweeps/1/pause", "", "").await.status, 409, "it has ended");
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let env = Env::new().await;
    env.submit(SPEC).await;
    for other in ["\r\nSec-Fetch-Site: cross-site", "\r\nOrigin: http://evil.example", "\r\nOrigin: null"] {
        for path in ["/sweeps/1/cancel", "/sweeps/1/pause", "/workers/w1/drain"] {
            let refused = form(&env, path, "", other).await;
            assert_eq!(refused.status, 403, "{path} {other}");
        }
    }
    let status = env.status(1).await;
    assert_eq!((status.state(), status.paused), (v1::SweepState::Running, false));
    assert_eq!(form(&env, "/sweeps/1/pause", "", "\r\nSec-Fetch-Site: same-origin").await.status, 303);
}

#[tokio::test]
async fn a_worker_is_suspended_drained_and_put_back_by_forms() {
    let env = Env::new().await;
    let _worker = env.worker("gpu box/1", 2).await;
    let text = whole(&env, "/workers").await;
    assert!(text.contains("href=\"/workers/gpu%20box%2F1/drain\"") && text.contains("zone=a"), "{text}");
    let asks = whole(&env, "/workers/gpu%20box%2F1/drain").await;
    assert!(
        asks.contains("Keep it working") && asks.contains("method=\"post\" action=\"/workers/gpu%20box%2F1/drain\"")
    );
    assert!(whole(&env, "/workers").await.contains("connected"), "asking changes nothing");
    assert_eq!(form(&env, "/workers/gpu%20box%2F1/suspend", "", "").await.status, 303);
    assert!(whole(&env, "/workers").await.contains("suspended"));
    let drained = form(&env, "/workers/gpu%20box%2F1/drain", "", "").await;
    assert_eq!((drained.status, drained.header("location")), (303, "/workers#worker-gpu%20box%2F1"));
    let text = whole(&env, "/workers").await;
    assert!(text.contains("Put back into service") && text.contains("draining"));
    assert_eq!(form(&env, "/workers/gpu%20box%2F1/resume", "", "").await.status, 303);
    assert!(whole(&env, "/workers").await.contains("connected"));
    assert_eq!(form(&env, "/workers/nobody/drain", "", "").await.status, 404);
}

#[tokio::test]
async fn a_page_says_why_there_is_nothing_to_see() {
    let env = Env::new().await;
    let home = whole(&env, "/").await;
    assert!(home.contains("No sweep has been submitted yet") && home.contains("sweeps/quickstart.yaml"));
    assert!(whole(&env, "/workers").await.contains("No worker has connected yet"));
    for path in ["/sweeps/9", "/sweeps/nothing/charts", "/trials/abcdef", "/no/such/page"] {
        let missing = page(&env, path).await;
        assert_eq!(missing.status, 404, "{path}");
        assert!(missing.text().contains("<h1>") && missing.text().contains("href=\"/\""), "{path}");
    }
    assert_eq!(page(&env, "/trials/zz").await.status, 400);
    env.submit(SPEC).await;
    let waiting = whole(&env, "/sweeps/1").await;
    assert!(waiting.contains("no worker is connected") && waiting.contains("data-events=\"/api/v1/sweeps/1/events\""));
    assert_eq!(page(&env, "/sweeps/1/configurations/999").await.status, 404);
    assert_eq!(page(&env, "/sweeps/1/configurations/x").await.status, 404);
}
