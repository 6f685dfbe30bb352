use std::collections::BTreeMap;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_embedded_file_is_whole_and_listens_on_loopback() {
    let config = Config::defaults().unwrap();
    assert!(config.listen.ip().is_loopback() && config.listen_http.ip().is_loopback());
    assert_eq!((config.listen.port(), config.listen_http.port()), (7733, 7734));
    let keys: BTreeMap<String, serde_yaml::Value> = serde_yaml::from_str(DEFAULT).unwrap();
    let flags: Vec<_> = Args::default().flags().into_iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(keys.len(), flags.len(), "every key is also a flag");
    assert!(flags.iter().all(|flag| keys.contains_key(flag)));
}

#[test]
fn a_flag_beats_the_environment_and_that_beats_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coordinator.yaml");
    std::fs::write(&path, "max_failures: 5\nmax_losses: 6\nlog: debug\n").unwrap();
    let args = Args { config: Some(path), log: Some("warn".into()), ..Args::default() };
    let environment =
        environment(&[("SWEEP_COORDINATOR_MAX_LOSSES", "7"), ("SWEEP_COORDINATOR_LOG", "trace"), ("OTHER", "1")]);
    let config = Config::from_layers(&args, environment).unwrap();
    assert_eq!((config.max_failures, config.max_losses, config.log.as_str()), (5, 7, "warn"));
}

#[test]
fn every_problem_is_listed_at_once_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coordinator.yaml");
    std::fs::write(&path, "max_failure: 5\nstore: [a]\nlease_ttl_ms: -3\n").unwrap();
    let args = Args { config: Some(path), listen: Some("here".into()), ..Args::default() };
    let environment = environment(&[("SWEEP_COORDINATOR_SHUTDOWN_SECONDS", "soon")]);
    let problems = Config::from_layers(&args, environment).unwrap_err();
    let all = problems.to_string();
    for part in [
        "unknown key `max_failure`",
        "`store`: expected one plain value",
        "found `-3`",
        "--listen: `listen`",
        "SWEEP_COORDINATOR_SHUTDOWN_SECONDS",
    ] {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
    assert_eq!(problems.0.len(), 5);
}

#[test]
fn unknown_variables_are_ignored_and_can_be_listed() {
    let foreign = "SWEEP_COORDINATOR_PORT_7733_TCP";
    let environment = environment(&[(foreign, "tcp://10.0.0.1:7733"), ("SWEEP_COORDINATOR_MAX_LOSSES", "7")]);
    let config = Config::from_layers(&Args::default(), environment.clone()).unwrap();
    assert_eq!(config.max_losses, 7);
    assert_eq!(unknown_variables(environment.into_iter().map(|(name, _)| name)), [foreign]);
}

#[test]
fn a_database_needs_a_folder_and_its_password_is_not_shown() {
    let args = Args { store: Some("postgres://me:secret@host/study".into()), ..Args::default() };
    let Problems(problems) = Config::from_layers(&args, []).unwrap_err();
    assert!(problems[0].text.contains("`artifacts`") && problems.len() == 1, "{problems:?}");
    let folder = Args { artifacts: Some("/shared".into()), advertise: Some("c1:7733".into()), ..args };
    let config = Config::from_layers(&folder, []).unwrap();
    assert_eq!((config.artifacts(), config.advertise.as_deref()), (PathBuf::from("/shared"), Some("c1:7733")));
    let wrong = Args { store: Some("postgres://me:secret@host:x/study".into()), ..Args::default() };
    let shown = format!("{config:?} {}", Config::from_layers(&wrong, []).unwrap_err());
    assert!(shown.contains("postgres://me@host:5432/study") && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_certificate_needs_its_key_and_an_authority_needs_both() {
    let with = |cert: Option<&str>, key: Option<&str>, authority: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let args = Args { tls_cert: text(cert), tls_key: text(key), tls_client_ca: text(authority), ..Args::default() };
        Config::from_layers(&args, [])
    };
    assert_eq!(with(None, None, None).unwrap().tls, None);
    let files = with(Some("c"), Some("k"), Some("a")).unwrap().tls.unwrap();
    assert_eq!((files.certificate, files.key, files.client_authority), ("c".into(), "k".into(), Some("a".into())));
    for wrong in [with(Some("c"), None, None), with(None, Some("k"), None), with(None, None, Some("a"))] {
        assert!(wrong.unwrap_err().to_string().contains("tls_"));
    }
}

#[test]
fn files_of_tokens_have_the_role_of_their_key() {
    let environment = environment(&[("SWEEP_COORDINATOR_WORKER_TOKEN_FILE", "/run/worker")]);
    let args = Args { admin_token_file: Some("/run/admin".into()), ..Args::default() };
    let config = Config::from_layers(&args, environment).unwrap();
    assert_eq!(config.tokens.files, [(Role::Admin, "/run/admin".into()), (Role::Worker, "/run/worker".into())]);
}

#[test]
fn pools_are_a_list_in_a_file_and_its_text_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coordinator.yaml");
    std::fs::write(&path, "pools:\n  - { name: cpu, slots: 4, device: cpu }\n  - { name: a100, slots: 1, device: cuda, memory: 40GiB, max_workers: 8 }\n").unwrap();
    let args = Args { config: Some(path), ..Args::default() };
    let config = Config::from_layers(&args, []).unwrap();
    let pool = |config: &Config, index: usize| {
        let pool = &config.pools[index];
        (pool.name.0.clone(), pool.slots, pool.device.clone(), pool.memory_bytes, pool.max_workers)
    };
    assert_eq!(pool(&config, 0), ("cpu".into(), 4, "cpu".into(), None, None));
    assert_eq!(pool(&config, 1), ("a100".into(), 1, "cuda".into(), Some(40 << 30), Some(8)));
    assert_eq!(config.scheduler().pools.len(), 2);
    let environment = environment(&[("SWEEP_COORDINATOR_POOLS", "[{name: x, slots: 2, device: cpu, memory: 1000}]")]);
    let config = Config::from_layers(&args, environment).unwrap();
    assert_eq!(pool(&config, 0), ("x".into(), 2, "cpu".into(), Some(1000), None));
}

#[test]
fn problems_of_pools_are_listed_pool_by_pool() {
    let refused = |pools: &str| {
        let args = Args { pools: Some(pools.into()), ..Args::default() };
        Config::from_layers(&args, []).unwrap_err().to_string()
    };
    for (pools, words) in [
        ("[{name: a b, slots: 1, device: cpu}]", "expected a `name`"),
        ("[{name: a, slots: 0, device: cpu}]", "`a`: expected `slots`"),
        ("[{name: a, slots: 1, device: tpu}]", "`a`: expected `device` as cpu or cuda, found \"tpu\""),
        ("[{name: a, slots: 1, device: cpu, memory: 8GB}]", "`a`: expected `memory` of one slot such as 8GiB"),
        ("[{name: a, slots: 1, device: cpu, max_workers: 0}]", "`a`: expected `max_workers`"),
        ("[{name: a, slots: 1, device: cpu, colour: red}]", "colour"),
        ("[{name: a, slots: 1}]", "device"),
        ("[{name: a, slots: 1, device: cpu}, {name: a, slots: 2, device: cpu}]", "`a` occurs twice"),
        ("7", "--pools: `pools`"),
    ] {
        let text = refused(pools);
        assert!(text.starts_with("--pools: `pools`: ") && text.contains(words), "{pools}: {text}");
    }
}

#[test]
fn limits_that_are_left_out_keep_their_defaults() {
    let with = |limits: &str| Config::from_layers(&Args { limits: Some(limits.into()), ..Args::default() }, []);
    let usual = Config::defaults().unwrap().streams;
    assert_eq!(usual, streams::Limits::default(), "the file says what the defaults are");
    let some = with("{watches: 3, per_token: 2}").unwrap().streams;
    assert_eq!(some, streams::Limits { watches: 3, per_token: 2, ..usual });
    for (wrong, words) in [("{watches: 0}", "expected `watches` from 1"), ("{watch: 3}", "watch"), ("[3]", "`limits`")]
    {
        assert!(with(wrong).unwrap_err().to_string().contains(words), "{wrong}");
    }
}
