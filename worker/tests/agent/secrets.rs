//! What a trainer finds when it looks for more than it was given.

use sweep_proto::v1::PollResponse;
use sweep_proto::v1::finish_request::Ending;
use sweep_spec::protocol::KeepWeights;

use crate::coordinator::MAX_ARTIFACT_BYTES;
use crate::env::{Env, assignment_of, trial};

/// Cargo sets these for a test; here each is a secret of the worker's owner.
const SECRET: &str = "CARGO_MANIFEST_DIR";
const ADDED: &str = "CARGO_PKG_NAME";

/// Looks at its environment and its open files.
const LOOK: &str = r#"
env > $DIR/environment
for file in /proc/$$/fd/*; do readlink $file; done > $DIR/descriptors
whole"#;

#[tokio::test]
async fn a_trainer_finds_no_secret_in_its_environment_and_none_of_its_workers_files_open() {
    let mut env = Env::new(LOOK);
    env.config.trainer_environment = vec![ADDED.to_owned()];
    let worker = env.start().await;
    let lease = env.assign(1);
    let finish = env.coordinator.finish(&lease).await;
    assert!(matches!(finish.ending, Some(Ending::Result(_))), "{:?}", finish.ending);
    worker.stop().await.unwrap();
    let read = |name: &str| std::fs::read_to_string(env.folder.path().join(name)).unwrap_or_default();
    let environment = read("environment");
    let has = |name: &str| environment.lines().any(|line| line.starts_with(&format!("{name}=")));
    assert!(has("PATH") && has("CUDA_DEVICE_ORDER") && has("RAYON_NUM_THREADS") && has(ADDED), "{environment}");
    assert!(std::env::var_os(SECRET).is_some() && !has(SECRET), "{environment}");
    let (descriptors, state) = (read("descriptors"), env.config.state_folder());
    assert!(descriptors.contains("pipe:") && !descriptors.contains(state.to_str().unwrap()), "{descriptors}");
    // What that is good for is tried with real processes, which the program's tests of attacks start.
    #[cfg(target_os = "linux")]
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
}

/// Leaves, trial by trial: a link to a secret, a pipe, a link in place of its folder, a file that is too large, and one that
/// is as large as may be.
const LEAVE: &str = r#"
echo >> $DIR/trials
weights=$folder/weights.safetensors
case $(wc -l < $DIR/trials) in
  1) ln -s $DIR/secret $weights ;;
  2) mkfifo $weights ;;
  3) rmdir $folder; mkdir $DIR/other; cp $DIR/secret $DIR/other/weights.safetensors; ln -s $DIR/other $folder ;;
  4) head -c 1001 /dev/zero > $weights ;;
  5) head -c 1000 /dev/zero > $weights ;;
esac
whole"#;

#[tokio::test]
async fn a_worker_hands_in_plain_files_of_its_trainer_and_nothing_that_they_lead_to() {
    let env = Env::new(LEAVE);
    std::fs::write(env.folder.path().join("secret"), "a secret").unwrap();
    let worker = env.start().await;
    for seed in 1..=5 {
        let mut trial = trial(seed);
        trial.protocol.keep_weights = KeepWeights::All;
        let (lease, start) = assignment_of(&trial);
        env.coordinator.say(PollResponse { start: vec![start], ..PollResponse::default() });
        let finish = env.coordinator.finish(&lease).await;
        assert!(matches!(finish.ending, Some(Ending::Result(_))), "{:?}", finish.ending);
    }
    worker.stop().await.unwrap();
    let state = env.coordinator.state();
    let lengths: Vec<_> = state.artifacts.iter().map(|(_, content)| content.len()).collect();
    assert_eq!(lengths, [MAX_ARTIFACT_BYTES as usize], "{:?}", state.artifacts);
    assert!(env.folder.path().join("other/weights.safetensors").exists(), "what a link leads to is not removed");
}
