//! Checks this machine as `submit --local` uses it: trainer, devices, memory, store, disk, and the data set of a spec.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sweep_coordinator::store::private;
use sweep_shapes::text::{bytes, plural};
use sweep_spec::TRAINER_SEMANTICS;
use sweep_spec::trainer::{Command, Devices, Event, Hello, MAX_LINE_BYTES};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::{Arguments, Check, coordinator, dataset, workers};
use crate::local::{DEFAULT_STORE, data_roots, sibling, trainer_command};
use crate::study::{self, Study};

/// Time limit for a trainer to list its devices. The first start of a GPU's driver can take long.
const TRAINER_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn look(arguments: &Arguments, study: Option<&Study>, checks: &mut Vec<Check>) {
    let devices = trainer(checks).await;
    if let Some(devices) = &devices {
        let wanted = arguments.slots.as_deref().unwrap_or("auto");
        checks.push(summary(devices));
        match slots(wanted, devices) {
            Ok(slots) => {
                checks
                    .push(Check::ok("slots", format!("`{wanted}` resolves to {}", plural(slots.len() as u64, "slot"))));
                checks.extend(study.and_then(|study| memory(&slots, study)));
            }
            Err(why) => checks.push(Check::wrong("slots", why, "use `auto`, a number, or devices such as `cpu,cpu`")),
        }
    }
    checks.push(cache());
    let store = arguments.store.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
    checks.push(local_store(&store));
    checks.extend(local_privacy(&store));
    checks.extend(local_disk(&store));
    if let Some(study) = study {
        let usual = arguments.file.as_deref().map_or(Path::new("."), study::folder_of);
        let roots = data_roots(&arguments.data_root, usual);
        let check = match (&devices, trainer_command()) {
            (Some(_), Ok(command)) => dataset::look(&command, &study.plan, &roots).await,
            (None, _) | (_, Err(_)) => Check::not_checked("data set", "the trainer does not start"),
        };
        checks.push(check);
    }
}

/// Starts a trainer and lists its devices.
async fn trainer(checks: &mut Vec<Check>) -> Option<Devices> {
    let asked = match trainer_command() {
        Ok(command) => timeout(TRAINER_TIMEOUT, devices(&command)).await,
        Err(failure) => Ok(Err(failure.to_string())),
    };
    let advice = "run `echo '{\"command\": \"devices\"}' | sweepctl trainer` to see the error";
    match asked {
        Ok(Ok((hello, devices))) if hello.semantics == TRAINER_SEMANTICS => {
            checks.push(Check::ok("trainer", format!("{} starts", hello.trainer)));
            Some(devices)
        }
        Ok(Ok((hello, _))) => {
            let found =
                format!("{} has trainer semantics {}, expected {TRAINER_SEMANTICS}", hello.trainer, hello.semantics);
            checks.push(Check::wrong("trainer", found, "use a trainer of the same version"));
            None
        }
        Ok(Err(why)) => {
            checks.push(Check::wrong("trainer", format!("the trainer does not start: {why}"), advice));
            None
        }
        Err(_) => {
            let found = format!("the trainer started but did not answer for {} s", TRAINER_TIMEOUT.as_secs());
            checks.push(Check::wrong("trainer", found, advice));
            None
        }
    }
}

async fn devices(command: &[String]) -> Result<(Hello, Devices), String> {
    match ask(command, &Command::Devices).await? {
        (hello, Event::Devices(devices)) => Ok((hello, devices)),
        _ => Err("it sent an unexpected answer".to_owned()),
    }
}

/// Starts a trainer and sends one command.
pub(super) async fn ask(command: &[String], question: &Command) -> Result<(Hello, Event), String> {
    let [program, arguments @ ..] = command else { return Err("its command is empty".to_owned()) };
    let failed = |error: std::io::Error| error.to_string();
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        // The environment that a worker gives it.
        .env_clear()
        .envs(sweep_worker::environment::of_trainers(&[]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let question = serde_json::to_string(question).map_err(|error| error.to_string())?;
    // Dropped at the end of this function, so that the trainer sees the end of its input and exits.
    let mut stdin = child.stdin.take().ok_or("it has no stdin")?;
    stdin.write_all(format!("{question}\n").as_bytes()).await.map_err(failed)?;
    let stdout = child.stdout.take().ok_or("it has no stdout")?;
    let mut lines = BufReader::new(stdout.take(MAX_LINE_BYTES as u64)).lines();
    let mut hello = None;
    while let Some(line) = lines.next_line().await.map_err(failed)? {
        match serde_json::from_str(&line).map_err(|error| format!("it sent an invalid event: {error}"))? {
            Event::Hello(said) => hello = Some(said),
            Event::Failed(failed) => return Err(failed.reason),
            answer => return Ok((hello.ok_or("it did not identify itself")?, answer)),
        }
    }
    Err("it exited before it answered".to_owned())
}

fn summary(devices: &Devices) -> Check {
    let named = devices.devices.iter().map(|device| match device.memory_bytes {
        Some(memory) if device.name != "cpu" => format!("{} ({}, {})", device.name, device.description, bytes(memory)),
        _ => format!("{} ({})", device.name, device.description),
    });
    let found = named.collect::<Vec<_>>().join(", ");
    match &devices.cuda_unavailable {
        None => Check::ok("devices", found),
        // A build without CUDA on a machine that may have no GPU is not a problem.
        Some(why) if !cfg!(feature = "cuda") => Check::ok("devices", format!("{found}; no CUDA: {why}")),
        Some(why) => Check::warning("devices", format!("{found}; no CUDA: {why}"), "repair CUDA, or train on CPUs"),
    }
}

/// The cache of decoded images, by the worker's rule.
fn cache() -> Check {
    let advice = "set HOME or XDG_CACHE_HOME to a folder of this user";
    let local = vec![("coordinator", "http://127.0.0.1:1".to_owned())];
    let config = match sweep_worker::Config::load(None, [], local) {
        Ok(config) => config,
        Err(problems) => return Check::wrong("cache", problems.to_string(), advice),
    };
    match sweep_worker::cache(&config) {
        Ok((folder, false)) => Check::ok("cache", format!("decoded images are cached in {}", folder.display())),
        Ok((folder, true)) => {
            let found = format!("HOME is not set or is /: decoded images are cached in {}", folder.display());
            Check::warning(
                "cache",
                found,
                "set HOME; otherwise images are decoded again whenever temporary files are removed",
            )
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
            Check::wrong("cache", format!("{error}{cause}"), advice)
        }
    }
}

/// A slot's memory in bytes, if known.
type Slot = Option<u64>;

/// The slots that a worker would offer, by the same rules.
fn slots(wanted: &str, devices: &Devices) -> Result<Vec<Slot>, String> {
    let flags = vec![("coordinator", "http://127.0.0.1:1".to_owned()), ("slots", wanted.to_owned())];
    let config = sweep_worker::Config::load(None, [], flags).map_err(|problems| problems.to_string())?;
    let slots = sweep_worker::slots(&config, devices).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    })?;
    Ok(slots.into_iter().map(|slot| slot.memory_bytes).collect())
}

fn memory(slots: &[Slot], study: &Study) -> Option<Check> {
    let needed = workers::needed(study)?;
    let largest = slots.iter().flatten().copied().max()?;
    let found = format!("the largest network needs {}, a slot has {}", bytes(needed), bytes(largest));
    Some(if needed > largest {
        Check::wrong("memory", found, "use `--slots 1` to give one slot all memory, or reduce batch_size or image_size")
    } else {
        Check::ok("memory", found)
    })
}

fn local_store(store: &Path) -> Check {
    let place = store.display();
    if store.is_dir() {
        return Check::wrong("store", format!("{place} is a folder, not a file"), "name a file with --store");
    }
    if store.exists() {
        let size = std::fs::metadata(store).map_or(0, |found| found.len());
        return match std::fs::File::options().append(true).open(store) {
            Ok(_) => Check::ok("store", format!("{place} exists, {}", bytes(size))),
            Err(error) => {
                Check::wrong("store", format!("{place} cannot be written: {error}"), "check its owner and mode")
            }
        };
    }
    let number = sibling(store, ".acknowledged");
    if number.exists() {
        let number = number.display();
        let found = format!("{place} does not exist, but {number} shows that it had commits");
        return Check::wrong(
            "store",
            found,
            format!("restore {place}, or remove {number} to start with an empty store"),
        );
    }
    let Some(folder) = standing(store) else {
        return Check::wrong(
            "store",
            format!("cannot create a folder for {place}"),
            "choose another path with --store PATH",
        );
    };
    match rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Check::ok("store", format!("{place} will be created")),
        Err(error) => {
            let found = format!("cannot create {place}: {} is not writable ({error})", folder.display());
            Check::wrong("store", found, "choose another path with --store PATH")
        }
    }
}

/// What other users of this machine could do with the store.
fn local_privacy(store: &Path) -> Option<Check> {
    let found = private::findings(store, &sibling(store, ".artifacts"));
    let advice = "the next command that uses the store restricts the files of its user and refuses those of other \
        users";
    (!found.is_empty()).then(|| Check::warning("privacy", found.join("; "), advice))
}

/// The nearest existing folder above a file.
fn standing(file: &Path) -> Option<&Path> {
    let above =
        file.ancestors().skip(1).map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    above.into_iter().find(|folder| folder.exists()).filter(|folder| folder.is_dir())
}

fn local_disk(store: &Path) -> Option<Check> {
    let folder = standing(store)?;
    let found = rustix::fs::statvfs(folder).ok()?;
    let (free, whole) = (found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize));
    let told = format!("{} of {} are free on the disk of the store", bytes(free), bytes(whole));
    Some(coordinator::room("disk", free, told))
}

#[cfg(test)]
mod tests {
    use sweep_spec::trainer::Device;

    use super::*;
    use crate::commands::doctor::State;

    #[test]
    fn slots_are_counted_as_a_worker_counts_them() {
        let cpu = Device { name: "cpu".into(), description: "a processor".into(), memory_bytes: None };
        let devices = Devices { devices: vec![cpu], cuda_unavailable: Some("no driver".into()) };
        assert_eq!(slots("3", &devices).unwrap().len(), 3);
        assert!(slots("cuda:0", &devices).unwrap_err().contains("no driver"));
        assert!(slots("many", &devices).is_err());
    }

    #[test]
    fn a_store_is_a_file_that_can_be_written_or_made() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(local_store(&folder.path().join("new/sweep.db")).state, State::Ok);
        assert_eq!(local_store(folder.path()).state, State::Wrong);
        let file = folder.path().join("sweep.db");
        std::fs::write(sibling(&file, ".acknowledged"), "x").unwrap();
        assert_eq!(local_store(&file).state, State::Wrong, "it was removed alone");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(local_store(&file).state, State::Ok);
        assert_eq!(local_store(&file.join("below/sweep.db")).state, State::Wrong, "no folder can be made in a file");
    }

    #[tokio::test]
    async fn what_is_no_trainer_is_told_and_waited_for_no_longer() {
        let program = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert!(devices(&program(&["/nowhere/trainer"])).await.is_err());
        assert!(devices(&program(&["true"])).await.is_err());
        assert!(devices(&program(&["cat"])).await.unwrap_err().contains("an invalid event"));
    }
}
