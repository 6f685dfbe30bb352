"""The boxes of the pages about deploying: values that have to render, objects that Kubernetes has to take, files that commands
name. ci/deploy_commands.py checks the commands."""

import pathlib
import re

import yaml

PAGES = ["docs/deploy.md", "deploy/helm/sweep/README.md"]
CHART = pathlib.Path("deploy/helm/sweep")
BOX = re.compile(r"^```(?P<language>[A-Za-z]*)\n(?P<text>.*?)^```$", re.M | re.S)
# A box that is a file begins with its name.
NAME = re.compile(r"# (?P<name>[A-Za-z0-9-]+\.[A-Za-z]+)\b")


class Box:
    """A box of a page, its place, and the name of the file that it is, if it is one."""

    def __init__(self, page, line, language, text):
        self.place, self.language, self.text = f"{page}:{line}", language, text
        named = NAME.match(text) if language else None
        self.name = named["name"] if named else None

    def documents(self):
        loaded = list(yaml.safe_load_all(self.text)) if self.language == "yaml" else []
        return [one for one in loaded if isinstance(one, dict)]


def boxes():
    found = []
    for page in PAGES:
        text = pathlib.Path(page).read_text()
        found += [Box(page, text.count("\n", 0, match.start()) + 1, match["language"], match["text"]) for match in BOX.finditer(text)]
    return found


def files():
    """The boxes that are files, by name."""
    return {box.name: box for box in boxes() if box.name}


def is_values(box, known):
    return any(set(loaded) <= known for loaded in box.documents())


def write(folder):
    """Writes each box of values into the folder, for helm to render; and other files into a folder beside it."""
    known = set(yaml.safe_load((CHART / "values.yaml").read_text()))
    others = folder.with_name("page-files")
    for place in (folder, others):
        place.mkdir(parents=True, exist_ok=True)
    for number, box in enumerate(boxes()):
        if is_values(box, known):
            (folder / (box.name or f"box-{number}.yaml")).write_text(box.text)
        if box.name:
            (others / box.name).write_text(box.text)


def objects():
    """The objects that the pages have people write, with their places."""
    return [(box.place, loaded) for box in boxes() for loaded in box.documents() if "apiVersion" in loaded and "metadata" in loaded]


def unclear():
    """Two files of one name, or a box of YAML that is neither values nor objects nor a file of kustomize."""
    known = set(yaml.safe_load((CHART / "values.yaml").read_text()))
    names = [box.name for box in boxes() if box.name]
    found = [f"the pages have {name} twice" for name in sorted(set(names)) if names.count(name) > 1]
    for box in boxes():
        kinds = ("apiVersion", "resources")
        if box.language == "yaml" and not is_values(box, known) and not all(any(kind in one for kind in kinds) for one in box.documents()):
            found.append(f"{box.place}: this box is no values of the chart and no objects")
    return found
