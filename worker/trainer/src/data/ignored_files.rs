//! Files in a data set's folders that trainers ignore because of their extensions. They are reported, so that images in
//! another format do not go unnoticed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

/// Extensions of the files that a trainer reads.
const READ: [&str; 5] = ["jpg", "jpeg", "jpe", "jfif", "png"];
/// Extensions of images that it does not read.
const OTHER_PICTURES: [&str; 17] = [
    "avif", "bmp", "dng", "gif", "heic", "heif", "ico", "jp2", "jxl", "pbm", "pgm", "pnm", "ppm", "tga", "tif", "tiff",
    "webp",
];
/// The most files that are named, and extensions that are counted separately.
const NAMED: usize = 100;
/// The most extensions and names in a sentence.
const IN_A_SENTENCE: usize = 5;

/// Files that trainers ignore.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct IgnoredFiles {
    pub count: u64,
    /// The number of files per extension, at most 100: other image formats first, then the most frequent ones.
    pub endings: Vec<Extension>,
    /// The first 100 files, in the same order.
    pub files: Vec<String>,
}

/// A file extension, with the number of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Extension {
    /// In lower case, without the dot; empty for files without an extension.
    pub ending: String,
    /// Whether it is an image format that trainers do not read.
    pub picture: bool,
    pub files: u64,
}

/// Whether a trainer reads this file.
pub(super) fn is_read(path: &Path) -> bool {
    READ.contains(&ending(path).as_str())
}

fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

impl IgnoredFiles {
    /// Counts and names these files.
    pub(super) fn of(mut files: Vec<String>) -> Self {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for file in &files {
            *counts.entry(ending(Path::new(file))).or_default() += 1;
        }
        let picture = |ending: &str| OTHER_PICTURES.contains(&ending);
        files.sort_by_cached_key(|file| {
            let ending = ending(Path::new(file));
            (!picture(&ending), std::cmp::Reverse(counts.get(&ending).copied()), ending, file.clone())
        });
        let count = files.len() as u64;
        files.truncate(NAMED);
        let mut endings: Vec<_> =
            counts.into_iter().map(|(ending, files)| Extension { picture: picture(&ending), ending, files }).collect();
        endings.sort_by_key(|ending| (!ending.picture, std::cmp::Reverse(ending.files)));
        endings.truncate(NAMED);
        Self { count, endings, files }
    }

    /// Whether images in other formats are among them.
    pub fn has_pictures(&self) -> bool {
        self.endings.iter().any(|ending| ending.picture)
    }
}

/// `9 .webp, 2 .bmp and 4 others`
impl fmt::Display for IgnoredFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.endings.iter().filter(|ending| !ending.ending.is_empty()).take(IN_A_SENTENCE);
        let (mut words, mut rest) = (Vec::new(), self.count);
        for ending in named {
            rest = rest.saturating_sub(ending.files);
            words.push(format!("{} .{}", ending.files, ending.ending));
        }
        match rest {
            0 => {}
            1 if words.is_empty() => words.push("1 without an extension".to_owned()),
            _ if words.is_empty() => words.push(format!("{rest} without an extension")),
            1 => words.push("1 other".to_owned()),
            _ => words.push(format!("{rest} others")),
        }
        match words.split_last() {
            Some((last, [])) => f.write_str(last),
            Some((last, words)) => write!(f, "{} and {last}", words.join(", ")),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> IgnoredFiles {
        IgnoredFiles::of(files.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_endings_that_are_read_are_jpeg_and_png() {
        for name in ["a.jpg", "a.JPEG", "a.b.jfif", "a.jpe", "a.PNG"] {
            assert!(is_read(Path::new(name)), "{name}");
        }
        for name in ["a", "jpg", ".jpg", "a.webp", "a.jpg.txt", "a.png~"] {
            assert!(!is_read(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn other_pictures_come_first_and_every_ending_is_counted() {
        let passed_over = found(&["notes.txt", "b.webp", "README", "a.WebP", "c.bmp", "d.txt", "e.txt"]);
        assert_eq!(passed_over.files, ["a.WebP", "b.webp", "c.bmp", "d.txt", "e.txt", "notes.txt", "README"]);
        assert_eq!(passed_over.to_string(), "2 .webp, 1 .bmp, 3 .txt and 1 other");
        assert!(passed_over.has_pictures() && !found(&["a.txt"]).has_pictures());
    }

    #[test]
    fn any_number_of_files_is_said_in_one_line() {
        assert_eq!(found(&[]).to_string(), "none");
        assert_eq!(found(&["README"]).to_string(), "1 without an extension");
        assert_eq!(found(&["a", "b", "c.bmp"]).to_string(), "1 .bmp and 2 others");
        let many = IgnoredFiles::of((0..100_000).map(|number| format!("{number}.{number}")).collect());
        assert_eq!((many.count, many.endings.len(), many.files.len()), (100_000, NAMED, NAMED));
        assert!(many.to_string().len() < 100 && many.to_string().ends_with("and 99995 others"), "{many}");
    }
}
