"""What `sweepctl export` gave TensorBoard and MLflow, read with their own code and held against its own JSON.

Usage: exports.py SWEEPCTL FOLDER MLFLOW_URL, with SWEEP_COORDINATOR naming a coordinator whose first sweep is exported.
"""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
import numpy
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SWEEPCTL, FOLDER, URL = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
CURVES = {
    "loss/train": "train_loss",
    "loss/validation": "val_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/validation": "val_accuracy",
    "learning_rate": "learning_rate",
}
STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


def export(*arguments):
    told = subprocess.run([SWEEPCTL, "export", "1", *arguments], check=True, stdout=subprocess.PIPE)
    return json.loads(told.stdout)


def told():
    """Trials by their id, and the points of each."""
    trials = {trial["trial_id"]: trial for trial in export("--format", "json")}
    points = {}
    for point in export("--format", "json", "--points"):
        points.setdefault(point["trial_id"], []).append(point)
    return trials, points


def begun(trial):
    """When the attempt that counts was assigned, in seconds."""
    detail = json.loads(subprocess.run([SWEEPCTL, "trial", trial, "--output", "json"], check=True, stdout=subprocess.PIPE).stdout)
    return detail["attempt_records"][-1]["assigned_unix_ms"] / 1000


def same(first, second):
    return first == second or (math.isnan(first) and math.isnan(second))


def ends(start, points):
    for point in points:
        start += point["seconds"]
        yield start


def tensorboard(folder, points):
    """How often the event files say something else, and how many numbers were compared."""
    wrong, compared = [], 0
    runs = {path.name.rsplit("-", 1)[1]: path for path in folder.iterdir()}
    if sorted(runs) != sorted(trial[:12] for trial in points):
        wrong.append(f"runs {sorted(runs)}")
    for trial, epochs in points.items():
        path = runs.get(trial[:12])
        if path is None:
            continue
        if [file.name for file in path.iterdir()] != ["events.out.tfevents.sweep"]:
            wrong.append(f"{path.name}: {list(path.iterdir())}")
        reader = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
        reader.Reload()
        if sorted(reader.Tags()["scalars"]) != sorted(CURVES):
            wrong.append(f"{path.name}: tags {reader.Tags()['scalars']}")
            continue
        text = reader.Tensors("settings")[0].tensor_proto.string_val[0].decode()
        if f"| trial | {trial} |" not in text or "| configuration.filters | " not in text:
            wrong.append(f"{path.name}: settings {text[:200]!r}")
        for tag, name in CURVES.items():
            curve = reader.Scalars(tag)
            if len(curve) != len(epochs):
                wrong.append(f"{path.name} {tag}: {len(curve)} values of {len(epochs)}")
            for event, epoch, end in zip(curve, epochs, ends(begun_at[trial], epochs)):
                compared += 1
                value = float(numpy.float32(epoch[name] if epoch[name] is not None else math.nan))
                if event.step != epoch["epoch"] or not same(event.value, value) or abs(event.wall_time - end) > 1e-3:
                    wrong.append(f"{path.name} {tag}: {event} is not {epoch['epoch']}, {value}, {end}")
    return wrong, compared


def setting(value):
    if isinstance(value, bool):
        return str(value).lower()
    return ";".join(value) if isinstance(value, list) else str(value)


def mlflow(trials, points):
    """The same for the runs on the server; only trials that have ended are there."""
    wrong, compared = [], 0
    client = MlflowClient(URL)
    experiment = client.get_experiment_by_name("curves")
    runs = {run.data.tags["sweep.trial_id"]: run for run in client.search_runs([experiment.experiment_id], max_results=1000)}
    ended = {trial: it for trial, it in trials.items() if it["state"] in STATUS}
    if sorted(runs) != sorted(ended) or len(client.search_runs([experiment.experiment_id], max_results=1000)) != len(ended):
        wrong.append(f"runs {sorted(runs)}")
    for trial, it in ended.items():
        run = runs.get(trial)
        if run is None:
            continue
        about = (run.info.status, run.info.start_time, run.data.tags["sweep.configuration"], run.data.tags["sweep.seed"])
        expected = (STATUS[it["state"]], round(begun_at[trial] * 1000), it["configuration"], str(it["seed"]))
        if about != expected:
            wrong.append(f"{trial[:12]}: {about} is not {expected}")
        params = {path: value for path, value in run.data.params.items() if path != "params"}
        if sorted(params) != sorted(it["settings"]) or run.data.params["params"] != str(it["params"]):
            wrong.append(f"{trial[:12]}: params {sorted(params)}")
        for path, value in it["settings"].items():
            compared += 1
            text = params.get(path)
            # A number may be written in two ways; it has to be the same number.
            if text != setting(value) and not (isinstance(value, float) and float(text) == value):
                wrong.append(f"{trial[:12]} {path}: {text!r} is not {value!r}")
        epochs = points[trial]
        for name in CURVES.values():
            history = sorted(client.get_metric_history(run.info.run_id, name), key=lambda metric: metric.step)
            if len(history) != len(epochs):
                wrong.append(f"{trial[:12]} {name}: {len(history)} values of {len(epochs)}")
            for metric, epoch, end in zip(history, epochs, ends(begun_at[trial], epochs)):
                compared += 1
                value = epoch[name] if epoch[name] is not None else math.nan
                if metric.step != epoch["epoch"] or not same(metric.value, value) or abs(metric.timestamp / 1000 - end) > 2e-3:
                    wrong.append(f"{trial[:12]} {name}: {metric} is not {epoch['epoch']}, {value}, {end}")
    return wrong, compared


def agree(name, found):
    wrong, compared = found
    if wrong or compared == 0:
        sys.exit(f"{name}: {len(wrong)} disagreements\n" + "\n".join(wrong[:10]))
    print(f"{name}: {compared} values agree")


def disagree(name, found):
    if not found[0]:
        sys.exit(f"{name}: was not seen")
    print(f"{name}: seen, {len(found[0])} disagreements")


def until_it_answers():
    begun = time.monotonic()
    while time.monotonic() - begun < 180:
        try:
            with urllib.request.urlopen(f"{URL}/health", timeout=5) as answer:
                if answer.status == 200:
                    print(f"the MLflow server answers after {time.monotonic() - begun:.0f} s")
                    return
        except OSError:
            time.sleep(0.5)
    sys.exit("the MLflow server does not answer")


trials, points = told()
begun_at = {trial: begun(trial) for trial in points}

curves = FOLDER / "curves"
for time_number in ("first", "second"):
    said = export("--format", "tensorboard", "--out", str(curves), "--output", "json")
    assert said["runs"] == len(points) and said["epochs"] == sum(map(len, points.values())), said
    agree(f"TensorBoard, {time_number} export", tensorboard(curves, points))

changed = {trial: [dict(epoch) for epoch in epochs] for trial, epochs in points.items()}
value = numpy.float32(changed[min(changed)][3]["val_loss"])
changed[min(changed)][3]["val_loss"] = float(numpy.nextafter(value, numpy.float32(9)))
disagree("one value changed by its last bit", tensorboard(curves, changed))
broken = FOLDER / "broken"
shutil.copytree(curves, broken)
file = next(path for path in broken.iterdir() if path.name.endswith(min(points)[:12])) / "events.out.tfevents.sweep"
content = bytearray(file.read_bytes())
content[len(content) // 2] ^= 1
file.write_bytes(content)
disagree("one bit of an event file turned", tensorboard(broken, points))

until_it_answers()
to_server = ("--format", "mlflow", "--to", URL, "--experiment", "curves", "--output", "json")
ended = sum(trial["state"] in STATUS for trial in trials.values())
for expected in ({"runs": ended, "known": 0}, {"runs": 0, "known": ended}):
    begun_export = time.monotonic()
    said = export(*to_server)
    assert {name: said[name] for name in expected} == expected and said["left_out"] == len(trials) - ended, said
    agree(f"MLflow, {said['runs']} runs written in {time.monotonic() - begun_export:.1f} s", mlflow(trials, points))

client = MlflowClient(URL)
first = client.search_runs([client.get_experiment_by_name("curves").experiment_id], max_results=1)[0].info.run_id
client.set_terminated(first, status="RUNNING")
said = export(*to_server)
assert (said["runs"], said["known"]) == (1, ended - 1), said
agree("MLflow, after a run that was left unfinished", mlflow(trials, points))
changed = {trial: [dict(epoch) for epoch in epochs] for trial, epochs in points.items()}
changed_trial = next(trial for trial in sorted(points) if trials[trial]["state"] in STATUS)
changed[changed_trial][3]["val_loss"] = float(numpy.nextafter(changed[changed_trial][3]["val_loss"], 9))
disagree("one metric changed by its last bit", mlflow(trials, changed))
