//! Headless Chromium with the network off: opens a file and returns what the browser reported.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The browser, if this machine has one. A test without it prints that and passes.
pub(crate) fn find() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file())
}

/// What a page did.
pub(crate) struct Seen {
    /// The document after its script ran.
    pub(crate) dom: String,
    /// Every request, refusal and complaint.
    pub(crate) log: String,
}

impl Seen {
    /// Lines about errors of scripts, refused or failed requests.
    pub(crate) fn complaints(&self) -> Vec<&str> {
        let is_one = |line: &&str| line.contains("CONSOLE") || line.contains("net::ERR");
        self.log.lines().filter(is_one).collect()
    }
}

/// A window of this size with `flags`.
pub(crate) fn open(browser: &Path, file: &Path, (width, height): (u32, u32), flags: &[&str]) -> Seen {
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
        // No host name resolves, so a request fails and appears in the log.
        .args([
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            "--log-level=0",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},{height}"))
        .args(flags)
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("the browser starts");
    Seen {
        dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
