//! Whether the data set of a spec lies where a trainer looks for it. A look at folders and names: what is in the pictures,
//! `sweepctl data check` says.

use std::path::Path;

use sweep_shapes::text::plural;
use sweep_spec::dataset::{Classes, Dataset, Source};

use super::Check;

/// The files of the MNIST family: each with a dash or a dot, gzipped or not.
const IDX: [&str; 4] = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];
const CIFAR: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const NAME: &str = "data set";

pub(super) fn look(dataset: &Dataset, root: &Path) -> Check {
    let place = match &dataset.source {
        Source::SyntheticScenes { .. } => return Check::ok(NAME, "drawn scenes: no file is needed"),
        Source::ImageFolder { path, .. } | Source::Idx { path } | Source::Cifar10 { path } => root.join(path),
    };
    let advice = "--data-root FOLDER names the folder that `dataset.path` lies in";
    if !root.is_dir() {
        return Check::wrong(NAME, format!("the data root {} is no folder", root.display()), advice);
    }
    if !place.is_dir() {
        return Check::wrong(NAME, format!("{} is not there", place.display()), advice);
    }
    let missing = match &dataset.source {
        Source::SyntheticScenes { .. } => None,
        Source::Idx { .. } => files(&place, &IDX, &idx_names),
        Source::Cifar10 { .. } => files(&place, &CIFAR, &|name| vec![name.to_owned()]),
        Source::ImageFolder { test_split: Some(_), .. } => classes(&place, &dataset.classes).err(),
        Source::ImageFolder { test_split: None, .. } => parts(&place, &dataset.classes).err(),
    };
    match missing {
        None => Check::ok(NAME, format!("{} is there; `sweepctl data check` looks at every image", place.display())),
        Some(missing) => {
            let advice = "sweeps/README.md says how each kind of data set lies in its folder";
            Check::wrong(NAME, format!("{}: {missing}", place.display()), advice)
        }
    }
}

fn idx_names(name: &str) -> Vec<String> {
    let plain = format!("{name}-ubyte");
    let dotted = plain.replace("-idx", ".idx");
    [plain, dotted].iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).collect()
}

/// Names of files that are not there, of which each may have several.
fn files(place: &Path, wanted: &[&str], names: &dyn Fn(&str) -> Vec<String>) -> Option<String> {
    let there = |name: &&&str| names(name).iter().any(|name| place.join(name).is_file());
    let missing: Vec<&str> = wanted.iter().filter(|name| !there(name)).copied().collect();
    (!missing.is_empty()).then(|| format!("it lacks {}", missing.join(", ")))
}

fn parts(place: &Path, wanted: &Classes) -> Result<(), String> {
    for part in ["train", "test"] {
        let folder = place.join(part);
        if !folder.is_dir() {
            return Err(format!("it has no folder `{part}` (with one folder of classes alone, `test_split` parts it)"));
        }
        classes(&folder, wanted).map_err(|why| format!("{part}: {why}"))?;
    }
    Ok(())
}

/// Whether a folder has the classes of a spec as folders.
fn classes(folder: &Path, wanted: &Classes) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("it cannot be read: {error}"))?;
    let hidden = |name: &str| name.starts_with('.');
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !hidden(name))
        .collect();
    found.sort_unstable();
    match wanted {
        Classes::Count(count) if found.len() as u64 == u64::from(*count) => Ok(()),
        Classes::Count(count) => {
            let has = plural(found.len() as u64, "folder");
            Err(format!("it has {has} of classes, and the spec says {count} classes"))
        }
        Classes::Names(names) => {
            let missing: Vec<&str> = names.iter().filter(|name| !found.contains(name)).map(String::as_str).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("it lacks the classes {}", missing.join(", "))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    fn dataset(source: Source) -> Dataset {
        Dataset { source, image_size: 24, channels: 3, classes: Classes::Count(2), digest: None }
    }

    fn found(source: Source, root: &Path) -> (State, String) {
        let check = look(&dataset(source), root);
        (check.state, check.found)
    }

    #[test]
    fn a_data_set_is_there_or_what_it_lacks_is_named() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| std::fs::create_dir_all(root.path().join(path)).unwrap();
        let pictures = |path: &str| Source::ImageFolder { path: path.into(), test_split: None };
        assert!(found(pictures("absent"), root.path()).1.contains("is not there"));
        for path in
            ["whole/train/a", "whole/train/b", "whole/test/a", "half/train/a", "half/test/a", "flat/a", "flat/b"]
        {
            make(path);
        }
        assert!(found(pictures("whole"), root.path()).1.contains("test: it has 1 folder of classes"));
        make("whole/test/b");
        assert_eq!(found(pictures("whole"), root.path()).0, State::Ok);
        assert!(found(pictures("half"), root.path()).1.contains("the spec says 2 classes"));
        assert!(found(pictures("flat"), root.path()).1.contains("test_split"));
        let split = Some(sweep_spec::dataset::TestSplit { fraction: 0.5, seed: 0 });
        let flat = Source::ImageFolder { path: "flat".into(), test_split: split };
        assert_eq!(found(flat, root.path()).0, State::Ok);
    }

    #[test]
    fn files_have_the_names_that_a_trainer_knows() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mnist");
        std::fs::create_dir(&folder).unwrap();
        let idx = || Source::Idx { path: "mnist".into() };
        for name in ["train-images-idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images-idx3-ubyte.gz"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(found(idx(), root.path()).1, format!("{}: it lacks t10k-labels-idx1", folder.display()));
        std::fs::write(folder.join("t10k-labels.idx1-ubyte.gz"), "").unwrap();
        assert_eq!(found(idx(), root.path()).0, State::Ok);
        assert!(found(Source::Cifar10 { path: "mnist".into() }, root.path()).1.contains("data_batch_1.bin"));
    }
}
