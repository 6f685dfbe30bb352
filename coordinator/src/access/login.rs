//! The page where people enter their token, which a cookie then shows for them; and the link that signs a browser of this
//! machine in once.

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Extension, Form, Path, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{DOCTYPE, html};

use super::http::{COOKIE, Door, SECURE_COOKIE, is_from_this_machine};
use super::keyring::Presented;
use super::{Need, Role, Secret};
use crate::listen::Peer;
use crate::unix_ms;

/// The longest form, in bytes.
const MAX_FORM_BYTES: usize = 8 * 1024;
/// How long a browser keeps the cookie; the token may end sooner.
const COOKIE_SECONDS: u32 = 30 * 24 * 3600;
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

/// What a link says that does not open anything.
const CLOSED: &str =
    "This link was used already, or has expired. If this browser used it, open the address without `/open/`.";
const ELSEWHERE: &str = "A link like this opens only on the machine where the coordinator runs.";

/// `/login`, `/logout` and `/open/CODE`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/login", get(show).post(enter))
        .route("/open/{code}", get(open))
        .route("/logout", post(leave))
        .route("/assets/login.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
}

async fn show(Extension(door): Extension<Door>, Query(place): Query<Place>) -> Response {
    let said = if door.keyring.is_needed() { None } else { Some("No token is needed here.") };
    fresh((StatusCode::OK, page(&place.next, said)).into_response())
}

async fn enter(
    Extension(door): Extension<Door>,
    headers: HeaderMap,
    form: Result<Form<Entered>, FormRejection>,
) -> Response {
    let Ok(Form(entered)) = form else {
        return fresh((StatusCode::BAD_REQUEST, page("", Some("This is not what the page sends."))).into_response());
    };
    let secret = Secret::of(&entered.token);
    let presented = Presented { secret: secret.as_ref(), certificate: None };
    let admitted = door.keyring.admit(presented, Need::Role(Role::Read), unix_ms());
    match (admitted, secret) {
        (Ok(_), Some(secret)) => {
            let answer = Redirect::to(&local(&entered.next)).into_response();
            with_cookie(answer, &cookie(secret.reveal(), COOKIE_SECONDS, is_secure(&door, &headers)))
        }
        (Ok(_), None) => Redirect::to(&local(&entered.next)).into_response(),
        (Err(refusal), _) => {
            let said = refusal.to_string();
            fresh((StatusCode::UNAUTHORIZED, page(&entered.next, Some(&said))).into_response())
        }
    }
}

/// Signs a browser of this machine in: its cookie holds a token that was made for it.
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
    let opened = Secret::of(&code).map(|code| door.keyring.open_link(&code, unix_ms())).transpose();
    match opened.map(Option::flatten) {
        Ok(Some(token)) => {
            let answer = Redirect::to("/").into_response();
            with_cookie(answer, &cookie(token.reveal(), COOKIE_SECONDS, is_secure(&door, &headers)))
        }
        Ok(None) => fresh((StatusCode::GONE, page("", Some(CLOSED))).into_response()),
        Err(error) => {
            tracing::error!(error = %crate::chain(&error), "a link cannot be opened");
            fresh((StatusCode::INTERNAL_SERVER_ERROR, page("", Some("No token can be made now."))).into_response())
        }
    }
}

async fn leave(Extension(door): Extension<Door>, headers: HeaderMap) -> Response {
    let answer = Redirect::to("/login").into_response();
    with_cookie(answer, &cookie("", 0, is_secure(&door, &headers)))
}

/// Secret here, or as far as whoever stands before this coordinator says: who lies about that has a cookie that is sent
/// less often, and nothing else.
fn is_secure(door: &Door, headers: &HeaderMap) -> bool {
    door.tls || headers.get("x-forwarded-proto").is_some_and(|value| value == "https")
}

fn cookie(value: &str, seconds: u32, secure: bool) -> String {
    let (name, more) = if secure { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{more}")
}

fn with_cookie(mut answer: Response, cookie: &str) -> Response {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        answer.headers_mut().insert(header::SET_COOKIE, value);
    }
    fresh(answer)
}

fn fresh(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A place on this coordinator, whatever was asked for: nobody is led elsewhere from here.
fn local(next: &str) -> String {
    let fits = next.starts_with('/') && !next.starts_with("//") && next.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && !next.contains('\\') { next.to_owned() } else { "/".to_owned() }
}

/// As a value in a query.
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
                    p { "This coordinator asks for a token. Whoever looks after it makes one with "
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
        let plain = cookie("abc", 5, false);
        assert_eq!(plain, "sweep=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=5");
        assert_eq!(cookie("", 0, true), "__Host-sweep=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure");
    }
}
