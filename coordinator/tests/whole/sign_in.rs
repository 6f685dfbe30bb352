//! Browsers that sign in: the addresses that their cookie opens, and its lifetime.

use std::time::Duration;

use sweep_coordinator::Args;
use sweep_coordinator::clock::Manual;

use crate::env::Env;
use crate::http::{Answer, send};

const TOKEN: &str = "sweep_a-token-of-the-configuration";
const HOUR: Duration = Duration::from_secs(3600);

/// A file with the token, and flags that name the file.
fn tokens() -> (tempfile::TempDir, Args) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    (folder, Args { submit_token_file: Some(path.display().to_string()), ..Args::default() })
}

async fn sign_in(env: &Env, headers: &str) -> Answer {
    let head = format!("POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded{headers}");
    let answer = send(env.handle.http_address(), &head, format!("token={TOKEN}&next=/").as_bytes()).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    answer
}

/// The name and the value of the session cookie in a response.
fn session(answer: &Answer) -> (String, String) {
    let set = answer.cookies.first().unwrap_or_else(|| panic!("{answer:?}"));
    let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
    (name.to_owned(), value.to_owned())
}

async fn ask(env: &Env, line: &str, cookie: &str, headers: &str) -> Answer {
    let head = format!("{line} HTTP/1.1\r\nCookie: {cookie}{headers}");
    send(env.handle.http_address(), &head, b"").await
}

async fn look(env: &Env, cookie: &str) -> Answer {
    ask(env, "GET /api/v1/sweeps", cookie, "").await
}

#[tokio::test]
async fn a_session_is_renewed_by_use_and_expires_without() {
    let (_file, flags) = tokens();
    let clock = Manual::begin();
    let env = Env::by(&clock, flags).await;
    let (name, value) = session(&sign_in(&env, "").await);
    assert_eq!(name, format!("sweep-{}", env.handle.http_address().port()));
    assert!(!value.contains(TOKEN));
    let cookie = format!("{name}={value}");
    let early = look(&env, &cookie).await;
    assert_eq!((early.status, early.cookies.len()), (200, 0), "a fresh session needs no renewal");
    clock.advance(7 * HOUR);
    let later = look(&env, &cookie).await;
    let (_, renewed) = session(&later);
    assert!(later.cookies[0].contains("HttpOnly; SameSite=Strict; Max-Age=43200"), "{later:?}");
    clock.advance(7 * HOUR);
    assert_eq!(look(&env, &cookie).await.problem(401), "the session of this browser has expired; sign in again");
    assert_eq!(look(&env, &format!("{name}={renewed}")).await.status, 200);
    clock.advance(12 * HOUR);
    assert_eq!(look(&env, &format!("{name}={renewed}")).await.status, 401);
    let person = ask(&env, "GET /", &format!("{name}={renewed}"), "\r\nAccept: text/html").await;
    assert_eq!((person.status, person.header("location")), (303, "/login?next=/"));
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_and_is_gone_after_signing_out() {
    let (_file, flags) = tokens();
    let env = Env::with(flags.clone()).await;
    let listen_http = Some(env.handle.http_address().to_string());
    let (name, value) = session(&sign_in(&env, "").await);
    let (_, other) = session(&sign_in(&env, "").await);
    let folder = env.stop().await;
    let env = Env::on(folder, Args { listen_http, ..flags }).await;
    let (cookie, other) = (format!("{name}={value}"), format!("{name}={other}"));
    assert_eq!(look(&env, &cookie).await.status, 200);
    let leave = "POST /logout";
    assert_eq!(ask(&env, leave, &cookie, "\r\nSec-Fetch-Site: cross-site").await.status, 403);
    assert_eq!(ask(&env, leave, &cookie, "").await.status, 403, "a browser says where a request comes from");
    assert_eq!(look(&env, &cookie).await.status, 200);
    let left = ask(&env, leave, &cookie, "\r\nSec-Fetch-Site: same-origin").await;
    assert_eq!(left.status, 303);
    assert!(left.cookies[0].starts_with(&format!("{name}=;")) && left.cookies[0].ends_with("Max-Age=0"), "{left:?}");
    assert_eq!(look(&env, &cookie).await.status, 401, "somebody may have kept a copy");
    assert_eq!(look(&env, &other).await.status, 200, "another browser stays signed in");
}

#[tokio::test]
async fn a_cookie_opens_the_listener_that_made_it_and_no_other() {
    let (_file, flags) = tokens();
    let (here, there) = (Env::with(flags.clone()).await, Env::with(flags).await);
    let (name, value) = session(&sign_in(&here, "").await);
    let other = format!("sweep-{}", there.handle.http_address().port());
    assert_eq!(look(&here, &format!("{name}={value}")).await.status, 200);
    // As a browser sends it to every port of the host, and as an attacker would.
    for cookie in [format!("{name}={value}"), format!("{other}={value}"), format!("sweep={value}")] {
        assert_eq!(look(&there, &cookie).await.status, 401, "{cookie}");
    }
    let (_, mine) = session(&sign_in(&there, "").await);
    let both = format!("{name}={value}; {other}={mine}");
    assert_eq!((look(&here, &both).await.status, look(&there, &both).await.status), (200, 200));
}

#[tokio::test]
async fn a_token_is_no_cookie_and_two_cookies_are_none() {
    let (_file, flags) = tokens();
    let env = Env::with(flags).await;
    let (name, value) = session(&sign_in(&env, "").await);
    for cookie in [
        format!("{name}={TOKEN}"),
        format!("sweep={TOKEN}"),
        format!("__Host-sweep={TOKEN}"),
        format!("__Host-{name}={value}"),
        format!("{name}="),
    ] {
        assert_eq!(look(&env, &cookie).await.status, 401, "{cookie}");
    }
    for cookie in [
        format!("{name}={value}; {name}={value}"),
        format!("{name}=planted; {name}={value}"),
        format!("{name}={value}\r\nCookie: {name}=planted"),
    ] {
        let refused = look(&env, &cookie).await.problem(401);
        assert!(refused.starts_with("this browser sends more than one session cookie"), "{refused}");
    }
    let page = ask(&env, "GET /login", &format!("{name}=planted; {name}={value}"), "").await;
    assert!(page.text().contains("delete the cookies of this host"), "{}", page.text());
}

#[tokio::test]
async fn where_browsers_speak_tls_only_the_name_that_no_other_host_can_set_counts() {
    let (_file, flags) = tokens();
    let env = Env::with(flags).await;
    let proxy = "\r\nX-Forwarded-Proto: https";
    let answer = sign_in(&env, proxy).await;
    let (name, value) = session(&answer);
    assert!(name.starts_with("__Host-sweep-") && answer.cookies[0].ends_with("; Secure"), "{answer:?}");
    let line = "GET /api/v1/sweeps";
    assert_eq!(ask(&env, line, &format!("{name}={value}"), proxy).await.status, 200);
    let plain = name.trim_start_matches("__Host-");
    assert_eq!(ask(&env, line, &format!("{plain}={value}"), proxy).await.status, 401);
    assert_eq!(ask(&env, line, &format!("{plain}={value}"), "").await.status, 401, "sealed for TLS");
    // A plain cookie that another page of the host planted does not hide the real one.
    let both = format!("{plain}=planted; {name}={value}");
    assert_eq!(ask(&env, line, &both, proxy).await.status, 200);
    let (_, unsealed) = session(&sign_in(&env, "").await);
    assert_eq!(ask(&env, line, &format!("{name}={unsealed}"), proxy).await.status, 401, "sealed without TLS");
}
