//! `sweepctl token`: manages access tokens. An admin uses a coordinator; the first token, or a new one after all admin
//! tokens are lost, is created in a store without a coordinator.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use sweep_proto::v1::{
    self, CreateTokenRequest, CreateTokenResponse, ListTokensRequest, ListTokensResponse, RevokeTokenRequest,
    RevokeTokenResponse,
};
use sweep_shapes::text::{ago, duration, escape, now_unix_ms};

use super::Context;
use crate::arguments::Connection;
use crate::client;
use crate::failure::{Exit, Failure};
use crate::table::Table;

#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Create the first token of a coordinator before you start it:\n  sweepctl token create me --role \
        admin --store sweep.db > ~/.sweep-token\n\n\
        Example:\n  sweepctl token create ci --role submit --expires 90d --out ci.token\n  sweepctl token list\n  \
        sweepctl token revoke ci"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a token and print its secret, which is not stored
    #[command(after_help = "Example:\n  sweepctl token create ci --role submit --expires 90d --out ci.token")]
    Create {
        /// Name of the token's user in the audit log
        name: String,
        /// Permissions of the token
        #[arg(long, value_enum)]
        role: Role,
        /// Lifetime, such as 12h, 90d or 1y [default: unlimited]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// New file for the secret instead of stdout, readable only by you
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// List the tokens, without their secrets
    #[command(after_help = "Example:\n  sweepctl token list")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a token and end its open connections and sessions
    #[command(after_help = "Example:\n  sweepctl token revoke ci")]
    Revoke {
        /// Name or id of the token
        token: String,
        #[command(flatten)]
        place: Place,
    },
}

/// A coordinator, or a store.
#[derive(Debug, Args)]
struct Place {
    /// Store to use instead of a coordinator: an unused SQLite file, or postgres://USER@HOST:PORT/DATABASE
    #[cfg(feature = "store")]
    #[arg(long, value_name = "FILE|URL")]
    store: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Read everything
    Read,
    /// Also submit, cancel, pause and retry sweeps
    Submit,
    /// Also manage workers, tokens, backups and garbage
    Admin,
    /// Only the calls that workers make
    Worker,
}

impl From<Role> for v1::TokenRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Read => Self::Read,
            Role::Submit => Self::Submit,
            Role::Admin => Self::Admin,
            Role::Worker => Self::Worker,
        }
    }
}

impl Arguments {
    fn place(&self) -> &Place {
        match &self.verb {
            Verb::Create { place, .. } | Verb::List { place } | Verb::Revoke { place, .. } => place,
        }
    }

    /// The connection flags after the subcommand.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        Some(&self.place().connection)
    }
}

/// A token, for programs.
#[derive(Serialize)]
struct Shape {
    id: String,
    name: String,
    role: &'static str,
    created_unix_ms: i64,
    created_by: String,
    expires_unix_ms: Option<i64>,
    revoked_unix_ms: Option<i64>,
    holds: bool,
}

impl From<v1::Token> for Shape {
    fn from(token: v1::Token) -> Self {
        let role = match token.role() {
            v1::TokenRole::Read => "read",
            v1::TokenRole::Submit => "submit",
            v1::TokenRole::Admin => "admin",
            v1::TokenRole::Worker => "worker",
            v1::TokenRole::Unspecified => "unknown",
        };
        let given = |ms: i64| (ms != 0).then_some(ms);
        let (expires, revoked) = (given(token.expires_unix_ms), given(token.revoked_unix_ms));
        Self {
            id: token.id,
            name: token.name,
            role,
            created_unix_ms: token.created_unix_ms,
            created_by: token.created_by,
            expires_unix_ms: expires,
            revoked_unix_ms: revoked,
            holds: revoked.is_none() && expires.is_none_or(|expires| now_unix_ms() < expires),
        }
    }
}

#[derive(Serialize)]
struct Created {
    token: Option<Shape>,
    secret: String,
}

#[derive(Serialize)]
struct Listed {
    tokens: Vec<Shape>,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let place = arguments.place();
    match &arguments.verb {
        Verb::Create { name, role, expires, out, .. } => {
            let request = CreateTokenRequest {
                name: name.clone(),
                role: v1::TokenRole::from(*role).into(),
                lifetime_ms: expires.as_deref().map(lifetime_ms).transpose()?.unwrap_or(0),
                user: client::user(),
            };
            // Created first, because a secret that cannot be saved is lost.
            let file = out.as_deref().map(private).transpose()?;
            let created = create(context, place, request).await;
            if let (Err(_), Some(path)) = (&created, out) {
                // The file is empty, and the same command must work again.
                std::fs::remove_file(path).ok();
            }
            show(context, created?, out.as_deref().zip(file))
        }
        Verb::List { .. } => {
            let tokens: Vec<Shape> = list(context, place).await?.tokens.into_iter().map(Shape::from).collect();
            if context.output.is_json() {
                context.output.json(&Listed { tokens })?;
            } else if tokens.is_empty() {
                context.output.say("no tokens: create one with `sweepctl token create`");
            } else {
                context.output.table(table(&tokens))?;
            }
            Ok(Exit::Success)
        }
        Verb::Revoke { token, .. } => {
            let request = RevokeTokenRequest { token: token.clone(), user: client::user() };
            let tokens: Vec<Shape> =
                revoke(context, place, request).await?.token.into_iter().map(Shape::from).collect();
            if context.output.is_json() {
                context.output.json(&Listed { tokens })?;
            } else {
                context.output.table(table(&tokens))?;
            }
            Ok(Exit::Success)
        }
    }
}

/// Creates a file that only its owner can read.
fn private(path: &Path) -> Result<std::fs::File, Failure> {
    let opened = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|error| Failure::usage(format!("cannot create {}", path.display())).because(error))
}

fn show(
    context: &Context,
    created: CreateTokenResponse,
    file: Option<(&Path, std::fs::File)>,
) -> Result<Exit, Failure> {
    let CreateTokenResponse { token, secret } = created;
    let path = file.as_ref().map(|(path, _)| *path);
    let to_file = file.is_some();
    if let Some((_, mut file)) = file {
        let written = writeln!(file, "{secret}").and_then(|()| file.sync_all());
        written.map_err(|error| {
            Failure::failed("the token was created, but its secret could not be written: revoke the token")
                .because(error)
        })?;
    }
    let shape = token.map(Shape::from);
    let until = shape.as_ref().and_then(|token| token.expires_unix_ms).map_or_else(
        || "it does not expire".to_owned(),
        |expires| format!("it expires in {}", duration((expires - now_unix_ms()).max(0) as f64 / 1000.0)),
    );
    if context.output.is_json() {
        let secret = if to_file { String::new() } else { secret };
        context.output.json(&Created { token: shape, secret })?;
    } else if !to_file {
        let mut out = context.output.data();
        writeln!(out, "{secret}").and_then(|()| out.flush()).map_err(Failure::writing)?;
    }
    context.output.say(&match path {
        Some(path) => {
            let place = escape(&path.display().to_string());
            format!("wrote {place}, readable only by you (the secret is not stored anywhere else); {until}")
        }
        None => format!("keep this secret: it is not stored and cannot be shown again; {until}"),
    });
    Ok(Exit::Success)
}

/// A time such as `90d`.
pub(super) fn lifetime_ms(text: &str) -> Result<u64, Failure> {
    let wrong =
        || Failure::usage(format!("`{text}` is not a duration")).hint("use a duration such as 30m, 12h, 90d or 1y");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        'y' => 365 * 24 * 3600,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok()).filter(|number| *number > 0);
    number.and_then(|number| number.checked_mul(seconds * 1000)).ok_or_else(wrong)
}

fn table(tokens: &[Shape]) -> Table {
    let mut table = Table::new(&["id", "name", "role", "created", "by", "state"])
        .names(&["name", "by"])
        .optional(&["by", "created"]);
    for token in tokens {
        let state = match (token.revoked_unix_ms, token.expires_unix_ms) {
            (Some(revoked), _) => format!("revoked {}", ago(revoked)),
            (None, Some(expires)) if token.holds => {
                format!("valid for {}", duration((expires - now_unix_ms()).max(0) as f64 / 1000.0))
            }
            (None, Some(expires)) => format!("expired {}", ago(expires)),
            (None, None) => "valid".to_owned(),
        };
        let created = ago(token.created_unix_ms);
        let row =
            [token.id.clone(), token.name.clone(), token.role.to_owned(), created, token.created_by.clone(), state];
        table.row(row);
    }
    table
}

async fn create(context: &Context, place: &Place, request: CreateTokenRequest) -> Result<CreateTokenResponse, Failure> {
    #[cfg(feature = "store")]
    if let Some(store) = &place.store {
        let opened = offline::open(store).await?;
        let answer = opened.create(request).await;
        opened.close().await;
        return answer.map_err(offline::refused);
    }
    let _ = place;
    Ok(client::access(&context.coordinator).await?.create_token(request).await?.into_inner())
}

async fn list(context: &Context, place: &Place) -> Result<ListTokensResponse, Failure> {
    #[cfg(feature = "store")]
    if let Some(store) = &place.store {
        let opened = offline::open(store).await?;
        let answer = opened.list().await;
        opened.close().await;
        return answer.map_err(offline::refused);
    }
    let _ = place;
    Ok(client::access(&context.coordinator).await?.list_tokens(ListTokensRequest {}).await?.into_inner())
}

async fn revoke(context: &Context, place: &Place, request: RevokeTokenRequest) -> Result<RevokeTokenResponse, Failure> {
    #[cfg(feature = "store")]
    if let Some(store) = &place.store {
        let opened = offline::open(store).await?;
        let answer = opened.revoke(request).await;
        opened.close().await;
        return answer.map_err(offline::refused);
    }
    let _ = place;
    Ok(client::access(&context.coordinator).await?.revoke_token(request).await?.into_inner())
}

#[cfg(feature = "store")]
mod offline {
    use sweep_coordinator::offline::Offline;
    use sweep_coordinator::store;

    use crate::failure::Failure;

    pub(super) async fn open(place: &str) -> Result<Offline, Failure> {
        // The error does not repeat the address, because it may contain a password.
        let location = place.parse().map_err(|error| Failure::usage("--store is not a store").because(error))?;
        Offline::open(&location).await.map_err(|error| {
            let in_use = matches!(error, store::Error::InUse { .. });
            let failure = Failure::failed("cannot use the store").because(error);
            if in_use { failure.hint("leave --store out to ask the coordinator that uses the store") } else { failure }
        })
    }

    pub(super) fn refused(error: sweep_coordinator::engine::Error) -> Failure {
        match error {
            sweep_coordinator::engine::Error::Invalid(invalid) => Failure::usage(invalid.to_string()),
            other => Failure::failed("the store refused the request").because(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, ms) in [("1s", 1000), ("30m", 1_800_000), ("12h", 43_200_000), ("90d", 7_776_000_000)] {
            assert_eq!(lifetime_ms(text).unwrap(), ms, "{text}");
        }
        for wrong in ["", "d", "0d", "5", "5w", "-5d", "5.5d", "99999999999999999y", "1ü"] {
            assert!(lifetime_ms(wrong).is_err(), "{wrong:?}");
        }
    }
}
