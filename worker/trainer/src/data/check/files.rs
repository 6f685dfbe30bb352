//! Lists the files of an image folder as the trainer does, but collects problems instead of failing at the first.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sweep_spec::dataset::TestSplit;

use super::super::folder::{entries, name_in};
use super::super::ignored_files::is_read;
use super::super::paths::DataFolder;
use super::super::split;
use crate::failure::Failure;

#[derive(Debug, Clone)]
pub(super) struct File {
    /// Path within the data set.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) class: String,
    /// Whether it belongs to the test part.
    pub(super) test: bool,
}

/// The content of a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) place: String,
    pub(super) classes: Vec<String>,
    /// The training part first.
    pub(super) files: Vec<File>,
    pub(super) problems: Vec<String>,
    /// Files that trainers do not read.
    pub(super) passed_over: Vec<String>,
}

/// Lists the folder of a spec.
pub(super) fn of_spec(roots: &[PathBuf], path: &str, test_split: Option<&TestSplit>) -> Result<Listing, Failure> {
    let data_folder = DataFolder::open(roots, path)?;
    let Some(test_split) = test_split else { return parts(&data_folder) };
    let mut listing = one_part(&data_folder)?;
    hold_out(&mut listing, test_split);
    Ok(listing)
}

/// Lists any folder.
pub(super) fn of_folder(folder: &Path) -> Result<Listing, Failure> {
    let data_folder = DataFolder::open(&[folder.to_owned()], ".")?;
    if data_folder.folder.join("train").is_dir() || data_folder.folder.join("test").is_dir() {
        return parts(&data_folder);
    }
    one_part(&data_folder)
}

fn parts(data_folder: &DataFolder) -> Result<Listing, Failure> {
    let mut listing = Listing { place: data_folder.folder.display().to_string(), ..Listing::default() };
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    for (classes, (part, test)) in found.iter_mut().zip([("train", false), ("test", true)]) {
        if data_folder.folder.join(part).is_dir() {
            *classes = listing.add(data_folder, part, test)?;
        } else {
            listing.problems.push(format!("the folder {part} is missing"));
        }
    }
    let [train, test] = found;
    for class in train.difference(&test) {
        listing.problems.push(format!("class {class} is in train and not in test"));
    }
    for class in test.difference(&train) {
        listing.problems.push(format!("class {class} is in test and not in train"));
    }
    listing.classes = train.union(&test).cloned().collect();
    Ok(listing)
}

fn one_part(data_folder: &DataFolder) -> Result<Listing, Failure> {
    let mut listing = Listing { place: data_folder.folder.display().to_string(), ..Listing::default() };
    listing.classes = listing.add(data_folder, "", false)?.into_iter().collect();
    if listing.classes.is_empty() {
        listing.problems.push("there are no class folders".to_owned());
    }
    Ok(listing)
}

/// Splits one folder as the trainer does.
fn hold_out(listing: &mut Listing, test_split: &TestSplit) {
    let label = |file: &File| listing.classes.iter().position(|class| *class == file.class).unwrap_or(0) as u16;
    let labels: Vec<u16> = listing.files.iter().map(label).collect();
    let draw = split::Draw::test_part(test_split.fraction, test_split.seed);
    match split::hold_out(&labels, &listing.classes, draw) {
        Ok(held) => {
            listing.files.iter_mut().zip(held).for_each(|(file, held)| file.test = held);
            listing.files.sort_by_key(|file| file.test);
        }
        Err(failure) => listing.problems.push(failure.reason),
    }
}

impl Listing {
    /// Adds the classes of a part with their files; returns the classes.
    fn add(&mut self, data_folder: &DataFolder, part: &str, test: bool) -> Result<BTreeSet<String>, Failure> {
        let folder = data_folder.folder.join(part);
        let (mut classes, mut folders) = (BTreeSet::new(), entries(&folder)?);
        folders.sort();
        for path in folders {
            // A link that leads out of the data root prevents training.
            match data_folder.inside(&path) {
                Ok(real) if real.is_dir() => {}
                Ok(_) => {
                    self.passed_over.push(name_in(data_folder, &path));
                    continue;
                }
                Err(failure) => {
                    self.problems.push(failure.reason);
                    continue;
                }
            }
            let class = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (mut files, others): (Vec<_>, Vec<_>) = entries(&path)?.into_iter().partition(|file| is_read(file));
            files.sort();
            self.passed_over.extend(others.iter().map(|file| name_in(data_folder, file)));
            if files.is_empty() {
                let name = if part.is_empty() { class.clone() } else { format!("{part}/{class}") };
                self.problems.push(format!("{name} contains no JPEG or PNG file"));
            }
            for path in files {
                let name = name_in(data_folder, &path);
                self.files.push(File { name, path, class: class.clone(), test });
            }
            classes.insert(class);
        }
        Ok(classes)
    }
}
