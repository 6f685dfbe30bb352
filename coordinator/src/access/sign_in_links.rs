//! Links that sign in one browser. A link contains a random code, which the browser exchanges for a token of its own. A code
//! is valid once and for a limited time, and the coordinator keeps only its hash.
//!
//! Time is an argument. `login.rs` decides which machine may exchange a code.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use sweep_spec::Digest;

use super::{Role, Secret, secret};

/// Lifetime of a link, in milliseconds.
pub(crate) const LIFETIME_MS: i64 = 60 * 60 * 1000;
/// The most unused links; a new one replaces the oldest.
const MOST: usize = 16;

#[derive(Debug)]
struct Link {
    code: Digest,
    role: Role,
    expires_ms: i64,
}

/// The links that have not been used.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<VecDeque<Link>>);

impl Links {
    /// A new code, for a token with this role.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub(super) fn issue(&self, role: Role, now_ms: i64) -> Result<Secret, secret::Error> {
        let code = Secret::code()?;
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| now_ms < link.expires_ms);
        while links.len() >= MOST {
            links.pop_front();
        }
        links.push_back(Link { code: code.digest(), role, expires_ms: now_ms.saturating_add(LIFETIME_MS) });
        Ok(code)
    }

    /// Uses a code up. None if it was never issued, was used before, or has expired.
    pub(super) fn redeem(&self, code: &Secret, now_ms: i64) -> Option<Role> {
        let digest = code.digest();
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = links.iter().position(|link| link.code == digest)?;
        let link = links.remove(place)?;
        (now_ms < link.expires_ms).then_some(link.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000;

    #[test]
    fn a_code_opens_once_and_no_other_does() {
        let (links, stranger) = (Links::default(), Secret::code().unwrap());
        let code = links.issue(Role::Submit, NOW).unwrap();
        assert_ne!(code, stranger);
        assert_eq!(links.redeem(&stranger, NOW), None);
        assert_eq!(links.redeem(&code, NOW + 1), Some(Role::Submit));
        assert_eq!(links.redeem(&code, NOW + 1), None, "it was used");
    }

    #[test]
    fn a_code_expires() {
        let links = Links::default();
        let (early, late) = (links.issue(Role::Submit, NOW).unwrap(), links.issue(Role::Submit, NOW).unwrap());
        assert_eq!(links.redeem(&early, NOW + LIFETIME_MS - 1), Some(Role::Submit));
        assert_eq!(links.redeem(&late, NOW + LIFETIME_MS), None);
        assert_eq!(links.redeem(&late, NOW), None, "an expired code is used up by trying it");
    }

    #[test]
    fn links_are_bounded() {
        let links = Links::default();
        let codes: Vec<Secret> = (0..=MOST).map(|_| links.issue(Role::Read, NOW).unwrap()).collect();
        assert_eq!(links.redeem(&codes[0], NOW), None, "the oldest went first");
        assert!(codes[1..].iter().all(|code| links.redeem(code, NOW) == Some(Role::Read)));
    }
}
