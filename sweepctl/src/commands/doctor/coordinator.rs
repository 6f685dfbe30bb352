//! The checks of the coordinator: version, clock, TLS, token, store and HTTP port; then its workers.

use std::time::Duration;

use sweep_shapes::Coordinator;
use sweep_shapes::text::{bytes, duration};

use super::address::{self, Found};
use super::{Check, workers};
use crate::probe::host_and_port;
use crate::study::Study;

/// Clock differences that give a warning and an error.
const NOTABLE_MS: i64 = 5_000;
const WRONG_MS: i64 = 5 * 60_000;
/// Free space on the store's disk below which there is a warning and an error.
const NOTABLE_BYTES: u64 = 5 << 30;
const WRONG_BYTES: u64 = 200 << 20;
const HTTP_TIMEOUT: Duration = Duration::from_secs(3);

/// Checks that need a coordinator.
const BEHIND: [&str; 6] = ["version", "clock", "tls", "token", "store", "workers"];

/// Checks the coordinator, or each of several.
pub(super) async fn look(
    named: &crate::coordinator::Coordinator,
    needed: bool,
    study: Option<&Study>,
    checks: &mut Vec<Check>,
) {
    let mut leader = None;
    for url in named.urls.split(',').map(str::trim) {
        let mut found = Vec::new();
        let one = crate::coordinator::Coordinator { urls: url.to_owned(), ..named.clone() };
        let reached = address::reach(&one, &mut found).await;
        if !needed {
            found.iter_mut().for_each(excuse);
        }
        checks.append(&mut found);
        let Some(reached) = reached else { continue };
        about(url, &reached, checks).await;
        if reached.coordinator.state != "standby" {
            leader = Some(reached);
        }
    }
    match leader {
        Some(leader) => workers::look(leader.client, &leader.coordinator, study, checks).await,
        None if needed && checks.iter().all(|check| check.name == "address") => {
            let why = "no coordinator answers";
            checks.extend(BEHIND.iter().map(|name| Check::not_checked(name, why)));
        }
        None => {}
    }
}

/// Lowers the severity of a missing coordinator that no flag or variable named.
fn excuse(check: &mut Check) {
    if check.state == super::State::Wrong {
        check.state = super::State::Warning;
        check.advice = Some(
            "ignore this for `submit --local`; otherwise start a coordinator with `sweepctl coordinator`".to_owned(),
        );
    }
}

async fn about(url: &str, found: &Found, checks: &mut Vec<Check>) {
    let coordinator = &found.coordinator;
    checks.push(version(coordinator));
    checks.push(clock(found.ahead_ms));
    checks.push(tls(url));
    checks.push(token(coordinator));
    checks.push(store(coordinator));
    checks.extend(disk(coordinator));
    checks.push(http(url, coordinator).await);
}

fn version(coordinator: &Coordinator) -> Check {
    let (theirs, ours) = (coordinator.version.as_str(), env!("CARGO_PKG_VERSION"));
    let found = format!("coordinator {theirs}, sweepctl {ours}");
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(theirs) != major(ours) {
        return Check::wrong("version", found, "use a sweepctl with the coordinator's major version");
    }
    let (semantics, known) = (coordinator.trainer_semantics, sweep_spec::TRAINER_SEMANTICS);
    if semantics != known {
        let found = format!("{found}; the coordinator needs trainer semantics {semantics}, this version has {known}");
        return Check::warning(
            "version",
            found,
            "use the same version everywhere: the coordinator refuses workers of this version",
        );
    }
    if theirs != ours {
        return Check::warning("version", found, "use the same version everywhere; these two are compatible");
    }
    Check::ok("version", found)
}

fn clock(ahead_ms: i64) -> Check {
    let off = ahead_ms.saturating_abs();
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let found = format!("the coordinator's clock is {} {side} this machine's", duration(off as f64 / 1000.0));
    let advice = "synchronise both clocks with NTP; `timedatectl` shows their state";
    if off <= NOTABLE_MS {
        Check::ok("clock", found)
    } else if off <= WRONG_MS {
        Check::warning("clock", found, advice)
    } else {
        Check::wrong("clock", found, format!("tokens and certificates expire at the wrong time; {advice}"))
    }
}

fn tls(url: &str) -> Check {
    if url.starts_with("https://") {
        return Check::ok("tls", "the connection is encrypted and the certificate is trusted");
    }
    let host = host_and_port(url).map(|(host, _)| host).unwrap_or_default();
    let near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if near {
        return Check::ok("tls", "not used, and not needed on this machine");
    }
    let advice = "set the coordinator's `tls_cert` and `tls_key` and use an https:// address, unless you trust the \
        network";
    Check::warning("tls", "not used: the network can read the traffic, tokens included", advice)
}

fn token(coordinator: &Coordinator) -> Check {
    match coordinator.role.as_deref() {
        None => Check::ok("token", "not required"),
        Some("read") => Check::ok("token", "its role is `read`, which cannot submit"),
        Some(role) => Check::ok("token", format!("its role is `{role}`")),
    }
}

fn store(coordinator: &Coordinator) -> Check {
    let (kind, reason) = (&coordinator.store, coordinator.reason.clone().unwrap_or_default());
    match coordinator.state {
        "leading" => Check::ok("store", format!("{kind}; this coordinator leads")),
        "standby" => Check::ok("store", format!("{kind}; {reason}")),
        "starting" => Check::warning("store", format!("{kind}; {reason}"), "run doctor again in a moment"),
        _ => Check::wrong(
            "store",
            format!("{kind}; {reason}"),
            "see the coordinator's log; it continues by itself when the cause is fixed",
        ),
    }
}

fn disk(coordinator: &Coordinator) -> Option<Check> {
    let (free, whole) = (coordinator.disk_free_bytes?, coordinator.disk_bytes?);
    Some(room("disk", free, format!("{} of {} are free on the coordinator's disk", bytes(free), bytes(whole))))
}

/// Checks the free space on a disk.
pub(super) fn room(name: &'static str, free: u64, found: String) -> Check {
    if free < WRONG_BYTES {
        Check::wrong(name, found, "free disk space now: every sweep stops when the store cannot be written")
    } else if free < NOTABLE_BYTES {
        Check::warning(name, found, "free disk space before a long sweep")
    } else {
        Check::ok(name, found)
    }
}

/// Checks the HTTP port of pages, metrics and health. Only plain HTTP is checked.
async fn http(url: &str, coordinator: &Coordinator) -> Check {
    let port = coordinator.http_address.rsplit_once(':').map(|(_, port)| port);
    let (Some((host, _)), Some(port)) = (host_and_port(url), port) else {
        return Check::not_checked("http", "the coordinator does not report its HTTP address");
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    if url.starts_with("https://") {
        return Check::not_checked("http", format!("open https://{host}:{port}/ in a browser"));
    }
    let page = format!("http://{host}:{port}/readyz");
    let asked = page.clone();
    let answer = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().timeout_global(Some(HTTP_TIMEOUT)).http_status_as_error(false);
        let agent = ureq::Agent::new_with_config(config.build());
        let mut answer = agent.get(&asked).call()?;
        let text = answer.body_mut().with_config().limit(1000).read_to_string()?;
        Ok::<_, ureq::Error>((answer.status().as_u16(), text.trim().to_owned()))
    });
    match answer.await {
        Ok(Ok((200, _))) => Check::ok("http", format!("http://{host}:{port}/ serves pages and metrics")),
        Ok(Ok((503, said))) if coordinator.state == "standby" => Check::ok("http", format!("{page} answers {said}")),
        Ok(Ok((401, _))) => Check::ok("http", format!("http://{host}:{port}/ requires a token")),
        Ok(Ok((code, said))) => {
            Check::warning("http", format!("{page} answers {code}: {said}"), "see the coordinator's log")
        }
        Ok(Err(error)) => {
            let advice = "check the HTTP port if you need pages and metrics; sweepctl and workers need only gRPC";
            Check::warning("http", format!("{page} does not answer: {error}"), advice)
        }
        Err(error) => Check::not_checked("http", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    fn coordinator() -> Coordinator {
        Coordinator::from(sweep_proto::v1::GetCoordinatorResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
            ..Default::default()
        })
    }

    #[test]
    fn versions_that_do_not_fit_are_told_apart() {
        assert_eq!(version(&coordinator()).state, State::Ok);
        let other = |version: &str| Coordinator { version: version.into(), ..coordinator() };
        assert_eq!(version(&other("0.999.0")).state, State::Warning);
        assert_eq!(version(&other("77.0.0")).state, State::Wrong);
        let trains = Coordinator { trainer_semantics: 9999, ..coordinator() };
        assert_eq!(version(&trains).state, State::Warning);
    }

    #[test]
    fn clocks_and_disks_have_two_limits_each() {
        let states = [0, -4_000, 5_001, -60_000, 300_001, i64::MIN].map(|ahead| clock(ahead).state);
        let (ok, warning, wrong) = (State::Ok, State::Warning, State::Wrong);
        assert_eq!(states, [ok, ok, warning, warning, wrong, wrong]);
        let states = [u64::MAX, 5 << 30, 1 << 30, 1 << 20].map(|free| room("disk", free, String::new()).state);
        assert_eq!(states, [ok, ok, warning, wrong]);
    }

    #[test]
    fn loopback_needs_no_tls() {
        for near in ["http://127.0.0.1:7733", "localhost:7733", "http://[::1]:1", "https://far.example:1"] {
            assert_eq!(tls(near).state, State::Ok, "{near}");
        }
        assert_eq!(tls("http://far.example:7733").state, State::Warning);
    }
}
