//! The refusal of a worker whose name another live worker has.

use std::fmt;

use sweep_shapes::text::{ago, duration};

/// The refusal of a worker: another worker has its name, and that worker's lease has not expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameHeld {
    /// The name.
    pub worker: String,
    /// The machine of the worker with the name; empty if unknown.
    pub host: String,
    /// The address that this worker connected from; empty if unknown.
    pub address: String,
    /// When it took the name; 0 if unknown.
    pub since_ms: i64,
    /// The time of its last message; 0 if there was none since the coordinator's restart.
    pub heard_ms: i64,
    /// Milliseconds until the name is free, unless that worker sends a message before.
    pub free_in_ms: u64,
}

impl fmt::Display for NameHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "another worker has the name `{}`", self.worker)?;
        if !self.host.is_empty() {
            write!(f, ": it runs on host {}", self.host)?;
        }
        if !self.address.is_empty() {
            write!(f, ", connected from {}", self.address)?;
        }
        if self.since_ms > 0 {
            write!(f, ", took the name {}", ago(self.since_ms))?;
        }
        match self.heard_ms {
            0 => write!(f, ", and has not reconnected since this coordinator started")?,
            heard => write!(f, ", and last polled {}", ago(heard))?,
        }
        let free = duration(self.free_in_ms.div_ceil(1000) as f64);
        write!(
            f,
            "; give this worker another --name, or stop the other worker; if the other worker no longer runs, its name \
            becomes free in {free}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unix_ms;

    fn held() -> NameHeld {
        NameHeld {
            worker: "gpu1".into(),
            host: "node7".into(),
            address: "10.0.0.5:50432".into(),
            since_ms: unix_ms() - 200_000,
            heard_ms: unix_ms() - 2_000,
            free_in_ms: 27_200,
        }
    }

    #[test]
    fn a_refusal_says_who_holds_the_name_since_when_and_what_to_do() {
        assert_eq!(
            held().to_string(),
            "another worker has the name `gpu1`: it runs on host node7, connected from 10.0.0.5:50432, took the name \
             3 min 20 s ago, and last polled 2 s ago; give this worker another --name, or stop the other worker; if the \
             other worker no longer runs, its name becomes free in 28 s"
        );
        let unknown = NameHeld { host: String::new(), address: String::new(), since_ms: 0, heard_ms: 0, ..held() };
        assert!(unknown.to_string().starts_with(
            "another worker has the name `gpu1`, and has not reconnected since this coordinator started; give"
        ));
    }
}
