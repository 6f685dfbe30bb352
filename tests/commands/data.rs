//! `sweepctl data check`, on drawn data, on folders with planted problems, and on wrong command lines.

use std::path::Path;

use super::{sweepctl, transcript, transcript_of};

/// A picture that no other number gives: a PNG of 16 × 16 random greys.
fn picture(path: &Path, number: u32) {
    let mut state = number.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut rows = Vec::new();
    for _ in 0..256 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        rows.push((state >> 24) as u8);
    }
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, png(&rows)).expect("a file");
}

/// The smallest PNG writer: grey, 16 pixels each way, stored and not packed.
fn png(greys: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in greys.chunks(16) {
        lines.push(0);
        lines.extend_from_slice(row);
    }
    let mut data = vec![0x78, 0x01, 0x01];
    data.extend((lines.len() as u16).to_le_bytes());
    data.extend((!(lines.len() as u16)).to_le_bytes());
    data.extend_from_slice(&lines);
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in &lines {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    data.extend((high << 16 | low).to_be_bytes());
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [0, 0, 0, 16, 0, 0, 0, 16, 8, 0, 0, 0, 0];
    for (kind, content) in [(b"IHDR", &header[..]), (b"IDAT", &data), (b"IEND", &[])] {
        file.extend((content.len() as u32).to_be_bytes());
        let body = [&kind[..], content].concat();
        file.extend_from_slice(&body);
        file.extend(checksum(&body).to_be_bytes());
    }
    file
}

fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum)))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (part, class, first) in [("train", "a", 0), ("train", "b", 10), ("test", "a", 20), ("test", "b", 30)] {
        for number in 0..3 {
            picture(&folder.path().join(format!("set/{part}/{class}/{number}.png")), first + number);
        }
    }
    folder
}

fn check(folder: &Path, arguments: &[&str]) -> String {
    let mut command = sweepctl(arguments);
    command.current_dir(folder);
    let text = transcript_of(command, arguments, b"");
    let real = folder.canonicalize().expect("it is there");
    text.replace(&real.display().to_string(), "FOLDER")
}

#[test]
fn clean_data_are_counted() {
    insta::assert_snapshot!(check(folder().path(), &["data", "check", "set"]));
}

#[test]
fn what_is_wrong_with_data_is_told_and_ends_with_1() {
    let folder = folder();
    let set = folder.path().join("set");
    std::fs::copy(set.join("train/a/0.png"), set.join("test/a/copy.png")).expect("a copy");
    std::fs::copy(set.join("train/b/1.png"), set.join("train/a/other.png")).expect("a copy");
    std::fs::write(set.join("test/b/broken.png"), "no picture").expect("a file");
    std::fs::write(set.join("test/b/notes.txt"), "no picture").expect("a file");
    picture(&set.join("train/c/0.png"), 99);
    insta::assert_snapshot!("data_problems", check(folder.path(), &["data", "check", "set"]));
    insta::assert_snapshot!("data_problems_json", check(folder.path(), &["data", "check", "set", "--output", "json"]));
}

#[test]
fn the_data_of_a_spec_are_looked_at_where_the_trainer_looks() {
    let text = transcript(&["data", "check", "tests/specs/tiny.yaml"]);
    assert!(text.contains("exit code: 0") && text.contains("synthetic_scenes"), "{text}");
    let folder = folder();
    let spec = "{ version: 1, name: x, dataset: { kind: image_folder, path: set, image_size: 16, channels: 1, classes: 2 }, \
                baseline: { family: cnn }, extra: [ { name: a, family: cnn } ] }";
    std::fs::write(folder.path().join("spec.yaml"), spec).expect("a file");
    let text = check(folder.path(), &["data", "check", "spec.yaml"]);
    assert!(text.contains("exit code: 0") && text.contains("images: 6 train, 6 test"), "{text}");
    insta::assert_snapshot!(check(folder.path(), &["data", "check", "spec.yaml", "--set", "dataset.path=absent"]));
}

#[test]
fn a_folder_has_no_settings() {
    insta::assert_snapshot!(check(folder().path(), &["data", "check", "set", "--data-root", "."]));
}
