"""What students hand in, read from Markdown: right and wrong programs, and the class that the demo grades.

``<assignment>/right/<exercise>.md`` and ``<assignment>/wrong/<exercise>.md`` hold one program under each heading::

    ## the bias is not summed
    Earns: 10; says: batch-not-summed
    ```diff
    -    db = np.sum(dout, axis=0)
    +    db = dout
    ```

A block of Python is the whole program.  A diff changes a right program of the same exercise: the first one, or the
one that ``Changes:`` names.  ``After: <exercise>, <title>`` puts another right program in front.
``Earns:`` is the score of a wrong program; without it, the score depends on the numbers and is only less than full.
``Says:`` lists the codes of everything that is found, in order; ``or`` stands between lists that are all right.
A right program earns every point, and nothing is found.

``<assignment>/class.md`` holds a student under each heading, and below it the cells that the student has changed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
SLUGS = (
    "circuits",
    "linear_classifiers",
    "logistic_regression",
    "matmul_backward",
    "worked_example",
    "two_layer_net",
    "build_autograd",
    "differentiable_programming",
)
"""The assignments, in the order of the course."""

# -- right and wrong programs ----------------------------------------------------------------


@dataclass(frozen=True)
class Program:
    """What a student might write for one exercise.

    `text` is the program itself and `source` the whole cell, with the program that comes before it.
    """

    slug: str
    exercise: str
    title: str
    text: str
    source: str
    earns: float | None = None
    says: tuple[tuple[str, ...], ...] = ((),)  # lists of codes, each of which is right

    def __str__(self) -> str:
        return f"{self.exercise}: {self.title}"

    def replace(self, *edits: tuple[str, str]) -> str:
        """Return the source with each `(old, new)` of `edits` replaced everywhere."""
        source = self.source
        for old, new in edits:
            if old not in source:
                raise ValueError(f"{self.slug}, {self}: there is no {old!r} to replace")
            source = source.replace(old, new)
        return source


Programs = Mapping[str, Mapping[str, Program]]  # by exercise and title


@functools.cache
def right(slug: str) -> Programs:
    """Read the right programs of an assignment."""
    return {path.stem: _programs(slug, path) for path in sorted((HERE / slug / "right").glob("*.md"))}


@functools.cache
def wrong(slug: str) -> Programs:
    """Read the wrong programs of an assignment."""
    return {path.stem: _programs(slug, path) for path in sorted((HERE / slug / "wrong").glob("*.md"))}


def first(slug: str, exercise: str) -> Program:
    """Return the first right program of an exercise."""
    return next(iter(right(slug)[exercise].values()))


def _programs(slug: str, path: Path) -> dict[str, Program]:
    return {section.title: _program(slug, path.stem, section) for section in read(path)}


def _program(slug: str, exercise: str, section: Section) -> Program:
    text, before = section.code, ""
    if section.language == "diff":
        base = section.fields.get("Changes")
        changed = right(slug)[exercise][base] if base else first(slug, exercise)
        text, before = patched(changed.text, section.code), changed.source.removesuffix(changed.text)
    if after := section.fields.get("After"):
        other, _, title = after.partition(", ")
        path = HERE / slug / "right" / f"{other}.md"
        before = _programs(slug, path)[title].source + "\n"
    return Program(slug, exercise, section.title, text, before + text, section.earns, section.says)


# -- the demo's class ------------------------------------------------------------------------

EVERY = "every exercise"


@dataclass(frozen=True)
class Student:
    """A student of the demo's class: what is done to the solution, and what that deserves.

    `earns` holds the scores that are not full, `says` the codes of the findings, both by exercise; ``EVERY`` stands
    for all exercises.  `changes` are diffs by cell.  `status` is how the record's status begins.
    """

    name: str
    released: bool = False  # starts from the released notebook, not from the solution
    notebook: str = ""  # the file's name, where it is not the assignment's
    status: str = "graded"
    changes: Mapping[str, str] = field(default_factory=dict)
    removed: Sequence[str] = ()
    earns: Mapping[str, float] = field(default_factory=dict)
    says: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def scores(self, full: Mapping[str, float]) -> dict[str, float]:
        """Return the score that each exercise deserves, of the `full` ones."""
        return {name: self.earns.get(name, self.earns.get(EVERY, points)) for name, points in full.items()}

    def findings(self, exercise: str) -> list[str]:
        """Return the codes of what has to be found in `exercise`."""
        return list(self.says.get(exercise, self.says.get(EVERY, ())))


@functools.cache
def demo_class(slug: str) -> tuple[Student, ...]:
    """Read the class of an assignment."""
    chapters: list[list[Section]] = []
    for section in read(HERE / slug / "class.md"):
        if section.level == 1:
            chapters.append([])
        chapters[-1].append(section)
    return tuple(_student(*chapter) for chapter in chapters)


def _student(about: Section, *cells: Section) -> Student:
    graded = {EVERY: about} | {cell.title: cell for cell in cells}
    removed = [name for cell in cells for name in cell.fields.get("Removes", "").split(", ") if name]
    return Student(
        name=about.title,
        released=about.fields.get("Starts from") == "the release",
        notebook=about.fields.get("Notebook", ""),
        status=about.fields.get("Status", "graded"),
        changes={cell.title: cell.code for cell in cells if cell.code},
        removed=removed,
        earns={name: one.earns for name, one in graded.items() if one.earns is not None},
        says={name: one.says[0] for name, one in graded.items()},
    )


# -- Markdown --------------------------------------------------------------------------------

FIELDS = ("After", "Changes", "Earns", "Notebook", "Removes", "Says", "Starts from", "Status")


@dataclass(frozen=True)
class Section:
    """A heading with its fields and its block of code."""

    level: int
    title: str
    fields: Mapping[str, str]
    language: str
    code: str

    @property
    def earns(self) -> float | None:
        return float(self.fields["Earns"]) if "Earns" in self.fields else None

    @property
    def says(self) -> tuple[tuple[str, ...], ...]:
        lists = self.fields.get("Says", "nothing").split(" or ")
        return tuple(() if said == "nothing" else tuple(said.split(", ")) for said in lists)


def read(path: Path) -> Iterator[Section]:
    """Read the sections of a file; what comes before the first heading is for people."""
    level, title, body = 0, "", list[str]()
    fenced = False
    for line in path.read_text(encoding="utf-8").splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            if level:
                yield _section(level, title, body)
            marks, _, title = line.partition(" ")
            level, body = len(marks), []
        else:
            body.append(line)
    yield _section(level, title, body)


def _section(level: int, title: str, body: Sequence[str]) -> Section:
    fences = [number for number, line in enumerate(body) if line.startswith("```")]
    if len(fences) not in (0, 2):
        raise ValueError(f"{title}: a section has one block of code, or none, but this has {len(fences) / 2:g}")
    start, stop = fences or (len(body), len(body))
    said = [part.partition(": ") for line in [*body[:start], *body[stop + 1 :]] for part in line.split("; ")]
    return Section(
        level,
        title,
        {name.capitalize(): value for name, _, value in said if name.capitalize() in FIELDS},
        body[start].removeprefix("```") if fences else "",
        "".join(line + "\n" for line in body[start + 1 : stop]),
    )


def patched(source: str, diff: str) -> str:
    """Return `source` with `diff` applied.

    A hunk is a run of ``-`` and unmarked lines, which is looked for below the hunk before, and of the ``+`` lines that
    come in its place.  Hunks follow each other without a mark, but for ``@@`` after one that only removes lines.
    A diff of ``+`` lines alone is added at the end.
    """
    lines, made, at = source.splitlines(), list[str](), 0
    for old, new in _hunks(diff.splitlines()):
        starts = range(at, len(lines) - len(old) + 1)
        start = next((k for k in starts if lines[k : k + len(old)] == old), None) if old else len(lines)
        if start is None:
            raise ValueError("the diff does not fit any more; it looks for\n" + "\n".join(old))
        made += lines[at:start] + new
        at = start + len(old)
    return "\n".join([*made, *lines[at:]]) + "\n"


def _hunks(diff: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Split a diff into the lines to look for and those that come in their place."""
    old, new, added = list[str](), list[str](), False
    for line in diff:
        mark, text = line[:1], line[1:]
        if (added and mark != "+") or line == "@@":
            yield old, new
            old, new, added = [], [], False
        if line == "@@":
            continue
        added = mark == "+"
        if mark != "+":
            old.append(text)
        if mark != "-":
            new.append(text)
    yield old, new
