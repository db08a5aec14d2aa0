"""Attacks are read from `attacks/<group>/<name>.md`; the notebook that they attack from `course/doubling.md`.

They are Markdown so that nothing imports them by accident: what stands there is meant to do harm.
The first paragraph says what an attack tries and what it would win.  A code block with a
name is the content of the cell of that name, one without a name a cell of its own in that
place; the block `hand in` is run by the instructor's side of the test, as the student's hands:
it changes the notebook `nb`, its cells `by_id` or the `folder` that is handed in.  A line ``Marked: `` lists the
kinds of marks that the attack gets; without it, it gets none, for it looks like honest work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

HERE = Path(__file__).resolve().parent
SLUG = "doubling"
BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
EARNS = re.compile(r"^Earns: (\w+) (\d+)$", re.MULTILINE)
MARKED = re.compile(r"^Marked: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A cell: its language, its name and points if it has any, and its text."""

    language: str
    title: str
    text: str

    @property
    def name(self) -> str:
        return self.title.partition(":")[0]

    @property
    def points(self) -> int | None:
        return int(self.title.partition(":")[2].split()[0]) if ":" in self.title else None


@dataclass(frozen=True)
class Attack:
    """One hostile notebook.

    `earns` holds the points that it wins here, by cell, because its test cell runs where it runs itself.
    """

    group: str
    name: str
    tries: str
    blocks: tuple[Block, ...]
    earns: Mapping[str, float]
    marked: frozenset[str]

    @property
    def student(self) -> str:
        return f"{self.group}_{self.name}"

    @property
    def elsewhere(self) -> str | None:
        """Why it is not run by other graders, or None if it is."""
        return next((why for why in ("Only here", "Not run unprotected") if why in self.tries), None)


def read_blocks(path: Path) -> tuple[str, tuple[Block, ...]]:
    """The first paragraph of a file, and its blocks."""
    text = path.read_text(encoding="utf-8")
    return text.partition("\n\n")[0], tuple(Block(*found) for found in BLOCK.findall(text))


def read_attack(path: Path) -> Attack:
    tries, blocks = read_blocks(path)
    text = path.read_text(encoding="utf-8")
    earns = {name: float(points) for name, points in EARNS.findall(text)}
    marked = frozenset(kind for line in MARKED.findall(text) for kind in line.split(", "))
    return Attack(path.parent.name, path.stem, tries, blocks, earns, marked)


ATTACKS = tuple(read_attack(path) for path in sorted((HERE / "attacks").glob("*/*.md")))


# -- notebooks ------------------------------------------------------------------------------


def source_notebook(plain: bool = False) -> nbformat.NotebookNode:
    """The instructor's notebook; `plain` has assertions in place of the call of `check`."""
    _, blocks = read_blocks(HERE / "course" / f"{SLUG}.md")
    cells = []
    for block in blocks:
        text = block.text
        if plain:
            text = text.replace('check("double", double)', PLAIN_TEST).replace("\nfrom coursekit import check", "")
        kind = nbformat.v4.new_code_cell if block.language == "python" else nbformat.v4.new_markdown_cell
        cells.append(kind(text, id=block.name, metadata=_metadata(block)))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


PLAIN_TEST = """\
assert np.allclose(double(np.array([1.0, 2.0])), [2, 4])
### BEGIN HIDDEN TESTS
x = np.random.default_rng().normal(size=5)
np.testing.assert_allclose(double(x.copy()), 2 * x)
### END HIDDEN TESTS"""


def _metadata(block: Block) -> dict[str, Any]:
    if block.name == "setup":
        return {}
    test = block.points is not None and block.language == "python"
    about = {"grade_id": block.name, "grade": block.points is not None, "solution": not test, "locked": test}
    about |= {"task": False, "schema_version": 3}
    return {"nbgrader": about if block.points is None else about | {"points": block.points}}


def honest(released: nbformat.NotebookNode, known: Mapping[str, Any]) -> nbformat.NotebookNode:
    """A notebook in which everything is right, as long as nobody has spoilt it."""
    by_id = {cell.id: cell for cell in released.cells}
    by_id["double"].source = "def double(x):\n    return 2 * x"
    by_id["triple"].source = "def triple(x):\n    return 3 * x"
    return released


def hostile(attack: Attack, released: nbformat.NotebookNode, known: Mapping[str, Any], folder: Path) -> None:
    """Write into `folder` what the attacker hands in, who has been told what is `known`."""
    nb = released
    by_id = {cell.id: cell for cell in nb.cells}
    told = nbformat.v4.new_code_cell("\n".join(f"{name} = {value!r}" for name, value in known.items()), id="told")
    nb.cells.insert(0, told)
    place = 2  # behind the setup
    act = None
    for number, block in enumerate(attack.blocks):
        if block.name == "hand in":
            act = block.text
        elif block.name:
            by_id[block.name].source = block.text
            place = nb.cells.index(by_id[block.name]) + 1
        else:
            nb.cells.insert(place, nbformat.v4.new_code_cell(block.text, id=f"attack{number}"))
            place += 1
    if act is not None:
        names = {"nb": nb, "by_id": by_id, "folder": folder, "nbformat": nbformat, "Path": Path, "SLUG": SLUG, **known}
        exec(compile(act, attack.name, "exec"), names)
        nb = names["nb"]
    if nb is not None:
        # Not by nbformat, which would mend what is wrong on purpose.
        (folder / f"{SLUG}.ipynb").write_text(nbformat.writes(nb, version=nbformat.NO_CONVERT), encoding="utf-8")
