//! The failures that a person sees: theirs or their surroundings' (exit code 1), usage or a wrong spec (2), and ours.
//! Each is printed once, with its chain of causes and a `hint:` line where something can be done.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use sweep_shapes::Incomplete;
use sweep_shapes::text::escape;
use sweep_trust::{Distrust, Reason};

/// How a command ended that did what it was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exit {
    /// All is well: 0.
    Well,
    /// The answer is a failure, which has been said already: 1.
    Failed,
    /// The sweep ended with failed trials, or needs a person because the first ones failed alike: 3.
    TrialsFailed,
    /// SIGINT or SIGTERM ended it: 128 and the signal's number, as shells have it.
    Signal(u8),
    /// As the embedded program says.
    #[cfg(feature = "local")]
    Program(ExitCode),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Well => ExitCode::SUCCESS,
            Exit::Failed => ExitCode::from(1),
            Exit::TrialsFailed => ExitCode::from(3),
            Exit::Signal(number) => ExitCode::from(128 + number),
            #[cfg(feature = "local")]
            Exit::Program(code) => code,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something that the person or the surroundings can mend.
    Failed,
    /// The command line or the spec is wrong.
    Usage,
    /// A bug here.
    Ours,
    /// Nobody reads our stdout any more (`| head`): nothing to say, nothing wrong.
    ReaderGone,
}

/// A command that could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
    /// Problems of a spec, each a line of its own.
    problems: Vec<String>,
    /// The connection broke, or what is at its other end does not speak as a coordinator does.
    connection: bool,
    /// The certificate of the coordinator is not trusted.
    distrust: bool,
}

impl Failure {
    /// What the person or the surroundings can mend.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// A wrong command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A wrong spec: one line for each problem.
    pub(crate) fn spec(message: impl Into<String>, problems: Vec<String>) -> Self {
        Self { problems, ..Self::new(Kind::Usage, message) }
    }

    /// A bug of this program, or an answer that no coordinator should give.
    pub(crate) fn ours(message: impl Into<String>) -> Self {
        Self::new(Kind::Ours, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            hint: None,
            problems: Vec::new(),
            connection: false,
            distrust: false,
        }
    }

    /// A coordinator whose certificate is not trusted, and what to do about that.
    pub(crate) fn of_distrust(distrust: &Distrust) -> Self {
        let hint = match &distrust.reason {
            Reason::Expired(_) => {
                "renew the certificate (`sweepctl certs init DIR` creates one with its own authority); the coordinator \
                reloads changed files"
            }
            Reason::NotYet(_) => "synchronise both clocks with NTP; `timedatectl` shows their state",
            Reason::UnknownIssuer => {
                "pass the certificate of its authority with --ca-file FILE or SWEEP_CA_FILE; `sweepctl certs init` \
                writes it to ca.crt on the coordinator's machine"
            }
            Reason::OtherName(_) => {
                "use a host name from the certificate; `sweepctl certs init DIR --host NAME` creates a certificate for \
                another name"
            }
            Reason::Other(_) => "inspect the certificate with `openssl x509 -text -noout -in FILE`",
        };
        let failure = Self::failed("the coordinator is not trusted").because(distrust.clone()).hint(hint);
        Self { distrust: true, ..failure }
    }

    /// Whether the certificate of a coordinator is not trusted.
    pub(crate) fn is_of_distrust(&self) -> bool {
        self.distrust
    }

    /// What the person can do, if that is known.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// With the cause.
    pub(crate) fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// With what the person can do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The failure that a write to stdout met.
    pub(crate) fn writing(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Kind::ReaderGone, "the reader of the output has left"),
            _ => Self::failed("cannot write the output").because(error),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::ReaderGone => ExitCode::SUCCESS,
            Kind::Failed | Kind::Ours => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
        }
    }

    /// The same, of a connection that broke.
    pub(crate) fn of_the_connection(self) -> Self {
        Self { connection: true, ..self }
    }

    /// Whether what listens at the address may explain it.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        self.connection
    }

    /// Whether there is nothing to be said.
    pub(crate) fn is_silent(&self) -> bool {
        self.kind == Kind::ReaderGone
    }

    /// The chain of causes, outermost first; a cause that says what the one above it said is left out.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = next {
            let text = error.to_string();
            let said = causes.last().unwrap_or(&self.message);
            if !said.contains(&text) {
                causes.push(text);
            }
            next = error.source();
        }
        causes
    }

    /// The machine form: what `--output json` prints to stderr.
    pub(crate) fn report(&self) -> Report {
        Report {
            error: self.message.clone(),
            causes: self.causes(),
            problems: self.problems.clone(),
            hint: self.hint.clone(),
        }
    }
}

/// A failure as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    error: String,
    causes: Vec<String>,
    /// Of a spec: `file:line:column: path: message`.
    problems: Vec<String>,
    hint: Option<String>,
}

impl fmt::Display for Failure {
    /// The text form, without colours: problems, `error:`, causes, `hint:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}", escape(problem))?;
        }
        let ours = if self.kind == Kind::Ours { " (this is a bug in sweep)" } else { "" };
        write!(f, "error: {}{ours}", multiline(&self.message))?;
        for cause in self.causes() {
            write!(f, "\n  because: {}", multiline(&cause))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", multiline(hint))?;
        }
        Ok(())
    }
}

/// Escaped, but for its line breaks.
fn multiline(text: &str) -> String {
    text.trim_end().lines().map(escape).collect::<Vec<_>>().join("\n")
}

impl From<Incomplete> for Failure {
    fn from(incomplete: Incomplete) -> Self {
        Self::ours(incomplete.to_string())
    }
}

/// What to do about a thing that is not there, by its kind.
fn where_to_look(status: &tonic::Status) -> Option<&'static str> {
    match status.metadata().get(MISSING).and_then(|kind| kind.to_str().ok()) {
        Some("sweep") => Some("run `sweepctl list` to list the sweeps"),
        Some("trial") => Some("run `sweepctl trials SWEEP` to list the trials of a sweep"),
        Some("worker") => Some("run `sweepctl workers` to list the workers"),
        Some("artifact") => Some("run `sweepctl artifacts SWEEP` to list the artifacts of a sweep"),
        Some("configuration") => {
            Some("run `sweepctl leaderboard SWEEP` to list the configurations; a rank such as #1 selects one")
        }
        _ => None,
    }
}

/// The metadata in which a coordinator says what kind of thing is not there.
const MISSING: &str = "sweep-missing";

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        if let Some(distrust) = sweep_trust::find(&status) {
            return Self::of_distrust(distrust);
        }
        // Made on this side: nobody answered, or nobody who speaks gRPC.
        let ours = Error::source(&status).is_some();
        let failure = by_code(status);
        if ours { failure.of_the_connection() } else { failure }
    }
}

fn by_code(status: tonic::Status) -> Failure {
    use tonic::Code;
    let said = status.message().to_owned();
    match status.code() {
        Code::NotFound => match where_to_look(&status) {
            Some(hint) => Failure::failed(said).hint(hint),
            None => Failure::failed(said),
        },
        Code::InvalidArgument | Code::OutOfRange => Failure::usage(said),
        // What it says itself has no cause on this side.
        Code::Unavailable if Error::source(&status).is_none() && !said.is_empty() => {
            Failure::failed(said).hint("nothing is lost and workers continue; try again when the cause is fixed")
        }
        Code::Unavailable => Failure::failed("the coordinator does not answer")
            .because(status)
            .hint("restart it with `sweepctl coordinator`, or name another one with --coordinator URL"),
        Code::DeadlineExceeded | Code::Cancelled => {
            Failure::failed("the coordinator did not answer in time").because(status)
        }
        Code::Unimplemented => Failure::failed("the coordinator does not know this request")
            .hint("use a coordinator and a sweepctl of the same version; `sweepctl doctor` shows both versions"),
        Code::Internal | Code::Unknown | Code::DataLoss => {
            Failure::failed(format!("the coordinator failed: {said}")).hint("see the coordinator's log")
        }
        Code::Unauthenticated => Failure::failed(said).hint(
            "pass a token file with --token-file or SWEEP_TOKEN_FILE, or the token itself in SWEEP_TOKEN; an admin \
            creates tokens with `sweepctl token create`",
        ),
        Code::PermissionDenied => Failure::failed(said)
            .hint("ask an admin for a token with another role; `sweepctl token create` creates one"),
        Code::Ok | Code::AlreadyExists | Code::ResourceExhausted | Code::FailedPrecondition | Code::Aborted => {
            Failure::failed(said)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_causes_once_and_cannot_paint_the_terminal() {
        let cause = std::io::Error::other("disk \u{1b}[31mfull");
        let failure = Failure::failed("cannot write x\u{7}").because(cause).hint("free some");
        let text = "error: cannot write x\\u{7}\n  because: disk \\u{1b}[31mfull\nhint: free some";
        assert_eq!(failure.to_string(), text);
        assert_eq!(Failure::failed("a: b").because("b").to_string(), "error: a: b");
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let failure = Failure::writing(std::io::ErrorKind::BrokenPipe.into());
        assert!(failure.is_silent());
        assert!(!Failure::writing(std::io::ErrorKind::StorageFull.into()).is_silent());
    }
}
