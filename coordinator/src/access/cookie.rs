//! The session cookie of a signed-in browser: encrypted, short-lived, and for one listener.
//!
//! A browser sends a cookie to every port of its host, so the cookie is not the token. It is a session, encrypted and
//! authenticated with a key from the store: a random number, its begin, its end, and the token. The listener is part of what
//! is authenticated, so the cookie of one coordinator is invalid for another. Because the cookie contains the token, the
//! session ends with the token, and the key alone (which a copy of the store contains) cannot forge a session. Sessions
//! survive a restart and a failover without a table. This process remembers only the sessions that were signed out.
//!
//! Time is an argument. `http.rs` decides which cookies of a request count.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio_util::sync::CancellationToken;

use super::{Secret, SessionKey};

/// Lifetime of a session after its last renewal, in milliseconds. A request in the second half renews it.
pub(crate) const LIFETIME_MS: i64 = 12 * 60 * 60 * 1000;
/// Longest lifetime of a session with renewals. After it the user enters the token again.
pub(crate) const LONGEST_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Shortest extension for which a renewal sends a new cookie.
const WORTH_MS: i64 = 60 * 1000;
/// The most remembered sessions. Open streams of further sessions end only with their token. If all remembered sessions were
/// signed out, the oldest of them is forgotten.
const MOST: usize = 10_000;
/// The longest cookie that is read, in bytes.
const MOST_BYTES: usize = 2048;
/// The version of the sealed layout. It is part of the authenticated data.
const LAYOUT: &[u8] = b"sweep browser session 1";
const NUMBER_BYTES: usize = 16;

/// Names of cookies of earlier releases, which contained the token itself.
pub(super) const FORMER_NAMES: [&str; 2] = ["sweep", "__Host-sweep"];

/// The listener that a cookie is for. All coordinators of a database behind one address have the same port, so a session
/// survives a failover. Two coordinators on one host have different ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Audience {
    /// The port that this process listens on.
    pub(crate) port: u16,
    /// Whether the browser uses TLS.
    pub(crate) secure: bool,
}

impl Audience {
    /// The cookie's name. Browsers accept a `__Host-` name only over TLS, from this host, and for all of its paths.
    pub(crate) fn cookie_name(self) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{prefix}sweep-{}", self.port)
    }

    fn authenticated(self) -> Vec<u8> {
        let mut bytes = LAYOUT.to_vec();
        bytes.extend(self.port.to_be_bytes());
        bytes.push(u8::from(self.secure));
        bytes
    }
}

/// The session of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    number: [u8; NUMBER_BYTES],
    begun_ms: i64,
    expires_ms: i64,
    token: Secret,
}

impl Session {
    /// The token that the session was opened with.
    pub(crate) fn token(&self) -> &Secret {
        &self.token
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.number.to_vec();
        bytes.extend(self.begun_ms.to_be_bytes());
        bytes.extend(self.expires_ms.to_be_bytes());
        bytes.extend(self.token.reveal().as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk::<NUMBER_BYTES>()?;
        let (begun, rest) = rest.split_first_chunk::<8>()?;
        let (expires, token) = rest.split_first_chunk::<8>()?;
        let token = Secret::of(std::str::from_utf8(token).ok()?)?;
        let (begun_ms, expires_ms) = (i64::from_be_bytes(*begun), i64::from_be_bytes(*expires));
        Some(Self { number: *number, begun_ms, expires_ms, token })
    }
}

/// The value of a cookie, and its `Max-Age`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) value: String,
    pub(crate) seconds: i64,
}

/// Why a browser cannot be signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store was not read yet, or cannot be read.
    #[error("this coordinator does not lead yet, so it cannot sign in a browser: try again in a few seconds")]
    NoKey,
    /// The operating system provides no random numbers.
    #[error(
        "the operating system gave this coordinator no random numbers, so it cannot sign a browser in: allow it the system \
         call `getrandom`"
    )]
    Random(#[source] getrandom::Error),
    /// The encryption library refuses the key or the session.
    #[error(
        "this coordinator cannot encrypt the session of a browser with AES-256-GCM under the 32 bytes of its store's session \
         key, so it cannot sign a browser in: restart it, and report a bug if that does not help"
    )]
    Seal,
}

/// A session that a browser used.
struct Known {
    /// Cancelled to end the streams of this session.
    ended: CancellationToken,
    /// All copies of the session have expired after this time.
    until_ms: i64,
    /// Whether the user has signed out.
    left: bool,
}

struct Seal {
    key: SessionKey,
    /// None if the library refuses the key.
    cipher: Option<RandomizedNonceKey>,
}

/// Seals and reads browser sessions.
#[derive(Default)]
pub(crate) struct Cookies {
    seal: RwLock<Option<Seal>>,
    known: Mutex<HashMap<[u8; NUMBER_BYTES], Known>>,
}

impl Cookies {
    /// Sets the key of the store. A new key ends all earlier sessions.
    pub(crate) fn set_key(&self, key: SessionKey) {
        let mut seal = self.seal.write().unwrap_or_else(PoisonError::into_inner);
        if seal.as_ref().is_none_or(|seal| seal.key != key) {
            // A refused key is kept, so that signing in reports it rather than a missing key.
            let cipher = RandomizedNonceKey::new(&AES_256_GCM, key.as_bytes()).ok();
            *seal = Some(Seal { key, cipher });
        }
    }

    /// A new session for the browser that presented this token.
    ///
    /// # Errors
    /// There is no key yet, or there are no random numbers.
    pub(crate) fn sign_in(&self, token: &Secret, audience: Audience, now_ms: i64) -> Result<Sealed, Error> {
        let mut number = [0; NUMBER_BYTES];
        getrandom::fill(&mut number).map_err(Error::Random)?;
        let expires_ms = now_ms.saturating_add(LIFETIME_MS);
        self.seal(&Session { number, begun_ms: now_ms, expires_ms, token: token.clone() }, audience, now_ms)
    }

    /// The session of a cookie; none if it was not sealed for this listener, has expired, or was signed out.
    pub(crate) fn read(&self, value: &str, audience: Audience, now_ms: i64) -> Option<Session> {
        let session = self.open(value, audience)?;
        let left = self.known().get(&session.number).is_some_and(|known| known.left);
        (now_ms < session.expires_ms && !left).then_some(session)
    }

    /// Extends a session, if it is due and its longest lifetime is not over.
    pub(crate) fn renew(&self, session: &Session, audience: Audience, now_ms: i64) -> Option<Sealed> {
        if now_ms < session.expires_ms.saturating_sub(LIFETIME_MS / 2) {
            return None;
        }
        let longest = session.begun_ms.saturating_add(LONGEST_MS);
        let expires_ms = now_ms.saturating_add(LIFETIME_MS).min(longest);
        if expires_ms < session.expires_ms.saturating_add(WORTH_MS) {
            return None;
        }
        let renewed = Session { expires_ms, ..session.clone() };
        let sealed = self.seal(&renewed, audience, now_ms).ok()?;
        if let Some(known) = self.known().get_mut(&session.number) {
            known.until_ms = known.until_ms.max(expires_ms);
        }
        Some(sealed)
    }

    /// A token that is cancelled when the session ends: signed out, expired, or with its access token.
    pub(crate) fn ending(&self, session: &Session, token: &CancellationToken, now_ms: i64) -> CancellationToken {
        let mut known = self.known();
        if !known.contains_key(&session.number) && !make_room(&mut known, now_ms) {
            return token.clone();
        }
        let fresh = || Known { ended: token.child_token(), until_ms: session.expires_ms, left: false };
        let known = known.entry(session.number).or_insert_with(fresh);
        known.until_ms = known.until_ms.max(session.expires_ms);
        if known.ended.is_cancelled() && !known.left {
            // The token was invalid for a while and is valid again.
            known.ended = token.child_token();
        }
        known.ended.clone()
    }

    /// Signs a session out: neither its cookie nor a renewed one is accepted any more.
    pub(crate) fn leave(&self, session: &Session, now_ms: i64) {
        let mut known = self.known();
        let full = !known.contains_key(&session.number) && !make_room(&mut known, now_ms);
        let least = || known.iter().min_by_key(|(_, known)| (known.left, known.until_ms));
        if let Some(first) = full.then(least).flatten().map(|(number, _)| *number) {
            known.remove(&first);
        }
        let fresh = || Known { ended: CancellationToken::new(), until_ms: 0, left: true };
        let known = known.entry(session.number).or_insert_with(fresh);
        known.left = true;
        known.until_ms = now_ms.saturating_add(LIFETIME_MS).max(session.expires_ms);
        known.ended.cancel();
    }

    /// Ends the streams of expired sessions, and forgets these sessions.
    pub(crate) fn tick(&self, now_ms: i64) {
        forget(&mut self.known(), now_ms);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; NUMBER_BYTES], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seal(&self, session: &Session, audience: Audience, now_ms: i64) -> Result<Sealed, Error> {
        let seal = self.seal.read().unwrap_or_else(PoisonError::into_inner);
        let cipher = seal.as_ref().ok_or(Error::NoKey)?.cipher.as_ref().ok_or(Error::Seal)?;
        let mut content = session.encode();
        let nonce = cipher.seal_in_place_append_tag(Aad::from(audience.authenticated()), &mut content);
        let nonce: [u8; NONCE_LEN] = *nonce.map_err(|_| Error::Seal)?.as_ref();
        let value = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &content].concat());
        Ok(Sealed { value, seconds: session.expires_ms.saturating_sub(now_ms).max(0) / 1000 })
    }

    fn open(&self, value: &str, audience: Audience) -> Option<Session> {
        if value.len() > MOST_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, content) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut content = content.to_vec();
        let seal = self.seal.read().unwrap_or_else(PoisonError::into_inner);
        let cipher = seal.as_ref()?.cipher.as_ref()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = cipher.open_in_place(nonce, Aad::from(audience.authenticated()), &mut content).ok()?;
        Session::decode(opened)
    }
}

/// Whether one more can be remembered.
fn make_room(known: &mut HashMap<[u8; NUMBER_BYTES], Known>, now_ms: i64) -> bool {
    if known.len() >= MOST {
        forget(known, now_ms);
    }
    known.len() < MOST
}

fn forget(known: &mut HashMap<[u8; NUMBER_BYTES], Known>, now_ms: i64) {
    known.retain(|_, known| {
        let holds = now_ms < known.until_ms;
        if !holds {
            known.ended.cancel();
        }
        holds
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000_000;
    const HERE: Audience = Audience { port: 7734, secure: false };
    const SECURE: Audience = Audience { port: 7734, secure: true };

    fn cookies() -> Cookies {
        let cookies = Cookies::default();
        cookies.set_key(SessionKey::generate().unwrap());
        cookies
    }

    #[test]
    fn a_cookie_is_no_token_and_says_nothing_of_one() {
        let (cookies, token) = (cookies(), Secret::generate().unwrap());
        let sealed = cookies.sign_in(&token, HERE, NOW).unwrap();
        assert_eq!(sealed.seconds, LIFETIME_MS / 1000);
        assert!(!sealed.value.contains(token.reveal()));
        let decoded = URL_SAFE_NO_PAD.decode(&sealed.value).unwrap();
        let part = &token.reveal().as_bytes()[..12];
        assert!(!decoded.windows(part.len()).any(|window| window == part));
        assert_eq!(cookies.read(&sealed.value, HERE, NOW).unwrap().token(), &token);
        assert_eq!(cookies.read(token.reveal(), HERE, NOW), None, "the token itself is no cookie");
        assert_ne!(cookies.sign_in(&token, HERE, NOW).unwrap(), sealed);
    }

    #[test]
    fn a_cookie_opens_only_the_listener_and_the_store_that_made_it() {
        let (one, other, token) = (cookies(), cookies(), Secret::generate().unwrap());
        let sealed = one.sign_in(&token, SECURE, NOW).unwrap();
        assert!(one.read(&sealed.value, SECURE, NOW).is_some());
        assert_eq!(one.read(&sealed.value, HERE, NOW), None, "made under TLS, shown without");
        assert_eq!(one.read(&sealed.value, Audience { port: 7735, ..SECURE }, NOW), None, "another port");
        assert_eq!(other.read(&sealed.value, SECURE, NOW), None, "another store");
        assert!(matches!(Cookies::default().sign_in(&token, HERE, NOW), Err(Error::NoKey)));
    }

    #[test]
    fn a_key_that_is_refused_is_not_taken_for_a_key_that_is_not_there_yet() {
        let (cookies, token) = (Cookies::default(), Secret::generate().unwrap());
        let key = SessionKey::generate().unwrap();
        *cookies.seal.write().unwrap() = Some(Seal { key, cipher: None });
        let error = cookies.sign_in(&token, HERE, NOW).unwrap_err();
        assert!(matches!(error, Error::Seal), "{error:?}");
        assert!(error.to_string().starts_with("this coordinator cannot encrypt the session of a browser"), "{error}");
        assert_eq!(cookies.read("AAAA", HERE, NOW), None);
    }

    #[test]
    fn a_changed_byte_makes_a_cookie_worthless() {
        let (cookies, token) = (cookies(), Secret::generate().unwrap());
        let sealed = cookies.sign_in(&token, HERE, NOW).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed.value).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(cookies.read(&URL_SAFE_NO_PAD.encode(changed), HERE, NOW), None, "byte {place}");
        }
        for length in 0..bytes.len() {
            assert_eq!(cookies.read(&URL_SAFE_NO_PAD.encode(&bytes[..length]), HERE, NOW), None, "{length} bytes");
        }
        for odd in ["", "=", "\u{e4}", &"A".repeat(100_000)] {
            assert_eq!(cookies.read(odd, HERE, NOW), None);
        }
    }

    #[test]
    fn a_session_expires_unless_it_is_used_and_at_last_all_the_same() {
        let (cookies, token) = (cookies(), Secret::generate().unwrap());
        let first = cookies.sign_in(&token, HERE, NOW).unwrap();
        let session = cookies.read(&first.value, HERE, NOW + LIFETIME_MS - 1).unwrap();
        assert_eq!(cookies.read(&first.value, HERE, NOW + LIFETIME_MS), None);
        assert_eq!(cookies.renew(&session, HERE, NOW + LIFETIME_MS / 2 - 1), None, "too early");
        let (mut now, mut value, mut renewals) = (NOW, first.value, 0);
        while let Some(session) = cookies.read(&value, HERE, now) {
            if let Some(sealed) = cookies.renew(&session, HERE, now) {
                (value, renewals) = (sealed.value, renewals + 1);
            }
            now += LIFETIME_MS / 2;
        }
        assert_eq!(now - NOW, LONGEST_MS, "used again and again, it lasts the longest time and no longer");
        assert!(renewals > 10, "{renewals}");
    }

    #[test]
    fn leaving_ends_a_session_its_renewals_and_what_hangs_on_it() {
        let (cookies, token, holds) = (cookies(), Secret::generate().unwrap(), CancellationToken::new());
        let first = cookies.sign_in(&token, HERE, NOW).unwrap().value;
        let second = cookies.sign_in(&token, HERE, NOW).unwrap().value;
        let session = cookies.read(&first, HERE, NOW).unwrap();
        let other = cookies.read(&second, HERE, NOW).unwrap();
        let later = NOW + LIFETIME_MS / 2;
        let renewed = cookies.renew(&session, HERE, later).unwrap().value;
        let (ending, others) = (cookies.ending(&session, &holds, later), cookies.ending(&other, &holds, later));
        cookies.leave(&session, later);
        assert!(ending.is_cancelled() && !others.is_cancelled() && !holds.is_cancelled());
        cookies.tick(later + LIFETIME_MS - 1);
        for value in [&first, &renewed] {
            assert_eq!(cookies.read(value, HERE, later), None);
        }
        assert!(cookies.read(&second, HERE, later).is_some(), "another browser with the same token stays");
        assert!(cookies.ending(&session, &holds, later).is_cancelled());
    }

    #[test]
    fn what_hangs_on_a_session_ends_with_its_time_and_with_its_token() {
        let (cookies, token) = (cookies(), Secret::generate().unwrap());
        let session = |now| cookies.read(&cookies.sign_in(&token, HERE, now).unwrap().value, HERE, now).unwrap();
        let (holds, old) = (CancellationToken::new(), session(NOW));
        let ending = cookies.ending(&old, &holds, NOW);
        cookies.tick(NOW + LIFETIME_MS - 1);
        assert!(!ending.is_cancelled());
        cookies.tick(NOW + LIFETIME_MS);
        assert!(ending.is_cancelled());
        let new = session(NOW);
        let ending = cookies.ending(&new, &holds, NOW);
        holds.cancel();
        assert!(ending.is_cancelled());
        let again = CancellationToken::new();
        assert!(!cookies.ending(&new, &again, NOW).is_cancelled(), "the token holds again");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_leaving_still_counts() {
        let (cookies, token, holds) = (cookies(), Secret::generate().unwrap(), CancellationToken::new());
        let session = || cookies.read(&cookies.sign_in(&token, HERE, NOW).unwrap().value, HERE, NOW).unwrap();
        for _ in 0..MOST + 10 {
            cookies.ending(&session(), &holds, NOW);
        }
        assert_eq!(cookies.known().len(), MOST);
        let sealed = cookies.sign_in(&token, HERE, NOW).unwrap();
        cookies.leave(&cookies.read(&sealed.value, HERE, NOW).unwrap(), NOW);
        assert_eq!(cookies.read(&sealed.value, HERE, NOW), None);
        assert_eq!(cookies.known().len(), MOST);
        cookies.tick(NOW + LIFETIME_MS);
        assert!(cookies.known().is_empty());
    }

    #[test]
    fn the_name_has_the_port_so_that_two_coordinators_of_a_host_do_not_replace_each_others_cookie() {
        assert_eq!((HERE.cookie_name(), SECURE.cookie_name()), ("sweep-7734".into(), "__Host-sweep-7734".into()));
        assert!(!FORMER_NAMES.contains(&HERE.cookie_name().as_str()));
    }
}
