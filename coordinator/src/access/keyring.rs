//! The known tokens, and whether one of them permits a call.
//!
//! The keyring has no secrets: it finds a token by the hash of the presented secret. A hash table is safe for that. Its
//! timing tells a caller only about the hashes of its own guesses, not about a secret, and digests are compared whole.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use sweep_spec::Digest;
use sweep_store::tokens::TokenRecord;
use tokio_util::sync::CancellationToken;

use super::cookie::Cookies;
use super::sign_in_links::Links;
use super::{Permission, Role, Secret, SessionKey, secret};

/// A token of the configuration.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its role.
    pub role: Role,
    /// The secret's hash.
    pub digest: Digest,
}

/// The caller of a request, for handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token; none if no token is required, or if the configuration gives the token.
    pub name: Option<String>,
    /// The role of the token; none if no token is required.
    pub role: Option<Role>,
    /// The token and the certificate, for sessions that only their owner may use.
    pub(crate) identity: Identity,
}

impl Caller {
    /// The operator's name for the audit log: the name of the token, or `claimed` if it has none.
    pub(crate) fn operator(&self, claimed: String) -> String {
        self.name.clone().unwrap_or(claimed)
    }

    /// Whether this caller has `role`, for pages that offer only permitted actions.
    pub fn may(&self, role: Role) -> bool {
        self.role.is_none_or(|own| own.covers(role))
    }

    /// Whether this caller may delete a sweep of this submitter: a sweep belongs to the name of the token that submitted it.
    pub fn may_delete(&self, submitter: &str) -> bool {
        let own = !submitter.is_empty() && self.name.as_deref() == Some(submitter);
        self.may(Role::Admin) || (own && self.may(Role::Submit))
    }
}

/// A token and a certificate. A caller without either has the default identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Identity {
    token: Option<Digest>,
    certificate: Option<Digest>,
}

#[cfg(test)]
impl Identity {
    /// An identity with a token and no certificate.
    pub(crate) fn of_token(token: Digest) -> Self {
        Self { token: Some(token), certificate: None }
    }
}

/// A caller that was admitted.
#[derive(Debug)]
pub struct Admitted {
    /// The caller.
    pub caller: Caller,
    /// Cancelled when the token is no longer valid; none without a token.
    pub ended: Option<CancellationToken>,
}

/// Why a caller was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token. The message names no flag: each program has its own flags and variables for tokens.
    #[error("a token is required, but the request has none")]
    Missing,
    /// A token that does not exist.
    #[error("the token is unknown")]
    Unknown,
    /// An expired token.
    #[error("the token has expired")]
    Expired,
    /// A token that was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// A cookie that this coordinator did not seal for this listener, or that has expired.
    #[error("the session of this browser has expired; sign in again")]
    Session,
    /// More than one cookie of the same name: another site set one of them, and nothing tells which.
    #[error(
        "this browser sends more than one session cookie for this coordinator: delete the cookies of this host, and \
        sign in again"
    )]
    Cookies,
    /// A token whose role does not permit the call.
    #[error("this needs a token with the role `{needed}`, but the token has the role `{role}`")]
    Role {
        /// The role of the token.
        role: Role,
        /// The role that the call requires.
        needed: Role,
    },
    /// A worker without a certificate.
    #[error("workers must present a certificate: set `client_cert` and `client_key`")]
    Certificate,
}

impl Refusal {
    /// Whether another token would help, rather than another role.
    pub fn is_unauthenticated(&self) -> bool {
        !matches!(self, Self::Role { .. })
    }
}

/// The credentials that a caller presents.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'a> {
    /// A token.
    pub secret: Option<&'a Secret>,
    /// The digest of the client certificate that the TLS handshake verified.
    pub certificate: Option<Digest>,
}

/// A known token.
struct Key {
    digest: Digest,
    name: Option<String>,
    role: Role,
    expires_ms: Option<i64>,
    revoked: bool,
    ended: CancellationToken,
}

impl Key {
    fn holds(&self, now_ms: i64) -> bool {
        !self.revoked && self.expires_ms.is_none_or(|expires| now_ms < expires)
    }

    /// Whether the two keys differ at most in their expiry.
    fn is_as(&self, other: &Self) -> bool {
        self.role == other.role && self.name == other.name && self.revoked == other.revoked
    }
}

#[derive(Default)]
struct State {
    given: Vec<Given>,
    stored: Vec<TokenRecord>,
    /// Tokens of browsers that used a sign-in link. They end with this process.
    browsers: Vec<Given>,
    keys: HashMap<Digest, Key>,
}

/// All known tokens.
#[derive(Default)]
pub struct Keyring {
    state: RwLock<State>,
    /// Whether workers must present a certificate.
    certificates: bool,
    /// Calls that were refused since the last [`Keyring::take_refused`].
    refused: AtomicU64,
    /// Links that sign a browser in once.
    links: Links,
    /// Sessions of browsers.
    cookies: Cookies,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

impl Keyring {
    /// A keyring without tokens. `certificates` is whether workers must present a certificate.
    pub fn new(certificates: bool) -> Self {
        Self { certificates, ..Self::default() }
    }

    /// Whether a token is required. One is from the first token on, even after all were revoked: the end of the last token
    /// must not disable authentication.
    pub fn is_needed(&self) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        !state.given.is_empty() || !state.stored.is_empty()
    }

    /// Replaces the tokens of the configuration.
    pub fn give(&self, given: Vec<Given>, now_ms: i64) {
        self.change(now_ms, |state| state.given = given);
    }

    /// Replaces the tokens of the store.
    pub fn stored(&self, stored: Vec<TokenRecord>, now_ms: i64) {
        // A shared database is read every second, mostly without a change. `tick` ends expired tokens.
        if self.state.read().unwrap_or_else(PoisonError::into_inner).stored == stored {
            return;
        }
        self.change(now_ms, |state| state.stored = stored);
    }

    /// The code of a link that signs one browser in, with this role.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub(crate) fn issue_link(&self, role: Role, now_ms: i64) -> Result<Secret, secret::Error> {
        self.links.issue(role, now_ms)
    }

    /// A new token for the browser that presents the code of a link. The code is used up. None if the code is not valid.
    ///
    /// # Errors
    /// The operating system provides no random numbers.
    pub(crate) fn open_link(&self, code: &Secret, now_ms: i64) -> Result<Option<Secret>, secret::Error> {
        let Some(role) = self.links.redeem(code, now_ms) else { return Ok(None) };
        let token = Secret::generate()?;
        let given = Given { role, digest: token.digest() };
        self.change(now_ms, |state| state.browsers.push(given));
        Ok(Some(token))
    }

    /// Sets the key that seals browser sessions.
    pub(crate) fn seal_with(&self, key: SessionKey) {
        self.cookies.set_key(key);
    }

    /// The browser sessions.
    pub(super) fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    /// Ends calls and streams whose token or session has expired.
    pub fn tick(&self, now_ms: i64) {
        self.cookies.tick(now_ms);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.keys.values().filter(|key| !key.holds(now_ms)).for_each(|key| key.ended.cancel());
    }

    fn change(&self, now_ms: i64, change: impl FnOnce(&mut State)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let given = state.given.iter().chain(&state.browsers).map(|given| Key {
            digest: given.digest,
            name: None,
            role: given.role,
            expires_ms: None,
            revoked: false,
            ended: CancellationToken::new(),
        });
        let stored = state.stored.iter().map(|token| Key {
            digest: token.digest,
            name: Some(token.name.clone()),
            role: token.role,
            expires_ms: token.expires_ms,
            revoked: token.revoked_ms.is_some(),
            ended: CancellationToken::new(),
        });
        // A token of the configuration wins over one with the same secret in the store.
        let keys: HashMap<Digest, Key> = stored.chain(given).map(|key| (key.digest, key)).collect();
        let before = std::mem::replace(&mut state.keys, keys);
        for (digest, old) in before {
            match state.keys.get_mut(&digest) {
                // Calls and streams with an unchanged token continue.
                Some(key) if key.is_as(&old) && key.holds(now_ms) && !old.ended.is_cancelled() => key.ended = old.ended,
                Some(_) | None => old.ended.cancel(),
            }
        }
    }

    /// The number of calls that were refused since the last call of this function.
    pub(crate) fn take_refused(&self) -> u64 {
        self.refused.swap(0, Ordering::Relaxed)
    }

    /// Admits a caller if its credentials give `permission`.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn admit(&self, presented: Presented<'_>, permission: Permission, now_ms: i64) -> Result<Admitted, Refusal> {
        self.judge(presented, permission, now_ms).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn judge(&self, presented: Presented<'_>, permission: Permission, now_ms: i64) -> Result<Admitted, Refusal> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let needed = match permission {
            Permission::Public => return Ok(anonymous()),
            Permission::Role(role) => role,
        };
        if needed == Role::Worker && self.certificates && presented.certificate.is_none() {
            return Err(Refusal::Certificate);
        }
        let certificate = presented.certificate.filter(|_| needed == Role::Worker);
        if state.given.is_empty() && state.stored.is_empty() {
            let mut open = anonymous();
            open.caller.identity.certificate = certificate;
            return Ok(open);
        }
        let digest = presented.secret.ok_or(Refusal::Missing)?.digest();
        let key = state.keys.get(&digest).ok_or(Refusal::Unknown)?;
        if key.revoked {
            return Err(Refusal::Revoked);
        }
        if !key.holds(now_ms) {
            return Err(Refusal::Expired);
        }
        if !key.role.covers(needed) {
            return Err(Refusal::Role { role: key.role, needed });
        }
        let identity = Identity { token: Some(digest), certificate };
        let caller = Caller { name: key.name.clone(), role: Some(key.role), identity };
        Ok(Admitted { caller, ended: Some(key.ended.clone()) })
    }
}

fn anonymous() -> Admitted {
    Admitted { caller: Caller { name: None, role: None, identity: Identity::default() }, ended: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1000;

    fn token(secret: &Secret, role: Role) -> TokenRecord {
        TokenRecord {
            id: "0123".into(),
            name: "ci".into(),
            role,
            digest: secret.digest(),
            created_ms: 1,
            created_by: "me".into(),
            expires_ms: None,
            revoked_ms: None,
        }
    }

    fn ask(keyring: &Keyring, secret: Option<&Secret>, role: Role) -> Result<Admitted, Refusal> {
        keyring.admit(Presented { secret, certificate: None }, Permission::Role(role), NOW)
    }

    #[test]
    fn without_any_token_everybody_may_do_everything() {
        let keyring = Keyring::new(false);
        assert!(!keyring.is_needed());
        for role in Role::ALL {
            let admitted = ask(&keyring, None, role).unwrap();
            assert!(admitted.caller.name.is_none() && admitted.caller.may(Role::Admin));
        }
    }

    #[test]
    fn from_the_first_token_on_one_is_needed_and_it_must_be_of_the_right_role() {
        let (keyring, secret, other) = (Keyring::new(false), Secret::generate().unwrap(), Secret::generate().unwrap());
        keyring.stored(vec![token(&secret, Role::Read)], NOW);
        let admitted = ask(&keyring, Some(&secret), Role::Read).unwrap();
        assert_eq!((admitted.caller.name.as_deref(), admitted.caller.may(Role::Submit)), (Some("ci"), false));
        assert_eq!(ask(&keyring, None, Role::Read).unwrap_err(), Refusal::Missing);
        assert_eq!(ask(&keyring, Some(&other), Role::Read).unwrap_err(), Refusal::Unknown);
        for needed in [Role::Submit, Role::Admin, Role::Worker] {
            let refused = ask(&keyring, Some(&secret), needed).unwrap_err();
            assert_eq!(refused, Refusal::Role { role: Role::Read, needed });
        }
        assert!(keyring.admit(Presented::default(), Permission::Public, NOW).is_ok());
    }

    #[test]
    fn a_token_that_ends_ends_what_hangs_on_it_and_closes_the_door() {
        let (keyring, secret) = (Keyring::new(false), Secret::generate().unwrap());
        keyring.stored(vec![token(&secret, Role::Admin)], NOW);
        let ended = ask(&keyring, Some(&secret), Role::Read).unwrap().ended.unwrap();
        // Read again without a change.
        keyring.stored(vec![token(&secret, Role::Admin)], NOW);
        assert!(!ended.is_cancelled());
        keyring.stored(vec![TokenRecord { revoked_ms: Some(5), ..token(&secret, Role::Admin) }], NOW);
        assert!(ended.is_cancelled());
        assert_eq!(ask(&keyring, Some(&secret), Role::Read).unwrap_err(), Refusal::Revoked);
        assert_eq!(ask(&keyring, None, Role::Read).unwrap_err(), Refusal::Missing, "the last token does not open");
    }

    #[test]
    fn a_token_ends_with_its_time() {
        let (keyring, secret) = (Keyring::new(false), Secret::generate().unwrap());
        keyring.stored(vec![TokenRecord { expires_ms: Some(NOW + 1), ..token(&secret, Role::Read) }], NOW);
        let ended = ask(&keyring, Some(&secret), Role::Read).unwrap().ended.unwrap();
        keyring.tick(NOW);
        assert!(!ended.is_cancelled());
        keyring.tick(NOW + 1);
        assert!(ended.is_cancelled());
        let presented = Presented { secret: Some(&secret), certificate: None };
        let late = keyring.admit(presented, Permission::Role(Role::Read), NOW + 1);
        assert_eq!(late.unwrap_err(), Refusal::Expired);
    }

    #[test]
    fn a_secret_of_the_configuration_can_be_changed_while_others_go_on() {
        let (keyring, old, new) = (Keyring::new(false), Secret::generate().unwrap(), Secret::generate().unwrap());
        let given = |role, secret: &Secret| Given { role, digest: secret.digest() };
        let stays = Secret::generate().unwrap();
        keyring.give(vec![given(Role::Worker, &old), given(Role::Admin, &stays)], NOW);
        let worker = ask(&keyring, Some(&old), Role::Worker).unwrap().ended.unwrap();
        let admin = ask(&keyring, Some(&stays), Role::Admin).unwrap().ended.unwrap();
        keyring.give(vec![given(Role::Worker, &new), given(Role::Admin, &stays)], NOW);
        assert!(worker.is_cancelled() && !admin.is_cancelled());
        assert_eq!(ask(&keyring, Some(&old), Role::Worker).unwrap_err(), Refusal::Unknown);
        assert!(ask(&keyring, Some(&new), Role::Worker).is_ok());
    }

    #[test]
    fn a_link_gives_a_browser_a_token_once_which_other_tokens_do_not_disturb() {
        let (keyring, worker) = (Keyring::new(false), Secret::generate().unwrap());
        let given = |secret: &Secret| vec![Given { role: Role::Worker, digest: secret.digest() }];
        keyring.give(given(&worker), NOW);
        let code = keyring.issue_link(Role::Submit, NOW).unwrap();
        assert_eq!(ask(&keyring, Some(&code), Role::Read).unwrap_err(), Refusal::Unknown, "a code is no token");
        let token = keyring.open_link(&code, NOW).unwrap().unwrap();
        assert!(keyring.open_link(&code, NOW).unwrap().is_none());
        let admitted = ask(&keyring, Some(&token), Role::Submit).unwrap();
        assert!(ask(&keyring, Some(&token), Role::Admin).is_err());
        keyring.give(given(&Secret::generate().unwrap()), NOW);
        assert!(!admitted.ended.unwrap().is_cancelled() && ask(&keyring, Some(&token), Role::Submit).is_ok());
    }

    #[test]
    fn workers_show_a_certificate_where_one_is_wanted_and_others_need_none() {
        let keyring = Keyring::new(true);
        let shown = Presented { secret: None, certificate: Some(Digest::of(b"certificate")) };
        assert_eq!(ask(&keyring, None, Role::Worker).unwrap_err(), Refusal::Certificate);
        let admitted = keyring.admit(shown, Permission::Role(Role::Worker), NOW).unwrap();
        assert_ne!(admitted.caller.identity, Identity::default());
        assert!(ask(&keyring, None, Role::Admin).is_ok());
        let secret = Secret::generate().unwrap();
        keyring.give(vec![Given { role: Role::Worker, digest: secret.digest() }], NOW);
        assert_eq!(keyring.admit(shown, Permission::Role(Role::Worker), NOW).unwrap_err(), Refusal::Missing);
        assert_eq!(ask(&keyring, Some(&secret), Role::Worker).unwrap_err(), Refusal::Certificate);
    }
}
