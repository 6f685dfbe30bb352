//! A PostgreSQL server of a test's own: its data in a temporary folder, a socket there and no port. A shell holds it that
//! reads from this process and ends it when nothing more can come: whatever end this process takes, nothing is left.
//! Where PostgreSQL is not installed, tests skip themselves aloud, or fail if SWEEP_REQUIRE asks for it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use sweep_require::Part;

/// Makes a server, says where, and ends it when stdin does.
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

/// A server.
pub(crate) struct Server {
    programs: PathBuf,
    folder: String,
    shell: Child,
    databases: AtomicUsize,
}

impl Server {
    /// Starts one, or says why there is none.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            sweep_require::skip(Part::Postgres, "there is no initdb on this machine; ci/install installs PostgreSQL");
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

    /// Makes an empty database and gives its URL.
    pub(crate) fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let mut command = Command::new(self.programs.join("createdb"));
        command.args(["-h", &self.folder, "-U", "sweep", &name]);
        assert!(command.status().expect("createdb starts").success());
        format!("postgres://sweep@localhost/{name}?host={}", self.folder)
    }

    /// What one statement says.
    #[allow(dead_code, reason = "not every test that includes this file asks")]
    pub(crate) fn ask(&self, url: &str, statement: &str) -> String {
        let mut command = Command::new(self.programs.join("psql"));
        let output = command.args([url, "-X", "-A", "-t", "-c", statement]).output().expect("psql starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Ends it as a crash would.
    #[allow(dead_code, reason = "not every test that includes this file stops it")]
    pub(crate) fn stop(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// Starts it after a stop.
    #[allow(dead_code, reason = "not every test that includes this file stops it")]
    pub(crate) fn start_again(&self) {
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

/// The server that all tests of this process share; each makes a database of its own.
pub(crate) fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

/// PostgreSQL refuses to run as root.
fn as_its_user(program: &str) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", program]);
    command.current_dir("/");
    command
}

/// Where `initdb` lies: beside the others of the newest version that is installed, or on the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.reverse();
    found.extend(std::env::split_paths(&path));
    found.into_iter().find(|folder| folder.join("initdb").is_file())
}
