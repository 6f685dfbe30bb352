//! `sweepctl doctor`: its findings about a coordinator, about an address where no program listens, and about another
//! program; and what other commands print then.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use super::canned::{serve, serve_as_earlier_release};
use super::{sweepctl, transcript};

/// The findings, by name.
struct Found {
    code: i32,
    report: Value,
}

fn doctor(arguments: &[&str]) -> Found {
    doctor_under(arguments, |command| command)
}

/// The same in another environment.
fn doctor_under(arguments: &[&str], change: impl FnOnce(&mut Command) -> &mut Command) -> Found {
    let whole: Vec<&str> = ["doctor", "--output", "json"].into_iter().chain(arguments.iter().copied()).collect();
    let output = change(&mut sweepctl(&whole)).output().unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    Found { code: output.status.code().unwrap(), report }
}

impl Found {
    /// State, sentence and advice of a check.
    fn check(&self, name: &str) -> (String, String, String) {
        let checks = self.report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {checks:?}"));
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        (text("state"), text("found"), text("advice"))
    }

    fn state(&self, name: &str) -> String {
        self.check(name).0
    }
}

/// A web server that gives every request the same answer; it ends with the process.
fn web_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let read = stream.read(&mut [0; 1024]);
            read.and_then(|_| stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")).ok();
        }
    });
    format!("http://{address}")
}

/// An address where no program listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn every_part_of_a_coordinator_is_looked_at_and_what_is_wrong_has_advice() {
    let address = format!("http://{}", serve());
    let found = doctor(&["--coordinator", &address]);
    assert_eq!(found.code, 1, "its clock is wrong by decades: {}", found.report);
    for (name, state) in [
        ("address", "ok"),
        ("version", "ok"),
        ("clock", "wrong"),
        ("tls", "ok"),
        ("token", "ok"),
        ("store", "ok"),
        ("disk", "warning"),
        ("http", "warning"),
        ("workers", "ok"),
        ("devices", "ok"),
        ("sweeps", "warning"),
    ] {
        assert_eq!(found.state(name), state, "{name}: {}", found.report);
    }
    assert!(found.check("token").1.contains("`read`"), "{}", found.report);
    assert!(found.check("devices").1.contains("1 slot on GPUs, 1 slot on CPUs; 1 busy"), "{}", found.report);
    assert!(found.check("sweeps").1.contains("no worker has 16 GiB of memory"), "{}", found.report);
    for check in found.report["checks"].as_array().unwrap() {
        assert_eq!(check["advice"].is_string(), check["state"] != "ok", "{check}");
    }
    assert_eq!((&found.report["wrong"], &found.report["warnings"]), (&1.into(), &3.into()));
    let text = transcript(&["doctor", "--coordinator", &address]);
    assert!(text.contains("\nwrong    clock") && text.contains("timedatectl"), "{text}");
    assert!(text.contains("----- stderr -----\n1 check failed; 3 warnings"), "{text}");
}

#[test]
fn a_coordinator_of_an_earlier_release_is_asked_at_the_former_path() {
    let found = doctor(&["--coordinator", &format!("http://{}", serve_as_earlier_release())]);
    assert_eq!((found.state("address"), found.state("version")), ("ok".to_owned(), "ok".to_owned()));
    assert!(found.check("token").1.contains("`read`"), "{}", found.report);
}

#[test]
fn where_nobody_listens_it_says_how_to_start_one() {
    let address = nobody();
    let found = doctor(&["--coordinator", &address]);
    let (state, told, advice) = found.check("address");
    assert_eq!((found.code, state.as_str()), (1, "wrong"));
    assert!(told.contains("cannot connect to") && advice.contains("sweepctl coordinator"), "{told} {advice}");
    assert_eq!(found.state("workers"), "not_checked");
}

#[test]
fn the_port_for_browsers_is_known_for_what_it_is() {
    let address = web_server();
    let found = doctor(&["--coordinator", &address]);
    let (state, told, advice) = found.check("address");
    assert_eq!((found.code, state.as_str()), (1, "wrong"));
    assert!(told.contains("web server") && advice.contains("7733"), "{told} {advice}");
    let text = transcript(&["list", "--coordinator", &address]);
    assert!(text.contains("exit code: 1") && text.contains("web server") && text.contains("hint: "), "{text}");
}

#[test]
fn a_name_that_nobody_knows_and_what_is_no_address_are_told_apart() {
    let found = doctor(&["--coordinator", "http://no-such-machine.invalid:7733"]);
    assert!(found.check("address").1.contains("cannot resolve"), "{}", found.report);
    let found = doctor(&["--coordinator", "http://"]);
    assert!(found.check("address").1.contains("is not the address"), "{}", found.report);
}

#[cfg(feature = "local")]
#[test]
fn this_machine_is_looked_at_as_for_a_local_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("sweep.db");
    let store = store.to_str().unwrap();
    let found = doctor(&["tests/specs/tiny.yaml", "--local", "--store", store]);
    for name in ["trainer", "devices", "slots", "memory", "store", "data set"] {
        assert_eq!(found.state(name), "ok", "{name}: {}", found.report);
    }
    assert!(!std::path::Path::new(store).exists(), "it looks and makes nothing");
    let found = doctor(&["sweeps/ablation.yaml", "--local", "--store", store, "--slots", "cuda:4000"]);
    assert_eq!(found.code, 1);
    assert_eq!((found.state("slots"), found.state("data set")), ("wrong".to_owned(), "wrong".to_owned()));
    assert!(found.check("data set").1.contains("scenes does not exist"), "{}", found.report);
}

#[cfg(feature = "local")]
#[test]
fn without_a_home_the_cache_is_private_or_refused() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let temporary = tempfile::tempdir().unwrap();
    let store = temporary.path().join("sweep.db");
    let arguments = ["--local", "--store", store.to_str().unwrap()];
    let look = |home: Option<&str>| {
        doctor_under(&arguments, |command| {
            let command = command.env_remove("HOME").env_remove("XDG_CACHE_HOME").env("TMPDIR", temporary.path());
            command.envs(home.map(|home| ("HOME", home)))
        })
    };
    let private = temporary.path().join(format!("sweep-{}", temporary.path().metadata().unwrap().uid()));
    for home in [None, Some("/")] {
        let (state, found, advice) = look(home).check("cache");
        assert_eq!(state, "warning", "{found}");
        assert!(found.contains(private.to_str().unwrap()) && advice.contains("HOME"), "{found} {advice}");
    }
    assert!(!private.exists(), "it looks and makes nothing");
    let home = temporary.path().join("home");
    assert_eq!(look(home.to_str()).state("cache"), "ok");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o777)).unwrap();
    let (state, found, _) = look(None).check("cache");
    assert_eq!(state, "wrong");
    assert!(found.contains("has mode 777 instead of 700"), "{found}");
}

#[test]
fn a_spec_that_is_none_is_a_wrong_command_line() {
    let text = transcript(&["doctor", "tests/specs/wrong.yaml"]);
    assert!(text.contains("exit code: 2") && text.contains("did you mean `epochs`?"), "{text}");
}
