//! Errors with their texts and exit codes: wrong specs (2), no coordinator (1).

use super::{transcript, transcript_with_input};

#[test]
fn every_problem_of_a_spec_is_listed_with_its_place() {
    insta::assert_snapshot!(transcript(&["plan", "tests/specs/wrong.yaml"]));
}

#[test]
fn a_wrong_spec_is_refused_before_anything_is_dialled() {
    insta::assert_snapshot!(transcript(&["submit", "tests/specs/wrong.yaml", "--output", "json"]));
}

#[test]
fn a_wrong_override_is_named_as_one() {
    insta::assert_snapshot!(transcript(&["plan", "tests/specs/tiny.yaml", "--set", "protocol.epochs=0"]));
}

#[test]
fn a_file_that_is_not_there_is_a_wrong_command_line() {
    insta::assert_snapshot!(transcript(&["plan", "no/such/file.yaml"]));
}

#[test]
fn no_bytes_make_it_panic() {
    for input in [&b""[..], b"\xff\xfe\x00", b"{", b"- - -", b"&a [*a]", &[b'a'; 2_000_000]] {
        let text = transcript_with_input(&["plan", "-"], input);
        assert!(text.contains("exit code: 2") && !text.contains("panicked"), "{text:.2000}");
    }
}

#[test]
fn without_a_coordinator_it_says_how_to_start_one() {
    // Port 1 is nobody's.
    insta::assert_snapshot!(transcript(&["list", "--coordinator", "http://127.0.0.1:1"]));
}

#[test]
fn an_address_that_is_none_is_a_wrong_command_line() {
    insta::assert_snapshot!(transcript(&["list", "--coordinator", "ftp://127.0.0.1:1"]));
}

#[test]
fn an_id_that_is_none_is_a_wrong_command_line() {
    // With a coordinator named, no store of the folder is looked for.
    insta::assert_snapshot!(transcript(&["trial", "xyz", "--coordinator", "http://127.0.0.1:1"]));
}
