"""The attacks of `tests/hostile` let loose on this grader, on stock nbgrader and on otter: a table of what each won.

    python tests/benchmarks/hostile.py [--otter .../bin/otter] [attack ...]

nbgrader and otter run as they come, without a wall; so that this machine outlives it, each of
their runs is in a bubblewrap of its own with nothing to lose but a throw-away course, and what
would fill memory, disk or the table of processes is not run at all.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hostile"))

from arena import ESCAPE, Arena, active, arena, boasts, fingerprints_of, listening
from attacks import ATTACKS, SLUG, Attack, honest, hostile, source_notebook
from nbgrader.api import Gradebook

SECONDS = 45  # that a class of two may take
CELL_SECONDS = 5
MEMORY = 4 * 2**30
HONEST = "zz_honest"
EARNED = {"check_double": 3.0, "test_triple": 2.0}
OTTER = os.environ.get("OTTER", shutil.which("otter"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--otter", default=OTTER, help="the otter program (default: $OTTER, or otter on the PATH)")
    parser.add_argument("attacks", nargs="*", help="only these: group_name")
    arguments = parser.parse_args()
    chosen = [attack for attack in ATTACKS if not arguments.attacks or attack.student in arguments.attacks]
    columns = {"coursekit": ours(chosen), "nbgrader": theirs(Nbgrader, chosen)}
    if arguments.otter:
        columns["otter"] = theirs(lambda folder: Otter(folder, arguments.otter), chosen)
    print(table(columns, chosen))


def table(columns: dict[str, dict[str, str]], chosen: list[Attack]) -> str:
    """Attack × grader in Markdown, and how often each grader held."""
    lines = [f"| attack | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for attack in chosen:
        lines.append(f"| {attack.student} | {' | '.join(column[attack.student] for column in columns.values())} |")
    for name, column in columns.items():
        kinds = Counter(
            "held" if text == HELD else "not run" if text.startswith("not ") else "won" for text in column.values()
        )
        lines.append(f"\n{name}: " + ", ".join(f"{kinds[kind]} {kind}" for kind in ("held", "won", "not run")))
    return "\n".join(lines)


HELD = "held"


def told(harm: list[str]) -> str:
    return "; ".join(text.replace("|", "¦")[:80] for text in harm[:3]) + (" …" if len(harm) > 3 else "") or HELD


def ours(chosen: list[Attack]) -> dict[str, str]:
    """What each wins here, as the tests see it."""

    def all_harm(ground: Arena, attack: Attack) -> list[str]:
        plain = [f"gained {points:g} of the plain test cell" for points in attack.earns.values()]
        return [*plain, *ground.harm(attack)]

    with tempfile.TemporaryDirectory() as folder, arena(Path(folder)) as ground:
        shared = [f"changed {path}" for path in ground.changed()] + ground.left + [str(who) for who in ground.reached]
        if shared:
            print("The class as a whole:", told(shared))
        return {attack.student: told(all_harm(ground, attack)) for attack in chosen}


# -- other graders ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a run of another grader left behind."""

    printed: str
    left: int | None  # processes of the notebook; None if the run itself did not come to its end
    late: bool


class Nbgrader:
    """A course of stock nbgrader with its default configuration."""

    name = "nbgrader"

    def __init__(self, folder: Path) -> None:
        self.words = {what: f"CANARY-{what}-{secrets.token_hex(6)}" for what in ("neighbour", "book", "solution")}
        self.template = folder / "nbgrader"
        source = self.template / "source" / SLUG
        source.mkdir(parents=True)
        (self.template / "nbgrader_config.py").write_text(
            f"c = get_config()\nc.CourseDirectory.course_id = 'x'\nc.ExecutePreprocessor.timeout = {CELL_SECONDS}\n"
        )
        notebook = source_notebook(plain=True)
        double = next(cell for cell in notebook.cells if cell.id == "double")
        double.source = double.source.replace("2 * x", f"2 * x  # {self.words['solution']}")
        nbformat.write(notebook, source / f"{SLUG}.ipynb")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader looks for alembic there
        command = self.command("generate_assignment")
        subprocess.run(command, cwd=self.template, env={**os.environ, "PATH": path}, check=True, capture_output=True)
        neighbour = self.handed_in(self.template, "neighbour")
        nb = self.released()
        nb.cells.append(nbformat.v4.new_markdown_cell(self.words["neighbour"]))
        nbformat.write(nb, neighbour / f"{SLUG}.ipynb")
        with self.book(self.template) as book:
            book.add_student("neighbour", last_name=self.words["book"])

    def command(self, step: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "nbgrader", step, SLUG, *more]

    def released(self) -> nbformat.NotebookNode:
        return nbformat.read(self.template / "release" / SLUG / f"{SLUG}.ipynb", as_version=4)

    def handed_in(self, course: Path, student: str) -> Path:
        folder = course / "submitted" / student / SLUG
        folder.mkdir(parents=True)
        return folder

    def book(self, course: Path) -> Any:
        return Gradebook(f"sqlite:///{course / 'gradebook.db'}", "x")

    def steps(self, course: Path, attack: Attack) -> list[list[str]]:
        pages = [self.command("generate_feedback")] if attack.group == "pages" else []
        return [
            self.command("autograde", "--student", attack.student),
            self.command("autograde", "--student", HONEST),
            *pages,
        ]

    def gained(self, course: Path, attack: Attack) -> Iterator[str]:
        with self.book(course) as book:
            scores = {
                submission.student.id: {grade.name: grade.score for nb in submission.notebooks for grade in nb.grades}
                for submission in book.assignment_submissions(SLUG)
            }
        for cell in EARNED:
            if score := scores.get(attack.student, {}).get(cell):
                yield f"gained {score:g} of {cell}"
        if any(scores.get(HONEST, {}).get(cell) != points for cell, points in EARNED.items()):
            yield "stopped the class"

    def shown(self, course: Path, attack: Attack) -> str:
        path = course / "autograded" / attack.student / SLUG / f"{SLUG}.ipynb"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def ran(self, course: Path, attack: Attack) -> Iterator[str]:
        if attack.group == "pages":
            pages = [course / "feedback" / student / SLUG / f"{SLUG}.html" for student in (attack.student, HONEST)]
            if not pages[1].is_file():
                yield "no feedback for the class"
            if not all(page.is_file() for page in pages):
                return
            hostile_page, honest_page = ([*active(page.read_text(encoding="utf-8"))] for page in pages)
            strange = sorted(
                {what.split(maxsplit=1)[0].partition("=")[0] for what in hostile_page if what not in honest_page}
            )
            if strange:
                yield f"a page with {' '.join(strange)[:60]}"


class Otter:
    """An equal notebook with tests in otter's format, run by `otter run`."""

    name = "otter"

    def __init__(self, folder: Path, program: str) -> None:
        self.program = os.path.abspath(program)
        self.words = {what: f"CANARY-{what}-{secrets.token_hex(6)}" for what in ("neighbour", "solution")}
        self.template = folder / "otter"
        tests = self.template / "tests"
        tests.mkdir(parents=True)
        for name, points, code in OTTER_TESTS:
            cases = [{"code": code, "hidden": True, "locked": False}]
            suite = {"cases": cases, "scored": True, "setup": "", "teardown": "", "type": "doctest"}
            test = {"name": name, "points": points, "suites": [suite]}
            text = f"OK_FORMAT = True  # {self.words['solution']}\ntest = {test!r}\n"
            (tests / f"{name}.py").write_text(text)
        words = [self.program, "generate", "-t", "tests", "--no-environment", "--no-requirements"]
        subprocess.run(words, cwd=self.template, check=True, capture_output=True)
        nb = self.released()
        nb.cells.append(nbformat.v4.new_markdown_cell(self.words["neighbour"]))
        nbformat.write(nb, self.handed_in(self.template, "neighbour") / f"{SLUG}.ipynb")

    def released(self) -> nbformat.NotebookNode:
        nb = source_notebook(plain=True)
        for cell in nb.cells:
            lines = cell.source.split("\n")
            start = next((i for i, line in enumerate(lines) if "### BEGIN" in line), len(lines))
            cell.source = "\n".join(lines[:start])
            if cell.id in ("double", "triple"):
                cell.source += "    raise NotImplementedError()"
        return nb

    handed_in = Nbgrader.handed_in

    def steps(self, course: Path, attack: Attack) -> list[list[str]]:
        found = []
        for student in (attack.student, HONEST):
            (course / "out" / student).mkdir(parents=True)
            submission = str(course / "submitted" / student / SLUG / f"{SLUG}.ipynb")
            found.append([self.program, "run", "-a", "autograder.zip", "-o", f"out/{student}", submission])
        return found

    def gained(self, course: Path, attack: Attack) -> Iterator[str]:
        for student in (attack.student, HONEST):
            try:
                results = json.loads((course / "out" / student / "results.json").read_text())
                scores = {test["name"].split()[0]: test.get("score", 0.0) for test in results["tests"]}
            except (OSError, ValueError, KeyError):
                scores = {}
            if student == HONEST and (scores.get("double"), scores.get("triple")) != (3.0, 2.0):
                yield "stopped the class"
            for name in ("double", "triple") if student != HONEST else ():
                if scores.get(name):
                    yield f"gained {scores[name]:g} of {name}"

    def shown(self, course: Path, attack: Attack) -> str:
        texts = [
            path.read_text(errors="replace") for path in (course / "out" / attack.student).rglob("*") if path.is_file()
        ]
        return json.dumps({"cells": [], "texts": texts})

    def ran(self, course: Path, attack: Attack) -> Iterator[str]:
        return iter(())


OF_DOUBLE = """\
>>> import numpy as np
>>> x = np.random.normal(size=5)
>>> bool(np.allclose(double(x.copy()), 2 * x))
True"""
OTTER_TESTS = (("double", 3, OF_DOUBLE), ("triple", 2, ">>> triple(2) == 6 and triple(5) == 15\nTrue"))


def theirs(make: Callable[[Path], Any], chosen: list[Attack]) -> dict[str, str]:
    """What each attack wins from another grader."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        grader = make(Path(folder))

        def one(attack: Attack) -> str:
            if attack.elsewhere:
                return (
                    "not applicable" if attack.elsewhere == "Only here" else "not run: it would take the machine down"
                )
            if isinstance(grader, Otter) and attack.group == "pages":
                return "not applicable"
            harm = told([*one_against(grader, attack, Path(folder, attack.student))])
            print(f"{grader.name}: {attack.student}: {harm}", file=sys.stderr, flush=True)
            return harm

        return dict(zip([attack.student for attack in chosen], pool.map(one, chosen), strict=True))


def one_against(grader: Any, attack: Attack, folder: Path) -> Iterator[str]:
    """Let `attack` loose on `grader` in a course of its own, and an honest student after it."""
    outside = folder / "outside"
    outside.mkdir(parents=True)
    words = {**grader.words, **{what: f"CANARY-{what}-{secrets.token_hex(6)}" for what in ("outside", "shell")}}
    (outside / "secret.txt").write_text(words["outside"])
    course = folder / "course"
    shutil.copytree(grader.template, course)
    marker = f"hostile-{secrets.token_hex(8)}"
    reached: list[bytes] = []
    with listening(folder, marker, reached) as port:
        known = {"COURSE": str(course), "OUTSIDE": str(outside), "PORT": port, "MARKER": marker, "RUNNER": 2}
        hostile(attack, grader.released(), known, grader.handed_in(course, attack.student))
        nbformat.write(honest(grader.released(), known), grader.handed_in(course, HONEST) / f"{SLUG}.ipynb")
        watched = [outside, course / "source", course / "release", course / "submitted", course / "tests"]
        before = fingerprints_of(watched)
        outcome = run_in_a_machine(folder, course, grader.steps(course, attack), marker, words["shell"])
        after = fingerprints_of(watched)
    try:
        yield from grader.gained(course, attack)
        shown = grader.shown(course, attack)
        yield from (f"read {what}" for what, word in words.items() if word in shown or word in outcome.printed)
        yield from boasts(shown)
        yield from grader.ran(course, attack)
        changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        yield from (f"changed {Path(path).relative_to(folder)}" for path in changed[:1])
        if reached:
            yield "reached the network"
        if outcome.late:
            yield f"had not ended after {SECONDS} s"
        elif outcome.left is None:
            yield "killed the grader"
        elif outcome.left:
            yield f"left {outcome.left} processes"
        if ESCAPE.search(outcome.printed):
            yield "wrote to the terminal"
    except Exception as error:  # the gradebook, say, cannot be read any more
        yield f"broke the course ({type(error).__name__})"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


INSIDE = """
import json, os, pathlib, subprocess, sys, time
steps, marker = json.loads(os.environ.pop("STEPS")), os.environ.pop("WATCHED")
for words in steps:
    subprocess.run(words, stdin=subprocess.DEVNULL, start_new_session=True)
time.sleep(1)
left = 0
for folder in pathlib.Path("/proc").iterdir():
    if folder.name.isdigit() and int(folder.name) != os.getpid():
        try:
            left += marker.encode() in (folder / "cmdline").read_bytes()
        except OSError:
            pass
print("LEFT", left)
"""


def run_in_a_machine(folder: Path, course: Path, steps: list[list[str]], marker: str, secret: str) -> Outcome:
    """Run `steps` in `course`, in a bubblewrap in which everything but `folder` is read-only."""
    programs = Path(steps[0][0]).parents[1]  # which may lie in /tmp
    words = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    words += ["--ro-bind", programs, programs, "--bind", folder, folder, "--chdir", course]
    words += ["--unshare-user", "--uid", "1000", "--gid", "1000", "--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL"]
    words += ["--die-with-parent", "--new-session", sys.executable, "-c", INSIDE]
    home = folder / "home"
    home.mkdir()
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home)}
    environment |= {"SECRET_OF_THE_SHELL": secret, "STEPS": json.dumps(steps), "WATCHED": marker}
    log = folder / "log"
    late = False
    with log.open("wb") as file:

        def limits() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, 2**30))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        process = subprocess.Popen(
            list(map(str, words)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            preexec_fn=limits,
        )
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            late = True
            process.kill()
            process.wait()
    printed = log.read_bytes()[: 10**7].decode(errors="replace")
    left = printed.rpartition("LEFT ")[2].split()
    return Outcome(printed, int(left[0]) if "LEFT " in printed and left and left[0].isdigit() else None, late)


if __name__ == "__main__":
    main()
