//! Runs the job script with a real worker, and with replacements for the two Slurm programs that it calls.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sweep_coordinator::Config;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::files::{root, text};

/// A program of a shell's words.
fn program(path: &Path, words: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{words}\n")).expect("the folder can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it can be made a program");
}

/// A running job, in a folder with the replacements.
struct Job {
    folder: TempDir,
    child: Child,
    log: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Job {
    /// One that Slurm queued again has the number, and so the state folder, of the one before.
    fn start(coordinator: &str, state: &str, state_root: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        program(&at("worker"), &format!("exec {} worker \"$@\"", env!("CARGO_BIN_EXE_sweepctl")));
        program(&at("squeue"), &format!("echo {state}"));
        program(&at("scontrol"), &format!("echo \"$@\" >> {}", at("scontrol.log").display()));
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.arg(root().join("deploy/slurm/workers.sh")).env("PATH", path);
        command.envs([("SLURM_JOB_ID", "42"), ("SLURM_ARRAY_JOB_ID", "40"), ("SLURM_ARRAY_TASK_ID", "2")]);
        command.env("SWEEP_WORKER_PROGRAM", at("worker")).env("SWEEP_WORKER_STATE_ROOT", state_root);
        command.env("SWEEP_WORKER_COORDINATOR", coordinator).env("SWEEP_WORKER_DATA_ROOT", folder.path());
        command.env("SWEEP_WORKER_SLOTS", "1").env("XDG_CACHE_HOME", at("cache")).env("NO_COLOR", "1");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("bash starts");
        let log = BufReader::new(child.stderr.take().expect("its log is ours")).lines();
        Self { folder, child, log }
    }

    fn until(&mut self, words: &str) {
        let said = self.log.by_ref().map_while(Result::ok).any(|line| line.contains(words));
        assert!(said, "the job ended without having said {words:?}");
    }

    /// Signals the job's shell, as `--signal=B:` does, and returns the job's calls to Slurm.
    fn end(mut self, signal: Signal) -> String {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
        self.until("worker ended");
        let status = self.child.wait().expect("it is ours");
        assert_eq!(status.code(), Some(0));
        std::fs::read_to_string(self.folder.path().join("scontrol.log")).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_time_is_up_leaves_and_is_queued_again_and_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let any = || Some("127.0.0.1:0".to_owned());
    let store = Some(folder.path().join("sweep.db").display().to_string());
    let args = sweep_coordinator::Args { store, listen: any(), listen_http: any(), ..Default::default() };
    let end = CancellationToken::new();
    let config = Config::from_layers(&args, []).expect("it is right");
    let coordinator = sweep_coordinator::start(config, end.clone()).await.expect("it starts");
    let address = format!("http://{}", coordinator.grpc_address());
    for (signal, state, asked) in
        [(Signal::TERM, "RUNNING", "requeue 42\n"), (Signal::TERM, "COMPLETING", ""), (Signal::USR1, "RUNNING", "")]
    {
        let (address, state_root) = (address.clone(), folder.path().join("state"));
        let told = tokio::task::spawn_blocking(move || {
            let mut job = Job::start(&address, state, &state_root);
            job.until("registered");
            job.end(signal)
        });
        assert_eq!(told.await.expect("no panic"), asked, "{signal:?} while Slurm says {state}");
    }
    coordinator.stop().await;
}

#[test]
fn the_worker_has_gone_before_slurm_kills_the_job() {
    let script = text("deploy/slurm/workers.sh");
    let number = |before: &str| -> u64 {
        let (_, rest) = script.split_once(before).unwrap_or_else(|| panic!("no {before}"));
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let notice = number("--signal=B:TERM@");
    let (grace, leaving) = (number("TRAINER_GRACE_SECONDS="), number("SHUTDOWN_SECONDS="));
    assert!(grace < leaving && leaving < notice, "{grace} {leaving} {notice}");
    assert!(script.contains("#SBATCH --requeue") && script.contains("#SBATCH --gres=gpu:1"));
}
