//! The idx files of the MNIST family, gzipped or not: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the
//! same with `t10k`. The files have no class names, so classes are numbered.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sweep_spec::Digest;

use super::paths::DataFolder;
use super::{Contents, Shape, Sink, Source, picture};
use crate::failure::Failure;

/// The largest file, compressed or not, and the most values that a header may announce.
const MAX_BYTES: u64 = 8 << 30;
/// The most images of a part.
const MAX_IMAGES: u64 = 1 << 27;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const PARTS: [&str; 2] = ["train", "t10k"];

/// A folder of idx files.
#[derive(Debug)]
pub(super) struct Idx {
    data_folder: DataFolder,
    classes: u32,
}

impl Idx {
    pub(super) fn open(roots: &[PathBuf], path: &str, classes: u32) -> Result<Self, Failure> {
        Ok(Self { data_folder: DataFolder::open(roots, path)?, classes })
    }

    fn path(&self, part: &str, kind: &str) -> Result<PathBuf, Failure> {
        let names = [format!("{part}-{kind}-ubyte"), format!("{part}-{}-ubyte", kind.replace("-idx", ".idx"))];
        let candidates = names.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
        let found = candidates.map(|name| self.data_folder.folder.join(name)).find(|path| path.exists());
        found.ok_or_else(|| {
            Failure::data(format!(
                "{} contains neither {} nor {}.gz",
                self.data_folder.folder.display(),
                names[0],
                names[0]
            ))
        })
    }

    /// Opens one file, positioned at its first value.
    fn file(&self, part: &str, kind: &str, dimensions: u8) -> Result<Values<'static>, Failure> {
        let path = self.path(part, kind)?;
        let mut file = BufReader::new(self.data_folder.open_file(&path, MAX_BYTES)?.bounded());
        let unreadable = |error| Failure::data(format!("cannot read {}", path.display())).because(error);
        let packed = file.fill_buf().map_err(unreadable)?.starts_with(&GZIP);
        let reader: Box<dyn Read> =
            if packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
        Values::begin(path, reader, dimensions)
    }

    /// Passes the images of a part to `sink`; returns their labels.
    fn part(&self, part: &str, shape: Shape, sink: &mut Sink<'_>) -> Result<Vec<u8>, Failure> {
        let mut images = self.file(part, "images-idx3", 3)?;
        let labels = self.file(part, "labels-idx1", 1)?.all(MAX_IMAGES)?;
        let folder = self.data_folder.folder.display();
        let (count, height, width) = (images.sides[0], images.sides[1], images.sides[2]);
        if labels.len() as u64 != u64::from(count) || labels.is_empty() {
            let labels = labels.len();
            return Err(Failure::data(format!("{folder}: part {part} has {count} images and {labels} labels")));
        }
        if let Some(label) = labels.iter().find(|label| u32::from(**label) >= self.classes) {
            let classes = self.classes;
            return Err(Failure::data(format!(
                "{folder}: part {part} has label {label}, but the spec has {classes} classes"
            )));
        }
        if height == 0 || width == 0 {
            return Err(Failure::data(format!("{folder}: the images of part {part} have no pixels")));
        }
        let unfit = |error| Failure::data(format!("cannot use {}", images.path.display())).because(error);
        picture::check_size(width, height).map_err(unfit)?;
        let mut pixels = vec![0; width as usize * height as usize];
        for _ in 0..count {
            images.fill(&mut pixels)?;
            let image = picture::from_planes(&pixels, width, height)
                .ok_or_else(|| Failure::data(format!("{folder}: an image of part {part} cannot be read")))?;
            sink(&picture::fit(image, shape))?;
        }
        images.end()?;
        Ok(labels)
    }
}

/// The values of one file after its header. They are read on demand, so that neither a header nor a compressed file
/// decides how much memory is used.
struct Values<'a> {
    path: PathBuf,
    reader: Box<dyn Read + 'a>,
    sides: Vec<u32>,
    /// Their number by the header.
    expected: u64,
    read: u64,
}

impl<'a> Values<'a> {
    /// Reads the header.
    fn begin(path: PathBuf, mut reader: Box<dyn Read + 'a>, dimensions: u8) -> Result<Self, Failure> {
        let mut header = vec![0; 4 + 4 * usize::from(dimensions)];
        let none = "its header is not that of unsigned bytes in the right number of dimensions";
        reader.read_exact(&mut header).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => damaged(&path, none),
            _ => unpacked(&path, error),
        })?;
        if header[..4] != [0, 0, 8, dimensions] {
            return Err(damaged(&path, none));
        }
        let (sides, _) = header[4..].as_chunks();
        let sides: Vec<u32> = sides.iter().map(|side| u32::from_be_bytes(*side)).collect();
        let product = sides.iter().try_fold(1_u64, |product, &side| product.checked_mul(u64::from(side)));
        let Some(expected) = product.filter(|expected| *expected <= MAX_BYTES) else {
            let sides = shown(&sides);
            return Err(damaged(
                &path,
                &format!("its header declares {sides} values, but at most {MAX_BYTES} are allowed"),
            ));
        };
        Ok(Self { path, reader, sides, expected, read: 0 })
    }

    /// Reads the next values.
    fn fill(&mut self, mut values: &mut [u8]) -> Result<(), Failure> {
        while !values.is_empty() {
            match self.reader.read(values) {
                Ok(0) => return Err(self.disagrees(&self.read.to_string())),
                Ok(count) => {
                    self.read += count as u64;
                    values = &mut values[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unpacked(&self.path, error)),
            }
        }
        Ok(())
    }

    /// Reads all values; there may be at most `limit`, and nothing behind them.
    fn all(mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        if self.expected > limit {
            let sides = shown(&self.sides);
            return Err(damaged(
                &self.path,
                &format!("its header declares {sides} values, but at most {limit} are allowed"),
            ));
        }
        let mut values = Vec::new();
        let read = self.reader.by_ref().take(self.expected).read_to_end(&mut values);
        self.read = values.len() as u64;
        read.map_err(|error| unpacked(&self.path, error))?;
        if self.read < self.expected {
            return Err(self.disagrees(&self.read.to_string()));
        }
        self.end()?;
        Ok(values)
    }

    /// Checks that the file ends after the last value.
    fn end(mut self) -> Result<(), Failure> {
        let mut more = Vec::new();
        let read = self.reader.by_ref().take(1).read_to_end(&mut more);
        read.map_err(|error| unpacked(&self.path, error))?;
        if more.is_empty() { Ok(()) } else { Err(self.disagrees("more")) }
    }

    fn disagrees(&self, found: &str) -> Failure {
        let (sides, expected) = (shown(&self.sides), self.expected);
        damaged(&self.path, &format!("its header declares {sides} = {expected} values, but {found} bytes follow"))
    }
}

fn shown(sides: &[u32]) -> String {
    sides.iter().map(u32::to_string).collect::<Vec<_>>().join(" x ")
}

fn damaged(path: &Path, what: &str) -> Failure {
    Failure::data(format!("{} is not an idx file: {what}", path.display()))
}

fn unpacked(path: &Path, error: std::io::Error) -> Failure {
    damaged(path, "it cannot be unpacked").because(error)
}

impl Source for Idx {
    fn identity(&self) -> Result<Digest, Failure> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"idx").update(&self.classes.to_le_bytes());
        for part in PARTS {
            for kind in ["images-idx3", "labels-idx1"] {
                hasher.update(self.data_folder.hash(&self.path(part, kind)?, MAX_BYTES)?.as_bytes());
            }
        }
        Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
    }

    fn decode(&self, shape: Shape, sink: &mut Sink<'_>) -> Result<Contents, Failure> {
        let mut labels = Vec::new();
        let mut train = 0;
        for part in PARTS {
            train = labels.len();
            labels.extend(self.part(part, shape, sink)?.into_iter().map(u16::from));
        }
        let classes = (0..self.classes).map(|class| class.to_string()).collect();
        Ok(Contents { classes, labels, train })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    use flate2::write::GzEncoder;

    use super::*;

    type Damage<'a> = &'a dyn Fn(&Path);

    fn write(folder: &Path, part: &str, count: u32, labels: &[u8], gz: bool) {
        let mut images = vec![0, 0, 8, 3];
        [count, 2, 3].iter().for_each(|side| images.extend(side.to_be_bytes()));
        images.extend((0..count as u8 * 6).collect::<Vec<_>>());
        let mut index = vec![0, 0, 8, 1];
        index.extend((labels.len() as u32).to_be_bytes());
        index.extend(labels);
        for (kind, bytes) in [("images-idx3", images), ("labels-idx1", index)] {
            let path = folder.join(format!("{part}-{kind}-ubyte{}", if gz { ".gz" } else { "" }));
            if gz {
                let mut out = GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
                out.write_all(&bytes).unwrap();
                out.finish().unwrap();
            } else {
                fs::write(path, bytes).unwrap();
            }
        }
    }

    fn read(folder: &Path) -> Result<Contents, Failure> {
        let idx = Idx::open(&[folder.to_owned()], ".", 3)?;
        idx.identity()?;
        let mut bytes = 0;
        let contents = idx.decode(Shape { channels: 3, size: 4 }, &mut |pixels| {
            bytes += pixels.len();
            Ok(())
        })?;
        assert_eq!(bytes, contents.labels.len() * 48);
        Ok(contents)
    }

    #[test]
    fn packed_and_plain_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "train", 3, &[0, 1, 2], true);
        write(folder.path(), "t10k", 2, &[2, 0], false);
        let contents = read(folder.path()).unwrap();
        assert_eq!(
            contents,
            Contents { classes: vec!["0".into(), "1".into(), "2".into()], labels: vec![0, 1, 2, 2, 0], train: 3 }
        );
    }

    /// Counts the bytes that are read.
    struct Counted<'a>(std::io::Chain<std::io::Cursor<Vec<u8>>, std::io::Repeat>, &'a std::cell::Cell<u64>);

    impl Read for Counted<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(bytes)?;
            self.1.set(self.1.get() + count as u64);
            Ok(count)
        }
    }

    /// A header with endless zeros behind it.
    fn endless<'a>(sides: &[u32], read: &'a std::cell::Cell<u64>) -> Result<Values<'a>, Failure> {
        let mut header = vec![0, 0, 8, sides.len() as u8];
        sides.iter().for_each(|side| header.extend(side.to_be_bytes()));
        let reader = Counted(std::io::Cursor::new(header).chain(std::io::repeat(0)), read);
        Values::begin(PathBuf::from("some-file"), Box::new(reader), sides.len() as u8)
    }

    #[test]
    fn of_a_file_without_an_end_no_more_is_read_than_its_header_says_and_one_byte() {
        let read = std::cell::Cell::new(0);
        let reason = endless(&[5], &read).unwrap().all(MAX_IMAGES).unwrap_err().reason;
        assert!(
            reason.contains("some-file") && reason.contains("declares 5 = 5 values, but more bytes follow"),
            "{reason}"
        );
        assert_eq!(read.take(), 8 + 5 + 1);
        let mut images = endless(&[1, 2, 3], &read).unwrap();
        images.fill(&mut [0; 6]).unwrap();
        assert!(images.end().unwrap_err().reason.contains("1 x 2 x 3 = 6 values, but more"));
        assert_eq!(read.take(), 16 + 6 + 1);
    }

    #[test]
    fn a_header_that_says_too_much_is_refused_before_a_value_is_read() {
        let read = std::cell::Cell::new(0);
        for sides in [&[u32::MAX, u32::MAX, u32::MAX][..], &[1 << 20, 1 << 10, 1 << 10]] {
            let reason = endless(sides, &read).map(drop).unwrap_err().reason;
            assert!(reason.contains("at most 8589934592 are allowed"), "{reason}");
            assert_eq!(read.take(), 16);
        }
        let reason = endless(&[u32::MAX], &read).unwrap().all(MAX_IMAGES).unwrap_err().reason;
        assert!(reason.contains("4294967295 values, but at most 134217728 are allowed"), "{reason}");
        assert_eq!(read.take(), 8);
    }

    #[test]
    fn wrong_files_are_told_apart() {
        let long_image = |folder: &Path, side: u32| {
            let sides = [1_u32, side, 1].map(u32::to_be_bytes).concat();
            fs::write(
                folder.join("train-images-idx3-ubyte"),
                [&[0, 0, 8, 3], &sides[..], &vec![0; side as usize]].concat(),
            )
        };
        let cases: [(&str, Damage<'_>); 6] = [
            ("1 x 20000 pixels", &|folder| long_image(folder, 20_000).unwrap()),
            ("more bytes follow", &|folder| {
                let path = folder.join("t10k-images-idx3-ubyte");
                fs::write(&path, [fs::read(&path).unwrap(), vec![0]].concat()).unwrap();
            }),
            ("label 3", &|folder| write(folder, "train", 1, &[3], false)),
            ("2 images and 1 labels", &|folder| write(folder, "train", 2, &[0], false)),
            ("bytes follow", &|folder| {
                let path = folder.join("train-images-idx3-ubyte");
                let whole = fs::read(&path).unwrap();
                fs::write(path, &whole[..whole.len() - 1]).unwrap();
            }),
            ("train-labels-idx1-ubyte", &|folder| fs::remove_file(folder.join("train-labels-idx1-ubyte")).unwrap()),
        ];
        for (named, damage) in cases {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), "train", 1, &[0], false);
            write(folder.path(), "t10k", 1, &[0], false);
            damage(folder.path());
            let reason = read(folder.path()).unwrap_err().reason;
            assert!(reason.contains(named), "{named}: {reason}");
        }
    }
}
