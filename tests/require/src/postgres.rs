//! A PostgreSQL server for tests. Its data and its socket are in a temporary folder; it listens on no port. The test process
//! starts it through a shell that waits on a pipe: when the test process ends, even by a crash, the shell stops the server and
//! deletes the folder. Without PostgreSQL on the machine tests are skipped, or fail if `SWEEP_REQUIRE` names the part.

#![expect(clippy::expect_used, reason = "a test that cannot start its server fails")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Part;

/// Starts a server, prints its folder, and stops it at the end of stdin.
const SCRIPT: &str = r#"
set -e
trap '' INT HUP
folder=$(mktemp -d /tmp/sweep-postgres-XXXXXX)
"$1/initdb" -D "$folder/data" -U sweep -A trust -E UTF8 --locale=C --no-sync > "$folder/initdb.log" 2>&1
cat >> "$folder/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$folder'
max_connections = 300
END
"$1/pg_ctl" -D "$folder/data" -l "$folder/log" -s -w start
echo "$folder"
cat > /dev/null
"$1/pg_ctl" -D "$folder/data" -m immediate -s -w stop || true
rm -rf "$folder"
"#;

/// A running server.
pub struct Server {
    programs: PathBuf,
    folder: String,
    shell: Child,
    databases: AtomicUsize,
}

impl Server {
    /// Starts a server; `None` where PostgreSQL is not installed, and the test is skipped.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            crate::skip(Part::Postgres, "there is no initdb on this machine; ci/install installs PostgreSQL");
            return None;
        };
        let mut command = as_its_user("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(&programs).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("a shell starts");
        let mut folder = String::new();
        BufReader::new(shell.stdout.take().expect("its stdout is ours")).read_line(&mut folder).expect("a line");
        assert!(!folder.is_empty(), "PostgreSQL does not start");
        Some(Self { programs, folder: folder.trim_end().to_owned(), shell, databases: AtomicUsize::new(0) })
    }

    /// Creates an empty database and returns its URL.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let mut command = Command::new(self.programs.join("createdb"));
        command.args(["-h", &self.folder, "-U", "sweep", &name]);
        assert!(command.status().expect("createdb starts").success());
        format!("postgres://sweep@localhost/{name}?host={}", self.folder)
    }

    /// The output of one SQL statement.
    pub fn ask(&self, url: &str, statement: &str) -> String {
        let mut command = Command::new(self.programs.join("psql"));
        let output = command.args([url, "-X", "-A", "-t", "-c", statement]).output().expect("psql starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Stops the server as a crash would.
    pub fn stop(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// Starts the server after a stop.
    pub fn start_again(&self) {
        self.control(&["start"]);
    }

    fn control(&self, words: &[&str]) {
        let folder = Path::new(&self.folder);
        let mut command = as_its_user(self.programs.join("pg_ctl").to_str().expect("the path is text"));
        command.arg("-D").arg(folder.join("data")).arg("-l").arg(folder.join("log")).args(["-s", "-w"]).args(words);
        assert!(command.status().expect("pg_ctl starts").success(), "pg_ctl {words:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().ok();
    }
}

/// The server that all tests of this process share; each test creates its own database.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

/// Runs `program` as the user `postgres` when the test runs as root: PostgreSQL refuses to run as root.
fn as_its_user(program: &str) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", program]);
    command.current_dir("/");
    command
}

/// The folder with `initdb`: that of the newest installed version, or one of `PATH`.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.reverse();
    found.extend(std::env::split_paths(&path));
    found.into_iter().find(|folder| folder.join("initdb").is_file())
}
