//! `sweepctl backup`: a copy of everything that a coordinator keeps, while it runs.

mod folder;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sweep_proto::v1::store_service_client::StoreServiceClient;
use sweep_proto::v1::{
    BackupContent, BeginBackupRequest, BeginBackupResponse, EndBackupRequest, ListBackupRequest, ReadBackupRequest,
};
use sweep_shapes::backup::{ArtifactFiles, FORMAT, Manifest, StoreFile};
use sweep_shapes::text::{bytes, count};
use sweep_spec::Digest;

use super::Context;
use crate::client;
use crate::failure::{Exit, Failure};
use crate::fleet::Fleet;
use folder::{Folder, Target};

#[derive(Debug, Args)]
#[command(
    after_help = "The folder then contains store.db (always a SQLite file), artifacts/ (files named by their hash) and \
        backup.json (written last). Run the command again to update the backup: it fetches only new artifacts. An \
        interrupted backup continues when you run the command again. Tokens need the role admin.\n\n\
        Example:\n  sweepctl backup --folder /backups/sweep\n  sweepctl restore --folder /backups/sweep --store \
        sweep.db"
)]
pub(crate) struct Arguments {
    /// Folder of the backup, created if missing
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
}

/// What was done, for programs.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    manifest: Manifest,
    /// Artifacts that were not in the folder yet.
    fetched: ArtifactFiles,
    /// Files of earlier backups that nothing refers to any more.
    removed: u64,
}

type Client = StoreServiceClient<Fleet>;

/// A backup that is open, and the folder that it goes into.
struct Backup<'a> {
    client: Client,
    folder: Folder,
    open: BeginBackupResponse,
    context: &'a Context,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = Folder::open(&arguments.folder)?;
    let mut client = client::upkeep(&context.coordinator).await?;
    let open = open(context, &mut client, &folder).await?;
    let mut backup = Backup { client, folder, open, context };
    let answer = backup.run().await?;
    if context.output.is_json() {
        context.output.json(&answer)?;
    } else {
        let Answer { manifest, fetched, .. } = &answer;
        let text = format!(
            "store {}, {} artifacts ({}); {} of them were fetched ({})",
            bytes(manifest.store.bytes),
            count(manifest.artifacts.files),
            bytes(manifest.artifacts.bytes),
            count(fetched.files),
            bytes(fetched.bytes)
        );
        context.output.text(&text)?;
    }
    Ok(Exit::Well)
}

/// Opens a backup, or the one again that this folder was left with, and waits for its copy of the store.
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
        let (fetched, left) = self.artifacts().await?;
        let manifest = Manifest {
            format: FORMAT,
            version: self.open.version.clone(),
            created_unix_ms: self.open.created_unix_ms,
            store: StoreFile { bytes: self.open.store_bytes, blake3: digest.to_string(), layout: self.open.layout },
            artifacts: ArtifactFiles { files: self.open.artifacts, bytes: self.open.artifact_bytes },
        };
        self.folder.finish(&manifest)?;
        let removed = folder::remove(&left)?;
        let ended = EndBackupRequest { backup: self.open.backup.clone() };
        if let Err(status) = self.client.end_backup(ended).await {
            self.context
                .output
                .say(&format!("the coordinator keeps its copy of the store for a while: {}", status.message()));
        }
        Ok(Answer { manifest, fetched, removed })
    }

    /// Fetches the artifacts that are not there yet. Says which files of the folder belong to none.
    async fn artifacts(&mut self) -> Result<(ArtifactFiles, Vec<PathBuf>), Failure> {
        let mut fetched = ArtifactFiles { files: 0, bytes: 0 };
        let mut parts = self.folder.parts();
        let mut after = Vec::new();
        loop {
            let request = ListBackupRequest { backup: self.open.backup.clone(), after: after.clone().into() };
            let page = self.client.list_backup(request).await?.into_inner().contents;
            let Some(last) = page.last() else { return Ok((fetched, parts.finish()?)) };
            after = last.digest.to_vec();
            for BackupContent { digest: content, size_bytes } in page {
                let content = digest(&content)?;
                if parts.has(content, size_bytes)? {
                    continue;
                }
                let target = self.folder.artifact(content, size_bytes);
                self.fetch(Some(content), &target).await?;
                target.keep()?;
                fetched.files += 1;
                fetched.bytes += size_bytes;
            }
        }
    }

    /// Fetches what is not there yet of one file, and holds it against its hash.
    async fn fetch(&mut self, content: Option<Digest>, target: &Target) -> Result<(), Failure> {
        let mut writing = target.go_on()?;
        if writing.offset() < target.bytes() {
            let request = ReadBackupRequest {
                backup: self.open.backup.clone(),
                digest: content.map(|digest| digest.as_bytes().to_vec().into()).unwrap_or_default(),
                offset: writing.offset(),
            };
            let mut pieces = self.client.read_backup(request).await?.into_inner();
            while let Some(piece) = pieces.message().await? {
                writing.write(&piece.chunk)?;
            }
        }
        writing.finish()
    }
}

fn digest(bytes: &[u8]) -> Result<Digest, Failure> {
    Digest::try_from(bytes).map_err(|error| Failure::ours("the coordinator's answer has no digest").because(error))
}
