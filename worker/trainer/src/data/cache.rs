//! The cache of decoded images, shared by the trainers of a machine: one file per source and shape, named by a hash of
//! both, and memory-mapped by every trainer. Files are written under a temporary name, synced and renamed, so a name
//! always refers to a complete file. A file that was damaged later is detected by its digest and created again.
//!
//! Layout: pixels, then classes and labels as JSON, then a footer of fixed length with their lengths and digests.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memmap2::Mmap;
use sweep_spec::Digest;

use super::{Contents, Images, Shape, Source};
use crate::failure::Failure;

/// Raised whenever the layout changes or a decoder returns other pixels.
const VERSION: u32 = 2;
const MAGIC: [u8; 8] = *b"sweepimg";
/// Length of the pixels, length of the JSON, digest of the pixels, digest of the JSON, magic.
const FOOTER_BYTES: usize = 8 + 8 + 32 + 32 + 8;
/// Age after which a temporary file has no writer any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const BUILDING: &str = ".building-";

/// The images of `source`, from the cache, or decoded and added to it.
pub(super) fn open(source: &dyn Source, shape: Shape, folder: &Path) -> Result<Images, Failure> {
    let path = folder.join(format!("{}.images", key(source, shape)?));
    if let Some(images) = read(&path, shape) {
        return Ok(images);
    }
    let in_folder =
        |error| Failure::machine(format!("cannot use the cache folder {}", folder.display())).because(error);
    fs::create_dir_all(folder).map_err(in_folder)?;
    // A second process waits here and then finds the file. Without the lock both do the work; the result is still
    // correct.
    let lock = File::create(path.with_extension("lock")).map_err(in_folder)?;
    if let Err(error) = lock.lock() {
        tracing::warn!(%error, path = %path.display(), "cannot lock the cache file, another trainer may build it too");
    }
    if let Some(images) = read(&path, shape) {
        return Ok(images);
    }
    remove_abandoned(folder);
    build(source, shape, &path)?;
    read(&path, shape).ok_or_else(|| {
        Failure::machine(format!("the cache file {} is damaged right after it was written", path.display()))
    })
}

fn key(source: &dyn Source, shape: Shape) -> Result<Digest, Failure> {
    let mut hasher = blake3::Hasher::new();
    for number in [VERSION, shape.channels, shape.size] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(source.identity()?.as_bytes());
    Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
}

fn build(source: &dyn Source, shape: Shape, path: &Path) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let on_disk = |error| Failure::machine(format!("cannot write the cache file {}", path.display())).because(error);
    let file = tempfile::Builder::new().prefix(BUILDING).tempfile_in(folder).map_err(on_disk)?;
    let mut out = BufWriter::new(file);
    let mut hasher = blake3::Hasher::new();
    let mut length = 0_u64;
    let contents = source.decode(shape, &mut |pixels| {
        hasher.update(pixels);
        length += pixels.len() as u64;
        out.write_all(pixels).map_err(on_disk)
    })?;
    let json = serde_json::to_vec(&contents).map_err(|error| on_disk(error.into()))?;
    let mut footer = Vec::with_capacity(FOOTER_BYTES);
    footer.extend(length.to_le_bytes());
    footer.extend((json.len() as u64).to_le_bytes());
    footer.extend(hasher.finalize().as_bytes());
    footer.extend(blake3::hash(&json).as_bytes());
    footer.extend(MAGIC);
    for bytes in [json, footer] {
        out.write_all(&bytes).map_err(on_disk)?;
    }
    let file = out.into_inner().map_err(|error| on_disk(error.into_error()))?;
    file.as_file().sync_all().map_err(on_disk)?;
    file.persist(path).map_err(|error| on_disk(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(on_disk)
}

/// The images of a cache file; `None` if it is missing or damaged.
fn read(path: &Path, shape: Shape) -> Option<Images> {
    let file = File::open(path).ok()?;
    #[expect(unsafe_code, reason = "files of the cache are never written in place, only renamed over")]
    // SAFETY: no process writes to a complete cache file; this process only reads it.
    let map = unsafe { Mmap::map(&file) }.ok()?;
    let images = parse(map, shape);
    if images.is_none() {
        tracing::warn!(path = %path.display(), "the cache file is damaged, building it again");
    }
    images
}

fn parse(map: Mmap, shape: Shape) -> Option<Images> {
    let footer: &[u8; FOOTER_BYTES] = map.last_chunk()?;
    if footer[80..] != MAGIC {
        return None;
    }
    let number = |at: usize| usize::try_from(u64::from_le_bytes(footer[at..at + 8].try_into().ok()?)).ok();
    let (pixel_bytes, json_bytes) = (number(0)?, number(8)?);
    if pixel_bytes.checked_add(json_bytes)?.checked_add(FOOTER_BYTES)? != map.len() {
        return None;
    }
    let (pixels, json) = (&map[..pixel_bytes], &map[pixel_bytes..pixel_bytes + json_bytes]);
    let pixel_digest = blake3::hash(pixels);
    if footer[16..48] != *pixel_digest.as_bytes() || footer[48..80] != *blake3::hash(json).as_bytes() {
        return None;
    }
    let contents: Contents = serde_json::from_slice(json).ok()?;
    let whole = contents.labels.len().checked_mul(shape.bytes())? == pixel_bytes
        && contents.train <= contents.labels.len()
        && contents.labels.iter().all(|label| usize::from(*label) < contents.classes.len());
    let mut hasher = blake3::Hasher::new();
    hasher.update(&shape.channels.to_le_bytes()).update(&shape.size.to_le_bytes());
    hasher.update(pixel_digest.as_bytes()).update(json);
    let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
    whole.then_some(Images { shape, contents, digest, map })
}

fn remove_abandoned(folder: &Path) {
    let abandoned = |path: &PathBuf| {
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(BUILDING));
        let age = fs::metadata(path).and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        named && age.is_some_and(|age| age > ABANDONED_AFTER)
    };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(abandoned) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "cannot remove an abandoned cache file");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SHAPE: Shape = Shape { channels: 1, size: 2 };

    struct Counted(AtomicUsize);

    impl Source for Counted {
        fn identity(&self) -> Result<Digest, Failure> {
            Ok(Digest::of(b"counted"))
        }

        fn decode(&self, _: Shape, sink: &mut super::super::Sink<'_>) -> Result<Contents, Failure> {
            self.0.fetch_add(1, Ordering::SeqCst);
            sink(&[1, 2, 3, 4])?;
            sink(&[5, 6, 7, 8])?;
            Ok(Contents { classes: vec!["a".into(), "b".into()], labels: vec![0, 1], train: 1 })
        }
    }

    fn only_file(folder: &Path) -> PathBuf {
        let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "images")).unwrap()
    }

    #[test]
    fn images_are_decoded_once() {
        let folder = tempfile::tempdir().unwrap();
        let source = Counted(AtomicUsize::new(0));
        let first = open(&source, SHAPE, folder.path()).unwrap();
        let second = open(&source, SHAPE, folder.path()).unwrap();
        assert_eq!(source.0.load(Ordering::SeqCst), 1);
        assert_eq!(first.digest, second.digest);
        assert_eq!(second.image(1), [5, 6, 7, 8]);
        let other = Shape { channels: 1, size: 1 };
        assert!(parse(first.map, other).is_none(), "a file of another shape is not taken");
    }

    #[test]
    fn a_damaged_file_is_built_again() {
        let folder = tempfile::tempdir().unwrap();
        let source = Counted(AtomicUsize::new(0));
        let digest = open(&source, SHAPE, folder.path()).unwrap().digest;
        let path = only_file(folder.path());
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(open(&source, SHAPE, folder.path()).unwrap().digest, digest);
            assert_eq!(source.0.load(Ordering::SeqCst), at + 2, "byte {at}");
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(open(&source, SHAPE, folder.path()).unwrap().digest, digest);
        }
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn builders_at_once_and_killed_ones_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!("{BUILDING}killed")), [1, 2, 3]).unwrap();
        let source = Counted(AtomicUsize::new(0));
        let digests: Vec<Digest> = std::thread::scope(|scope| {
            let open = || open(&source, SHAPE, folder.path()).unwrap().digest;
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(digests.iter().all(|digest| *digest == digests[0]));
        assert_eq!(source.0.load(Ordering::SeqCst), 1, "the others waited");
    }
}
