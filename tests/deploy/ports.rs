//! Compares ports, probes and paths with the defaults of the configurations and with running programs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sweep_coordinator::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::files::{self, text};
use super::manifests::{self, list};
use super::none;

/// The ports of each program, by purpose.
fn defaults() -> BTreeMap<&'static str, BTreeMap<String, u64>> {
    let coordinator = Config::defaults().expect("the defaults are right");
    let worker = sweep_worker::Config::default();
    let http = worker.listen_http.expect("a worker serves metrics").port();
    let named =
        |ports: &[(&str, u16)]| ports.iter().map(|(name, port)| ((*name).to_owned(), u64::from(*port))).collect();
    BTreeMap::from([
        ("coordinator", named(&[("grpc", coordinator.listen.port()), ("http", coordinator.listen_http.port())])),
        ("worker", named(&[("http", http)])),
    ])
}

#[test]
fn containers_open_the_ports_that_their_programs_listen_on() {
    let defaults = defaults();
    let containers = manifests::containers(&files::objects());
    let wrong = containers.iter().filter(|container| container.ports != defaults[container.program.as_str()]);
    none(wrong.map(|container| format!("{}: {:?}", container.place, container.ports)).collect());
    for (program, ports) in &defaults {
        let file = text(&format!("deploy/containers/{program}.Containerfile"));
        let exposed = file.lines().find_map(|line| line.strip_prefix("EXPOSE ")).expect("it says which ports it has");
        let exposed: BTreeSet<u64> = exposed.split(' ').map(|port| port.parse().expect("a port")).collect();
        assert_eq!(exposed, ports.values().copied().collect(), "{program}");
    }
}

#[test]
fn services_lead_to_ports_that_are_open() {
    let defaults = defaults();
    let mut wrong = Vec::new();
    for (file, object) in files::objects().iter().filter(|(_, object)| object["kind"] == "Service") {
        let component = manifests::text(&object["spec"]["selector"]["app.kubernetes.io/component"]);
        let Some(ports) = defaults.get(component.as_str()) else { continue };
        for port in list(&object["spec"]["ports"]) {
            let (name, number) = (manifests::text(&port["targetPort"]), port["port"].as_u64());
            if ports.get(&name).copied() != number {
                wrong.push(format!("{file}: {name} is {number:?}"));
            }
        }
    }
    none(wrong);
}

/// `HOST:PORT` of a program of ours, wherever it is written outside of the manifests.
#[test]
fn addresses_that_are_written_have_ports_that_are_open() {
    let defaults = defaults();
    let ours: BTreeSet<String> = defaults
        .values()
        .flat_map(BTreeMap::values)
        .map(ToString::to_string)
        .chain(["0".to_owned(), "443".to_owned()])
        .collect();
    let mut wrong = Vec::new();
    for file in files::all() {
        for host in ["coordinator", "worker", "worker-gpu", "coordinator.example.com", "0.0.0.0", "localhost"] {
            for (place, _) in file.text.match_indices(&format!("{host}:")) {
                let rest = &file.text[place + host.len() + 1..];
                let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                if !port.is_empty() && !ours.contains(&port) && !file.text[place..].starts_with("localhost:3000") {
                    wrong.push(format!("{}: {host}:{port}", file.name));
                }
            }
        }
    }
    none(wrong);
}

async fn status(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// The paths that probes, scrapers and health checks request from each program.
fn asked(program: &str) -> BTreeSet<String> {
    let containers = manifests::containers(&files::objects());
    let probes =
        containers.into_iter().filter(|container| container.program == program).flat_map(|container| container.probes);
    let scraped = files::objects().into_iter().filter(|(_, object)| object["kind"] == "ServiceMonitor");
    let scraped = scraped.flat_map(|(_, object)| list(&object["spec"]["endpoints"]).to_vec());
    probes.chain(scraped.map(|endpoint| manifests::text(&endpoint["path"]))).collect()
}

#[tokio::test]
async fn every_path_that_is_asked_is_served() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let any = || Some("127.0.0.1:0".to_owned());
    let args = sweep_coordinator::Args {
        store: Some(at("sweep.db")),
        listen: any(),
        listen_http: any(),
        ..Default::default()
    };
    let config = Config::from_layers(&args, []).expect("it is right");
    let end = CancellationToken::new();
    let coordinator = sweep_coordinator::start(config, end.clone()).await.expect("it starts");
    coordinator.ready().await;
    let worker = sweep_worker::Config {
        coordinator: vec![format!("http://{}", coordinator.grpc_address())],
        data_roots: vec![folder.path().to_owned()],
        state_dir: Some(folder.path().join("worker")),
        cache_dir: Some(folder.path().join("cache")),
        listen_http: Some(([127, 0, 0, 1], 0).into()),
        slots: sweep_worker::config::Slots::Count(1),
        ..Default::default()
    };
    let trainer = vec![env!("CARGO_BIN_EXE_sweepctl").to_owned(), "trainer".to_owned()];
    let worker = sweep_worker::start(worker, trainer, &end).await.expect("it starts");
    assert!(worker.registered().await);
    let worker_address = worker.http_address.expect("it serves");
    for (program, address) in [("coordinator", coordinator.http_address()), ("worker", worker_address)] {
        let paths = asked(program);
        assert!(paths.len() >= 3, "{program}: {paths:?}");
        for path in paths {
            assert_eq!(status(address, &path).await, "200", "{program} {path}");
        }
        assert_eq!(status(address, "/nothing").await, "404", "{program}");
    }
    worker.stop().await.expect("it leaves well");
    coordinator.stop().await;
}

/// The folder of data sets in an image of the user's own, as docs/deploy.md builds one.
const IN_IMAGES: &str = "/datasets";

/// Files and folders of the configuration have to lie where something is mounted: nothing else can be written, or is there.
#[test]
fn what_a_configuration_names_is_mounted() {
    let objects = files::objects();
    let mut wrong = Vec::new();
    for container in manifests::containers(&objects) {
        let mut named: Vec<String> =
            container.environment.values().filter(|value| value.starts_with('/')).cloned().collect();
        named.extend(container.args.iter().filter(|argument| argument.starts_with('/')).cloned());
        for text in super::configurations::of(&container, &objects) {
            named.extend(text.lines().filter_map(|line| line.split_once(": ")).map(|(_, value)| value.to_owned()));
        }
        let mounted =
            |path: &str| path == IN_IMAGES || container.mounts.iter().any(|mount| Path::new(path).starts_with(mount));
        let outside = named.iter().filter(|path| path.starts_with('/') && !mounted(path));
        wrong.extend(outside.map(|path| format!("{}: {path} is not mounted", container.place)));
    }
    none(wrong);
}
