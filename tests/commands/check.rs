//! `sweepctl store check`, on the store that the first release wrote.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{root, sweepctl, transcript, transcript_of};

/// A folder with a copy of that store, which may be spoilt, with the modes that the first release gave its files.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let from = root().join("coordinator/store/tests/data");
    std::fs::copy(from.join("store-1.db"), folder.path().join("store.db")).expect("the store is there");
    let artifacts = folder.path().join("store.db.artifacts/94");
    std::fs::create_dir_all(&artifacts).expect("a folder");
    for file in std::fs::read_dir(from.join("store-1.artifacts/94")).expect("the artifacts are there") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), artifacts.join(file.file_name())).expect("a copy");
    }
    for (name, mode) in [("store.db", 0o644), ("store.db.artifacts", 0o755)] {
        std::fs::set_permissions(folder.path().join(name), Permissions::from_mode(mode)).expect("its mode is set");
    }
    folder
}

fn check(folder: &Path, more: &[&str]) -> String {
    let arguments = [&["store", "check", "store.db"], more].concat();
    let mut command = sweepctl(&arguments);
    command.current_dir(folder);
    transcript_of(command, &arguments, b"")
}

#[test]
fn a_sound_store_is_counted() {
    insta::assert_snapshot!(check(copy().path(), &[]));
}

#[test]
fn the_machine_form_of_a_check() {
    insta::assert_snapshot!(check(copy().path(), &["--output", "json"]));
}

#[test]
fn what_is_wrong_is_told_and_ends_with_1() {
    let folder = copy();
    for file in std::fs::read_dir(folder.path().join("store.db.artifacts/94")).expect("a folder") {
        std::fs::write(file.expect("a file").path(), b"something else").expect("it can be written");
    }
    insta::assert_snapshot!(check(folder.path(), &[]));
}

#[test]
fn a_store_that_is_not_there_cannot_be_checked() {
    insta::assert_snapshot!(transcript(&["store", "check", "nowhere/store.db"]));
}

#[test]
fn what_is_no_store_cannot_be_checked() {
    insta::assert_snapshot!(transcript(&["store", "check", "README.md"]));
}
