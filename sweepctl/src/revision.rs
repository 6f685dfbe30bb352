//! The git revision of a spec's folder, from the installed `git`. Without git or a repository there is no revision, and
//! no error.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::study::folder_of;

/// The revision of the folder of `file`, with `-dirty` if tracked files in it have changed.
pub(crate) fn of(file: &Path) -> Option<String> {
    // stdin has no folder.
    if file.as_os_str() == "-" {
        return None;
    }
    let folder = folder_of(file);
    let revision = git(folder, &["rev-parse", "--verify", "HEAD"])?;
    let revision = revision.trim();
    if revision.len() < 40 || !revision.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let changed = git(folder, &["status", "--porcelain", "--untracked-files=no", "--", "."])?;
    // An untracked spec does not belong to the revision.
    let unknown = git(folder, &["ls-files", "--error-unmatch", "--", file.file_name()?.to_str()?]).is_none();
    let dirty = if changed.trim().is_empty() && !unknown { "" } else { "-dirty" };
    Some(format!("{revision}{dirty}"))
}

/// Variables that git gets. A repository's settings can make git run programs, which must not get our token; and
/// variables of a hook that called us would select another repository.
const VARIABLES: [&str; 11] = [
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "HOME",
    "LD_LIBRARY_PATH",
    "PATH",
    "TMPDIR",
    "XDG_CONFIG_HOME",
];

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let given = VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(given).env("GIT_OPTIONAL_LOCKS", "0");
    // A file monitor is a program that the repository's own settings name.
    command.args(["-c", "core.fsmonitor=false", "-C"]).arg(folder).args(arguments);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use sweep_require::Part;

    use super::*;

    fn run(folder: &Path, arguments: &[&str]) -> bool {
        let person = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
        git(folder, &[&person, arguments].concat()).is_some()
    }

    #[test]
    fn a_folder_has_the_revision_that_git_says_and_is_dirty_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("spec.yaml");
        std::fs::write(&spec, "version: 1").unwrap();
        assert_eq!(of(&spec), None, "no repository");
        if !run(folder.path(), &["init", "-q"]) {
            return sweep_require::skip(Part::Git, "git init fails here");
        }
        assert_eq!(of(&spec), None, "no revision yet");
        assert!(run(folder.path(), &["add", "."]) && run(folder.path(), &["commit", "-q", "-m", "one"]));
        let clean = of(&spec).unwrap();
        assert_eq!(clean.len(), 40);
        std::fs::write(&spec, "version: 2").unwrap();
        assert_eq!(of(&spec), Some(format!("{clean}-dirty")));
        assert!(run(folder.path(), &["checkout", "-q", "."]));
        assert_eq!(of(&spec), Some(clean.clone()));
        let other = folder.path().join("other.yaml");
        std::fs::write(&other, "").unwrap();
        assert_eq!(
            (of(&other), of(&spec)),
            (Some(format!("{clean}-dirty")), Some(clean)),
            "one that git does not know"
        );
        assert_eq!(of(Path::new("-")), None);
    }
}
