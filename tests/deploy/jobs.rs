//! Runs the commands of Jobs here, with folders of this machine in place of their volumes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The mounted folders and the variables of a pod.
pub(crate) struct Machine {
    /// The mount point in the pod, and the folder here.
    pub(crate) folders: Vec<(&'static str, PathBuf)>,
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Machine {
    pub(crate) fn make_folders(&self) {
        for (_, folder) in &self.folders {
            std::fs::create_dir_all(folder).expect("the folder can be made");
        }
    }

    /// Runs a container's command.
    pub(crate) fn run(&self, words: &[String]) -> Output {
        let here = |word: &String| {
            let mut word = word.replace("/usr/local/bin/sweepctl", env!("CARGO_BIN_EXE_sweepctl"));
            for (name, value) in &self.variables {
                word = word.replace(&format!("$({name})"), value);
            }
            for (mounted, folder) in &self.folders {
                word = word.replace(mounted, &folder.display().to_string());
            }
            word
        };
        let words: Vec<String> = words.iter().map(here).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.output().expect("the command starts")
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, words: &[String]) {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Copies a file or a folder.
    pub(crate) fn copy(&self, from: &Path, to: &Path) {
        let status = Command::new("cp").arg("-R").args([from, to]).status();
        assert!(status.expect("cp starts").success(), "{} is copied", from.display());
    }

    /// Fails unless the folders have the same files.
    #[track_caller]
    pub(crate) fn same(&self, one: &Path, other: &Path) {
        let output = Command::new("diff").arg("-r").args([one, other]).output().expect("diff starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
