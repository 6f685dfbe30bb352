//! Configurations, read by the programs' own readers: a key that no program has, or a value that none takes, fails.

use std::path::Path;

use serde_yaml::Value;
use sweep_coordinator::{Args, Config};

use super::files::{self, root};
use super::manifests::{self, Container};
use super::none;

/// The texts of the configuration that is mounted into a container. A rendered chart has all objects in one file, an
/// overlay in one folder; a part that overlays share has one text for each overlay.
pub(crate) fn of(container: &Container, objects: &[(String, Value)]) -> Vec<String> {
    let folder = |file: &str| Path::new(file).parent().map(Path::to_owned);
    let own = container.place.split(": ").next().unwrap_or_default();
    let beside = |file: &str| match own {
        shared if shared.starts_with("deploy/kubernetes/base/") => file.starts_with("deploy/kubernetes/"),
        plain if plain.starts_with("deploy/kubernetes/") => folder(plain) == folder(file),
        rendered => rendered == file,
    };
    let map = |(file, object): &&(String, Value)| {
        let named = manifests::text(&object["metadata"]["name"]) == container.configuration;
        named && object["kind"] == "ConfigMap" && beside(file)
    };
    let key = format!("{}.yaml", container.program);
    objects.iter().filter(map).map(|(_, object)| manifests::text(&object["data"][key.as_str()])).collect()
}

/// The errors in a configuration, from the program that reads it.
fn wrong(program: &str, path: &Path, environment: &[(String, String)]) -> Option<String> {
    match program {
        "coordinator" => {
            let args = Args { config: Some(path.to_owned()), ..Args::default() };
            Config::from_layers(&args, environment.to_vec()).err().map(|errors| errors.to_string())
        }
        _ => {
            sweep_worker::Config::load(Some(path), environment.to_vec(), []).err().map(|problems| problems.to_string())
        }
    }
}

/// Replaces the paths of a pod's secrets with the same files in a folder.
fn here(text: &str, folder: &Path) -> String {
    for name in ["tokens/admin", "tokens/worker", "tokens/read", "token/worker"] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("the folder can be made");
        std::fs::write(path, "0123456789abcdef0123456789abcdef0123456789abcdef").expect("the folder can be written");
    }
    text.replace("/etc/sweep/tokens", &format!("{}/tokens", folder.display()))
        .replace("/etc/sweep/token/", &format!("{}/token/", folder.display()))
}

fn problems(container: &Container, text: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("configuration.yaml");
    std::fs::write(&path, here(text, folder.path())).expect("the folder can be written");
    let mut environment: Vec<(String, String)> = container.environment.clone().into_iter().collect();
    for (name, value) in &mut environment {
        match name.as_str() {
            // Comes from a secret.
            "SWEEP_COORDINATOR_STORE" => *value = "postgres://sweep:secret@postgres:5432/sweep".to_owned(),
            "SWEEP_WORKER_NAME" => *value = "sweep-worker-gpu-7d9c-x2x4z".to_owned(),
            _ => {}
        }
    }
    wrong(&container.program, &path, &environment).map(|text| format!("{}: {text}", container.place))
}

#[test]
fn every_configuration_is_read_by_its_program() {
    let objects = files::objects();
    let (mut found, mut read) = (Vec::new(), 0);
    for container in manifests::containers(&objects) {
        for text in of(&container, &objects) {
            found.extend(problems(&container, &text));
            read += 1;
        }
    }
    assert!(read >= 6, "{read}");
    none(found);
}

#[test]
fn a_wrong_key_and_a_wrong_value_are_found() {
    let objects = files::objects();
    for (program, texts) in [
        ("coordinator", ["lissten: 127.0.0.1:7733\n", "store: [a]\n"]),
        ("worker", ["data_rot: /data\n", "slots: 0\n"]),
    ] {
        let containers = manifests::containers(&objects);
        let container = containers.into_iter().find(|container| container.program == program).expect("there is one");
        for text in texts {
            assert!(problems(&container, text).is_some(), "{text}");
        }
    }
}

#[test]
fn configurations_for_services_of_a_machine_are_read_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut found = Vec::new();
    for program in ["coordinator", "worker"] {
        let path = root().join(format!("deploy/systemd/{program}.yaml"));
        // The units bring tokens and certificates: without them a coordinator must not be reached from elsewhere.
        let environment = match program {
            "coordinator" => vec![("SWEEP_COORDINATOR_INSECURE".to_owned(), "true".to_owned())],
            _ => vec![("SWEEP_WORKER_STATE_DIR".to_owned(), folder.path().display().to_string())],
        };
        found.extend(wrong(program, &path, &environment));
    }
    none(found);
}
