//! Validates requests about sweeps into domain types. Nothing is looked up here.

use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_store::record::{SweepPage, TrialPage};

use crate::convert::{self, Invalid, MAX_NAME_BYTES, MAX_TEXT_BYTES};
use crate::engine::{Error, Submit};

/// The largest spec, in bytes: the limit of its parser.
pub const MAX_SPEC_BYTES: usize = 1024 * 1024;
/// The most overrides of one submission.
pub const MAX_OVERRIDES: usize = 1000;
/// The most trials of one page.
pub const MAX_PAGE: u32 = 1000;
const DEFAULT_PAGE: u32 = 100;
/// The most sweeps of one page.
pub(crate) const MAX_SWEEPS: u32 = 100;
/// The most states of one request; there are fewer states.
const MAX_STATES: usize = 16;
/// The fewest digits that identify a trial.
const MIN_PREFIX: usize = 6;

/// A sweep's number or name.
pub(crate) fn reference(reference: Option<v1::SweepReference>) -> Result<String, Invalid> {
    let Some(reference) = reference else { return convert::invalid("sweep", "absent") };
    convert::name("sweep", reference.text, MAX_NAME_BYTES)
}

/// A submission. The spec is not parsed here, and the sweep that it extends is not looked up.
pub(crate) fn submission(request: v1::SubmitRequest) -> Result<Submit, Error> {
    if request.spec.len() > MAX_SPEC_BYTES {
        return Err(Invalid { field: "spec", problem: format!("longer than {MAX_SPEC_BYTES} bytes") }.into());
    }
    if request.overrides.len() > MAX_OVERRIDES {
        return Err(Invalid { field: "overrides", problem: format!("more than {MAX_OVERRIDES}") }.into());
    }
    let pair = |pair: v1::Override| {
        let key = convert::name("overrides.key", pair.key, MAX_TEXT_BYTES)?;
        Ok((key, convert::name("overrides.value", pair.value, MAX_TEXT_BYTES)?))
    };
    Ok(Submit {
        extends: None,
        spec: request.spec.to_vec(),
        overrides: request.overrides.into_iter().map(pair).collect::<Result<_, Invalid>>()?,
        name: convert::name("name", request.name, MAX_NAME_BYTES)?,
        trial_limit: request.trial_limit,
        priority: request.priority,
        resume: request.resume,
        user: convert::name("user", request.user, MAX_NAME_BYTES)?,
        fresh: request.fresh,
        revision: convert::name("revision", request.revision, MAX_NAME_BYTES)?,
        reproduces: None,
    })
}

/// The page of trials of a request. The caller looks up the sweep and the configuration.
pub(crate) fn page(request: v1::ListTrialsRequest) -> Result<TrialPage, Error> {
    let limit = match request.page_size {
        0 => DEFAULT_PAGE,
        size => size.min(MAX_PAGE),
    };
    if request.states.len() > MAX_STATES {
        return Err(Invalid { field: "states", problem: format!("more than {MAX_STATES}") }.into());
    }
    let states = request.states.into_iter().map(convert::trial_state).collect::<Result<_, Invalid>>()?;
    let (after, seed) = (page_token(&request.page_token)?, request.seed);
    Ok(TrialPage { after, states, seed, ..TrialPage::first(SweepId(0), limit) })
}

/// The page of sweeps of a request, and whether the request asks for all sweeps.
pub(crate) fn sweep_page(request: &v1::ListSweepsRequest) -> Result<(SweepPage, bool), Invalid> {
    let limit = match request.page_size {
        0 => MAX_SWEEPS,
        size => size.min(MAX_SWEEPS),
    };
    let before = match request.page_token.as_str() {
        "" => None,
        token => match token.parse() {
            Ok(number) => Some(SweepId(number)),
            Err(_) => return convert::invalid("page_token", "expected the value of a previous page"),
        },
    };
    Ok((SweepPage { before, ..SweepPage::newest(limit) }, request.page_size == 0))
}

/// Checks the digits of a trial id or of its beginning.
pub(crate) fn trial_digits(text: &str) -> Result<(), Invalid> {
    let digits = text.len() >= MIN_PREFIX && text.len() <= 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    if digits { Ok(()) } else { convert::invalid("trial", format!("expected {MIN_PREFIX} to 64 hexadecimal digits")) }
}

fn page_token(text: &str) -> Result<Option<(u32, u64)>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    let parts = text.split_once('.').and_then(|(first, second)| Some((first.parse().ok()?, second.parse().ok()?)));
    parts.map(Some).ok_or(Invalid { field: "page_token", problem: "expected the value of a previous page".into() })
}
