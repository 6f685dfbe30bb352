//! The output of the commands that maintain a store.

use super::answers::asked;
use super::{canned, sweepctl, transcript_of};

#[test]
fn a_deletion_tells_what_went_and_what_stayed() {
    insta::assert_snapshot!("delete", asked(&["delete", "3"]));
    insta::assert_snapshot!("delete_dry_run", asked(&["delete", "3", "--dry-run"]));
    insta::assert_snapshot!("delete_json", asked(&["delete", "3", "--output", "json"]));
}

#[test]
fn garbage_is_told_by_kind() {
    insta::assert_snapshot!("gc", asked(&["gc"]));
    insta::assert_snapshot!("gc_dry_run", asked(&["gc", "--dry-run", "--output", "json"]));
    insta::assert_snapshot!("gc_of_no_time", asked(&["gc", "--older-than", "soon"]));
}

#[test]
fn a_backup_fetches_what_is_not_there_yet_and_goes_on_where_it_was_interrupted() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("http://{}", canned::serve());
    let run = || {
        let mut command = sweepctl(&["backup", "--folder", "b", "--coordinator", &address]);
        command.current_dir(&folder);
        transcript_of(command, &["backup", "--folder", "b"], b"")
    };
    insta::assert_snapshot!("backup", run());
    insta::assert_snapshot!("backup_again", run());
}

/// A command that is killed before it has closed its backup must find it again by its name.
#[test]
fn a_backup_keeps_its_name_until_the_coordinator_has_closed_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = folder.path().join("b/backup.unfinished");
    let address = format!("http://{}", canned::serve_backups_named_in(name.clone()));
    let mut command = sweepctl(&["backup", "--folder", "b", "--coordinator", &address]);
    command.current_dir(&folder);
    let printed = transcript_of(command, &["backup"], b"");
    assert!(printed.contains("exit code: 0") && !printed.contains("keeps its copy"), "{printed}");
    assert!(!name.exists(), "the next backup has a name of its own");
}
