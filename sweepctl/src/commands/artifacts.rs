//! `sweepctl artifacts`: lists a sweep's artifacts, and downloads one.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::{GetArtifactRequest, ListArtifactsRequest};
use sweep_shapes::Artifact;
use sweep_shapes::text::bytes;
use sweep_spec::Digest;

use super::Context;
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};
use crate::table::Table;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sweepctl artifacts scene-cnn\n  sweepctl artifacts 3 --get 9b1de0 --file weights.safetensors"
)]
pub(crate) struct Arguments {
    /// Number of the sweep, or its name (the newest sweep with that name)
    sweep: String,
    /// First digits of the digest of an artifact to fetch
    #[arg(long, value_name = "DIGEST", requires = "file")]
    get: Option<String>,
    /// File to write the artifact to
    #[arg(long, value_name = "PATH", requires = "get")]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer {
    artifacts: Vec<Artifact>,
    notes: Vec<String>,
}

/// The downloaded artifact and its file.
#[derive(Serialize)]
struct Fetched<'a> {
    artifact: &'a Artifact,
    file: &'a Path,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = client::connect(&context.coordinator).await?;
    let request = ListArtifactsRequest { sweep: client::reference(&arguments.sweep) };
    let answer = client.list_artifacts(request).await?.into_inner();
    let artifacts: Vec<Artifact> = answer.artifacts.into_iter().map(Artifact::from).collect();
    if let (Some(digits), Some(file)) = (&arguments.get, &arguments.file) {
        let artifact = find(&artifacts, digits)?;
        fetch(&mut client, artifact, file).await?;
        if context.output.is_json() {
            context.output.json(&Fetched { artifact, file })?;
        } else {
            context.output.say(&format!("wrote {}, {}", file.display(), bytes(artifact.size_bytes)));
        }
    } else if context.output.is_json() {
        context.output.json(&Answer { artifacts, notes: answer.notes })?;
    } else if artifacts.is_empty() {
        context.output.say("no artifacts: set `protocol.keep_weights` in a spec to keep weights");
    } else {
        context.output.table(table(&artifacts))?;
        answer.notes.iter().for_each(|note| context.output.say(note));
    }
    Ok(Exit::Success)
}

fn find<'a>(artifacts: &'a [Artifact], digits: &str) -> Result<&'a Artifact, Failure> {
    let wanted = digits.to_ascii_lowercase();
    let mut found: Vec<&Artifact> = artifacts.iter().filter(|artifact| artifact.digest.starts_with(&wanted)).collect();
    found.dedup_by(|a, b| a.digest == b.digest);
    match found[..] {
        [artifact] => Ok(artifact),
        [] => Err(Failure::failed(format!("no artifact of this sweep begins with `{digits}`"))),
        _ => Err(Failure::failed(format!("{} artifacts begin with `{digits}`", found.len())).hint("give more digits")),
    }
}

/// The file appears only when it is complete and matches its digest.
async fn fetch(client: &mut Client, artifact: &Artifact, file: &Path) -> Result<(), Failure> {
    let parsed = artifact.digest.parse::<Digest>();
    let digest = parsed.map_err(|error| Failure::internal("the artifact has an invalid digest").because(error))?;
    let mut stream =
        client.get_artifact(GetArtifactRequest { digest: digest.as_bytes().to_vec().into() }).await?.into_inner();
    let mut content = Vec::new();
    while let Some(part) = stream.message().await? {
        content.extend_from_slice(&part.chunk);
    }
    if Digest::of(&content) != digest {
        return Err(Failure::failed("the received file does not match its digest").hint("fetch it again"));
    }
    let failed = |error| Failure::failed(format!("cannot write {}", file.display())).because(error);
    let partial = file.with_extension("partial");
    let mut out = std::fs::File::create(&partial).map_err(failed)?;
    out.write_all(&content).and_then(|()| out.sync_all()).map_err(failed)?;
    std::fs::rename(&partial, file).map_err(failed)
}

fn table(artifacts: &[Artifact]) -> Table {
    let mut table = Table::new(&["digest", "kind", "size#", "trial", "attempt#"]).optional(&["attempt"]);
    let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
    for artifact in artifacts {
        table.row([
            short(&artifact.digest),
            artifact.kind.to_owned(),
            bytes(artifact.size_bytes),
            artifact.trial_id.as_deref().map(short).unwrap_or_default(),
            artifact.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_found_by_the_digits_that_only_it_begins_with() {
        let artifact = |digest: &str| Artifact {
            digest: digest.to_owned(),
            kind: "log",
            size_bytes: 1,
            trial_id: None,
            attempt: None,
        };
        let artifacts = [artifact("abc1"), artifact("abd2")];
        assert_eq!(find(&artifacts, "ABC").unwrap().digest, "abc1");
        assert!(find(&artifacts, "ab").is_err());
        assert!(find(&artifacts, "ff").is_err());
    }
}
