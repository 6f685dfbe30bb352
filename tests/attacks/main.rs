//! Attacks on real processes: by a client that reaches a coordinator without permission, or has permission and wants
//! more. `docs/security.md` lists the result of each.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
#![expect(clippy::print_stderr, reason = "what could not be tried is told to the person who reads it")]

mod distrust;
#[expect(dead_code, reason = "it is shared with other tests")]
#[path = "../processes/env.rs"]
mod env;
mod floods;
mod frames;
mod http;
mod intruder;
mod links;
mod names;
mod secrets;
mod sessions;
mod standby;
mod tls;
mod tokens;
