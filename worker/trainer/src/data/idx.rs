//! The idx files of the MNIST family, gzipped or not: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the same
//! with `t10k`. Classes have no names there, so they are numbered.

use std::io::Read;
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;
use sweep_spec::Digest;

use super::paths::Place;
use super::{Contents, Shape, Sink, Source, picture};
use crate::failure::Failure;

/// The largest file that is unpacked, in bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024 * 1024;
const PARTS: [&str; 2] = ["train", "t10k"];

/// A folder of idx files.
#[derive(Debug)]
pub(super) struct Idx {
    place: Place,
    classes: u32,
}

impl Idx {
    pub(super) fn open(roots: &[PathBuf], path: &str, classes: u32) -> Result<Self, Failure> {
        Ok(Self { place: Place::open(roots, path)?, classes })
    }

    fn path(&self, part: &str, kind: &str) -> Result<PathBuf, Failure> {
        let names = [format!("{part}-{kind}-ubyte"), format!("{part}-{}-ubyte", kind.replace("-idx", ".idx"))];
        let candidates = names.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
        let found = candidates.map(|name| self.place.folder.join(name)).find(|path| path.exists());
        found.ok_or_else(|| {
            Failure::data(format!("{} holds neither {} nor {}.gz", self.place.folder.display(), names[0], names[0]))
        })
    }

    /// Dimensions and values of one file.
    fn file(&self, part: &str, kind: &str, dimensions: usize) -> Result<(Vec<u32>, Vec<u8>), Failure> {
        let path = self.path(part, kind)?;
        let damaged = |what: &str| Failure::data(format!("{} is not an idx file: {what}", path.display()));
        let mut bytes = self.place.read(&path)?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut unpacked = Vec::new();
            let unpack = MultiGzDecoder::new(bytes.as_slice()).take(MAX_BYTES).read_to_end(&mut unpacked);
            unpack.map_err(|error| damaged("it cannot be unpacked").because(error))?;
            bytes = unpacked;
        }
        let header = 4 + 4 * dimensions;
        if bytes.len() < header || bytes[..4] != [0, 0, 8, dimensions as u8] {
            return Err(damaged("its header is not that of unsigned bytes in the right number of dimensions"));
        }
        let sides: Vec<u32> = bytes[4..header]
            .chunks_exact(4)
            .map(|side| u32::from_be_bytes([side[0], side[1], side[2], side[3]]))
            .collect();
        let expected = sides.iter().try_fold(1_u64, |product, &side| product.checked_mul(u64::from(side)));
        let values = bytes.split_off(header);
        if expected != Some(values.len() as u64) {
            return Err(damaged(&format!("its header says {sides:?}, and {} bytes follow", values.len())));
        }
        Ok((sides, values))
    }
}

impl Source for Idx {
    fn identity(&self) -> Result<Digest, Failure> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"idx").update(&self.classes.to_le_bytes());
        for part in PARTS {
            for kind in ["images-idx3", "labels-idx1"] {
                hasher.update(blake3::hash(&self.place.read(&self.path(part, kind)?)?).as_bytes());
            }
        }
        Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
    }

    fn decode(&self, shape: Shape, sink: &mut Sink<'_>) -> Result<Contents, Failure> {
        let mut labels = Vec::new();
        let mut train = 0;
        for part in PARTS {
            train = labels.len();
            let (sides, pixels) = self.file(part, "images-idx3", 3)?;
            let (_, values) = self.file(part, "labels-idx1", 1)?;
            let folder = self.place.folder.display();
            if values.len() != sides[0] as usize || values.is_empty() {
                let count = values.len();
                return Err(Failure::data(format!("{folder}: part {part} has {} images and {count} labels", sides[0])));
            }
            if let Some(label) = values.iter().find(|label| u32::from(**label) >= self.classes) {
                let classes = self.classes;
                return Err(Failure::data(format!(
                    "{folder}: part {part} has label {label}, the spec {classes} classes"
                )));
            }
            let area = sides[1] as usize * sides[2] as usize;
            if area == 0 {
                return Err(Failure::data(format!("{folder}: the images of part {part} have no pixels")));
            }
            for image in pixels.chunks_exact(area) {
                let image = picture::from_planes(image, sides[2], sides[1])
                    .ok_or_else(|| Failure::data(format!("{folder}: an image of part {part} cannot be read")))?;
                sink(&picture::fit(image, shape))?;
            }
            labels.extend(values.into_iter().map(u16::from));
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

    #[test]
    fn wrong_files_are_told_apart() {
        let cases: [(&str, Damage<'_>); 4] = [
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
