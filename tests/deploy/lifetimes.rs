//! Grace periods: a process that is asked to leave gets the time that it may take; otherwise it is killed while it
//! writes checkpoints.

use serde_yaml::Value;

use super::files::{self, text};
use super::manifests::{self, list};
use super::none;

/// The number behind these words.
fn number(text: &str, before: &str) -> u64 {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before}"));
    let digits: String = rest.trim_start_matches([' ', '"']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {before}"))
}

/// The seconds that a hook waits, 0 without one.
fn hook(container: &Value) -> u64 {
    let words = list(&container["lifecycle"]["preStop"]["exec"]["command"]);
    words.last().and_then(Value::as_str).map_or(0, |seconds| seconds.parse().expect("the hook's last word is seconds"))
}

#[test]
fn pods_have_the_time_that_their_hook_and_their_program_take() {
    let objects = files::objects();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for container in manifests::containers(&objects) {
        let (file, name) = container.place.split_once(": ").expect("a place has both");
        let is = |(other, object): &&(String, Value)| {
            other == file && object["metadata"]["name"] == name && !manifests::pod(object).is_null()
        };
        let (_, workload) = objects.iter().find(is).expect("it is there");
        let pod = manifests::pod(workload);
        let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a pod says how long it may take");
        for text in super::configurations::of(&container, &objects) {
            let leaving = number(&text, "shutdown_seconds:");
            let checkpoint = if container.program == "worker" { number(&text, "trainer_grace_seconds:") } else { 0 };
            seen += 1;
            if grace <= hook(&pod["containers"][0]) + leaving || leaving <= checkpoint {
                wrong.push(format!("{}: {grace} s, of which leaving takes {leaving} s", container.place));
            }
        }
    }
    assert!(seen >= 6, "{seen}");
    none(wrong);
}

#[test]
fn units_and_compose_leave_the_same_time() {
    let worker = text("deploy/systemd/sweep-worker.service");
    let (leaving, checkpoint) = (number(&worker, "SHUTDOWN_SECONDS="), number(&worker, "TRAINER_GRACE_SECONDS="));
    assert!(checkpoint < leaving && leaving < number(&worker, "TimeoutStopSec="));
    let coordinator = sweep_coordinator::Config::defaults().expect("the defaults are right");
    assert!(
        coordinator.shutdown_seconds < number(&text("deploy/systemd/sweep-coordinator.service"), "TimeoutStopSec=")
    );
    let compose: Value = serde_yaml::from_str(&text("deploy/compose/compose.yaml")).expect("it is YAML");
    let grace = |service: &Value| number(service["stop_grace_period"].as_str().expect("it says how long"), "");
    assert!(coordinator.shutdown_seconds < grace(&compose["services"]["coordinator"]));
    let environment = &compose["x-worker"]["environment"];
    let leaving = environment["SWEEP_WORKER_SHUTDOWN_SECONDS"].as_str().expect("it says how long");
    assert!(leaving.parse::<u64>().expect("a number") < grace(&compose["x-worker"]));
}
