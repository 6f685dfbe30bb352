//! The live screen on a real pseudo terminal, made by `script`: what it draws, what keys and signals do, and that it
//! restores the terminal. An emulator reads the screen back.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sweep_require::Part;

use super::canned::{serve, serve_at};

const ROWS: u16 = 30;
const COLUMNS: u16 = 100;
/// A test that waits longer for the screen has failed.
const SCREEN_TIMEOUT: Duration = Duration::from_secs(600);

/// A terminal with a shell that runs one `sweepctl` and then prints its exit code and the terminal's modes.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

struct Seen {
    emulator: vt100::Parser,
    bytes: Vec<u8>,
    ended: bool,
}

impl Terminal {
    /// None, aloud, where there is no `script` that takes a command.
    fn run(arguments: &str, environment: &[(&str, &str)]) -> Option<Self> {
        let known = Command::new("script").arg("--version").output();
        if !known.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux")) {
            sweep_require::skip(Part::Terminal, "there is no `script` of util-linux on this machine");
            return None;
        }
        let program = env!("CARGO_BIN_EXE_sweepctl");
        // Ctrl-C on a terminal that takes it for a signal reaches the shell as well, which has more to tell.
        let line = format!(
            "trap : INT; stty rows {ROWS} cols {COLUMNS}; tty; sh -c 'echo pid=$$; exec {program} {arguments}'; echo code=$?; stty -a"
        );
        let mut command = Command::new("script");
        command
            .args(["-q", "-e", "-f", "-c", &line, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh");
        command.env_remove("NO_COLOR").env_remove("SWEEP_COORDINATOR").env_remove("COLUMNS");
        command.envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().expect("script starts");
        let keys = script.stdin.take().expect("its stdin is ours");
        let mut output = script.stdout.take().expect("its stdout is ours");
        let size = |number| NonZeroU16::new(number).expect("not 0");
        let emulator = vt100::Parser::new(size(ROWS), size(COLUMNS), 0);
        let seen = Arc::new((Mutex::new(Seen { emulator, bytes: Vec::new(), ended: false }), Condvar::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let read = output.read(&mut bytes).unwrap_or(0);
                let mut seen = shared.0.lock().expect("no panic holds it");
                seen.bytes.extend_from_slice(&bytes[..read]);
                seen.emulator.process(&bytes[..read]);
                seen.ended = read == 0;
                shared.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Some(Self { script, keys, seen })
    }

    /// Waits until the terminal shows the wanted text.
    #[track_caller]
    fn until(&self, what: &str, mut wanted: impl FnMut(&Seen) -> bool) {
        let seen = self.seen.0.lock().expect("no panic holds it");
        let done = |seen: &mut Seen| !wanted(seen) && !seen.ended;
        let (seen, waited) = self.seen.1.wait_timeout_while(seen, SCREEN_TIMEOUT, done).expect("no panic holds it");
        let shows = seen.emulator.screen().contents();
        assert!(!waited.timed_out() && wanted(&seen), "never {what}; the terminal shows:\n{shows}");
    }

    /// Waits for words on the alternate screen.
    #[track_caller]
    fn until_shown(&self, words: &str) {
        self.until(&format!("showed {words:?}"), |seen| {
            seen.emulator.screen().alternate_screen() && seen.emulator.screen().contents().contains(words)
        });
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("script reads");
    }

    /// The text after `name=`, or in the line of the terminal's name, that was printed before the screen.
    fn told(&self, begin: &str) -> String {
        let seen = self.seen.0.lock().expect("no panic holds it");
        let text = String::from_utf8_lossy(&seen.bytes).into_owned();
        text.lines().find(|line| line.starts_with(begin)).expect("it was printed").trim().to_owned()
    }

    /// Waits for the end; returns the final screen and every byte that was sent.
    #[track_caller]
    fn end(mut self, code: i32) -> (String, String) {
        self.until("came to its end", |seen| seen.ended);
        self.script.wait().expect("script ends");
        let seen = self.seen.0.lock().expect("no panic holds it");
        let screen = seen.emulator.screen();
        let shows = screen.contents();
        assert!(shows.contains(&format!("code={code}\n")), "{shows}");
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "the screen was not given back:\n{shows}");
        for mode in [" icanon ", " echo ", " isig "] {
            assert!(shows.replace([';', '\n'], " ").contains(mode), "{mode:?} is not set again:\n{shows}");
        }
        (shows, String::from_utf8_lossy(&seen.bytes).into_owned())
    }
}

#[test]
fn watch_is_a_live_screen_that_q_leaves_and_says_how_to_come_back() {
    let address = serve().to_string();
    let Some(mut terminal) = Terminal::run(&format!("watch 3 --coordinator {address}"), &[]) else { return };
    terminal.until_shown("sweep 3 scene-cnn: running");
    // Each part comes by a question of its own.
    for words in ["filters=64", "w1:0", "by val_accuracy, highest first", "── Events ─"] {
        terminal.until_shown(words);
    }
    terminal.press("?");
    terminal.until_shown("Ctrl-L");
    terminal.press("\x1b");
    terminal.until("closed the help", |seen| !seen.emulator.screen().contents().contains("Ctrl-L"));
    terminal.press("q");
    let (shows, bytes) = terminal.end(130);
    assert!(shows.contains("sweep 3 continues: follow it again with `sweepctl watch 3 --coordinator"), "{shows}");
    assert!(bytes.contains("\x1b[?1049h") && bytes.contains("\x1b[0;36m"), "a screen in colours");
    assert!(!bytes.contains('\u{202e}') && !bytes.contains("\x07"), "a name has painted it");
}

#[test]
fn ctrl_c_and_a_signal_give_the_terminal_back() {
    let address = serve().to_string();
    let line = format!("watch 3 --coordinator {address}");
    let Some(mut terminal) = Terminal::run(&line, &[("NO_COLOR", "1")]) else { return };
    terminal.until_shown("sweep 3 scene-cnn: running");
    terminal.press("\x03");
    let (_, bytes) = terminal.end(130);
    for colour in 31..=36 {
        assert!(!bytes.contains(&format!(";{colour}m")), "NO_COLOR is heard");
    }
    let Some(terminal) = Terminal::run(&line, &[]) else { return };
    terminal.until_shown("sweep 3 scene-cnn: running");
    let pid = terminal.told("pid=")["pid=".len()..].parse().expect("a number");
    kill_process(Pid::from_raw(pid).expect("not 0"), Signal::TERM).expect("it lives");
    terminal.end(143);
}

#[test]
fn a_terminal_that_changes_its_size_is_drawn_anew() {
    let address = serve().to_string();
    let Some(mut terminal) = Terminal::run(&format!("watch 3 --coordinator {address}"), &[]) else { return };
    terminal.until_shown("── Stages ──");
    terminal.until_shown("── Leaderboard ─");
    let device = terminal.told("/dev/");
    let resized = Command::new("stty").args(["-F", &device, "rows", "12", "cols", "60"]).status().expect("stty starts");
    assert!(resized.success());
    // There is room for one pane then, which is the leaderboard.
    terminal.until("drew one pane", |seen| {
        let shows = seen.emulator.screen().contents();
        shows.contains("── Leaderboard ─") && !shows.contains("── Stages ──")
    });
    terminal.press("q");
    terminal.end(130);
}

#[test]
fn a_coordinator_that_goes_away_is_waited_for() {
    let first = serve_at("127.0.0.1:0");
    let address = first.address.to_string();
    let Some(mut terminal) = Terminal::run(&format!("watch 3 --coordinator {address}"), &[]) else { return };
    terminal.until_shown("sweep 3 scene-cnn: running");
    drop(first);
    terminal.until_shown("lost the coordinator");
    let _second = serve_at(&address);
    terminal.until("was there again", |seen| !seen.emulator.screen().contents().contains("lost the coordinator"));
    terminal.press("q");
    terminal.end(130);
}

#[test]
fn a_sweep_that_ends_leaves_its_leaderboard_on_the_usual_screen() {
    let address = serve().to_string();
    let Some(terminal) = Terminal::run(&format!("watch 4 --coordinator {address} 2>&1"), &[]) else { return };
    let (shows, _) = terminal.end(3);
    assert!(shows.contains("some trials failed"), "{shows}");
}

#[test]
fn a_terminal_that_knows_no_screen_gets_bars() {
    let address = serve().to_string();
    let line = format!("watch 3 --coordinator {address}");
    let Some(mut terminal) = Terminal::run(&line, &[("TERM", "dumb")]) else { return };
    terminal.until("told of it", |seen| seen.emulator.screen().contents().contains("configurations"));
    terminal.press("\x03");
    let (_, bytes) = terminal.end(130);
    assert!(!bytes.contains("\x1b[?1049h"), "{bytes}");
}

#[cfg(feature = "local")]
#[test]
fn an_unfinished_sweep_of_the_local_store_is_asked_about_and_the_screen_shows_the_address_of_the_pages() {
    use std::io::{BufRead, BufReader};

    let folder = tempfile::tempdir().expect("a folder");
    let spec = |name: &str, filters: u32| {
        let data =
            "{ kind: synthetic_scenes, train_images: 32, test_images: 16, image_size: 8, channels: 1, classes: 8 }";
        let text = format!(
            "version: 1\nname: {name}\ndataset: {data}\nprotocol: {{ epochs: 100000, batch_size: 16 }}\nseeds: [0]\n\
             baseline: {{ family: cnn, conv_layers: 1, filters: {filters}, kernel_size: 3 }}\n\
             stages: [ {{ name: width, vary: {{ filters: [{filters}] }} }} ]\n"
        );
        let path = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, text).expect("the folder can be written");
        path.display().to_string()
    };
    let store = folder.path().join("sweep.db").display().to_string();
    let (old, new) = (spec("old", 2), spec("new", 3));
    let words = ["submit", &old, "--local", "--store", &store, "--slots", "1", "--watch", "--output", "json"];
    let mut left = super::sweepctl(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut first = String::new();
    BufReader::new(left.stdout.take().expect("its stdout is ours")).read_line(&mut first).expect("it says something");
    assert!(first.contains("\"old\""), "{first}");
    left.kill().and_then(|()| left.wait()).expect("it is ours");

    let line = format!("submit {new} --local --store {store} --slots 1 --watch");
    let Some(mut terminal) = Terminal::run(&line, &[]) else { return };
    terminal.until("asked", |seen| {
        let shows = seen.emulator.screen().contents();
        shows.contains("sweep 1 old is unfinished") && shows.contains("cancel it")
    });
    // The third answer.
    terminal.press("\x1b[B\x1b[B\r");
    terminal.until_shown("sweep 2 new: running");
    terminal.until_shown("pages: http://127.0.0.1:");
    terminal.press("\x03");
    let (shows, bytes) = terminal.end(130);
    assert!(bytes.contains("/open/") && !shows.contains("WARN"), "{shows}");
}

#[cfg(feature = "local")]
#[test]
fn a_coordinator_at_a_terminal_says_where_a_browser_finds_its_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(place("token"), "a-token-that-is-long-enough").expect("the folder can be written");
    let open = format!("coordinator --listen 127.0.0.1:0 --listen-http 127.0.0.1:0 --store {}", place("sweep.db"));
    let closed = format!("{open} --admin-token-file {}", place("token"));
    for (line, opens_once) in [(open, false), (closed, true)] {
        let Some(mut terminal) = Terminal::run(&line, &[]) else { return };
        terminal.until("said so", |seen| seen.emulator.screen().contents().contains("pages: http://127.0.0.1:"));
        terminal.press("\x03");
        let (shows, _) = terminal.end(0);
        assert_eq!((shows.contains("/open/"), shows.contains("opens once")), (opens_once, opens_once), "{shows}");
    }
}
