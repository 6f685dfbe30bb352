//! A client for MLflow's REST interface 2.0. It retries temporary failures; a rejection is shown in the server's words.

use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request, Uri};

use crate::failure::Failure;

/// Timeout of one answer: a small server needs some seconds for a batch of a thousand metrics.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The most tries of a request, and the delay after the first; it doubles with each try.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest quote of an error page, in characters.
const LONGEST_WORDS: usize = 300;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no answer")]
    Away(#[source] Box<ureq::Error>),
    #[error("status {status}: {message}")]
    Refused { status: u16, code: String, message: String },
    #[error("the answer is not a JSON object")]
    Unreadable,
    #[error("cannot encode the request")]
    Unwritable,
}

impl Error {
    /// Whether there is no such experiment or run.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "RESOURCE_DOES_NOT_EXIST")
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Unreadable | Self::Unwritable => false,
        }
    }
}

#[derive(Debug)]
pub(super) struct Server {
    agent: ureq::Agent,
    url: String,
}

impl Server {
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        let wrong = || Failure::usage(format!("`{url}` is not the address of an MLflow server"));
        if url.starts_with("https://") {
            return Err(Failure::usage("only http:// addresses of MLflow servers are supported")
                .hint("reach a server behind TLS through a tunnel, such as `ssh -L` or `kubectl port-forward`"));
        }
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = with_scheme.parse().map_err(|error| wrong().because(format!("{error}")))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(wrong().hint("expected http://HOST:PORT"));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("sweepctl/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), url: with_scheme.trim_end_matches('/').to_owned() })
    }

    /// The failure for the user.
    pub(super) fn failure(&self, error: Error) -> Failure {
        let url = &self.url;
        let failure = match &error {
            Error::Away(_) => Failure::failed(format!("cannot reach an MLflow server at {url}"))
                .hint("start a server with `mlflow server`, or name another one with --to URL"),
            Error::Refused { status, .. } if *status >= 500 => {
                Failure::failed(format!("the MLflow server at {url} failed"))
                    .hint("see the server's log; the next export continues where this one stopped")
            }
            Error::Refused { code, .. } if code.is_empty() => {
                Failure::failed(format!("the server at {url} is not an MLflow server"))
                    .hint("expected http://HOST:PORT")
            }
            Error::Refused { .. } => Failure::failed(format!("the MLflow server at {url} refused")),
            Error::Unreadable => Failure::failed(format!("the server at {url} is not an MLflow server")),
            Error::Unwritable => Failure::internal("cannot encode a request"),
        };
        failure.because(error)
    }

    pub(super) fn get(&self, path: &str, name: &str, value: &str) -> Result<Value, Error> {
        let url = format!("{}/api/2.0/mlflow/{path}?{name}={}", self.url, escaped(value));
        self.ask(Method::GET, &url, "")
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.ask(Method::POST, &format!("{}/api/2.0/mlflow/{path}", self.url), &body.to_string())
    }

    fn ask(&self, method: Method, url: &str, body: &str) -> Result<Value, Error> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.ask_once(&method, url, body) {
                Err(error) if error.may_pass() => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                done => return done,
            }
        }
        self.ask_once(&method, url, body)
    }

    fn ask_once(&self, method: &Method, url: &str, body: &str) -> Result<Value, Error> {
        let request = Request::builder().method(method).uri(url);
        let answer = if *method == Method::GET {
            self.agent.run(request.body(()).map_err(|_| Error::Unwritable)?)
        } else {
            let request = request.header("content-type", "application/json");
            self.agent.run(request.body(body).map_err(|_| Error::Unwritable)?)
        };
        let away = |error| Error::Away(Box::new(error));
        let mut answer = answer.map_err(away)?;
        let text = answer.body_mut().read_to_string().map_err(away)?;
        let status = answer.status();
        let value = serde_json::from_str::<Value>(&text);
        if status.is_success() {
            return value.ok().filter(Value::is_object).ok_or(Error::Unreadable);
        }
        let word = |name: &str| value.as_ref().ok().and_then(|value| value[name].as_str()).map(str::to_owned);
        let message = word("message").unwrap_or(text).chars().take(LONGEST_WORDS).collect();
        Err(Error::Refused { status: status.as_u16(), code: word("error_code").unwrap_or_default(), message })
    }
}

/// Escapes a value in the query of an address.
fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_dialled() {
        for right in ["127.0.0.1:5000", "http://localhost:5000/", "http://example/behind/a/proxy"] {
            assert!(Server::new(right).is_ok(), "{right}");
        }
        for wrong in ["", "https://example", "ftp://example", "http://", "http://a b", "http://a?b=c", "\u{0}"] {
            assert!(Server::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_in_an_address_is_only_a_name() {
        assert_eq!(escaped("scene-cnn_1.0~"), "scene-cnn_1.0~");
        assert_eq!(escaped("a b&c=é\n"), "a%20b%26c%3D%C3%A9%0A");
    }
}
