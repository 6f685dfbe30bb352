"""What the dashboards ask: every panel's query and every variable, as Prometheus answers them."""
import json
import math
import re
import time
import urllib.parse
import urllib.request
from datetime import datetime
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parent.parent / "deploy/grafana/dashboards"
# Labels of which there are as many values as trials have ended: over a range, no series may have them.
GROWING = ("trial", "configuration", "rank")
STEP = 1
# Of queries with a shortest step of their own, which is a minute; the scenario is shorter than that.
OWN_STEP = 10


class Prometheus:
    """Prometheus's HTTP interface."""

    def __init__(self, address):
        self.address = address

    def get(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"Prometheus refuses {parameters}: {error.read().decode()}") from error

    def at(self, expression, moment=None):
        """The series of an expression at one moment, with their labels."""
        parameters = {} if moment is None else {"time": moment}
        data = self.get("query", query=expression, **parameters)
        return [(row["metric"], float(row["value"][1])) for row in data["result"]]

    def value(self, expression):
        """The one number of an expression, or None."""
        rows = self.at(expression)
        return rows[0][1] if rows else None

    def over(self, expression, start, end, step):
        return self.get("query_range", query=expression, start=start, end=end, step=step)["result"]

    def evaluated(self):
        """When each rule was evaluated last, in Unix seconds."""
        rules = [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
        # Python reads six digits of a second at most.
        return [datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", rule["lastEvaluation"])).timestamp() for rule in rules]

    def until(self, what, holds, limit=60):
        end = time.monotonic() + limit
        while not holds():
            if time.monotonic() > end:
                raise SystemExit(f"Prometheus does not show in {limit} s: {what}")
            time.sleep(0.2)


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def targets(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel, target


def filled_in(expression, values, window):
    """The expression with its variables replaced, as Grafana does."""
    known = {"__rate_interval": "10s", "__interval": f"{OWN_STEP}s", "__range": f"{window}s", **values}
    text = re.sub(r"\$(\w+)", lambda found: known[found[1]], expression)
    assert "$" not in text, text
    return text


def step_of(target):
    return OWN_STEP if "interval" in target else STEP


def numbers(series):
    return [float(value) for _, value in series["values"] if not math.isnan(float(value))]


class Answers:
    """Asks what a dashboard asks, over the time of the scenario."""

    def __init__(self, prometheus, start, end):
        self.prometheus, self.start, self.end = prometheus, start, end

    def of(self, target, values, instant_at):
        """The series with data of one target; an instant one is asked at `instant_at`."""
        expression = filled_in(target["expr"], values, round(self.end - self.start))
        if target["instant"]:
            rows = self.prometheus.get("query", query=expression, time=instant_at)["result"]
            return [row for row in rows if not math.isnan(float(row["value"][1]))]
        step = step_of(target)
        # Counted from the end: on a fast machine all is over before the second step from the start.
        start = self.end - step * math.ceil((self.end - self.start) / step)
        series = self.prometheus.over(expression, start, self.end, step)
        return [one for one in series if numbers(one)]

    def moments(self):
        """When instant queries are tried: what runs does not run for ever."""
        return [self.start + share * (self.end - self.start) / 12 for share in range(12, 0, -1)]

    def has_data(self, target, values):
        moments = self.moments() if target["instant"] else [None]
        return next((found for moment in moments if (found := self.of(target, values, moment))), [])


def check_panels(answers, sweep, workers):
    """Every target of every panel has data: with all chosen, and with one sweep and one of the workers."""
    asked, empty = 0, []
    chosen = [{"sweep": sweep, "worker": worker, "instance": ".*"} for worker in workers]
    for name, dashboard in dashboards().items():
        for panel, target in targets(dashboard):
            asked += 1
            everything = answers.has_data(target, {"sweep": ".*", "worker": ".*", "instance": ".*"})
            where = f"{name}: {panel['title']} ({target['refId']}): {target['expr']}"
            if not everything:
                empty.append(where)
            elif not any(answers.has_data(target, values) for values in chosen):
                empty.append(f"{where} with {chosen}")
            growing = {label for series in everything for label in series["metric"] if label in GROWING}
            if growing and not target["instant"]:
                raise SystemExit(f"{where}: over a range, series come and go with {growing}")
    if empty:
        raise SystemExit("no data:\n  " + "\n  ".join(empty))
    return asked


def check_variables(prometheus):
    """Every variable that asks Prometheus finds something to choose from."""
    found = {}
    for dashboard in dashboards().values():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] != "query":
                continue
            query = variable["query"]["query"]
            kind, inner = re.fullmatch(r"(query_result|label_values)\((.*)\)", query).groups()
            if kind == "label_values":
                metric, label = (part.strip() for part in inner.split(","))
                choices = prometheus.get(f"label/{label}/values", **{"match[]": metric})
            else:
                pattern = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
                text = lambda labels: "{" + ",".join(f'{key}="{labels[key]}"' for key in sorted(labels)) + "}"
                matched = [pattern.search(text(labels)) for labels, _ in prometheus.at(inner)]
                assert all(matched), f"{query}: {variable['regex']} does not match"
                choices = [match["value"] for match in matched]
            if not choices:
                raise SystemExit(f"the variable {variable['name']} has nothing to choose from: {query}")
            found[variable["name"]] = choices
    return found


def picture_data(answers, name, moment):
    """What a dashboard shows at a moment, for ci/grafana to draw."""
    values = {"sweep": ".*", "worker": ".*", "instance": ".*"}
    shown = Answers(answers.prometheus, answers.start, moment)
    panels = {}
    for panel, target in targets(dashboards()[name]):
        answer = {"step": step_of(target), "series": shown.of(target, values, moment)}
        panels.setdefault(str(panel["id"]), {})[target["refId"]] = answer
    return {"from": answers.start, "to": moment, "panels": panels}
