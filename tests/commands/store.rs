//! `sweepctl store copy`: refusals, and the report on a copied store.

use sweep_require::postgres::shared;

use super::{sweepctl, transcript, transcript_of};

#[test]
fn a_store_that_is_not_there_is_not_made() {
    insta::assert_snapshot!(transcript(&["store", "copy", "no/such/store.db", "other.db"]));
}

#[test]
fn what_is_no_place_is_a_wrong_command_line_and_no_password_is_told() {
    let text = transcript(&["store", "copy", "mysql://me:secret@host/study", "other.db"]);
    insta::assert_snapshot!(text.replace("mysql://me:secret@host", "mysql://..."));
}

#[test]
fn a_database_that_nobody_runs_is_named_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["store", "copy", "postgres://me:secret@127.0.0.1:1/study", "other.db"];
    let mut command = sweepctl(&arguments);
    command.current_dir(&folder);
    let text = transcript_of(command, &["store", "copy", "postgres://...", "other.db"], b"");
    assert!(!text.contains("secret"));
    insta::assert_snapshot!(text);
}

#[test]
fn an_empty_store_goes_over_once() {
    let Some(server) = shared() else { return };
    let url = server.database();
    let place = url.rsplit_once('/').map_or("", |(folder, _)| folder);
    let host = url.split_once("host=").map_or("", |(_, folder)| folder);
    let name = url.split(['/', '?']).nth(3).unwrap_or_default();
    assert!(!place.is_empty() && !host.is_empty() && !name.is_empty(), "{url}");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |from: &str, to: &str, said: &[&str]| {
        let mut command = sweepctl(&["store", "copy", from, to]);
        command.current_dir(&folder);
        transcript_of(command, said, b"").replace(&format!("{host}/{name}"), "SOCKET/DATABASE")
    };
    // A database that is empty becomes a store, and the file too.
    let first = copy(&url, "first.db", &["store", "copy", "DATABASE", "first.db"]);
    insta::assert_snapshot!("an_empty_store_goes_over", first);
    server.ask(&url, "INSERT INTO counters (name, value) VALUES ('session', 7)");
    server.ask(&url, "INSERT INTO questions (digest, body) VALUES ('\\x00', '{}')");
    copy(&url, "second.db", &[]);
    let again = copy(&url, "second.db", &["store", "copy", "DATABASE", "second.db"]);
    insta::assert_snapshot!("a_store_that_is_not_empty_is_not_filled", again);
}
