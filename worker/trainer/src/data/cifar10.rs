//! The binary version of CIFAR-10: files of records, each a label and three planes of 32×32 bytes.

use std::path::PathBuf;

use sweep_spec::Digest;

use super::paths::DataFolder;
use super::{Contents, Shape, Sink, Source, picture};
use crate::failure::Failure;

const SIDE: u32 = 32;
const RECORD_BYTES: usize = 1 + 3 * (SIDE * SIDE) as usize;
/// The largest file that is read: ten times the size of the data set.
const MAX_BYTES: u64 = 300 << 20;
const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: &str = "test_batch.bin";
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// A folder of CIFAR-10 files.
#[derive(Debug)]
pub(super) struct Cifar10 {
    data_folder: DataFolder,
}

impl Cifar10 {
    pub(super) fn open(roots: &[PathBuf], path: &str) -> Result<Self, Failure> {
        Ok(Self { data_folder: DataFolder::open(roots, path)? })
    }

    fn records(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let path = self.data_folder.folder.join(name);
        let bytes = self.data_folder.read(&path, MAX_BYTES)?;
        if bytes.is_empty() || bytes.len() % RECORD_BYTES != 0 {
            let length = bytes.len();
            return Err(Failure::data(format!(
                "{} has {length} bytes, which is not a multiple of a CIFAR-10 record's {RECORD_BYTES}",
                path.display()
            )));
        }
        Ok(bytes)
    }
}

impl Source for Cifar10 {
    fn identity(&self) -> Result<Digest, Failure> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"cifar10");
        for name in TRAIN.into_iter().chain([TEST]) {
            hasher.update(blake3::hash(&self.records(name)?).as_bytes());
        }
        Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
    }

    fn decode(&self, shape: Shape, sink: &mut Sink<'_>) -> Result<Contents, Failure> {
        let mut labels = Vec::new();
        let mut train = 0;
        for name in TRAIN.into_iter().chain([TEST]) {
            if name == TEST {
                train = labels.len();
            }
            for record in self.records(name)?.chunks_exact(RECORD_BYTES) {
                let damaged = || {
                    let path = self.data_folder.folder.join(name);
                    Failure::data(format!("{} has a record with label {}", path.display(), record[0]))
                };
                if usize::from(record[0]) >= CLASSES.len() {
                    return Err(damaged());
                }
                labels.push(u16::from(record[0]));
                sink(&picture::fit(picture::from_planes(&record[1..], SIDE, SIDE).ok_or_else(damaged)?, shape))?;
            }
        }
        Ok(Contents { classes: CLASSES.map(str::to_owned).to_vec(), labels, train })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (index, name) in TRAIN.into_iter().chain([TEST]).enumerate() {
            let mut record = vec![index as u8];
            record.extend([[200_u8; 1024], [100; 1024], [index as u8; 1024]].concat());
            fs::write(folder.path().join(name), record).unwrap();
        }
        folder
    }

    #[test]
    fn records_are_read_in_order() {
        let folder = folder();
        let source = Cifar10::open(&[folder.path().to_owned()], ".").unwrap();
        source.identity().unwrap();
        let mut blue = Vec::new();
        let contents = source.decode(Shape { channels: 3, size: 32 }, &mut |planes| {
            assert_eq!((planes[0], planes[1024]), (200, 100));
            blue.push(planes[2048]);
            Ok(())
        });
        let contents = contents.unwrap();
        assert_eq!((contents.train, contents.labels), (5, vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(blue, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn damaged_files_are_named() {
        let shape = Shape { channels: 3, size: 32 };
        let folder = folder();
        fs::write(folder.path().join("data_batch_3.bin"), [0; 100]).unwrap();
        let source = Cifar10::open(&[folder.path().to_owned()], ".").unwrap();
        assert!(source.identity().unwrap_err().reason.contains("data_batch_3.bin"));
        fs::write(folder.path().join("data_batch_3.bin"), [10; RECORD_BYTES]).unwrap();
        let failure = source.decode(shape, &mut |_| Ok(())).unwrap_err();
        assert!(failure.reason.contains("data_batch_3.bin") && failure.reason.contains("label 10"));
    }
}
