//! `sweepctl backup`: copies the store and the artifacts of a running coordinator.

mod folder;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::store_service_client::StoreServiceClient;
use sweep_proto::v1::{
    BackupContent, BeginBackupRequest, BeginBackupResponse, EndBackupRequest, ListBackupRequest, LostContent,
    ReadBackupRequest,
};
use sweep_shapes::backup::{ArtifactFiles, FORMAT, Manifest, MissingArtifact, StoreFile};
use sweep_shapes::text::{bytes, count, escape};
use sweep_spec::Digest;

use super::Context;
use crate::client;
use crate::failover::FailoverChannel;
use crate::failure::{Exit, Failure};
use folder::{Folder, Target, Writing};

#[derive(Debug, Args)]
#[command(
    after_help = "The folder then contains store.db (always a SQLite file), artifacts/ (files named by their hash) and \
        backup.json (written last). Run the command again to update the backup: it fetches only new artifacts. An \
        interrupted backup continues when you run the command again. Tokens need the role admin.\n\n\
        The backup leaves out artifacts whose files the coordinator cannot read. Everything else is backed up, \
        backup.json lists what is missing, and the exit code is 1.\n\n\
        Example:\n  sweepctl backup --folder /backups/sweep\n  sweepctl restore --folder /backups/sweep --store \
        sweep.db"
)]
pub(crate) struct Arguments {
    /// Folder of the backup, created if missing
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Exit with code 0 even if artifacts are missing
    #[arg(long)]
    allow_missing: bool,
}

/// With more missing artifacts the backup fails, because this is not a loss of single files.
const MOST_MISSING: usize = 10_000;
/// The most missing artifacts that are listed.
const NAMED: usize = 10;

/// The result for programs.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    manifest: Manifest,
    /// Artifacts that were not in the folder yet.
    fetched: ArtifactFiles,
    /// Files of earlier backups that are no longer referenced.
    removed: u64,
}

type Client = StoreServiceClient<FailoverChannel>;

/// An open backup and its folder.
struct Backup<'a> {
    client: Client,
    folder: Folder,
    open: BeginBackupResponse,
    context: &'a Context,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::open(&arguments.folder)?;
    let mut client = client::store(&context.coordinator).await?;
    let open = open(context, &mut client, &folder).await?;
    let mut backup = Backup { client, folder, open, context };
    let answer = backup.run().await?;
    if context.output.is_json() {
        context.output.json(&answer)?;
    } else {
        let Answer { manifest, fetched, .. } = &answer;
        let text = format!(
            "store {}, {} artifacts ({}), of which {} were fetched ({})",
            bytes(manifest.store.bytes),
            count(manifest.artifacts.files),
            bytes(manifest.artifacts.bytes),
            count(fetched.files),
            bytes(fetched.bytes)
        );
        context.output.text(&text)?;
    }
    tell_missing(context, &answer.manifest.missing, arguments.allow_missing)
}

/// Lists the missing artifacts.
fn tell_missing(context: &Context, missing: &[MissingArtifact], allowed: bool) -> Result<Exit, Failure> {
    if missing.is_empty() {
        return Ok(Exit::Success);
    }
    name_missing(context, missing);
    if allowed {
        return Ok(Exit::Success);
    }
    let size = bytes(total(missing));
    let what = match missing.len() {
        1 => format!("1 artifact ({size}) is missing"),
        several => format!("{} artifacts ({size}) are missing", count(several as u64)),
    };
    Err(Failure::failed(format!("{what} from the backup, because the coordinator cannot read their files")).hint(
        "everything else is in the backup, which can be restored; to repair the store, copy these files from an \
        earlier backup into the coordinator's folder of artifacts, or delete the sweeps; --allow-missing exits with \
        code 0",
    ))
}

/// Their size, as recorded by the coordinator.
fn total(missing: &[MissingArtifact]) -> u64 {
    missing.iter().fold(0, |total, one| total.saturating_add(one.bytes))
}

/// Prints one line to stderr for each of the first few.
pub(super) fn name_missing(context: &Context, missing: &[MissingArtifact]) {
    missing.iter().take(NAMED).for_each(|one| context.output.say(&format!("missing: {}", escape(&one.to_string()))));
    let more = missing.len().saturating_sub(NAMED) as u64;
    if more > 0 {
        context.output.say(&format!("missing: {} more, which backup.json lists", count(more)));
    }
}

/// Opens a new backup, or resumes the one that this folder belongs to, and waits for its copy of the store.
async fn open(context: &Context, client: &mut Client, folder: &Folder) -> Result<BeginBackupResponse, Failure> {
    let backup = folder.name()?;
    let mut said = false;
    loop {
        let request = BeginBackupRequest { backup: backup.clone(), user: client::user() };
        let answer = client.begin_backup(request).await?.into_inner();
        if answer.ready {
            folder.begin(&backup, answer.created_unix_ms)?;
            return Ok(answer);
        }
        if !said {
            context.output.say("the coordinator copies its store");
            said = true;
        }
    }
}

impl Backup<'_> {
    async fn run(&mut self) -> Result<Answer, Failure> {
        let digest = digest(&self.open.store_digest)?;
        let target = self.folder.store(digest, self.open.store_bytes);
        self.fetch(None, &target).await?;
        let Artifacts { fetched, missing, left } = self.artifacts().await?;
        let manifest = Manifest {
            format: FORMAT,
            version: self.open.version.clone(),
            created_unix_ms: self.open.created_unix_ms,
            store: StoreFile { bytes: self.open.store_bytes, blake3: digest.to_string(), layout: self.open.layout },
            artifacts: ArtifactFiles {
                files: self.open.artifacts.saturating_sub(missing.len() as u64),
                bytes: self.open.artifact_bytes.saturating_sub(total(&missing)),
            },
            missing,
        };
        self.folder.finish(&manifest)?;
        let removed = folder::remove(&left)?;
        let ended = EndBackupRequest { backup: self.open.backup.clone() };
        if let Err(status) = self.client.end_backup(ended).await {
            self.context
                .output
                .say(&format!("the coordinator keeps its copy of the store for an hour: {}", status.message()));
        }
        self.folder.forget()?;
        Ok(Answer { manifest, fetched, removed })
    }

    /// Downloads the missing artifacts.
    async fn artifacts(&mut self) -> Result<Artifacts, Failure> {
        let (mut fetched, mut missing) = (ArtifactFiles { files: 0, bytes: 0 }, Vec::new());
        let mut parts = self.folder.parts();
        let mut after = Vec::new();
        loop {
            let request = ListBackupRequest { backup: self.open.backup.clone(), after: after.clone().into() };
            let page = self.client.list_backup(request).await?.into_inner().contents;
            let Some(last) = page.last() else { return Ok(Artifacts { fetched, missing, left: parts.finish()? }) };
            after = last.digest.to_vec();
            for BackupContent { digest: content, size_bytes } in page {
                let content = digest(&content)?;
                if parts.has(content, size_bytes)? {
                    continue;
                }
                let target = self.folder.artifact(content, size_bytes);
                if let Some(lost) = self.fetch(Some(content), &target).await? {
                    missing.push(MissingArtifact::new(content.to_string(), size_bytes, lost));
                    if missing.len() > MOST_MISSING {
                        return Err(too_many_missing(&missing));
                    }
                    continue;
                }
                target.keep()?;
                fetched.files += 1;
                fetched.bytes += size_bytes;
            }
        }
    }

    /// Downloads the missing part of one file and verifies its hash. Returns an artifact that the coordinator has lost.
    async fn fetch(&mut self, content: Option<Digest>, target: &Target) -> Result<Option<LostContent>, Failure> {
        loop {
            let mut writing = target.go_on()?;
            let resumed = writing.offset() > 0;
            if let Some(lost) = self.read(content, target, &mut writing).await? {
                writing.discard()?;
                return Ok(Some(lost));
            }
            if writing.is_whole() {
                writing.finish()?;
                return Ok(None);
            }
            writing.discard()?;
            // The part of an earlier run may be damaged; only a download from the beginning shows whether the source
            // is.
            if !resumed {
                return Err(target.broken());
            }
        }
    }

    /// Downloads the rest of a file, or returns the artifact that the coordinator has lost.
    async fn read(
        &mut self,
        content: Option<Digest>,
        target: &Target,
        writing: &mut Writing<'_>,
    ) -> Result<Option<LostContent>, Failure> {
        if writing.offset() >= target.bytes() {
            return Ok(None);
        }
        let request = ReadBackupRequest {
            backup: self.open.backup.clone(),
            digest: content.map(|digest| digest.as_bytes().to_vec().into()).unwrap_or_default(),
            offset: writing.offset(),
        };
        let mut pieces = self.client.read_backup(request).await?.into_inner();
        while let Some(piece) = pieces.message().await? {
            if piece.lost.is_some() {
                return Ok(piece.lost);
            }
            writing.write(&piece.chunk)?;
        }
        Ok(None)
    }
}

/// The result of downloading the artifacts.
struct Artifacts {
    fetched: ArtifactFiles,
    missing: Vec<MissingArtifact>,
    /// Files in the folder that are not referenced.
    left: Vec<PathBuf>,
}

fn too_many_missing(missing: &[MissingArtifact]) -> Failure {
    let example = missing.first().map(ToString::to_string).unwrap_or_default();
    Failure::failed(format!(
        "the coordinator cannot read the files of more than {} artifacts",
        count(MOST_MISSING as u64)
    ))
    .because(format!("one of them is {example}"))
    .hint(
        "check that its folder of artifacts exists, then run the backup again; the last finished backup in this folder \
        is unchanged",
    )
}

fn digest(bytes: &[u8]) -> Result<Digest, Failure> {
    Digest::try_from(bytes).map_err(|error| Failure::internal("the coordinator sent no valid digest").because(error))
}
