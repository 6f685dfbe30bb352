"""The pages about deploying: their boxes with values, which have to render, and with commands."""

import pathlib
import re

import yaml

PAGES = ["docs/deploy.md", "deploy/helm/sweep/README.md"]
CHART = pathlib.Path("deploy/helm/sweep")
BOX = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.M | re.S)


def boxes(page):
    """The boxes of a page: line, language, text."""
    text = pathlib.Path(page).read_text()
    return [(text.count("\n", 0, match.start()) + 1, match["language"], match["text"]) for match in BOX.finditer(text)]


def values():
    """The boxes that are values of the chart, by place."""
    known = set(yaml.safe_load((CHART / "values.yaml").read_text()))
    found = {}
    for page in PAGES:
        for line, language, text in boxes(page):
            loaded = yaml.safe_load(text) if language == "yaml" else None
            if isinstance(loaded, dict) and set(loaded) <= known:
                found[f"{pathlib.Path(page).stem.lower()}-{line}"] = text
    return found


def write_values(folder):
    """Writes each box of values into the folder, for helm to render."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, text in values().items():
        (folder / f"{place}.yaml").write_text(text)
