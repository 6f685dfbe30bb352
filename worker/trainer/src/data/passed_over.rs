//! Files of a data set's folders that no trainer reads, because their names end otherwise than those of pictures that it
//! reads. They are named, so that a picture in another format is not missed without a word.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

/// Endings of the files that a trainer reads.
const READ: [&str; 5] = ["jpg", "jpeg", "jpe", "jfif", "png"];
/// Endings of pictures that it does not read.
const OTHER_PICTURES: [&str; 17] = [
    "avif", "bmp", "dng", "gif", "heic", "heif", "ico", "jp2", "jxl", "pbm", "pgm", "pnm", "ppm", "tga", "tif", "tiff",
    "webp",
];
/// Files that are named, and endings that are counted one by one.
const NAMED: usize = 100;
/// Endings and names in a sentence.
const IN_A_SENTENCE: usize = 5;

/// Files that no trainer reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PassedOver {
    /// How many there are.
    pub count: u64,
    /// How many have each ending: pictures in other formats first, then the most frequent ones. At most 100.
    pub endings: Vec<Ending>,
    /// The first 100 of them, in the same order.
    pub files: Vec<String>,
}

/// The end of a file's name, and how many files have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// What stands behind the last dot, in small letters; empty where there is none.
    pub ending: String,
    /// Pictures in a format that a trainer does not read end so.
    pub picture: bool,
    /// How many files.
    pub files: u64,
}

/// Whether a trainer reads this file.
pub(super) fn is_read(path: &Path) -> bool {
    READ.contains(&ending(path).as_str())
}

fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

impl PassedOver {
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
            counts.into_iter().map(|(ending, files)| Ending { picture: picture(&ending), ending, files }).collect();
        endings.sort_by_key(|ending| (!ending.picture, std::cmp::Reverse(ending.files)));
        endings.truncate(NAMED);
        Self { count, endings, files }
    }

    /// Whether pictures in a format that a trainer does not read are among them.
    pub fn has_pictures(&self) -> bool {
        self.endings.iter().any(|ending| ending.picture)
    }
}

/// `9 .webp, 2 .bmp and 4 others`
impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.endings.iter().filter(|ending| !ending.ending.is_empty()).take(IN_A_SENTENCE);
        let (mut words, mut rest) = (Vec::new(), self.count);
        for ending in named {
            rest = rest.saturating_sub(ending.files);
            words.push(format!("{} .{}", ending.files, ending.ending));
        }
        match rest {
            0 => {}
            1 if words.is_empty() => words.push("1 without an ending".to_owned()),
            _ if words.is_empty() => words.push(format!("{rest} without an ending")),
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

    fn found(files: &[&str]) -> PassedOver {
        PassedOver::of(files.iter().map(ToString::to_string).collect())
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
        assert_eq!(found(&["README"]).to_string(), "1 without an ending");
        assert_eq!(found(&["a", "b", "c.bmp"]).to_string(), "1 .bmp and 2 others");
        let many = PassedOver::of((0..100_000).map(|number| format!("{number}.{number}")).collect());
        assert_eq!((many.count, many.endings.len(), many.files.len()), (100_000, NAMED, NAMED));
        assert!(many.to_string().len() < 100 && many.to_string().ends_with("and 99995 others"), "{many}");
    }
}
