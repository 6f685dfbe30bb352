//! Compares `deploy/` and its documentation with the programs: ports, paths, flags, variables, keys and metrics.
//! `ci/deploy` compares the same files with Kubernetes.

#![expect(clippy::expect_used, reason = "a test that cannot go on should stop there")]

mod backup;
mod commands;
mod configurations;
mod files;
mod hints;
mod jobs;
mod lifetimes;
mod manifests;
mod metrics;
mod migration;
mod ports;
mod slurm;
mod variables;

/// Fails with every problem, one a line.
#[track_caller]
fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}
