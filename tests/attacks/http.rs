//! Browsers that are led astray, paths that leave their folder, and requests that are too long or too slow.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::env::Env;
use super::intruder::{ANSWER_TIMEOUT, Fleet, ask, coordinator, exchange};

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn a_person_signs_in_with_a_token_and_the_cookie_is_for_this_site_alone() {
    let fleet = Fleet::start();
    let html = [("accept", "text/html")];
    let led = ask(&fleet.http, "GET /sweeps/1?page=2", &html, "");
    assert_eq!((led.status, led.header("location")), (303, Some("/login?next=/sweeps/1%3Fpage%3D2")));
    let page = ask(&fleet.http, "GET /login?next=/sweeps/1", &html, "");
    assert!(page.status == 200 && page.body.contains("type=\"password\""), "{page:?}");
    let wrong = ask(&fleet.http, "POST /login", &[FORM], "token=sweep_wrong&next=/");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let worker = ask(&fleet.http, "POST /login", &[FORM], &format!("token={}", fleet.worker));
    assert_eq!((worker.status, worker.header("set-cookie")), (401, None), "workers look at no pages");
    let form = format!("token={}&next=/metrics", fleet.submit);
    let entered = ask(&fleet.http, "POST /login", &[FORM], &form);
    assert_eq!((entered.status, entered.header("location")), (303, Some("/metrics")));
    let cookie = entered.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap();
    assert!(!pair.contains(&fleet.submit), "the cookie is no token: {pair}");
    assert_eq!(ask(&fleet.http, "GET /metrics", &[("cookie", pair)], "").status, 200);
    let again = ask(&fleet.http, "POST /login", &[FORM], &form).header("set-cookie").unwrap().to_owned();
    let again = again.split(';').next().unwrap();
    let left = ask(&fleet.http, "POST /logout", &[("cookie", pair), ("sec-fetch-site", "same-origin")], "");
    assert!(left.status == 303 && left.header("set-cookie").unwrap().contains("Max-Age=0"), "{left:?}");
    assert_eq!(ask(&fleet.http, "GET /metrics", &[("cookie", pair)], "").status, 401, "a copy of the cookie");
    // A revoked token ends its other sessions too.
    assert_eq!(ask(&fleet.http, "GET /metrics", &[("cookie", again)], "").status, 200);
    fleet.revoke("submit");
    assert_eq!(ask(&fleet.http, "GET /metrics", &[("cookie", again)], "").status, 401);
}

/// The cookie of a browser that signed in with this token.
fn signed_in(fleet: &Fleet, token: &str) -> String {
    let entered = ask(&fleet.http, "POST /login", &[FORM], &format!("token={token}"));
    let set = entered.header("set-cookie").unwrap_or_else(|| panic!("{entered:?}"));
    set.split(';').next().unwrap().to_owned()
}

#[test]
fn nobody_is_led_elsewhere_after_signing_in() {
    let fleet = Fleet::start();
    for next in ["//evil.example", "https://evil.example/", "/%5Cevil.example", "/%0d%0aset-cookie:%20a=b"] {
        let form = format!("token={}&next={next}", fleet.read);
        let entered = ask(&fleet.http, "POST /login", &[FORM], &form);
        assert_eq!((entered.status, entered.header("location")), (303, Some("/")), "{next}");
        assert!(!entered.head.contains("a=b"));
    }
    let page = ask(&fleet.http, "GET /login?next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E", &[], "");
    assert!(!page.body.contains("<script"), "{}", page.body);
}

#[test]
fn a_page_of_another_site_changes_nothing_through_a_browser() {
    let fleet = Fleet::start();
    let cookie = signed_in(&fleet, &fleet.admin);
    let change = "POST /api/v1/sweeps/1/cancel";
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("x-nothing", ""),
    ] {
        let refused = ask(&fleet.http, change, &[("cookie", &cookie), (name, value)], "");
        assert_eq!(refused.status, 403, "{name}: {value}");
    }
    // A form of another site cannot sign anybody in as somebody else either.
    let form = format!("token={}", fleet.read);
    let signed = ask(&fleet.http, "POST /login", &[FORM, ("origin", "http://evil.example")], &form);
    assert_eq!((signed.status, signed.header("set-cookie")), (403, None));
    // From a page of ours it passes this door; what is behind it is not what is tested here.
    let ours = format!("http://{}", fleet.http);
    let passed = ask(&fleet.http, change, &[("cookie", &cookie), ("origin", &ours)], "");
    assert!(![401, 403].contains(&passed.status), "{passed:?}");
}

#[test]
fn a_name_that_was_bound_to_this_machine_from_outside_is_not_answered() {
    let env = Env::new();
    let (_process, _, http) = coordinator(&env, &[]);
    let port = http.rsplit(':').next().unwrap();
    let evil = format!("evil.example:{port}");
    let rebound = ask(&http, "GET /metrics", &[("host", &evil)], "");
    assert_eq!(rebound.status, 421, "{rebound:?}");
    assert_eq!(ask(&http, "GET /metrics", &[("host", &format!("localhost:{port}"))], "").status, 200);
    let posted = ask(&http, "POST /api/v1/sweeps/1/cancel", &[("origin", "http://evil.example")], "");
    assert_eq!(posted.status, 403);
}

#[test]
fn every_answer_tells_browsers_to_be_careful() {
    let fleet = Fleet::start();
    let bearer = format!("Bearer {}", fleet.read);
    let asked =
        [("GET /login", ""), ("GET /metrics", bearer.as_str()), ("GET /nothing", bearer.as_str()), ("GET /", "")];
    for (line, token) in asked {
        let headers: &[_] = if token.is_empty() { &[] } else { &[("authorization", token)] };
        let answer = ask(&fleet.http, line, headers, "");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{line}: {policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{line}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{line}");
    }
    let private = ask(&fleet.http, "GET /metrics", &[("authorization", &bearer)], "");
    assert_eq!(private.header("cache-control"), Some("no-store"));
}

#[test]
fn paths_do_not_leave_what_is_served() {
    let fleet = Fleet::start();
    let bearer = format!("Bearer {}", fleet.admin);
    for path in [
        "/../../../../etc/passwd",
        "/assets/../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2fetc/passwd",
        "/api/v1/artifacts/../../../../etc/passwd",
        "/api/v1/artifacts/..%2f..%2f..%2fetc%2fpasswd",
        "/sweeps/..%2f..%2fetc%2fpasswd",
        "/assets//etc/passwd",
        "/assets/\\..\\..\\etc\\passwd",
        "/%00",
    ] {
        let answer = ask(&fleet.http, &format!("GET {path}"), &[("authorization", &bearer)], "");
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.contains("root:"), "{path}");
    }
}

#[test]
fn a_head_that_has_no_end_is_cut_off() {
    let fleet = Fleet::start();
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n", "a".repeat(1 << 20));
    let answer = String::from_utf8_lossy(&exchange(&fleet.http, long.as_bytes())).into_owned();
    assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
    let many: String = (0..10_000).map(|number| format!("x-{number}: a\r\n")).collect();
    let answer = exchange(&fleet.http, format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
    let form = format!("token={}", "a".repeat(100_000));
    let entered = ask(&fleet.http, "POST /login", &[FORM], &form);
    assert!((400..500).contains(&entered.status), "{entered:?}");
    let odd = exchange(&fleet.http, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    assert!(!String::from_utf8_lossy(&odd).starts_with("HTTP/1.1 2"));
    assert_eq!(ask(&fleet.http, "GET /healthz", &[], "").status, 200);
}

#[test]
fn a_peer_that_says_little_and_slowly_loses_its_place() {
    let fleet = Fleet::start();
    let mut slow = TcpStream::connect(&fleet.http).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").unwrap();
    let mut silent = TcpStream::connect(&fleet.http).unwrap();
    let mut silent_grpc = TcpStream::connect(&fleet.grpc).unwrap();
    let mut half_grpc = TcpStream::connect(&fleet.grpc).unwrap();
    half_grpc.write_all(b"PRI * HTTP/2.0\r\n").unwrap();
    let begun = Instant::now();
    let mut byte = 0_u8;
    for stream in [&mut silent, &mut silent_grpc, &mut half_grpc, &mut slow] {
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    }
    // One more byte each second, which is what keeps naive servers waiting.
    let mut open = vec![("slow", slow), ("silent", silent), ("silent gRPC", silent_grpc), ("half gRPC", half_grpc)];
    while !open.is_empty() {
        assert!(
            begun.elapsed() < ANSWER_TIMEOUT,
            "still open: {:?}",
            open.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
        open.retain_mut(|(name, stream)| {
            if *name == "slow" {
                byte = byte.wrapping_add(1);
                let _ = stream.write_all(format!("x-{byte}: a\r\n").as_bytes());
            }
            let mut piece = [0; 512];
            match stream.read(&mut piece) {
                Ok(0) => false,
                Ok(_) => true,
                Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
            }
        });
    }
    eprintln!("all were closed after {:?}", begun.elapsed());
    assert_eq!(ask(&fleet.http, "GET /healthz", &[], "").status, 200);
}
