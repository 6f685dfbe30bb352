"""The table of values in the chart's README, made of values.yaml and its comments."""

import pathlib
import re

CHART = pathlib.Path("deploy/helm/sweep")
BEGIN, END = "<!-- values -->", "<!-- end of values -->"
LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z0-9]+):(?P<value>.*?)(?:\s+#\s(?P<comment>.*))?$")


def rows():
    """Each key with its default and its comment. A key without a comment belongs to the one above it, or is a mistake."""
    path, found = [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        match = LINE.match(line)
        if not match or line.lstrip().startswith("#"):
            continue
        depth = len(match["indent"]) // 2
        path[depth:] = [match["key"]]
        comment, value = match["comment"], match["value"].strip()
        if comment:
            found.append((".".join(path), value, comment))
        elif value and not any(".".join(path).startswith(f"{name}.") for name, shown, _ in found if not shown):
            raise SystemExit(f"values.yaml: {'.'.join(path)} has no comment")
    return found


def table():
    lines = ["| value | default | description |", "|---|---|---|"]
    for name, value, comment in rows():
        shown = f"`{value}`" if value else ""
        lines.append("| " + " | ".join(part.replace("|", "\\|") for part in (f"`{name}`", shown, comment)) + " |")
    return "\n".join(lines)


def readme():
    """The README as it has to be."""
    text = (CHART / "README.md").read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"
