//! What somebody may do: `admin` includes `submit`, that includes `read`; `worker` stands apart.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Looks at everything and changes nothing.
    Read,
    /// Also submits, cancels, pauses, retries.
    Submit,
    /// Also takes workers out of service, and makes and revokes tokens.
    Admin,
    /// Trains: the workers' service and nothing else.
    Worker,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Admin, Self::Worker];

    /// Whether who has this role may do what needs the other one.
    pub const fn covers(self, needed: Self) -> bool {
        match needed {
            Self::Read => matches!(self, Self::Read | Self::Submit | Self::Admin),
            Self::Submit => matches!(self, Self::Submit | Self::Admin),
            Self::Admin => matches!(self, Self::Admin),
            Self::Worker => matches!(self, Self::Worker),
        }
    }

    /// As people and programs write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
            Self::Worker => "worker",
        }
    }

    /// As the store has it.
    pub const fn code(self) -> i64 {
        match self {
            Self::Read => 1,
            Self::Submit => 2,
            Self::Admin => 3,
            Self::Worker => 4,
        }
    }

    /// And back.
    ///
    /// # Errors
    /// The store holds another number.
    pub fn of(code: i64) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|role| role.code() == code);
        found.ok_or_else(|| Error::damaged(format!("{code} is not a role")))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected admin, submit, read or worker")]
pub struct NoRole;

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(NoRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_includes_what_it_should_and_workers_stand_apart() {
        let covered = |role: Role| Role::ALL.into_iter().filter(|needed| role.covers(*needed)).collect::<Vec<_>>();
        assert_eq!(covered(Role::Read), [Role::Read]);
        assert_eq!(covered(Role::Submit), [Role::Read, Role::Submit]);
        assert_eq!(covered(Role::Admin), [Role::Read, Role::Submit, Role::Admin]);
        assert_eq!(covered(Role::Worker), [Role::Worker]);
    }

    #[test]
    fn names_and_codes_lead_back() {
        for role in Role::ALL {
            assert_eq!((role.name().parse(), Role::of(role.code()).unwrap()), (Ok(role), role));
        }
        assert!("root".parse::<Role>().is_err() && Role::of(0).is_err() && Role::of(5).is_err());
    }
}
