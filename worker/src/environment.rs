//! The environment of a trainer. A worker's own environment holds its token, and often credentials of clouds and of other
//! services. A trainer runs code that the worker's owner did not write, so it gets the variables of this list and no others.

use std::ffi::OsString;

/// Variables that a program needs to be found, to find its libraries and its caches, and to write text.
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

/// Beginnings of names: languages, devices and their libraries, numbers of threads, memory allocators.
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

/// Parts of names that tell a secret, such as `NVIDIA_API_KEY`: a family does not let them through.
const SECRET_PARTS: &[&str] = &["CREDENTIAL", "KEY", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "TOKEN"];

/// Variables that show who the worker is. No setting gives them to a trainer.
const WORKERS_OWN: &[&str] = &["SWEEP_TOKEN", "SWEEP_WORKER_TOKEN"];

/// What is wrong with a name that the worker's owner adds, if anything.
pub(crate) fn problem(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic() && c != '=' && c != '*';
    let stem = name.strip_suffix('*').unwrap_or(name);
    if stem.is_empty() || !stem.chars().all(plain) {
        return Some(format!("expected a variable's name, or its beginning and `*` as in WANDB_*; found {name:?}"));
    }
    // A pattern that fits one of them passes over it.
    WORKERS_OWN.contains(&name).then(|| format!("{name} holds the worker's own token, which no trainer gets"))
}

/// The variables of this process that a trainer gets; `more` are names that the worker's owner adds.
pub fn of_trainers(more: &[String]) -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| is_given(name, more))).collect()
}

/// Names of the variables of this process that a trainer does not get.
pub(crate) fn withheld(more: &[String]) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| !is_given(name, more)).collect()
}

fn is_given(name: &str, more: &[String]) -> bool {
    if WORKERS_OWN.contains(&name) {
        return false;
    }
    if NAMES.contains(&name) || more.iter().any(|added| added == name) {
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
    fn the_owner_adds_names_and_beginnings_of_names_but_not_the_token() {
        let more = ["HF_HOME", "WANDB_*", "MY_API_KEY", "SWEEP_*"].map(str::to_owned);
        for name in ["HF_HOME", "WANDB_MODE", "SWEEP_WORKER_NAME"] {
            assert!(is_given(name, &more), "{name}");
        }
        assert!(is_given("MY_API_KEY", &more), "an exact name is the owner's decision");
        for name in ["HF_HOME_2", "WANDB_API_KEY", "SWEEP_WORKER_TOKEN", "SWEEP_TOKEN", "SWEEP_WORKER_TOKEN_FILE"] {
            assert!(!is_given(name, &more), "{name}");
        }
    }

    #[test]
    fn a_wrong_name_is_a_problem() {
        for name in ["", "*", "A=B", "A B", "A*B", "A**", "SWEEP_WORKER_TOKEN", "SWEEP_TOKEN"] {
            assert!(problem(name).is_some(), "{name:?}");
        }
        for name in ["A", "WANDB_*", "http_proxy"] {
            assert_eq!(problem(name), None);
        }
    }
}
