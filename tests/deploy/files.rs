//! The files to check, found by walking the folders, so that new ones are checked too.

use std::path::{Path, PathBuf};

use serde_yaml::Value;

/// A file of `deploy/` or about it.
pub(crate) struct File {
    /// Below the repository's root.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl File {
    #[cfg(test)]
    pub(crate) fn planted(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned() }
    }
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// All files for users or programs, and the pages about them.
pub(crate) fn all() -> Vec<File> {
    let mut paths = Vec::new();
    walk(&root().join("deploy"), &mut paths);
    paths.extend(["docs/deploy.md", "docs/runbook.md"].map(|page| root().join(page)));
    // `ci/deploy` renders the chart with many values; without it, the plain manifests are what the chart comes to.
    if let Some(folder) = std::env::var_os("SWEEP_DEPLOY_RENDERED") {
        walk(Path::new(&folder), &mut paths);
    }
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        std::fs::read_to_string(&path).ok().map(|text| File { name, text })
    };
    paths.into_iter().filter_map(read).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => walk(&path, found),
            false => found.push(path),
        }
    }
}

/// The objects of every manifest, as `kubectl` would get them.
pub(crate) fn objects() -> Vec<(String, Value)> {
    let manifest = |file: &File| {
        let plain = file.name.starts_with("deploy/kubernetes/") && !file.name.ends_with("values.yaml");
        (plain || file.name.contains("deploy-rendered/")) && file.name.ends_with(".yaml")
    };
    let files = all().into_iter().filter(manifest);
    files.flat_map(|file| documents(&file.text).into_iter().map(move |value| (file.name.clone(), value))).collect()
}

/// The documents of a YAML file.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let read = |document| serde::Deserialize::deserialize(document).expect("a manifest is YAML");
    serde_yaml::Deserializer::from_str(text).map(read).filter(|value: &Value| value.get("kind").is_some()).collect()
}

pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Words of letters, digits and underscores that begin with `prefix`.
pub(crate) fn words<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(part).filter(move |word| word.starts_with(prefix) && word.len() > prefix.len())
}

#[test]
fn what_is_walked_is_there() {
    let names: Vec<String> = all().into_iter().map(|file| file.name).collect();
    for part in
        ["deploy/helm/sweep/values.yaml", "deploy/compose/compose.yaml", "deploy/slurm/workers.sh", "docs/deploy.md"]
    {
        assert!(names.iter().any(|name| name == part), "{part} is not among {names:?}");
    }
    assert!(objects().len() > 30, "{}", objects().len());
}
