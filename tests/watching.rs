//! Compares monitoring with the programs: rules, dashboards and runbook name existing metrics and labels, and each
//! alert has a paragraph, a test in which it fires, and one in which it does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Labels that every scraped series has, and those of histograms.
const SCRAPED: [&str; 2] = ["instance", "job"];

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(deploy(path)).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rules(path: &str) -> Vec<Value> {
    let file = yaml(path);
    let groups = file["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn dashboards() -> Vec<(String, Value)> {
    let read = |name: &str| {
        let text = fs::read_to_string(deploy(&format!("grafana/dashboards/{name}.json"))).unwrap();
        (name.to_owned(), serde_json::from_str(&text).unwrap())
    };
    ["sweeps", "fleet", "coordinator"].map(read).into()
}

/// Every expression with its position.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in ["prometheus/rules/recording.yaml", "prometheus/rules/alerts.yaml"] {
        for rule in rules(path) {
            let name = rule.get("alert").or(rule.get("record")).unwrap();
            all.push((name.to_string(), rule["expr"].as_str().unwrap().to_owned()));
        }
    }
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let place = format!("{name}: {}", panel["title"]);
                all.push((place, target["expr"].as_str().unwrap().to_owned()));
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let place = format!("{name}: variable {}", variable["name"]);
            all.extend(variable["query"]["query"].as_str().map(|query| (place, query.to_owned())));
        }
    }
    all
}

/// The labels of every series that there can be, by its name.
fn series() -> BTreeMap<String, BTreeSet<String>> {
    let owned = |labels: &[&str], more: &[&str]| -> BTreeSet<String> {
        labels.iter().chain(more).chain(&SCRAPED).map(|label| (*label).to_owned()).collect()
    };
    let mut series = BTreeMap::from([("up".to_owned(), owned(&[], &[]))]);
    let mut add = |name: &str, histogram: bool, labels: BTreeSet<String>| {
        if histogram {
            series.insert(format!("{name}_sum"), labels.clone());
            series.insert(format!("{name}_count"), labels.clone());
            let with_bucket = labels.into_iter().chain(["le".to_owned()]).collect();
            series.insert(format!("{name}_bucket"), with_bucket);
        } else {
            series.insert(name.to_owned(), labels);
        }
    };
    for metric in sweep_coordinator::metrics::TABLE {
        add(metric.name, metric.kind.name() == "histogram", owned(metric.labels, &[]));
    }
    for metric in sweep_worker::metrics::DEFINITIONS {
        add(metric.name, metric.kind.to_string() == "histogram", owned(metric.labels, &["worker"]));
    }
    for rule in rules("prometheus/rules/recording.yaml") {
        series.insert(rule["record"].as_str().unwrap().to_owned(), owned(&[], &["method", "worker"]));
    }
    series
}

/// The series in an expression, each with the labels in the braces after it.
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let of_name = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(of_name) {
        rest = &rest[start..];
        let end = rest.find(|character| !of_name(character)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        let matchers = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        if let Some((inner, after)) = matchers {
            let label = |matcher: &str| matcher.trim().split(['=', '!']).next().unwrap_or_default().to_owned();
            // No value has a comma in it.
            found.push((name.to_owned(), inner.split(',').map(label).collect()));
            rest = after;
        } else if name.starts_with("sweep_") || name.contains(':') && !name.starts_with(':') {
            found.push((name.to_owned(), Vec::new()));
        }
    }
    found
}

#[test]
fn every_expression_names_series_and_labels_that_there_are() {
    let series = series();
    let mut seen = BTreeSet::new();
    for (place, expression) in expressions() {
        let names = named(&expression);
        assert!(!names.is_empty(), "{place} asks for nothing: {expression}");
        for (name, labels) in names {
            let known = series.get(&name).unwrap_or_else(|| panic!("{place}: there is no {name}: {expression}"));
            for label in labels {
                assert!(known.contains(&label), "{place}: {name} has no label {label}: {expression}");
            }
            seen.insert(name);
        }
    }
    assert!(seen.len() > 60, "only {} series are asked for", seen.len());
}

#[test]
fn every_alert_says_what_is_wrong_and_has_its_paragraph_in_the_runbook() {
    let runbook = fs::read_to_string(deploy("../docs/runbook.md")).unwrap();
    let mut paragraphs: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    for alert in rules("prometheus/rules/alerts.yaml") {
        let name = alert["alert"].as_str().unwrap();
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["info", "warning", "critical"].contains(&severity), "{name}: {severity}");
        for annotation in ["summary", "description"] {
            assert!(
                alert["annotations"][annotation].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {annotation}"
            );
        }
        let link = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"].as_str(), Some(link.as_str()), "{name}");
        assert!(paragraphs.remove(name), "docs/runbook.md has no paragraph {name}");
    }
    assert!(paragraphs.is_empty(), "paragraphs without an alert: {paragraphs:?}");
    let anchors: Vec<&str> = runbook.split("](#").skip(1).filter_map(|part| part.split(')').next()).collect();
    let headings: BTreeSet<String> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_lowercase).collect();
    assert!(anchors.iter().all(|anchor| headings.contains(*anchor)), "{anchors:?}");
}

#[test]
fn every_alert_is_tested_to_speak_and_to_stay_quiet() {
    let mut speaks = BTreeSet::new();
    let mut stays_quiet = BTreeSet::new();
    for file in ["sweeps", "fleet", "coordinator"] {
        let tests = yaml(&format!("prometheus/tests/{file}.yaml"));
        for case in tests["tests"].as_array().unwrap() {
            for step in case["alert_rule_test"].as_array().unwrap() {
                let name = step["alertname"].as_str().unwrap().to_owned();
                let expected = step["exp_alerts"].as_array().unwrap();
                if expected.is_empty() {
                    stays_quiet.insert(name)
                } else {
                    speaks.insert(name)
                };
            }
        }
    }
    let alerts: BTreeSet<String> =
        rules("prometheus/rules/alerts.yaml").iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!(speaks, alerts);
    assert_eq!(stays_quiet, alerts);
}

#[test]
fn a_dashboard_can_be_pointed_to_and_its_panels_lie_beside_each_other() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"].as_str(), Some(format!("sweep-{name}").as_str()));
        assert!(uids.insert(dashboard["uid"].to_string()));
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = format!("{name}: {}", panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its number is not its own");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{title} is too wide");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{title} lies on another panel");
                }
            }
            if panel["type"] != "row" {
                assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
                assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            }
        }
    }
}

/// The dashboards are tested without a GPU: the metrics of a worker with one are written down, and must match its real
/// ones.
#[test]
fn the_gpus_that_are_written_down_speak_as_a_worker_does() {
    let written = include_str!("../ci/watching-gpu.txt");
    let gpus = sweep_worker::metrics::DEFINITIONS.iter().filter(|metric| metric.labels == ["gpu"]);
    for metric in gpus {
        assert!(
            written
                .contains(&format!("# HELP {} {}\n# TYPE {} {}\n", metric.name, metric.help, metric.name, metric.kind))
        );
        assert!(written.contains(&format!("{}{{gpu=\"0\",worker=\"gpu-1\"}} ", metric.name)), "{}", metric.name);
    }
}
