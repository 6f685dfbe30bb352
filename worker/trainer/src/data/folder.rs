//! Image folders: `train/<class>/*` and `test/<class>/*`, or `<class>/*` with a random test part. JPEG and PNG of any
//! size; classes sorted by name. Hidden files are ignored. Files of other formats are ignored too, but logged.

use std::fs;
use std::path::{Path, PathBuf};

use sweep_spec::Digest;
use sweep_spec::dataset::TestSplit;

use super::ignored_files::{IgnoredFiles, is_read};
use super::paths::DataFolder;
use super::regular_file::MAX_PICTURE_BYTES;
use super::{Contents, Shape, Sink, Source, picture, split};
use crate::failure::Failure;

/// The most ignored files that the log names.
const LOGGED: usize = 20;

/// An image folder after listing.
#[derive(Debug)]
pub(super) struct Folder {
    data_folder: DataFolder,
    classes: Vec<String>,
    /// Path and class: the training part, then the test part.
    files: Vec<(PathBuf, u16)>,
    train: usize,
}

impl Folder {
    pub(super) fn open(roots: &[PathBuf], path: &str, test_split: Option<&TestSplit>) -> Result<Self, Failure> {
        let data_folder = DataFolder::open(roots, path)?;
        match test_split {
            Some(test_split) => Self::held_out(data_folder, test_split),
            None => Self::parts(data_folder),
        }
    }

    fn parts(data_folder: DataFolder) -> Result<Self, Failure> {
        let (train, test) = (data_folder.folder.join("train"), data_folder.folder.join("test"));
        for part in [&train, &test] {
            if !part.is_dir() {
                return Err(Failure::data(format!(
                    "{} does not exist: an image folder needs the folders train and test, or the spec a test_split",
                    part.display()
                )));
            }
        }
        let classes = folders(&data_folder, &train)?;
        let other = folders(&data_folder, &test)?;
        if let Some(name) = classes.iter().find(|name| !other.contains(name)) {
            return Err(Failure::data(format!(
                "class {name} is in {}, but not in {}",
                train.display(),
                test.display()
            )));
        }
        if let Some(name) = other.iter().find(|name| !classes.contains(name)) {
            return Err(Failure::data(format!(
                "class {name} is in {}, but not in {}",
                test.display(),
                train.display()
            )));
        }
        let mut passed_over = Vec::new();
        let mut files = list(&data_folder, (&train, &classes), &mut passed_over)?;
        let train = files.len();
        files.extend(list(&data_folder, (&test, &classes), &mut passed_over)?);
        log(&data_folder, passed_over);
        Ok(Self { data_folder, classes, files, train })
    }

    fn held_out(data_folder: DataFolder, test_split: &TestSplit) -> Result<Self, Failure> {
        let classes = folders(&data_folder, &data_folder.folder)?;
        let mut passed_over = Vec::new();
        let files = list(&data_folder, (&data_folder.folder, &classes), &mut passed_over)?;
        log(&data_folder, passed_over);
        let labels: Vec<u16> = files.iter().map(|(_, class)| *class).collect();
        let draw = split::Draw::test_part(test_split.fraction, test_split.seed);
        let held = split::hold_out(&labels, &classes, draw)?;
        let (test, train): (Vec<_>, Vec<_>) = files.into_iter().zip(held).partition(|(_, held)| *held);
        let count = train.len();
        let files = train.into_iter().chain(test).map(|(file, _)| file).collect();
        Ok(Self { data_folder, classes, files, train: count })
    }
}

impl Source for Folder {
    fn identity(&self) -> Result<Digest, Failure> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"image_folder").update(&(self.train as u64).to_le_bytes());
        for name in &self.classes {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        }
        for (path, class) in &self.files {
            let hash = self.data_folder.hash(path, MAX_PICTURE_BYTES)?;
            hasher.update(&class.to_le_bytes()).update(hash.as_bytes());
        }
        Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
    }

    fn decode(&self, shape: Shape, sink: &mut Sink<'_>) -> Result<Contents, Failure> {
        for (path, _) in &self.files {
            let bytes = self.data_folder.read(path, MAX_PICTURE_BYTES)?;
            let planes = picture::decode(&bytes, shape)
                .map_err(|error| Failure::data(format!("{} is not a readable image", path.display())).because(error))?;
            sink(&planes)?;
        }
        let labels = self.files.iter().map(|(_, class)| *class).collect();
        Ok(Contents { classes: self.classes.clone(), labels, train: self.train })
    }

    fn classes(&self) -> Option<&[String]> {
        Some(&self.classes)
    }
}

/// Names of the folders in `folder`, sorted.
fn folders(data_folder: &DataFolder, folder: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for path in entries(folder)? {
        if data_folder.inside(&path)?.is_dir() {
            names.push(name(&path)?);
        }
    }
    if names.is_empty() {
        return Err(Failure::data(format!("{} contains no class folders", folder.display())));
    }
    if names.len() > usize::from(u16::MAX) {
        return Err(Failure::data(format!("{} contains {} class folders", folder.display(), names.len())));
    }
    names.sort();
    Ok(names)
}

/// The images of every class of `folder`, sorted by class and then by name. Adds files of other formats to
/// `passed_over`.
fn list(
    data_folder: &DataFolder,
    (folder, classes): (&Path, &[String]),
    passed_over: &mut Vec<String>,
) -> Result<Vec<(PathBuf, u16)>, Failure> {
    let mut files = Vec::new();
    for (class, name) in classes.iter().enumerate() {
        let folder = folder.join(name);
        let (mut images, others): (Vec<_>, Vec<_>) = entries(&folder)?.into_iter().partition(|path| is_read(path));
        let others: Vec<String> = others.iter().map(|path| name_in(data_folder, path)).collect();
        if images.is_empty() {
            let shown = folder.display();
            let reason = match IgnoredFiles::of(others) {
                others if others.count == 0 => {
                    format!("class {name} is empty: {shown} contains no JPEG or PNG file")
                }
                others => format!("class {name} is empty: {shown} contains {others}, but no JPEG or PNG file"),
            };
            return Err(Failure::data(reason));
        }
        passed_over.extend(others);
        images.sort();
        for path in images {
            data_folder.inside(&path)?;
            files.push((path, class as u16));
        }
    }
    Ok(files)
}

/// Logs the names of ignored files.
fn log(data_folder: &DataFolder, passed_over: Vec<String>) {
    let passed_over = IgnoredFiles::of(passed_over);
    if passed_over.count > 0 {
        let (folder, first) = (data_folder.folder.display(), passed_over.files.iter().take(LOGGED));
        let first = first.map(String::as_str).collect::<Vec<_>>().join(", ");
        tracing::warn!(%folder, files = %passed_over, first, "files that are neither JPEG nor PNG are ignored");
    }
}

/// The path of a file within the data set; a folder's path ends with a slash.
pub(super) fn name_in(data_folder: &DataFolder, path: &Path) -> String {
    let name = path.strip_prefix(&data_folder.folder).unwrap_or(path).display();
    if path.is_dir() { format!("{name}/") } else { name.to_string() }
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::data(format!("cannot read {}", folder.display())).because(error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn name(path: &Path) -> Result<String, Failure> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| Failure::data(format!("the name of {} is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Damage<'a> = &'a dyn Fn(&Path);

    const SHAPE: Shape = Shape { channels: 1, size: 2 };

    fn png(path: &Path, value: u8, side: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_pixel(side, side, image::Luma([value])).save(path).unwrap();
    }

    fn data() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (index, part) in ["train/b", "train/a", "test/b", "test/a"].into_iter().enumerate() {
            for number in 0..4 {
                png(
                    &root.path().join(format!("set/{part}/{number}.png")),
                    (index * 10 + number) as u8,
                    2 + number as u32,
                );
            }
        }
        root
    }

    fn read(root: &Path, test_split: Option<&TestSplit>) -> Result<(Contents, Vec<u8>), Failure> {
        let path = if test_split.is_some() { "set/train" } else { "set" };
        let folder = Folder::open(&[root.to_owned()], path, test_split)?;
        let mut first = Vec::new();
        let contents = folder.decode(SHAPE, &mut |pixels| {
            first.push(pixels[0]);
            Ok(())
        })?;
        Ok((contents, first))
    }

    #[test]
    fn classes_and_images_come_in_sorted_order() {
        let root = data();
        let (contents, first) = read(root.path(), None).unwrap();
        assert_eq!(contents.classes, ["a", "b"]);
        assert_eq!(contents.train, 8);
        assert_eq!(contents.labels, [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(first, [10, 11, 12, 13, 0, 1, 2, 3, 30, 31, 32, 33, 20, 21, 22, 23]);
    }

    #[test]
    fn one_folder_is_parted_by_class() {
        let root = data();
        let (contents, _) = read(root.path(), Some(&TestSplit { fraction: 0.25, seed: 1 })).unwrap();
        assert_eq!(contents.train, 6);
        assert_eq!(contents.labels, [0, 0, 0, 1, 1, 1, 0, 1]);
    }

    #[test]
    fn an_error_names_the_file_or_the_class() {
        let damage: [(&str, Damage<'_>); 5] = [
            ("test/a/2.png", &|set| fs::write(set.join("test/a/2.png"), "no picture").unwrap()),
            ("class a", &|set| {
                fs::remove_dir_all(set.join("test/a")).unwrap();
                fs::create_dir(set.join("test/a")).unwrap();
            }),
            ("class c", &|set| png(&set.join("train/c/0.png"), 1, 2)),
            ("class b", &|set| fs::remove_dir_all(set.join("train/b")).unwrap()),
            ("set/test", &|set| fs::remove_dir_all(set.join("test")).unwrap()),
        ];
        for (named, damage) in damage {
            let root = data();
            damage(&root.path().join("set"));
            let failure = read(root.path(), None).unwrap_err();
            assert_eq!(failure.class, sweep_spec::FailureClass::Data);
            assert!(failure.reason.contains(named), "{named}: {}", failure.reason);
        }
    }

    #[test]
    fn links_that_lead_in_circles_are_an_error_and_have_an_end() {
        use std::os::unix::fs::symlink;
        let circles: [Damage<'_>; 3] = [
            &|set| symlink(set.join("train/a/loop.png"), set.join("train/a/loop.png")).unwrap(),
            &|set| symlink(set.join("train/c"), set.join("train/c")).unwrap(),
            // A link in a class to the folder of all classes, which contains it.
            &|set| ["train", "test"].iter().for_each(|part| symlink("..", set.join(part).join("up")).unwrap()),
        ];
        for circle in circles {
            let root = data();
            circle(&root.path().join("set"));
            let failure = read(root.path(), None).unwrap_err();
            assert_eq!(failure.class, sweep_spec::FailureClass::Data);
            let named = ["cannot follow the link", "class up is empty"];
            assert!(named.iter().any(|named| failure.reason.contains(named)), "{}", failure.reason);
        }
    }

    #[test]
    fn jfif_files_are_read_and_an_empty_class_says_what_it_holds() {
        let root = data();
        let folder = root.path().join("set/train/a");
        for name in ["0.png", "1.png", "2.png", "3.png"] {
            fs::rename(folder.join(name), folder.join(name.replace("png", "webp"))).unwrap();
        }
        let reason = read(root.path(), None).unwrap_err().reason;
        assert!(reason.contains("class a is empty") && reason.contains("contains 4 .webp"), "{reason}");
        fs::write(folder.join("whole.jfif"), PROGRESSIVE).unwrap();
        assert_eq!(read(root.path(), None).unwrap().0.train, 5);
    }

    const BASELINE: &[u8] = include_bytes!("../../tests/data/pictures/baseline.jpg");
    const PROGRESSIVE: &[u8] = include_bytes!("../../tests/data/pictures/progressive.jpg");

    #[test]
    fn no_trial_is_trained_on_a_part_of_a_picture() {
        for whole in [BASELINE, PROGRESSIVE] {
            let root = data();
            let file = root.path().join("set/test/b/cut.jpg");
            fs::write(&file, whole).unwrap();
            assert_eq!(read(root.path(), None).unwrap().0.labels.len(), 17);
            for percent in 1..100 {
                fs::write(&file, &whole[..whole.len() * percent / 100]).unwrap();
                let failure = read(root.path(), None).unwrap_err();
                assert_eq!(failure.class, sweep_spec::FailureClass::Data);
                assert!(failure.reason.contains("test/b/cut.jpg"), "{percent} %: {}", failure.reason);
            }
        }
    }

    #[test]
    fn the_identity_follows_the_content() {
        let root = data();
        let identity = || Folder::open(&[root.path().to_owned()], "set", None).unwrap().identity().unwrap();
        let before = identity();
        assert_eq!(before, identity());
        png(&root.path().join("set/train/a/0.png"), 99, 2);
        assert_ne!(before, identity());
    }
}
