//! Facts about the build of a program.

/// The git revision of the build, if the build set `SWEEP_BUILD_REVISION`.
pub const REVISION: Option<&str> = option_env!("SWEEP_BUILD_REVISION");

/// A package's version with the revision of the build: `0.1.0`, or `0.1.0 (4f2a9c1)`.
pub fn version(package: &str) -> String {
    REVISION.map_or_else(|| package.to_owned(), |revision| format!("{package} ({revision})"))
}
