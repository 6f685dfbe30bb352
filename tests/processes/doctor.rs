//! `sweepctl doctor` on a real coordinator and a real worker.

use super::env::{Env, study};

#[test]
fn a_fleet_that_is_well_is_told_to_be_and_what_is_lost_is_seen() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let alone = env.sweepctl(["doctor", "--output", "json"]).expect_code(0).json();
    let state = |report: &serde_json::Value, name: &str| {
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"));
        (check["state"].as_str().unwrap().to_owned(), check["found"].as_str().unwrap().to_owned())
    };
    assert_eq!(state(&alone, "workers").0, "warning", "{alone}");
    let _worker = env.worker("w1").slots(2).start();
    env.until_log("w1", "registered");
    let spec = env.file("some.yaml", &study("some", 2, &[2], &[0]));
    let report = env.sweepctl(["doctor", &spec, "--output", "json"]).expect_code(0).json();
    for name in
        ["address", "version", "clock", "tls", "token", "store", "http", "workers", "devices", "memory", "trainer"]
    {
        assert_eq!(state(&report, name).0, "ok", "{name}: {report}");
    }
    assert!(state(&report, "store").1.starts_with("sqlite; this coordinator leads"), "{report}");
    assert!(state(&report, "http").1.contains("serves pages and metrics"), "{report}");
    assert!(state(&report, "workers").1.contains("1 worker connected"), "{report}");
}
