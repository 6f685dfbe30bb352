//! Tests of what a trainer can read beyond its input.

use sweep_proto::v1::PollResponse;
use sweep_proto::v1::finish_request::Ending;
use sweep_spec::protocol::KeepWeights;

use crate::coordinator::MAX_ARTIFACT_BYTES;
use crate::env::{Env, assignment_of, trial};

/// Cargo sets this variable for a test; here it acts as a secret of the worker's owner.
const SECRET: &str = "CARGO_MANIFEST_DIR";
const ADDED: &str = "CARGO_PKG_NAME";

/// Lists its environment and its open files.
const LOOK: &str = r#"
env > $DIR/environment
for file in /proc/$$/fd/*; do readlink $file || :; done > $DIR/descriptors
whole"#;

#[tokio::test]
async fn a_trainer_finds_no_secret_in_its_environment_and_none_of_its_workers_files_open() {
    let mut env = Env::new(LOOK);
    env.config.trainer_environment = vec![ADDED.to_owned()];
    // As a shell passes it to a worker that it starts with `--token-file /dev/fd/3 3< token`.
    std::fs::write(env.folder.path().join("token"), "a secret").unwrap();
    let inherited = std::fs::File::open(env.folder.path().join("token")).unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
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
    // Its stdin, stdout and stderr, and the files that the shell opens itself.
    let descriptors = read("descriptors");
    let of_the_shell = |line: &&str| line.ends_with("/trainer.sh") || line.ends_with("/descriptors");
    let others: Vec<&str> = descriptors.lines().filter(|line| !of_the_shell(line)).collect();
    let pipes: std::collections::BTreeSet<&str> = others.iter().copied().collect();
    assert!(pipes.len() == 3 && pipes.iter().all(|line| line.starts_with("pipe:[")), "{descriptors}");
    // The tests of attacks in `tests/attacks` check the effect with real processes.
    #[cfg(target_os = "linux")]
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
}

/// Writes, trial by trial: a link to a secret, a pipe, a link in place of its folder, a file that is too large, and one
/// of the largest size.
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
