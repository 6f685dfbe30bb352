//! The environment of a trainer. A worker's environment contains its token, and often credentials of clouds and other
//! services. A trainer runs code that the worker's owner did not write, so it gets only the variables of this list.
//! `PROTOCOL.md` has the same list for authors of trainers, and `default.yaml` describes it for owners of workers.
//! Tests compare them.

use std::ffi::OsString;

/// Variables for finding programs, libraries and caches, and for text output.
const NAMES: &[&str] = &[
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "GPU_DEVICE_ORDINAL",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "RUST_MIN_STACK",
    "SWEEP_LOG",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];

/// Prefixes: languages, devices and their libraries, thread counts, memory allocators.
const FAMILIES: &[&str] = &[
    "BLIS_",
    "CUBECL_",
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "GOMP_",
    "HIP_",
    "HSA_",
    "JAX_",
    "KMP_",
    "LC_",
    "MALLOC_",
    "MIOPEN_",
    "MKL_",
    "NCCL_",
    "NUMEXPR_",
    "NVIDIA_",
    "OMP_",
    "OPENBLAS_",
    "PYTHON",
    "PYTORCH_",
    "RAYON_",
    "ROCM_",
    "ROCR_",
    "TORCH_",
    "VECLIB_",
    "XLA_",
];

/// Parts of names that indicate a secret, such as `NVIDIA_API_KEY`; a prefix does not let them through.
const SECRET_PARTS: &[&str] = &["CREDENTIAL", "KEY", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "TOKEN"];

/// Prefix of the variables of Sweep's own programs, such as a coordinator's store and tokens, or a worker's token. A
/// trainer gets those of `NAMES`, and no setting adds another.
const OWN_PREFIX: &str = "SWEEP_";

/// The problem of a name in `trainer_environment`, if it is invalid.
pub(crate) fn problem(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic() && c != '=' && c != '*';
    let stem = name.strip_suffix('*').unwrap_or(name);
    if stem.is_empty() || !stem.chars().all(plain) {
        return Some(format!("expected a variable's name, or its beginning and `*` as in WANDB_*; found {name:?}"));
    }
    let own = stem.starts_with(OWN_PREFIX) && !NAMES.contains(&name);
    own.then(|| {
        format!(
            "{name} cannot be added, because {OWN_PREFIX}* are variables of coordinators and workers and may contain \
             their secrets: use a variable with another name"
        )
    })
}

/// The variables of this process that a trainer gets; `more` is the setting `trainer_environment`.
pub fn of_trainers(more: &[String]) -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| is_given(name, more))).collect()
}

/// Names of the variables that a trainer does not get.
pub(crate) fn withheld(more: &[String]) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| !is_given(name, more)).collect()
}

fn is_given(name: &str, more: &[String]) -> bool {
    if NAMES.contains(&name) {
        return true;
    }
    // A prefix that matches them, such as `S*`, does not add them.
    if name.starts_with(OWN_PREFIX) {
        return false;
    }
    if more.iter().any(|added| added == name) {
        return true;
    }
    let added = more.iter().filter_map(|added| added.strip_suffix('*'));
    let in_a_family = FAMILIES.iter().copied().chain(added).any(|family| name.starts_with(family));
    in_a_family && !sounds_secret(name)
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_trainer_gets_what_it_runs_with_and_nothing_that_is_secret() {
        for name in
            ["PATH", "HOME", "LC_ALL", "TZ", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS"]
        {
            assert!(is_given(name, &[]), "{name}");
        }
        for name in [
            "SWEEP_WORKER_TOKEN",
            "SWEEP_TOKEN",
            "SWEEP_COORDINATOR_STORE",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "AZURE_STORAGE_KEY",
            "NVIDIA_API_KEY",
            "PYTHON_KEYRING_PASSWORD",
            "HF_TOKEN",
            "SSH_AUTH_SOCK",
            "HTTPS_PROXY",
            "KUBECONFIG",
            "PATHS",
            "",
        ] {
            assert!(!is_given(name, &[]), "{name}");
        }
    }

    #[test]
    fn the_owner_adds_names_and_beginnings_of_names_but_no_variable_of_sweeps_programs() {
        let more = ["HF_HOME", "WANDB_*", "MY_API_KEY", "S*", "SWEEP_*", "SWEEP_COORDINATOR_STORE"].map(str::to_owned);
        for name in ["HF_HOME", "WANDB_MODE", "SLURM_JOB_ID", "SWEEP_LOG"] {
            assert!(is_given(name, &more), "{name}");
        }
        assert!(is_given("MY_API_KEY", &more), "an exact name is the owner's decision");
        for name in [
            "HF_HOME_2",
            "WANDB_API_KEY",
            "SWEEP_COORDINATOR",
            "SWEEP_COORDINATOR_STORE",
            "SWEEP_COORDINATOR_LISTEN",
            "SWEEP_WORKER_CHECKPOINT_STORE",
            "SWEEP_WORKER_NAME",
            "SWEEP_WORKER_TOKEN",
            "SWEEP_WORKER_TOKEN_FILE",
            "SWEEP_TOKEN",
        ] {
            assert!(!is_given(name, &more), "{name}");
        }
    }

    #[test]
    fn a_wrong_name_is_a_problem() {
        for name in ["", "*", "A=B", "A B", "A*B", "A**"] {
            assert!(problem(name).is_some_and(|text| text.contains("expected a variable's name")), "{name:?}");
        }
        for name in ["SWEEP_*", "SWEEP_WORKER_TOKEN", "SWEEP_TOKEN", "SWEEP_COORDINATOR_STORE", "SWEEP_COORDINATOR_*"] {
            let text = problem(name).unwrap_or_default();
            assert!(text.starts_with(&format!("{name} cannot be added")), "{name}: {text}");
        }
        for name in ["A", "WANDB_*", "http_proxy", "SWEEP_LOG"] {
            assert_eq!(problem(name), None);
        }
    }

    /// The texts between backticks.
    fn quoted(text: &str) -> BTreeSet<&str> {
        text.split('`').skip(1).step_by(2).collect()
    }

    #[test]
    fn the_trainers_protocol_lists_the_same_variables() {
        let protocol = include_str!("../trainer/PROTOCOL.md");
        let (_, section) = protocol.split_once("\n## Environment\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let rows: String = section.lines().filter(|line| line.starts_with('|')).collect();
        let families: Vec<String> = FAMILIES.iter().map(|family| format!("{family}*")).collect();
        let given: BTreeSet<&str> = NAMES.iter().copied().chain(families.iter().map(String::as_str)).collect();
        assert_eq!(quoted(&rows), given);
        let text: String = section.lines().filter(|line| !line.starts_with('|')).collect();
        for word in SECRET_PARTS {
            assert!(quoted(&text).contains(word), "{word} is not in PROTOCOL.md");
        }
    }

    #[test]
    fn the_default_file_describes_the_same_variables() {
        let (before, _) = crate::config::DEFAULT_YAML.split_once("\ntrainer_environment:").unwrap();
        let (_, comment) = before.rsplit_once("\n\n").unwrap();
        let words = comment.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '*');
        let words: BTreeSet<&str> = words.filter(|word| word.chars().any(|c| c.is_ascii_uppercase())).collect();
        for word in SECRET_PARTS.iter().copied().chain(["SWEEP_*"]) {
            assert!(words.contains(word), "{word} is not in the comment");
        }
        let example = ["HF_HOME", "WANDB_*", "SWEEP_*"];
        for word in words.iter().filter(|word| word.contains('_') || word.ends_with('*')) {
            let family = word.strip_suffix('*').is_some_and(|family| FAMILIES.contains(&family));
            assert!(family || NAMES.contains(word) || example.contains(word), "{word} is in the comment alone");
        }
    }
}
