//! Signing in and out: the page where a user enters a token and gets a session, and the link that signs in one browser of
//! this machine.

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Extension, Form, Path, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{DOCTYPE, html};

use super::cookie::{Audience, FORMER_NAMES, Sealed};
use super::http::{Browser, Door, is_from_this_machine};
use super::keyring::Presented;
use super::{Permission, Refusal, Role, Secret};
use crate::listen::Peer;

/// The longest form, in bytes.
const MAX_FORM_BYTES: usize = 8 * 1024;
const STYLE: &str = include_str!("login.css");

#[derive(serde::Deserialize)]
struct Place {
    #[serde(default)]
    next: String,
}

#[derive(serde::Deserialize)]
struct Entered {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// The message of a link that cannot be used.
const CLOSED: &str =
    "This link has expired or was already used. If this browser used it, open the address without `/open/`.";
const ELSEWHERE: &str = "This link works only on the machine that runs the coordinator.";

/// `/login`, `/logout` and `/open/CODE`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/login", get(show).post(enter))
        .route("/open/{code}", get(open))
        .route("/logout", post(leave))
        .route("/assets/login.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
}

async fn show(
    Extension(door): Extension<Door>,
    Extension(browser): Extension<Browser>,
    Query(place): Query<Place>,
) -> Response {
    let said = match browser.refused {
        _ if !door.keyring.is_needed() => Some("This coordinator needs no token.".to_owned()),
        // Signing in again would replace only one of the cookies.
        Some(Refusal::Cookies) => Some(sentence(&Refusal::Cookies)),
        _ => None,
    };
    fresh((StatusCode::OK, page(&place.next, said.as_deref())).into_response())
}

async fn enter(
    Extension(door): Extension<Door>,
    headers: HeaderMap,
    form: Result<Form<Entered>, FormRejection>,
) -> Response {
    let Ok(Form(entered)) = form else {
        return fresh(
            (StatusCode::BAD_REQUEST, page("", Some("This request did not come from the sign-in page.")))
                .into_response(),
        );
    };
    let secret = Secret::of(&entered.token);
    let presented = Presented { secret: secret.as_ref(), certificate: None };
    let admitted = door.keyring.admit(presented, Permission::Role(Role::Read), door.clock.unix_ms());
    match (admitted, secret) {
        (Ok(_), Some(secret)) => signed_in(&door, &headers, &secret, &entered.next),
        (Ok(_), None) => Redirect::to(&local(&entered.next)).into_response(),
        (Err(refusal), _) => {
            let said = sentence(&refusal);
            fresh((StatusCode::UNAUTHORIZED, page(&entered.next, Some(&said))).into_response())
        }
    }
}

/// Signs in a browser of this machine, with a new token for its session.
async fn open(
    Extension(door): Extension<Door>,
    peer: Option<Extension<Peer>>,
    Path(code): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let here = peer.is_some_and(|Extension(peer)| is_from_this_machine(&peer, &uri, &headers));
    if !here {
        return fresh((StatusCode::FORBIDDEN, page("", Some(ELSEWHERE))).into_response());
    }
    let opened = Secret::of(&code).map(|code| door.keyring.open_link(&code, door.clock.unix_ms())).transpose();
    match opened.map(Option::flatten) {
        Ok(Some(token)) => signed_in(&door, &headers, &token, "/"),
        Ok(None) => fresh((StatusCode::GONE, page("", Some(CLOSED))).into_response()),
        Err(error) => {
            tracing::error!(error = %crate::chain(&error), "a link cannot be opened");
            fresh((StatusCode::INTERNAL_SERVER_ERROR, page("", Some("No token can be created now."))).into_response())
        }
    }
}

/// Redirects to `next`, with a session for this token.
fn signed_in(door: &Door, headers: &HeaderMap, token: &Secret, next: &str) -> Response {
    let audience = door.audience(headers);
    match door.keyring.cookies().sign_in(token, audience, door.clock.unix_ms()) {
        Ok(sealed) => {
            let answer = Redirect::to(&local(next)).into_response();
            with_cookie(answer, audience, &sealed)
        }
        Err(error) => {
            tracing::warn!(error = %crate::chain(&error), "a browser cannot be signed in");
            let said = sentence(&error);
            fresh((StatusCode::SERVICE_UNAVAILABLE, page(next, Some(&said))).into_response())
        }
    }
}

async fn leave(
    Extension(door): Extension<Door>,
    Extension(browser): Extension<Browser>,
    headers: HeaderMap,
) -> Response {
    if let Some(session) = &browser.session {
        door.keyring.cookies().leave(session, door.clock.unix_ms());
    }
    let nothing = Sealed { value: String::new(), seconds: 0 };
    with_cookie(Redirect::to("/login").into_response(), door.audience(&headers), &nothing)
}

/// A header that sets a cookie.
pub(super) fn cookie(name: &str, sealed: &Sealed, secure: bool) -> String {
    let Sealed { value, seconds } = sealed;
    let more = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{more}")
}

/// Sets the cookie, and removes the cookies of earlier releases, which contained a token.
fn with_cookie(mut answer: Response, audience: Audience, sealed: &Sealed) -> Response {
    set_cookie(&mut answer, &cookie(&audience.cookie_name(), sealed, audience.secure));
    let nothing = Sealed { value: String::new(), seconds: 0 };
    for name in FORMER_NAMES.iter().filter(|name| audience.secure || !name.starts_with("__Host-")) {
        set_cookie(&mut answer, &cookie(name, &nothing, audience.secure));
    }
    fresh(answer)
}

pub(super) fn set_cookie(answer: &mut Response, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// An error as a sentence.
fn sentence(error: &impl std::fmt::Display) -> String {
    let said = error.to_string();
    let mut letters = said.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn fresh(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// `next` if it is a path on this coordinator, otherwise `/`: the redirect never leaves this coordinator.
fn local(next: &str) -> String {
    let fits = next.starts_with('/') && !next.starts_with("//") && next.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && !next.contains('\\') { next.to_owned() } else { "/".to_owned() }
}

/// Percent-encodes a value of a query.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

fn page(next: &str, said: Option<&str>) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Sweep: sign in" }
                link rel="stylesheet" href="/assets/login.css";
            }
            body {
                main {
                    h1 { "Sweep" }
                    p { "This coordinator requires a token. An administrator creates one with "
                        code { "sweepctl token create" } "." }
                    @if let Some(said) = said {
                        p.said role="alert" { (said) }
                    }
                    form method="post" action="/login" {
                        input type="hidden" name="next" value=(local(next));
                        label for="token" { "Token" }
                        input #token type="password" name="token" autocomplete="current-password" required autofocus;
                        button type="submit" { "Sign in" }
                    }
                }
            }
        }
    };
    Html(page.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (next, leads) in [
            ("/sweeps/1?page=2", "/sweeps/1?page=2"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("/a\r\nset-cookie: b", "/"),
            ("/\u{e4}", "/"),
        ] {
            assert_eq!(local(next), leads, "{next:?}");
        }
    }

    #[test]
    fn what_is_asked_for_cannot_leave_its_attribute() {
        let shown = page("/\"><script>alert(1)</script>", Some("<b>")).0;
        assert!(!shown.contains("<script") && !shown.contains("<b>"), "{shown}");
        assert_eq!(encode("/a?b=c&d=\u{e4}"), "/a%3Fb%3Dc%26d%3D%C3%A4");
    }

    #[test]
    fn the_cookie_is_for_this_site_and_no_script_reads_it() {
        let sealed = Sealed { value: "abc".to_owned(), seconds: 5 };
        assert_eq!(cookie("sweep-1", &sealed, false), "sweep-1=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=5");
        assert_eq!(
            cookie("__Host-sweep-1", &sealed, true),
            "__Host-sweep-1=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=5; Secure"
        );
    }

    #[test]
    fn signing_in_and_out_removes_the_cookies_of_earlier_releases() {
        let sealed = Sealed { value: "abc".to_owned(), seconds: 5 };
        let names = |secure| {
            let answer = with_cookie(StatusCode::OK.into_response(), Audience { port: 1, secure }, &sealed);
            let set =
                answer.headers().get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned());
            set.map(|value| value.split('=').next().unwrap().to_owned()).collect::<Vec<String>>()
        };
        assert_eq!(names(false), ["sweep-1", "sweep"]);
        assert_eq!(names(true), ["__Host-sweep-1", "sweep", "__Host-sweep"]);
    }
}
