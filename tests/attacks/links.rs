//! The link that signs a browser in once: used again, guessed, asked for through a proxy, by another name, or by a page of
//! another site.

use super::env::{Env, Process, study};
use super::intruder::{Answer, ask};

/// A sweep that is trained here and does not end, with the address of its pages and the code that opens them.
struct Local {
    env: Env,
    http: String,
    code: String,
    _process: Process,
}

impl Local {
    fn start() -> Self {
        let env = Env::new();
        let spec = env.file("long.yaml", &study("long", 100_000, &[2], &[0]));
        let words = ["submit", &spec, "--local", "--watch", "--slots", "1", "--output", "json"];
        let mut process = env.start("local", &mut env.command(words));
        process.until_sweep("it runs", |sweep| sweep["id"] == 1);
        let log = env.log("local");
        let (_, rest) = log.split_once("pages: http://").expect("it says where the pages are");
        let address = rest.split_whitespace().next().unwrap();
        assert!(rest.contains("opens once, within an hour"), "{log}");
        let (http, code) = address.split_once("/open/").unwrap();
        let (http, code) = (http.to_owned(), code.to_owned());
        Self { env, http, code, _process: process }
    }

    fn open(&self, code: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.http, &format!("GET /open/{code}"), headers, "")
    }

    /// The status that a browser with this cookie gets.
    fn status(&self, cookie: &str) -> u16 {
        ask(&self.http, "GET /", &[("cookie", cookie)], "").status
    }
}

#[test]
fn a_link_signs_one_browser_in_once() {
    let local = Local::start();
    assert_eq!(ask(&local.http, "GET /", &[], "").status, 401);
    let opened = local.open(&local.code, &[]);
    assert_eq!((opened.status, opened.header("location")), (303, Some("/")), "{opened:?}");
    let set = opened.header("set-cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    let cookie = set.split(';').next().unwrap().to_owned();
    assert!(!cookie.contains(&local.code), "a code is no token");
    assert_eq!(local.status(&cookie), 200);
    // Somebody reads the address over a shoulder, in a log, or in a history.
    let again = local.open(&local.code, &[]);
    assert_eq!((again.status, again.header("set-cookie")), (410, None), "{again:?}");
    assert_eq!(local.status(&cookie), 200, "who was first stays");
    // It looks and steers, and neither makes tokens nor trains.
    let get = |path: &str| ask(&local.http, &format!("GET {path}"), &[("cookie", &cookie)], "").status;
    assert_eq!((get("/api/v1/sweeps"), get("/api/v1/tokens")), (200, 403));
    let (name, _) = cookie.split_once('=').unwrap();
    assert_eq!(local.status(&format!("{name}={}", local.code)), 401, "a code in the place of a session");
}

#[test]
fn a_link_is_not_used_up_by_what_may_not_open_it() {
    let local = Local::start();
    let port = local.http.rsplit(':').next().unwrap();
    let evil = format!("evil.example:{port}");
    let refused: [&[(&str, &str)]; 6] = [
        &[("host", &evil)],
        &[("host", "localhost.evil.example")],
        &[("host", "10.0.0.1")],
        &[("x-forwarded-for", "10.0.0.2")],
        &[("x-forwarded-host", "sweep.example")],
        &[("forwarded", "for=10.0.0.2")],
    ];
    for headers in refused {
        let answer = local.open(&local.code, headers);
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{headers:?}: {answer:?}");
    }
    for method in ["HEAD", "POST", "PUT", "DELETE"] {
        let answer = ask(&local.http, &format!("{method} /open/{}", local.code), &[], "");
        assert!(answer.status >= 400 && answer.header("set-cookie").is_none(), "{method}: {answer:?}");
    }
    let other = "A".repeat(local.code.len());
    let long = "a".repeat(4_000);
    let cut = &local.code[..local.code.len() - 1];
    for guess in [other.as_str(), cut, "x", long.as_str(), "%00", "../metrics", "%2e%2e/metrics", ""] {
        let answer = local.open(guess, &[]);
        assert!(answer.status >= 400 && answer.header("set-cookie").is_none(), "{guess}: {answer:?}");
    }
    assert_eq!(local.open(&local.code, &[("host", &format!("localhost:{port}"))]).status, 303);
}

#[test]
fn the_code_and_the_token_beside_the_store_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let local = Local::start();
    let announced = local.env.path(".sweep/sweep.db.running");
    assert_eq!(std::fs::metadata(&announced).unwrap().permissions().mode() & 0o777, 0o600);
    let token = serde_json::from_slice::<serde_json::Value>(&std::fs::read(&announced).unwrap()).unwrap();
    let token = token["token"].as_str().unwrap();
    let log = std::fs::read_to_string(local.env.path(".sweep/sweep.log")).unwrap();
    assert!(!log.contains(token) && !log.contains(&local.code), "{log}");
    assert!(!local.env.log("local").contains(token));
    // Whoever can only reach the port has nothing of it.
    assert_eq!(ask(&local.http, "GET /api/v1/sweeps", &[], "").status, 401);
}
