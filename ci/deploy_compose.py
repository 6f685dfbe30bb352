"""What one service of deploy/compose says of another, of volumes and of files. The words of the format are podman-compose's to
know; nothing else reads the file here."""

import pathlib

import yaml

FOLDER = pathlib.Path("deploy/compose")
# Made by tokens.sh, or the user's own.
MADE = {"./private/tokens", "./private/tokens/worker", "./private/tokens/read", "${SWEEP_DATA:-./data}"}
KNOWN = {"image", "build", "user", "read_only", "cap_drop", "security_opt", "tmpfs", "restart", "depends_on", "environment", "volumes",
         "ports", "stop_grace_period", "shm_size", "profiles", "hostname", "deploy", "command", "healthcheck"}


def problems():
    loaded = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    services, volumes, found, used = loaded["services"], loaded["volumes"], [], set()
    for name, service in services.items():
        found += [f"{name}: unknown key {key}" for key in set(service) - KNOWN]
        found += [f"{name}: no service {other}" for other in service.get("depends_on", []) if other not in services]
        for mount in service.get("volumes", []):
            source = mount.replace("${SWEEP_DATA:-./data}", "@").split(":")[0].replace("@", "${SWEEP_DATA:-./data}")
            if source.startswith((".", "$")):
                if source not in MADE and not (FOLDER / source).exists():
                    found.append(f"{name}: {source} is not there")
            else:
                used.add(source)
        if "build" in service:
            build = service["build"]
            if not (FOLDER / build["context"] / build["dockerfile"]).exists():
                found.append(f"{name}: no {build['dockerfile']}")
        if name in ("coordinator", "worker", "worker-gpu"):
            if service.get("read_only") is not True or service.get("cap_drop") != ["ALL"] or service.get("user") != "65532:65532":
                found.append(f"{name}: not hardened")
        found += [f"{name}: {port} is open to others" for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
    found += [f"volume {name} is not declared" for name in used - set(volumes)]
    found += [f"nobody uses volume {name}" for name in set(volumes) - used]
    scraped = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    fixed = [target for job in scraped for config in job.get("static_configs", []) for target in config["targets"]]
    looked_up = [name for job in scraped for config in job.get("dns_sd_configs", []) for name in config["names"]]
    if not fixed or not looked_up:
        found.append("Prometheus does not scrape the coordinator and the workers")
    return found + [f"Prometheus scrapes {name}" for name in fixed + looked_up if name.split(":")[0] not in services]
