"""Notebooks that Jupyter runs, drawn from nbformat's own schemas and from what editors and people do to them."""

from __future__ import annotations

import contextlib
import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from editors import CELLS, EDITORS, PLACES, RIGHT, SLUG, WRITERS, hand_in, is_code, right, written
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from autograder.course import Course

# What a cell of a student's own may hold: none of it changes what is graded.
PROGRAMS = (
    "",
    "x = 1",
    "1 / 0",
    "print('é')",
    "%time 1",
    "def",
    "import math\nmath.pi",
    "# %%",
    "?print",
    "raise ValueError",
)
TEXT = st.text(max_size=12)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


@cache
def schema(minor: int) -> Any:
    """nbformat's schema of the fourth format."""
    return json.loads(Path(nbformat.__file__).with_name("v4").joinpath(f"nbformat.v4.{minor}.schema.json").read_text())


@cache
def metadata(minor: int) -> st.SearchStrategy[Any]:
    """A notebook's own metadata."""
    return valid(schema(minor)["properties"]["metadata"], minor)


@cache
def cells(kind: str, minor: int) -> st.SearchStrategy[Any]:
    """Cells of a kind."""
    return valid({"$ref": f"#/definitions/{kind}_cell"}, minor)


def valid(part: Any, minor: int) -> st.SearchStrategy[Any]:
    """Draw what is valid by a part of the schema: as much of JSON schema as nbformat uses."""
    if "$ref" in part:
        found = schema(minor)
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return valid(found, minor)
    for several in ("oneOf", "anyOf"):
        if several in part:
            return st.one_of([valid(one, minor) for one in part[several]])
    if "enum" in part:
        return st.sampled_from(part["enum"])
    kinds = part.get("type")
    if isinstance(kinds, list):
        return st.one_of([valid({**part, "type": kind}, minor) for kind in kinds])
    if kinds == "object":
        return _objects(part, minor)
    if kinds == "array":
        items = valid(part.get("items", {}), minor)
        # Lists are no keys, and what cannot be compared is never twice there.
        return st.lists(items, max_size=3, unique_by=repr if part.get("uniqueItems") else None)
    if kinds == "string":
        pattern = part.get("pattern")
        plain = st.from_regex(pattern, fullmatch=True) if pattern else TEXT
        return plain.filter(lambda text: part.get("minLength", 0) <= len(text) <= part.get("maxLength", 100))
    if kinds == "integer":
        return st.integers(part.get("minimum"), part.get("maximum"))
    return {"boolean": st.booleans(), "number": st.floats(), "null": st.none()}.get(kinds, ANYTHING)


def _objects(part: Any, minor: int) -> st.SearchStrategy[Any]:
    known = {name: valid(one, minor) for name, one in part.get("properties", {}).items()}
    needed = {name: known[name] for name in part.get("required", ()) if name in known}
    more = {name: one for name, one in known.items() if name not in needed}
    objects = st.fixed_dictionaries(needed, optional=more)
    patterns = [valid(one, minor) for one in part.get("patternProperties", {}).values()]
    rest = part.get("additionalProperties", True)
    if rest is False and not patterns:
        return objects
    others = st.dictionaries(TEXT, patterns[0] if patterns else ANYTHING, max_size=2)
    return st.builds(lambda more, own: {**{k: v for k, v in more.items() if k not in known}, **own}, others, objects)


@st.composite
def notebooks(draw: Any, solved: dict[str, Any]) -> tuple[dict[str, Any], str, str]:
    """Draw a notebook with right solutions, how its file is written, and under which name it is handed in."""
    nb = copy.deepcopy(solved)
    minor = draw(st.integers(0, 5))
    nb.update(metadata=draw(metadata(minor)), nbformat_minor=minor)
    for one in nb["cells"]:
        drawn = draw(cells(one["cell_type"], minor))
        kept = {name: one["metadata"][name] for name in ("nbgrader",) if name in one["metadata"]}
        lines = draw(st.booleans())
        text = "".join(one["source"])
        one.clear()
        one.update(drawn, source=text.splitlines(keepends=True) if lines else text)
        one["metadata"] = {**drawn["metadata"], **kept}
    for _ in range(draw(st.integers(0, 3))):
        one = draw(cells(draw(st.sampled_from(["code", "markdown", "raw"])), minor))
        one["metadata"].pop("nbgrader", None)
        if is_code(one):
            one["source"] = draw(st.sampled_from(PROGRAMS))
        nb["cells"].insert(draw(st.integers(0, len(nb["cells"]))), one)
    quirks = draw(st.lists(st.sampled_from(sorted(EDITORS.keys() - {"third-format"})), max_size=3))
    quirks += draw(st.lists(st.sampled_from(sorted(CELLS)), max_size=1))
    quirks += ["third-format"] if draw(st.integers(0, 9)) == 0 else []
    for quirk in quirks:
        with contextlib.suppress(KeyError, TypeError, AttributeError, StopIteration):  # another one was there before
            (EDITORS | CELLS)[quirk](nb)
    alone = [file for files in PLACES.values() for file, what in files.items() if what == RIGHT and len(files) == 1]
    name = draw(st.sampled_from([f"{SLUG}.ipynb"] * 5 + sorted(file for file in alone if not file.endswith(".gz"))))
    return nb, draw(st.sampled_from(["plain"] * 5 + sorted(WRITERS))), name


def hand_in_generated(course: Course, count: int, number: int) -> list[str]:
    """Let so many students of a class hand in what is drawn with the seed `number`; return their names."""
    made: list[str] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(notebooks(right(course)))
    def collect(drawn: tuple[dict[str, Any], str, str]) -> None:
        nb, writer, name = drawn
        student = f"drawn-{len(made):03}"
        hand_in(course, student, WRITERS.get(writer, str.encode)(written(nb)), name)
        made.append(student)

    collect()
    return made
