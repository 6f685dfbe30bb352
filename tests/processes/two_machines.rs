//! README's "Two machines", line by line: each machine is a folder, each terminal has its variables, and `scp` copies
//! between folders. Names, ports, the data and the study are replaced; everything else runs as written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::env::{Env, Process, root, study};

/// The lines of the first code block under a heading of a page, with continued lines joined.
fn boxed(page: &str, heading: &str) -> Vec<String> {
    let page = page.replace("\\\n", " ");
    let section = page.split_once(&format!("## {heading}\n")).expect("the heading is there").1;
    let text = section.split("```").nth(1).expect("a box is there");
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The machine and the terminal that a comment names.
fn place(comment: &str) -> (&'static str, &'static str) {
    let known = [
        ("# On the first machine", ("first-machine", "first")),
        ("# In a second terminal on the first machine", ("first-machine", "second")),
        ("# On each machine with a GPU", ("gpu-machine", "third")),
        ("# In the second terminal again", ("first-machine", "second")),
    ];
    let found = known.into_iter().find(|(words, _)| comment.starts_with(words));
    found.unwrap_or_else(|| panic!("where is {comment:?}? this test has to be told")).1
}

/// Types the lines of the code block.
struct Reader<'a> {
    env: &'a Env,
    /// The exported variables of each terminal.
    variables: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Texts of the code block and their replacements.
    replaced: Vec<(&'static str, String)>,
    /// Processes that keep their terminal.
    running: Vec<Process>,
}

impl<'a> Reader<'a> {
    fn new(env: &'a Env) -> Self {
        for folder in ["first-machine", "gpu-machine", "data", "bin"] {
            std::fs::create_dir(env.path(folder)).expect("a folder");
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sweepctl"), env.path("bin/sweepctl")).expect("a link");
        // Between machines, `scp FILE... MACHINE:` keeps modes with -p as `cp` does.
        let scp = env.file("bin/scp", "#!/bin/bash\nlast=${!#}\nexec cp \"${@:1:$#-1}\" \"$MACHINES/${last%:}/\"\n");
        std::fs::set_permissions(&scp, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
        let spec = env.file("ablation.yaml", &study("scene-cnn", 1, &[2, 4], &[0, 1]));
        let data = env.path("data").display().to_string();
        let replaced = vec![
            ("--host first-machine", "--host localhost".to_owned()),
            ("https://first-machine", "https://localhost".to_owned()),
            // A free port: which one it is, the coordinator says.
            ("0.0.0.0:7733", "0.0.0.0:0".to_owned()),
            ("0.0.0.0:7734", "0.0.0.0:0".to_owned()),
            ("/data", data),
            ("sweeps/ablation.yaml", spec),
        ];
        Self { env, variables: BTreeMap::new(), replaced, running: Vec::new() }
    }

    fn type_in(&mut self, (machine, terminal): (&'static str, &'static str), line: &str) {
        let line = self.replaced.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
        if let Some(assignments) = line.strip_prefix("export ") {
            let pairs = assignments.split(' ').map(|pair| pair.split_once('=').expect("NAME=VALUE"));
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            self.variables.entry(terminal).or_default().extend(pairs);
            return;
        }
        let mut command = self.command(&self.env.path(machine), &line);
        command.envs(self.variables.get(terminal).into_iter().flatten());
        let verb = line.split(' ').nth(1).unwrap_or_default();
        let name = format!("{machine} {verb}");
        let mut process = self.env.start(&name, &mut command);
        match verb {
            "coordinator" => {
                let ready = process.until("it was ready", |line| line.strip_prefix("ready ").map(str::to_owned));
                let port = |name: &str| {
                    let address = ready.split(' ').find_map(|word| word.strip_prefix(name)).expect("an address");
                    let (host, port) = address.rsplit_once(':').expect("a port");
                    assert_eq!(host, "0.0.0.0", "other machines reach it");
                    port.to_owned()
                };
                let grpc = port("grpc=");
                port("http=");
                self.replaced.push(("localhost:7733", format!("localhost:{grpc}")));
                self.running.push(process);
            }
            "worker" => {
                self.env.until_log(&name, "registered");
                self.running.push(process);
            }
            _ => {
                let status = process.wait();
                assert!(status.success(), "`{line}` on {machine} ended with {status}: {}", self.env.log(&name));
            }
        }
    }

    /// A line as a shell takes it, in a machine's folder.
    fn command(&self, folder: &Path, line: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("exec {line}")]).current_dir(folder).stdin(std::process::Stdio::null());
        let plain = self.env.command(["--version"]);
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [self.env.path("bin")].into_iter().chain(std::env::split_paths(&path).collect::<Vec<PathBuf>>());
        let path: OsString = std::env::join_paths(folders).expect("a path");
        // Two tests must not want one port for metrics.
        command.env("PATH", path).env("MACHINES", self.env.path("")).env("SWEEP_WORKER_LISTEN_HTTP", "off");
        command
    }
}

#[test]
fn the_two_machines_of_the_readme_work_line_by_line() {
    let env = Env::new();
    let page = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut reader = Reader::new(&env);
    let mut here = None;
    let mut verbs = Vec::new();
    for line in boxed(&page, "Two machines") {
        if line.starts_with('#') {
            here = Some(place(&line));
        } else {
            verbs.push(line.split(' ').take(2).collect::<Vec<_>>().join(" "));
            reader.type_in(here.expect("a comment says where"), &line);
        }
    }
    for verb in ["sweepctl certs", "sweepctl coordinator", "sweepctl worker", "sweepctl submit", "sweepctl leaderboard"]
    {
        assert!(verbs.iter().any(|typed| typed == verb), "{verb} is in the box: {verbs:?}");
    }
    let token = std::fs::metadata(env.path("gpu-machine/worker.token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o777, 0o600, "the worker's token is for its owner alone");
}
