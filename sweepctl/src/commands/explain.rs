//! `sweepctl explain`: shows why a trial waits, or what happened to it, attempt by attempt. `sweepctl audit`: shows the
//! audit log.

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::{ExplainTrialRequest, ListAuditRequest};
use sweep_shapes::text::{ago, escape};
use sweep_shapes::{Attempt, AuditEntry, Summary};

use super::{Context, trial};
use crate::client;
use crate::failure::{Exit, Failure};
use crate::output::{FAINT, STRONG};
use crate::table::Table;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl explain 3fa1c2")]
pub(crate) struct Arguments {
    /// Id of the trial: at least its first six hexadecimal digits
    trial: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sweepctl audit --sweep 3\n  sweepctl audit --worker gpu-7 --limit 1000")]
pub(crate) struct AuditArguments {
    /// Only events of this sweep: its number or name
    #[arg(long, value_name = "SWEEP")]
    sweep: Option<String>,
    /// Only events of this trial: at least the first six hexadecimal digits of its id
    #[arg(long, value_name = "TRIAL")]
    trial: Option<String>,
    /// Only events of this worker
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Number of the newest events to show
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(Serialize)]
struct Explanation {
    trial: Summary,
    /// Why it waits, or where it runs; empty once it has ended.
    now: Vec<String>,
    attempts: Vec<Attempt>,
    events: Vec<AuditEntry>,
}

#[derive(Serialize)]
struct Audit {
    entries: Vec<AuditEntry>,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let id = trial::checked(&arguments.trial)?;
    let mut client = client::connect(&context.coordinator).await?;
    let answer = client.explain_trial(ExplainTrialRequest { trial: id }).await.map_err(trial::unknown)?.into_inner();
    let explanation = Explanation {
        trial: sweep_shapes::expect(answer.trial, "trial")?.into(),
        now: answer.now,
        attempts: answer.attempts.into_iter().map(Attempt::from).collect(),
        events: answer.events.into_iter().map(AuditEntry::from).collect(),
    };
    if context.output.is_json() {
        context.output.json(&explanation)?;
        return Ok(Exit::Success);
    }
    context.output.prose(&describe(&explanation))?;
    if !explanation.attempts.is_empty() {
        context.output.text("")?;
        context.output.table(trial::attempts(&explanation.attempts))?;
    }
    if !explanation.events.is_empty() {
        context.output.text("")?;
        context.output.table(table(&explanation.events, false))?;
    }
    Ok(Exit::Success)
}

fn describe(explanation: &Explanation) -> String {
    let trial = &explanation.trial;
    let place = format!("{}, seed {}", escape(&trial.configuration), trial.seed);
    let mut lines = vec![format!("{STRONG}trial {}{STRONG:#} ({place}): {}", escape(&trial.trial_id), trial.state)];
    if let Some(failure) = &trial.failure {
        lines.push(format!("  {}: {}", failure.class, escape(&failure.reason)));
    }
    lines.extend(explanation.now.iter().map(|said| format!("  {FAINT}-{FAINT:#} {}", escape(said))));
    lines.join("\n")
}

pub(crate) async fn audit(context: &Context, arguments: &AuditArguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let request = ListAuditRequest {
        sweep: arguments.sweep.as_deref().and_then(client::reference),
        trial: arguments.trial.as_deref().map(trial::checked).transpose()?.unwrap_or_default(),
        worker: arguments.worker.clone().unwrap_or_default(),
        since_unix_ms: 0,
        limit: arguments.limit,
    };
    let answer = client.list_audit(request).await?.into_inner();
    let entries: Vec<AuditEntry> = answer.entries.into_iter().map(AuditEntry::from).collect();
    if context.output.is_json() {
        context.output.json(&Audit { entries })?;
    } else if entries.is_empty() {
        context.output.say("no matching events");
    } else {
        context.output.table(table(&entries, true))?;
    }
    Ok(Exit::Success)
}

/// Oldest first; the id of a single trial is not repeated.
fn table(entries: &[AuditEntry], with_subject: bool) -> Table {
    let mut table = if with_subject {
        Table::new(&["when", "who", "what", "sweep#", "trial", "attempt#", "worker", "detail"])
    } else {
        Table::new(&["when", "who", "what", "attempt#", "worker", "detail"])
    }
    .names(&["who", "worker"])
    .optional(&["attempt", "sweep", "trial", "worker", "who"]);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for entry in entries {
        let mut row = vec![ago(entry.at_unix_ms), entry.actor.clone(), entry.action.replace('_', " ")];
        if with_subject {
            let trial = entry.trial_id.as_deref().and_then(|id| id.get(..12));
            row.extend([number(entry.sweep), trial.unwrap_or("-").to_owned()]);
        }
        row.push(number(entry.attempt.map(u64::from)));
        row.extend([entry.worker.clone().unwrap_or_default(), entry.detail.clone()]);
        table.row(row);
    }
    table
}
