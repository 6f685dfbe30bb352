//! Unreadable data: `submit --local` ends at once with the reason, `doctor` reports it beforehand, and a fleet shows
//! it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use super::env::{Env, Ran};

/// A grey picture of two pixels by two.
const PICTURE: [u8; 71] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x02, 0x00, 0x00, 0x00, 0x02, 0x08, 0x00, 0x00, 0x00, 0x00, 0x57, 0xdd, 0x52, 0xf8, 0x00, 0x00, 0x00, 0x0e, 0x49,
    0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x10, 0x98, 0xc0, 0x50, 0xf0, 0x01, 0x00, 0x04, 0x66, 0x02, 0x01, 0x3f, 0x45,
    0x4d, 0x89, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// A study of two classes in the folder `data`.
const STUDY: &str = "version: 1
name: pictures
dataset: { kind: image_folder, path: data, image_size: 8, channels: 1, classes: 2 }
protocol: { epochs: 1, batch_size: 2 }
seeds: [0]
baseline: { family: cnn, conv_layers: 1, filters: 2, kernel_size: 3, dense_layers: 1, dense_units: 4 }
stages: [ { name: head, vary: { dense_units: [4, 5] } } ]
";

/// A data set that can be read: two classes, two pictures of each in either part.
fn pictures(folder: &Path) {
    for class in ["train/a", "train/b", "test/a", "test/b"] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for name in ["0.png", "1.png"] {
            fs::write(folder.join(class).join(name), PICTURE).unwrap();
        }
    }
}

/// Does something to the data set `data`, which could be read before.
type Damage = fn(&Env);

/// The damage, and a part of the sentence about it.
const DAMAGES: [(&str, Damage); 7] = [
    ("data does not exist", |env| fs::remove_dir_all(env.path("data")).unwrap()),
    ("data is a file", |env| {
        fs::remove_dir_all(env.path("data")).unwrap();
        fs::write(env.path("data"), "").unwrap();
    }),
    ("the spec declares 2 classes, but the data set has 3", |env| {
        for class in ["train/c", "test/c"] {
            fs::create_dir_all(env.path("data").join(class)).unwrap();
            fs::write(env.path("data").join(class).join("0.png"), PICTURE).unwrap();
        }
    }),
    ("data is a link to", |env| {
        fs::create_dir(env.path("elsewhere")).unwrap();
        fs::rename(env.path("data"), env.path("elsewhere/data")).unwrap();
        // Beside the folder of the spec, which is the data root.
        fs::create_dir(env.path("specs")).unwrap();
        fs::rename(env.path("pictures.yaml"), env.path("specs/pictures.yaml")).unwrap();
        symlink(env.path("elsewhere/data"), env.path("specs/data")).unwrap();
    }),
    ("test/b/1.png is not a readable image", |env| fs::write(env.path("data/test/b/1.png"), "no picture").unwrap()),
    ("class b is empty", |env| {
        for name in ["0.png", "1.png"] {
            fs::remove_file(env.path("data/train/b").join(name)).unwrap();
        }
    }),
    ("class b is in", |env| fs::remove_dir_all(env.path("data/test/b")).unwrap()),
];

/// The environment with a damaged data set, and where the spec lies.
fn damaged(damage: Damage) -> (Env, String) {
    let env = Env::new();
    let spec = env.file("pictures.yaml", STUDY);
    pictures(&env.path("data"));
    damage(&env);
    let moved = env.path("specs/pictures.yaml");
    (env, if moved.exists() { moved.display().to_string() } else { spec })
}

fn submit(env: &Env, spec: &str, more: &[&str]) -> Ran {
    env.sweepctl(["submit", spec, "--local", "--wait", "--slots", "1"].iter().chain(more))
}

/// The output of `doctor` about the data set.
fn diagnosis(env: &Env, spec: &str, more: &[&str]) -> (String, String) {
    let ran = env.sweepctl(["doctor", spec, "--local", "--slots", "1", "--output", "json"].iter().chain(more));
    let report = ran.json();
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "data set").unwrap().clone();
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("found"))
}

#[test]
fn local_ends_at_once_where_no_trial_can_ever_run_and_doctor_says_the_same_before() {
    for (said, damage) in DAMAGES {
        let (env, spec) = damaged(damage);
        let (state, found) = diagnosis(&env, &spec, &[]);
        assert_eq!(state, "wrong", "{said}: {found}");
        assert!(found.contains(said), "{said}: {found}");
        let ran = submit(&env, &spec, &[]).expect_code(1);
        let because = format!("because: {found}\n");
        assert!(ran.stderr.contains("no trial of sweep 1 can be trained on this machine"), "{ran:?}");
        assert!(ran.stderr.contains(&because), "{because}{ran:?}");
        assert!(ran.stderr.contains("sweep 1 is cancelled"), "nothing is left that would run first: {ran:?}");
        assert!(env.living().is_empty(), "{:?}", env.living());
    }
}

#[test]
fn a_data_root_that_is_none_is_named_with_its_flag() {
    let (env, spec) = damaged(|_| {});
    env.file("file", "");
    for root in ["absent", "file"] {
        let (state, found) = diagnosis(&env, &spec, &["--data-root", root]);
        assert!(state == "wrong" && found.contains(&format!("cannot use the data root {root}")), "{found}");
        let ran = submit(&env, &spec, &["--data-root", root]).expect_code(1);
        assert!(ran.stderr.contains(&format!("cannot use the data root {root}: name the folder")), "{ran:?}");
    }
}

#[test]
fn a_link_is_followed_into_a_data_root_that_was_allowed() {
    let (env, spec) = damaged(DAMAGES[3].1);
    let ran = submit(&env, &spec, &[]).expect_code(1);
    // The sentence ends with the flags that allow it: what a person would type.
    let flags = ran.stderr.split("to allow it: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    let flags: Vec<&str> = flags.split(' ').collect();
    assert_eq!(diagnosis(&env, &spec, &flags).0, "ok");
    let ran = submit(&env, &spec, &flags).expect_code(0);
    assert!(!ran.stderr.contains("link"), "{ran:?}");
}

#[test]
fn what_needs_more_memory_than_the_machine_has_is_told_at_once() {
    let env = Env::new();
    let spec = env.file(
        "pictures.yaml",
        &STUDY.replace("filters: 2", "filters: 512").replace("batch_size: 2", "batch_size: 65536"),
    );
    pictures(&env.path("data"));
    let ran = submit(&env, &spec, &["--set", "dataset.image_size=512"]).expect_code(1);
    assert!(ran.stderr.contains("bytes of memory") && ran.stderr.contains("hint: use `--slots 1`"), "{ran:?}");
}

#[test]
fn a_fleet_says_which_worker_gets_nothing_and_why_on_both_sides() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let spec = env.file("pictures.yaml", &STUDY.replace("epochs: 1", "epochs: 100000"));
    for root in ["one", "other", "none"] {
        pictures(&env.path(root).join("data"));
    }
    fs::remove_dir_all(env.path("none/data/test/b")).unwrap();
    fs::write(env.path("other/data/train/a/2.png"), PICTURE).unwrap();
    let worker = |name: &str| {
        let words = ["worker", "--listen-http", "off", "--slots", "1", "--name", name, "--coordinator", &env.address()];
        let mut command = env.command(words);
        command.arg("--state-dir").arg(env.path(&format!("{name}.state"))).arg("--data-root").arg(env.path(name));
        let process = env.start(name, &mut command);
        env.until_log(name, "registered");
        process
    };
    let sweep = env.submit(&spec);
    let _one = worker("one");
    let mut watched = env.watch(sweep);
    watched.until_sweep("its trial runs on the first worker", |sweep| sweep["running"][0]["worker"] == "one");
    let (_other, _none) = (worker("other"), worker("none"));
    for (name, why) in [("other", "the sweep is pinned to other data"), ("none", "class b is in")] {
        env.until_log(name, "a sweep does not use this worker");
        assert!(env.log(name).contains(why), "{}", env.log(name));
    }
    let listed = env.sweepctl(["workers", "--output", "json"]).expect_code(0).json();
    let left_out = |name: &str| {
        let workers = listed["workers"].as_array().unwrap();
        let worker = workers.iter().find(|worker| worker["name"] == name).unwrap();
        worker["left_out"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["reason"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(left_out("one").is_empty(), "{listed}");
    assert!(left_out("other")[0].contains("pinned") && left_out("none")[0].contains("class b"), "{listed}");
    let status = env.sweepctl(["status", &sweep.to_string(), "--output", "json"]).expect_code(0).json();
    assert_eq!(status["leaves_out"].as_array().map(Vec::len), Some(2), "{status}");
    assert_eq!(status["unplaceable"], Value::Null, "one worker has the data: {status}");
    let doctor = env.sweepctl(["doctor", "--output", "json"]).stdout;
    for name in ["other", "none"] {
        assert!(doctor.contains(&format!("sweep {sweep} does not use worker {name}")), "{doctor}");
    }
    let coordinator = env.log("coordinator");
    assert!(
        coordinator.contains("a sweep does not use a worker") && coordinator.contains("cannot read a data set"),
        "{coordinator}"
    );
}

#[test]
fn a_fleet_whose_workers_all_lack_the_data_says_so_in_its_status() {
    let (env, spec) = damaged(|env| fs::remove_dir_all(env.path("data")).unwrap());
    let _coordinator = env.coordinator().start();
    let _worker = env.worker("w1").slots(1).start();
    let sweep = env.submit(&spec);
    let mut watched = env.watch(sweep);
    let status = watched.until_sweep("it says why nothing runs", |sweep| sweep["unplaceable"].is_object());
    assert_eq!(
        (&status["unplaceable"]["worker"], &status["unplaceable"]["failure"]["class"]),
        (&"w1".into(), &"data".into())
    );
    let text = env.sweepctl(["status", &sweep.to_string()]).expect_code(0).stdout;
    assert!(text.contains("data does not exist"), "{text}");
}
