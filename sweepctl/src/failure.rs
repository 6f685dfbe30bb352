//! Failures by cause: the user or the environment (exit code 1), usage or an invalid spec (2), and bugs. Each is
//! printed once, with its chain of causes and a `hint:` line if there is a remedy.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use sweep_shapes::Incomplete;
use sweep_shapes::text::escape;
use sweep_trust::{Distrust, Reason};

/// How a completed command ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exit {
    /// Success: 0.
    Success,
    /// The answer is negative, and has been printed: 1.
    Failed,
    /// The sweep ended with failed trials, or was held back because the first ones failed alike: 3.
    TrialsFailed,
    /// Ended by SIGINT or SIGTERM: 128 plus the signal's number, as in shells.
    Signal(u8),
    /// The exit code of the embedded program.
    #[cfg(feature = "local")]
    Program(ExitCode),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => ExitCode::SUCCESS,
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
    /// Something that the user can correct here or in the environment.
    Failed,
    /// The command line or the spec is invalid.
    Usage,
    /// A bug in this program.
    Internal,
    /// The reader of stdout is gone (`| head`): not an error, and nothing to print.
    BrokenPipe,
}

/// Why a command did not complete.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
    /// Problems of a spec, one per line.
    problems: Vec<String>,
    /// The connection broke, or its other end is not a coordinator.
    connection: bool,
    /// The coordinator's certificate is not trusted.
    distrust: bool,
}

impl Failure {
    /// A failure that the user can correct here or in the environment.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// An invalid command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// An invalid spec: one line per problem.
    pub(crate) fn spec(message: impl Into<String>, problems: Vec<String>) -> Self {
        Self { problems, ..Self::new(Kind::Usage, message) }
    }

    /// A bug in this program, or an invalid answer of a coordinator.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
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

    /// A coordinator whose certificate is not trusted, with the remedy.
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

    /// Whether the coordinator's certificate is not trusted.
    pub(crate) fn is_of_distrust(&self) -> bool {
        self.distrust
    }

    /// The remedy, if known.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Adds the cause.
    pub(crate) fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Adds the remedy.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The failure of a write to stdout.
    pub(crate) fn writing(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Kind::BrokenPipe, "the reader of the output is gone"),
            _ => Self::failed("cannot write the output").because(error),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::BrokenPipe => ExitCode::SUCCESS,
            Kind::Failed | Kind::Internal => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
        }
    }

    /// Marks the failure as a broken connection.
    pub(crate) fn of_the_connection(self) -> Self {
        Self { connection: true, ..self }
    }

    /// Whether the program that listens at the address may explain it.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        self.connection
    }

    /// Whether nothing is printed.
    pub(crate) fn is_silent(&self) -> bool {
        self.kind == Kind::BrokenPipe
    }

    /// The chain of causes, outermost first, without repetitions.
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
    /// For a spec: `file:line:column: path: message`.
    problems: Vec<String>,
    hint: Option<String>,
}

impl fmt::Display for Failure {
    /// The text form, without colours: problems, `error:`, causes, `hint:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}", escape(problem))?;
        }
        let ours = if self.kind == Kind::Internal { " (this is a bug in sweep)" } else { "" };
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

/// Escapes everything except line breaks.
fn multiline(text: &str) -> String {
    text.trim_end().lines().map(escape).collect::<Vec<_>>().join("\n")
}

impl From<Incomplete> for Failure {
    fn from(incomplete: Incomplete) -> Self {
        Self::internal(incomplete.to_string())
    }
}

/// Where to look for a missing object, by its kind.
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

/// The metadata key in which a coordinator names the kind of a missing object.
const MISSING: &str = "sweep-missing";

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        if let Some(distrust) = sweep_trust::find(&status) {
            return Self::of_distrust(distrust);
        }
        // Created by this process: there was no answer, or it was not gRPC.
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
        // A status from the coordinator has no cause on this side.
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
