//! Where a store is: a SQLite file or a PostgreSQL database. A password is never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::sqlite::beside;

/// Where a store is.
#[derive(Clone)]
pub enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PgConnectOptions>),
}

/// What cannot be a place. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the path of a file, or postgres://USER@HOST:PORT/DATABASE")]
pub struct NoLocation;

impl Location {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// The folder of artifacts that a coordinator on this store uses, unless its configuration names another.
    pub fn artifacts(&self) -> PathBuf {
        beside(self.file().unwrap_or(Path::new("sweep")), ".artifacts")
    }
}

impl FromStr for Location {
    type Err = NoLocation;

    fn from_str(text: &str) -> Result<Self, NoLocation> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let options: PgConnectOptions = text.parse().map_err(|_| NoLocation)?;
            // Names are matched in the program; what a server says of statements belongs to no log.
            return Ok(Self::Postgres(Box::new(options)));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
        if path.is_empty() || (path == text && text.contains("://")) {
            return Err(NoLocation);
        }
        Ok(Self::File(PathBuf::from(path)))
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(options) => {
                write!(f, "postgres://{}@", options.get_username())?;
                match options.get_socket() {
                    Some(socket) => write!(f, "{}", socket.display())?,
                    None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
                }
                write!(f, "/{}", options.get_database().unwrap_or(options.get_username()))
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Postgres(_), Self::Postgres(_)) => self.to_string() == other.to_string(),
            (Self::File(_), Self::Postgres(_)) | (Self::Postgres(_), Self::File(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_beside_the_file_or_in_the_working_folder() {
        for (text, folder) in [("a/b.db", "a/b.db.artifacts"), ("postgres://me@host/study", "sweep.artifacts")] {
            assert_eq!(text.parse::<Location>().unwrap().artifacts(), Path::new(folder));
        }
    }

    #[test]
    fn a_place_is_a_file_or_a_database_and_shows_no_password() {
        let shown = |text: &str| text.parse::<Location>().map(|place| format!("{place} {place:?}"));
        for (text, expected) in [
            ("sweep.db", "sweep.db"),
            ("sqlite:a/b.db", "a/b.db"),
            ("sqlite:///a/b.db", "/a/b.db"),
            ("postgres://me:secret@host:5433/study", "postgres://me@host:5433/study"),
            ("postgresql://me@host/study?password=secret", "postgres://me@host:5432/study"),
            ("postgres://me:secret@localhost/study?host=/run/pg", "postgres://me@/run/pg/study"),
        ] {
            assert_eq!(shown(text), Ok(format!("{expected} {expected}")), "{text}");
        }
        for text in ["", "sqlite:", "mysql://me:secret@host/study", "postgres://me:secret@host:port/study"] {
            let error = shown(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
