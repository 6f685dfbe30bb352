//! Limits of concurrent long requests: streams that watch sweeps, exports, and estimates. Each kind has a limit of its own,
//! and each token a smaller one. A request over a limit is refused at once; the client may try again in a moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::access::keyring::Identity;
use crate::engine::Error;

/// A kind of long request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A stream that watches a sweep, over gRPC, the API or a page.
    Watch,
    /// A stream of points, a report, an artifact, or a CSV file of the API.
    Export,
    /// The cost of a spec.
    Estimate,
}

impl Kind {
    const fn noun(self) -> &'static str {
        match self {
            Self::Watch => "streams that watch sweeps",
            Self::Export => "exports",
            Self::Estimate => "estimates",
        }
    }
}

/// The most concurrent requests of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Streams that watch sweeps.
    pub watches: usize,
    /// Exports.
    pub exports: usize,
    /// Estimates.
    pub estimates: usize,
    /// Of each kind, for one token.
    pub per_token: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { watches: 1_024, exports: 64, estimates: 8, per_token: 256 }
    }
}

impl Limits {
    const fn of(&self, kind: Kind) -> usize {
        match kind {
            Kind::Watch => self.watches,
            Kind::Export => self.exports,
            Kind::Estimate => self.estimates,
        }
    }

    /// The configuration key of a kind's limit.
    const fn key(kind: Kind) -> &'static str {
        match kind {
            Kind::Watch => "limits.watches",
            Kind::Export => "limits.exports",
            Kind::Estimate => "limits.estimates",
        }
    }
}

/// The numbers of open requests.
#[derive(Debug, Default)]
struct Open {
    of_kind: HashMap<Kind, usize>,
    of_caller: HashMap<(Kind, Identity), usize>,
}

/// Counts open requests. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    limits: Limits,
    open: Arc<Mutex<Open>>,
}

/// The permit of one request. Dropping it frees its place.
#[derive(Debug)]
pub struct Permit {
    streams: Streams,
    kind: Kind,
    caller: Option<Identity>,
}

impl Streams {
    pub fn new(limits: Limits) -> Self {
        Self { limits, open: Arc::default() }
    }

    /// Takes a permit for this caller. Callers without a token have no limit of their own.
    ///
    /// # Errors
    /// A limit is reached.
    pub(crate) fn begin(&self, kind: Kind, caller: Option<&Identity>) -> Result<Permit, Error> {
        let caller = caller.filter(|caller| **caller != Identity::default()).cloned();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (most, key) = (self.limits.of(kind), Limits::key(kind));
        let count = open.of_kind.get(&kind).copied().unwrap_or(0);
        if count >= most {
            let what = format!("{most} {} are open, the maximum of this coordinator ({key})", kind.noun());
            return Err(Error::Busy { what });
        }
        if let Some(caller) = &caller {
            let own = open.of_caller.entry((kind, caller.clone())).or_default();
            if *own >= self.limits.per_token {
                let most = self.limits.per_token;
                let what = format!(
                    "{most} {} are open with this token, the maximum of a token (limits.per_token)",
                    kind.noun()
                );
                return Err(Error::Busy { what });
            }
            *own += 1;
        }
        *open.of_kind.entry(kind).or_default() += 1;
        Ok(Permit { streams: self.clone(), kind, caller })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.of_kind.get_mut(&self.kind) {
            *count = count.saturating_sub(1);
        }
        let Some(caller) = self.caller.take() else { return };
        let key = (self.kind, caller);
        if let Some(count) = open.of_caller.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.of_caller.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(token: u8) -> Identity {
        Identity::of_token(sweep_spec::Digest::of(&[token]))
    }

    fn refused(answer: Result<Permit, Error>) -> String {
        answer.map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_kind_and_a_token_have_their_own_limits_and_what_ends_makes_room() {
        let streams = Streams::new(Limits { watches: 3, exports: 1, estimates: 1, per_token: 2 });
        let watch = |caller: &Identity| streams.begin(Kind::Watch, Some(caller));
        let (ann, bob) = (caller(1), caller(2));
        let first = watch(&ann).unwrap();
        let _second = watch(&ann).unwrap();
        assert!(refused(watch(&ann)).starts_with("2 streams that watch sweeps are open with this token"));
        let _third = watch(&bob).unwrap();
        assert!(
            refused(watch(&bob)).starts_with("3 streams that watch sweeps are open, the maximum of this coordinator")
        );
        drop(first);
        let again = watch(&ann).unwrap();
        drop(again);
        let _estimate = streams.begin(Kind::Estimate, Some(&ann)).unwrap();
        assert!(refused(streams.begin(Kind::Estimate, Some(&bob))).contains("limits.estimates"));
    }

    #[test]
    fn callers_without_a_token_share_the_limit_of_all() {
        let streams = Streams::new(Limits { per_token: 1, ..Limits::default() });
        let open: Vec<_> = (0..10).map(|_| streams.begin(Kind::Export, Some(&Identity::default())).unwrap()).collect();
        drop(open);
        assert!(streams.open.lock().unwrap().of_caller.is_empty());
    }
}
