//! Checks every HTTP request before it is routed, and adds the security headers to every response.
//!
//! A browser sends its session cookie (`cookie.rs`) with requests from every page, also from pages of other sites. So a
//! request that changes something must come from a page of this coordinator: browsers name the origin of a request, and one
//! without an origin is refused. A cookie counts only under the one name that belongs to this listener, and only if the
//! browser sends it once.
//!
//! If no token is required, because only this machine can connect, a page of another site could still send requests through
//! the browser of its reader. So a request whose `Host` is not a name of this machine is refused.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::cookie::{Audience, Session};
use super::keyring::{Admitted, Presented};
use super::login::{cookie, set_cookie};
use super::revocable_body::RevocableBody;
use super::{Keyring, Permission, Refusal, Secret, permissions};
use crate::clock::Clock;
use crate::listen::Peer;
use crate::web::problem::Problem;

/// Timeout for a request that changes something, with its answer.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The content security policy: a page loads content of this coordinator only. A page that needs another policy sets it.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                          connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
                          frame-ancestors 'none'";

/// The state of the check.
#[derive(Debug, Clone)]
pub struct Door {
    /// The known tokens.
    pub keyring: Arc<Keyring>,
    /// Accepts every `Host` although no token is required, because authentication is disabled on purpose.
    pub any_host: bool,
    /// Whether this listener uses TLS.
    pub tls: bool,
    /// The port that this process listens on.
    pub port: u16,
    /// Decides which tokens and sessions have expired.
    pub clock: Clock,
}

impl Door {
    /// The audience of a cookie for this request. The cookie is `Secure` if this listener uses TLS, or if a proxy before it
    /// reports TLS. A client that fakes the report only gets a cookie that its own browser sends less often.
    pub(super) fn audience(&self, headers: &HeaderMap) -> Audience {
        let secure = self.tls || headers.get("x-forwarded-proto").is_some_and(|value| value == "https");
        Audience { port: self.port, secure }
    }
}

/// The credentials of a request.
#[derive(Debug, PartialEq)]
enum Shown {
    /// A token in the header, from a program.
    Header(Secret),
    /// The cookie of this listener, not yet checked.
    Cookie(String),
    /// More than one cookie of this name.
    Cookies,
    Not,
}

/// The checked cookie of a request, for the handlers of signing in and out.
#[derive(Debug, Clone, Default)]
pub(super) struct Browser {
    /// The session of the cookie.
    pub(super) session: Option<Session>,
    /// Why the cookie has no session.
    pub(super) refused: Option<Refusal>,
}

/// Admits a request, or answers why it is refused.
pub(crate) async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let audience = door.audience(request.headers());
    let shown = shown(request.headers(), &audience.cookie_name());
    // No handler can leak them.
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove(header::COOKIE);
    let permission = permissions::of_http(request.method(), request.uri().path());
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !door.any_host && !door.keyring.is_needed() && !is_local(host(request.uri(), request.headers())) {
        return careful(refuse(
            StatusCode::MISDIRECTED_REQUEST,
            "this coordinator answers only requests from its own machine",
        ));
    }
    if changes && !comes_from_here(&request, matches!(shown, Shown::Cookie(_) | Shown::Cookies)) {
        return careful(refuse(
            StatusCode::FORBIDDEN,
            "a request that changes something must come from a page of this coordinator",
        ));
    }
    let now_ms = door.clock.unix_ms();
    let (secret, browser) = read(&door, shown, audience, now_ms);
    let secret = browser.session.as_ref().map(Session::token).or(secret.as_ref());
    let Admitted { caller, ended } =
        match door.keyring.admit(Presented { secret, certificate: None }, permission, now_ms) {
            Ok(admitted) => admitted,
            Err(refusal) => return careful(turned_away(&request, &browser.refused.unwrap_or(refusal))),
        };
    let cookies = door.keyring.cookies();
    // A request that signs out is answered after the end of its session.
    let ended = ended.map(|ended| match &browser.session {
        Some(session) => cookies.ending(session, &ended, now_ms),
        None => ended,
    });
    let private = permission != Permission::Public;
    let renewed = browser.session.as_ref().filter(|_| private);
    let renewed = renewed.and_then(|session| cookies.renew(session, audience, now_ms));
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(browser);
    request.extensions_mut().insert(door);
    let answer = if changes {
        let late = || refuse(StatusCode::REQUEST_TIMEOUT, "the request took too long");
        tokio::time::timeout(CHANGE_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| late())
    } else {
        next.run(request).await
    };
    let answer = match ended {
        Some(ended) => answer.map(|body| axum::body::Body::new(RevocableBody::new(body, ended, None))),
        None => answer,
    };
    let mut answer = careful(answer);
    if let Some(renewed) = renewed {
        set_cookie(&mut answer, &cookie(&audience.cookie_name(), &renewed, audience.secure));
    }
    if private && !answer.headers().contains_key(header::CACHE_CONTROL) {
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}

/// The token of the header, or the session of the cookie.
fn read(door: &Door, shown: Shown, audience: Audience, now_ms: i64) -> (Option<Secret>, Browser) {
    let refused = |refusal| (None, Browser { session: None, refused: Some(refusal) });
    match shown {
        Shown::Header(secret) => (Some(secret), Browser::default()),
        Shown::Cookie(value) => match door.keyring.cookies().read(&value, audience, now_ms) {
            Some(session) => (None, Browser { session: Some(session), refused: None }),
            None => refused(Refusal::Session),
        },
        Shown::Cookies => refused(Refusal::Cookies),
        Shown::Not => (None, Browser::default()),
    }
}

fn shown(headers: &HeaderMap, cookie: &str) -> Shown {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        return text(value).and_then(|value| Secret::bearer(&value)).map_or(Shown::Not, Shown::Header);
    }
    let cookies: Vec<String> = headers.get_all(header::COOKIE).iter().filter_map(text).collect();
    let pairs = cookies.iter().flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(name, _)| *name == cookie).map(|(_, value)| value);
    match (ours.next(), ours.next()) {
        (None, _) => Shown::Not,
        (Some(value), None) => Shown::Cookie(value.to_owned()),
        (Some(_), Some(_)) => Shown::Cookies,
    }
}

/// The host that the request names, without its port.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.host().or_else(|| {
        let value = headers.get(header::HOST)?.to_str().ok()?;
        Some(
            value
                .rsplit_once(':')
                .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
                .map_or(value, |(host, _)| host),
        )
    })
}

/// Whether a host cannot be a name that another site points here. Browsers always send a host.
fn is_local(host: Option<&str>) -> bool {
    let Some(host) = host else { return true };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Whether a request was made on this machine: its peer is local, it names this machine, and no proxy forwards it for
/// another client.
pub(super) fn is_from_this_machine(peer: &Peer, uri: &Uri, headers: &HeaderMap) -> bool {
    const PROXIES: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];
    let Some(host) = host(uri, headers) else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let names_it = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    let direct = !PROXIES.iter().any(|name| headers.contains_key(*name));
    peer.address.ip().to_canonical().is_loopback() && names_it && direct
}

/// Whether a request comes from a page of this coordinator, or from no page.
fn comes_from_here(request: &Request, by_cookie: bool) -> bool {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    match (header("sec-fetch-site"), header("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let origin = origin.parse::<Uri>().ok();
            let asked = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
            let origin = origin.as_ref().and_then(|uri| uri.authority()).map(|authority| authority.as_str());
            origin.is_some() && origin == asked
        }
        (None, None) => !by_cookie,
    }
}

/// Redirects a browser to the sign-in page, and answers a program with 401 or 403.
fn turned_away(request: &Request, refusal: &Refusal) -> Response {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let person = *request.method() == Method::GET && accept.contains("text/html");
    if !refusal.is_unauthenticated() {
        return refuse(StatusCode::FORBIDDEN, &refusal.to_string());
    }
    if person {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        return Redirect::to(&format!("/login?next={}", super::login::encode(path))).into_response();
    }
    let mut answer = refuse(StatusCode::UNAUTHORIZED, &refusal.to_string());
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sweep\""));
    answer
}

fn refuse(status: StatusCode, why: &str) -> Response {
    Problem::new(status, why).into_response()
}

/// Adds the security headers, except those that the handler has set.
fn careful(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        let builder = Request::builder().method("POST").uri("/api/v1/sweeps/1/cancel");
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(axum::body::Body::empty()).unwrap()
    }

    #[test]
    fn what_changes_something_comes_from_here_or_from_no_page() {
        let here = ("host", "sweep.example:7734");
        for (headers, by_cookie, comes) in [
            (&[here] as &[_], false, true),
            (&[here], true, false),
            (&[here, ("origin", "http://sweep.example:7734")], true, true),
            (&[here, ("origin", "http://evil.example")], true, false),
            (&[here, ("origin", "http://evil.example")], false, false),
            (&[here, ("origin", "http://sweep.example:7735")], true, false),
            (&[here, ("origin", "null")], true, false),
            (&[here, ("sec-fetch-site", "same-origin")], true, true),
            (&[here, ("sec-fetch-site", "same-site")], true, false),
            (&[here, ("sec-fetch-site", "cross-site"), ("origin", "http://sweep.example:7734")], true, false),
        ] {
            assert_eq!(comes_from_here(&request(headers), by_cookie), comes, "{headers:?} {by_cookie}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_answered_without_a_token() {
        for (name, local) in [
            ("127.0.0.1:7734", true),
            ("localhost:7734", true),
            ("LocalHost", true),
            ("[::1]:7734", true),
            ("10.0.0.1", true),
            ("evil.example:7734", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:80", false),
        ] {
            let request = request(&[("host", name)]);
            assert_eq!(is_local(host(request.uri(), request.headers())), local, "{name}");
        }
    }

    #[test]
    fn a_request_of_this_machine_has_a_peer_and_a_host_here_and_no_proxy() {
        let here = "127.0.0.1:7734";
        for (peer, headers, is) in [
            ("127.0.0.1:1", &[("host", here)] as &[_], true),
            ("127.0.0.9:1", &[("host", "localhost:7734")], true),
            ("[::1]:1", &[("host", "[::1]:7734")], true),
            ("[::ffff:127.0.0.1]:1", &[("host", here)], true),
            ("10.0.0.2:1", &[("host", here)], false),
            ("127.0.0.1:1", &[("host", "10.0.0.1:7734")], false),
            ("127.0.0.1:1", &[("host", "evil.example:7734")], false),
            ("127.0.0.1:1", &[("host", "localhost.evil.example")], false),
            ("127.0.0.1:1", &[], false),
            ("127.0.0.1:1", &[("host", here), ("x-forwarded-for", "10.0.0.2")], false),
            ("127.0.0.1:1", &[("host", here), ("forwarded", "for=10.0.0.2")], false),
        ] {
            let request = request(headers);
            let peer_here = Peer { address: peer.parse().unwrap(), certificate: None };
            let found = is_from_this_machine(&peer_here, request.uri(), request.headers());
            assert_eq!(found, is, "{peer} {headers:?}");
        }
    }

    #[test]
    fn a_token_is_shown_as_a_header_and_a_session_once_under_the_name_of_this_listener() {
        let of = |headers: &[(&str, &str)]| match shown(request(headers).headers(), "sweep-7734") {
            Shown::Header(secret) => format!("header {}", secret.reveal()),
            Shown::Cookie(value) => format!("cookie {value}"),
            Shown::Cookies => "cookies".to_owned(),
            Shown::Not => "not".to_owned(),
        };
        assert_eq!(of(&[("authorization", "Bearer abc"), ("cookie", "sweep-7734=def")]), "header abc");
        assert_eq!(of(&[("cookie", "a=b; sweep-7734=def")]), "cookie def");
        assert_eq!(of(&[("authorization", "Basic abc"), ("cookie", "sweep-7734=def")]), "not");
        for other in ["sweep", "__Host-sweep", "__Host-sweep-7734", "sweep-7735", "sweep-77340", "SWEEP-7734"] {
            assert_eq!(of(&[("cookie", &format!("{other}=def"))]), "not", "{other}");
        }
        assert_eq!(of(&[("cookie", "sweep-7734=a; sweep-7734=a")]), "cookies");
        assert_eq!(of(&[("cookie", "sweep-7734=a"), ("cookie", "x=y; sweep-7734=b")]), "cookies");
        assert_eq!(of(&[("cookie", "sweep-7734=")]), "cookie ");
    }

    #[test]
    fn a_proxy_that_ends_tls_makes_the_cookie_secret() {
        let door = |tls| Door {
            keyring: Arc::new(Keyring::new(false)),
            any_host: false,
            tls,
            port: 7734,
            clock: Clock::default(),
        };
        let secure = |tls, headers: &[(&str, &str)]| door(tls).audience(request(headers).headers()).secure;
        assert!(!secure(false, &[]) && !secure(false, &[("x-forwarded-proto", "http")]));
        assert!(secure(false, &[("x-forwarded-proto", "https")]) && secure(true, &[]));
        assert!(secure(true, &[("x-forwarded-proto", "http")]), "a header does not make it less secret");
    }
}
