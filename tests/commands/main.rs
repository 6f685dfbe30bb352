//! The output of commands that need no coordinator: text, streams and exit codes, as snapshots. To rewrite them:
//! `INSTA_UPDATE=always cargo test --workspace --test commands`.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod answers;
mod canned;
mod check;
mod data;
mod doctor;
mod exports;
mod help;
mod import;
mod init;
mod plan;
mod refusals;
mod screen;
mod store;
mod upkeep;
mod widths;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `sweepctl` in a plain environment: no colours, a hundred columns, no settings of the person who runs the tests.
pub(crate) fn sweepctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sweepctl"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command.env_remove("SWEEP_COORDINATOR").env("NO_COLOR", "1").env("COLUMNS", "100");
    command
}

/// The result of a command as text for a snapshot.
pub(crate) fn transcript(arguments: &[&str]) -> String {
    transcript_with_input(arguments, b"")
}

/// The same with something on stdin.
pub(crate) fn transcript_with_input(arguments: &[&str], input: &[u8]) -> String {
    transcript_of(sweepctl(arguments), arguments, input)
}

pub(crate) fn transcript_of(mut command: Command, arguments: &[&str], input: &[u8]) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sweepctl starts");
    // A program that refuses early closes its end.
    child.stdin.take().expect("stdin is ours").write_all(input).ok();
    let output = child.wait_with_output().expect("sweepctl ends");
    let mut text =
        format!("$ sweepctl {}\nexit code: {}\n", arguments.join(" "), output.status.code().expect("no signal"));
    for (name, stream) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let stream = String::from_utf8(stream.clone()).expect("text");
        writeln!(text, "----- {name} -----\n{}", stream.trim_end()).expect("memory");
    }
    without_ids(&text)
}

/// Replaces ids, which change with every key of a protocol.
fn without_ids(text: &str) -> String {
    let is_id = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words: Vec<&str> = text.split('"').map(|word| if is_id(&word) { "<id>" } else { word }).collect();
    words.join("\"")
}
