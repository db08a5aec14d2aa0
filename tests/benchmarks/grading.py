"""How fast is a class graded, beside nbgrader as it is, and otter?

    python tests/benchmarks/grading.py [--submissions N] [--rounds N] [--only WORD] [--large N] [--otter PYTHON]

prints one table: each line gives a ratio of whole commands, from their start to their end, as somebody
who types them waits for them.  Two classes of `--submissions` hand in: a light notebook (the first of
nbgrader's quickstart problem set, with right answers, importing numpy and matplotlib) and
`linear_classifiers`.  In each round all contestants grade the same class, each in a fresh copy of the
course folder, one after the other, every other round in reverse order; the table shows the median of the
ratios within a round, and in brackets the medians of both sides.  A contestant that does not give every
student full marks has no ratio.

The line on CPU time counts what the command and all that it starts use (perf's task clock, which is
inherited, so that processes which nobody waits for count too): coordinator, workers, fork server, wardens
and notebooks, from the start of the command to its end.  From that are taken, as measured in the same
processes in the same run (`metered.py`), the time in the students' cells (IPython's reading of them included), of
check cells only that in the students' functions, and the time for drawing the cases and judging the answers.
"""

from __future__ import annotations

import argparse
import ast
import ctypes
import datetime
import importlib.metadata
import json
import os
import platform
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import median

import metered
import nbformat
import nbgrader
from nbformat import NotebookNode

REPOSITORY = Path(__file__).resolve().parents[2]
QUICKSTART = Path(nbgrader.__file__).parent / "docs" / "source" / "user_guide" / "source" / "ps1"
OTTER_RUNS = 5  # each is a command of its own, and as long as the others

# ---------------------------------------------------------------------------------------------------
# What is measured of a command
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spent:
    """On a whole class: seconds, CPU seconds, and the most memory that the command's own process had, in bytes."""

    submissions: int
    seconds: float
    cpu: float | None = None
    memory: int = 0
    needed: float | None = None  # of the CPU seconds, those that no grader can save

    @property
    def each(self) -> float:
        return self.seconds / self.submissions


class NotMeasured(Exception):
    """Why a contestant has no numbers."""


def spend(command: Sequence[str | Path], folder: Path, submissions: int) -> Spent:
    """Run `command` in `folder`."""
    with tempfile.TemporaryFile("w+") as said, task_clock() as cpu_seconds:
        start, own = time.perf_counter(), time.thread_time()
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT, env=environment())
        memory = 0
        while process.poll() is None:
            memory = max(memory, peak_memory(process.pid))
            time.sleep(0.02)
        seconds, own = time.perf_counter() - start, time.thread_time() - own
        total = cpu_seconds()
        if process.returncode:
            said.seek(0)
            raise NotMeasured(f"fails: {(said.read().strip().splitlines() or ['no message'])[-1]}")
    return Spent(submissions, seconds, None if total is None else total - own, memory)


def environment() -> dict[str, str]:
    """nbgrader calls its helpers by their bare names."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def peak_memory(pid: int) -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


@contextmanager
def task_clock() -> Iterator[Callable[[], float | None]]:
    """The CPU seconds of this thread, and of all processes that start while this lasts and whatever these start."""
    size, software, clock, inherit = 112, 1, 1, 1 << 1
    attributes = struct.pack("IIQ", software, size, clock).ljust(40, b"\0") + struct.pack("Q", inherit)
    number = {"x86_64": 298, "aarch64": 241}.get(platform.machine())
    libc = ctypes.CDLL(None, use_errno=True)
    opened = libc.syscall(number, attributes.ljust(size, b"\0"), 0, -1, -1, 0) if number else -1
    if opened < 0:  # not every machine lets everybody
        yield lambda: None
        return
    try:
        yield lambda: struct.unpack("Q", os.read(opened, 8))[0] / 1e9
    finally:
        os.close(opened)


# ---------------------------------------------------------------------------------------------------
# What is handed in
# ---------------------------------------------------------------------------------------------------


def light() -> NotebookNode:
    """The instructor's light notebook."""
    nb = nbformat.v4.upgrade(nbformat.read(QUICKSTART / "problem1.ipynb", as_version=4))
    for number, cell in enumerate(nb.cells):
        cell.id = f"cell-{number}"
    nb.cells.insert(0, nbformat.v4.new_code_cell("import matplotlib.pyplot as plt\nimport numpy as np", id="imports"))
    return nb


def linear_classifiers() -> NotebookNode:
    """The instructor's `linear_classifiers`."""
    return nbformat.read(REPOSITORY / "solutions/linear_classifiers/linear_classifiers.ipynb", as_version=4)


def filled_in(nb: NotebookNode) -> NotebookNode:
    """What the best of all students hands in."""
    nb = nbformat.from_dict(json.loads(json.dumps(nb)))
    for cell in nb.cells:
        cell.source = re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", cell.source, flags=re.MULTILINE)
    return nb


def with_meter(nb: NotebookNode) -> NotebookNode:
    """The notebook that says at its end how much CPU time its cells have spent."""
    first = next(cell for cell in nb.cells if cell.cell_type == "code" and not cell.metadata.get("nbgrader"))
    first.source = metered.METER + "\n" + first.source
    nb.cells.append(nbformat.v4.new_code_cell(metered.SHOWN, id="own-cpu-time"))
    return nb


@dataclass(frozen=True)
class Work:
    """An assignment and how many hand it in."""

    slug: str
    make: Callable[[], NotebookNode]
    points: float  # full marks, of what is graded automatically
    files: Path | None  # what the instructor has beside the notebook
    submissions: int

    def course(self, folder: Path, config: str, source: str, release: str) -> Path:
        """A new course folder, where the class has handed in."""
        (folder / source / self.slug).mkdir(parents=True)
        (folder / "nbgrader_config.py").write_text(config)
        if self.files:
            not_these = shutil.ignore_patterns("__pycache__", "*.ipynb")
            shutil.copytree(self.files, folder / source / self.slug, dirs_exist_ok=True, ignore=not_these)
        nb = self.make()
        nbformat.write(nb, folder / source / self.slug / f"{self.slug}.ipynb")
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", self.slug]
        subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
        nb = filled_in(nb)
        for number in range(self.submissions):
            self.hand_in(folder, f"student-{number:04}", nb)
        return folder

    def hand_in(self, folder: Path, student: str, nb: NotebookNode) -> None:
        """No two notebooks are alike, so that nobody gains by remembering one."""
        place = folder / "submitted" / student / self.slug
        place.mkdir(parents=True)
        nb = nbformat.from_dict({**nb, "cells": [nbformat.v4.new_markdown_cell(student, id="name"), *nb.cells]})
        nbformat.write(nb, place / f"{self.slug}.ipynb")
        for path in self.public_cases:
            shutil.copy(path, place)

    @cached_property
    def public_cases(self) -> list[Path]:
        return list((REPOSITORY / "assignments" / self.slug).glob("cases.*"))


STOCK = 'c = get_config()\nc.CourseDirectory.course_id = "stock"\n'


class Classroom:
    """The course folders of one work, made when they are needed, and copies of them to grade in."""

    def __init__(self, work: Work, folder: Path, otter: str | None) -> None:
        self.work, self.folder, self.otter = work, folder, otter
        self.kept: Path | None = None

    @cached_property
    def stock(self) -> Path:
        return self.work.course(self.folder / "stock", STOCK, "source", "release")

    @cached_property
    def ours(self) -> Path:
        config = (REPOSITORY / "nbgrader_config.py").read_text()
        return self.work.course(self.folder / "ours", config, "solutions", "assignments")

    @cached_property
    def metered(self) -> Path:
        config = (REPOSITORY / "nbgrader_config.py").read_text()
        work = replace(self.work, make=lambda: with_meter(self.work.make()))
        return work.course(self.folder / "metered", config, "solutions", "assignments")

    @contextmanager
    def copy(self, course: Path) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield shutil.copytree(course, Path(folder, "course"))

    def graded(self, command: Sequence[str | Path], folder: Path) -> Spent:
        """Run `command` in the course `folder` and see that all notebooks were run and got full marks."""
        spent = spend(command, folder, self.work.submissions)
        with sqlite3.connect(folder / "gradebook.db") as gradebook:
            (points,) = gradebook.execute("select sum(auto_score) from grade").fetchone()
        wanted = self.work.points * self.work.submissions
        if abs((points or 0) - wanted) > 1e-6:
            raise NotMeasured(f"WRONG: all students together got {points} points instead of {wanted:g}")
        # nbgrader gives full marks for tests that were not run.
        idle = [path for path in self.executed(folder) if "execute_result" not in path.read_text()]
        if idle or len(self.executed(folder)) != self.work.submissions:
            raise NotMeasured("WRONG: not all notebooks were run")
        return spent

    def executed(self, course: Path) -> list[Path]:
        return list(course.glob(f"autograded/*/{self.work.slug}/{self.work.slug}.ipynb"))


# ---------------------------------------------------------------------------------------------------
# The contestants
# ---------------------------------------------------------------------------------------------------

Contestant = Callable[[Classroom], Spent]

AUTOGRADER = (sys.executable, "-m", "autograder.cli")


def stock_nbgrader(room: Classroom) -> Spent:
    with room.copy(room.stock) as course:
        return room.graded([sys.executable, "-m", "nbgrader", "autograde", room.work.slug], course)


def through_our_preprocessor(room: Classroom) -> Spent:
    with room.copy(room.ours) as course:
        return room.graded([sys.executable, "-m", "nbgrader", "autograde", room.work.slug], course)


def autograder_grade(room: Classroom) -> Spent:
    with room.copy(room.ours) as course:
        return room.graded([*AUTOGRADER, "grade", room.work.slug], course)


def without_a_wall(room: Classroom) -> Spent:
    with room.copy(room.ours) as course:
        return room.graded([*AUTOGRADER, "grade", room.work.slug, "--sandbox", "none"], course)


def a_second_run(room: Classroom) -> Spent:
    with room.copy(room.ours) as course:
        command = [*AUTOGRADER, "grade", room.work.slug]
        room.graded(command, course)
        return room.graded(command, course)


def otter_run(room: Classroom) -> Spent:
    if room.otter is None:
        raise NotMeasured("not measured (--otter PYTHON)")
    notebook, tests = for_otter(filled_in(room.work.make()))
    runs = min(OTTER_RUNS, room.work.submissions)
    with tempfile.TemporaryDirectory(dir=room.folder) as folder:
        nbformat.write(notebook, Path(folder, "notebook.ipynb"))
        with zipfile.ZipFile(Path(folder, "autograder.zip"), "w") as archive:
            archive.writestr("otter_config.json", json.dumps({"lang": "python", "pdf": False}))
            for name, text in tests.items():
                archive.writestr(f"tests/{name}.py", text)
        total = 0.0
        for _ in range(runs):
            command = [room.otter, "-m", "otter", "run", "--no-logo", "notebook.ipynb"]
            total += spend(command, Path(folder), 1).seconds
            results = json.loads(Path(folder, "results.json").read_text())
            points = sum(test.get("score", 0) for test in results["tests"])
            if points != room.work.points:
                raise NotMeasured(f"WRONG: {points} points instead of {room.work.points}")
    return Spent(runs, total)


def dask_cluster(room: Classroom) -> Spent:
    options = subprocess.run([*AUTOGRADER, "grade", "--help"], capture_output=True, text=True, check=True).stdout
    if "--scheduler" not in options:
        raise NotMeasured("not measured (autograder grade has no --scheduler)")
    try:
        from distributed import LocalCluster
    except ImportError:
        raise NotMeasured("not measured (pip install distributed)") from None
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, room.copy(room.ours) as course:
        command = [*AUTOGRADER, "grade", room.work.slug, "--scheduler", cluster.scheduler_address]
        return room.graded(command, course)


def with_a_meter(room: Classroom) -> Spent:
    """`autograder grade` again, with what the students' cells and the references need."""
    with room.copy(room.metered) as course, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, metered.__file__, folder, "grade", room.work.slug]
        spent = room.graded(command, course)
        needed = sum(float(path.read_text()) for path in Path(folder).iterdir())
        shown = [path.read_text() for path in room.executed(course)]
    own = [float(found[1]) for text in shown if (found := re.search(r"own CPU time: ([\d.e-]+)", text))]
    if spent.cpu is None:
        raise NotMeasured("not measured (perf_event_open is not allowed here)")
    if len(own) != room.work.submissions:
        raise NotMeasured(f"fails: {len(own)} notebooks of {room.work.submissions} say what they spent")
    return replace(spent, needed=needed + sum(own))


# -- the same notebook for otter ---------------------------------------------------------------------


def for_otter(nb: NotebookNode) -> tuple[NotebookNode, dict[str, str]]:
    """The notebook with otter's checks in place of the tests, and the files of the tests."""
    tests = {}
    for cell in nb.cells:
        about = cell.metadata.pop("nbgrader", {})
        if cell.cell_type == "code" and about.get("grade") and not about.get("solution"):
            name, points = about["grade_id"], about["points"]
            case = {"code": doctest(cell.source), "hidden": False, "locked": False, "points": points}
            suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
            test = {"name": name, "points": points, "suites": [suite]}
            tests[name] = f"OK_FORMAT = True\n\ntest = {test!r}\n"
            cell.source = f'grader.check("{name}")'
    nb.cells.insert(0, nbformat.v4.new_code_cell("import otter\n\ngrader = otter.Notebook()", id="otter"))
    return nb, tests


def doctest(source: str) -> str:
    """The statements of a test as otter wants them."""
    # otter gives a test a copy of the notebook's names, in which nothing can be hidden from a function.
    source = source.replace("orig_squares = squares\ndel squares", "orig_squares = names.pop('squares')")
    source = source.replace("    squares = orig_squares", "    names['squares'] = orig_squares")
    if "names" in source:
        source = "names = sum_of_squares.__globals__\n" + source
    lines, examples = source.splitlines(), []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        first, *others = lines[statement.lineno - 1 : statement.end_lineno]
        examples += [f">>> {first}", *(f"... {line}" for line in others)]
    return "\n".join(examples) + "\n"


# ---------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One line of the table: `over` ÷ `under` in what `of` gives, at least or at most `limit`."""

    title: str
    over: tuple[str, Contestant]
    under: tuple[str, Contestant]
    limit: float
    at_least: bool = False
    of: Callable[[Spent], float] = lambda spent: spent.each
    unit: str = "s each"

    @property
    def names(self) -> list[tuple[str, Contestant]]:
        return [self.over, self.under]


@dataclass(frozen=True)
class Extra:
    """The line on CPU time, which is no ratio."""

    title: str
    over: tuple[str, Contestant]
    limit: float

    @property
    def names(self) -> list[tuple[str, Contestant]]:
        return [self.over]


LIGHT, LARGE, LINEAR = "light", "large", "linear_classifiers"

LINES: list[Line | Extra] = [
    Line(
        "light: stock nbgrader autograde ÷ autograder grade",
        (LIGHT, stock_nbgrader),
        (LIGHT, autograder_grade),
        10,
        True,
    ),
    Line("light: otter run ÷ autograder grade", (LIGHT, otter_run), (LIGHT, autograder_grade), 10, True),
    Line(
        "linear_classifiers: stock nbgrader autograde ÷ autograder grade",
        (LINEAR, stock_nbgrader),
        (LINEAR, autograder_grade),
        5,
        True,
    ),
    Extra("linear_classifiers: CPU beyond the students' cells and the references", (LINEAR, with_a_meter), 0.15),
    *(
        Line(f"{name}: {what}", (name, over), (name, under), limit)
        for what, over, under, limit in (
            ("with the wall ÷ --sandbox none", autograder_grade, without_a_wall, 1.3),
            ("nbgrader autograde through our preprocessor ÷ stock", through_our_preprocessor, stock_nbgrader, 0.6),
            ("a second run with nothing changed ÷ the first", a_second_run, autograder_grade, 0.1),
        )
        for name in (LIGHT, LINEAR)
    ),
    Line("light: time of a large class ÷ of a small one", (LARGE, autograder_grade), (LIGHT, autograder_grade), 1.1),
    Line(
        "light: coordinator's memory with a large class ÷ with a small one",
        (LARGE, autograder_grade),
        (LIGHT, autograder_grade),
        1.1,
        of=lambda spent: spent.memory / 2**20,
        unit="MB",
    ),
    Line("light: Dask LocalCluster(2) ÷ process pool", (LIGHT, dask_cluster), (LIGHT, autograder_grade), 1.25),
]


@dataclass
class Race:
    """All contestants of the chosen lines, and what has been measured of them so far."""

    rooms: dict[str, Classroom]
    samples: dict[tuple[str, Contestant], list[Spent]] = field(default_factory=lambda: defaultdict(list))
    problems: dict[tuple[str, Contestant], str] = field(default_factory=dict)

    def run(self, contestants: Sequence[tuple[str, Contestant]], rounds: int) -> None:
        order = list(contestants)
        for number in range(rounds):
            for one in order:
                if one in self.problems or (one[0] == LARGE and number):  # that one is a day's work
                    continue
                try:
                    self.samples[one].append(one[1](self.rooms[one[0]]))
                except NotMeasured as problem:
                    self.problems[one] = str(problem)
                print(".", end="", file=sys.stderr, flush=True)
            order.reverse()
        print(file=sys.stderr)

    def row(self, line: Line | Extra) -> tuple[str, str, bool | None]:
        """What was measured, what it must be, and whether it is."""
        sign = "≥" if isinstance(line, Line) and line.at_least else "≤"
        wanted = f"{sign} {line.limit:g}" + (" s" if isinstance(line, Extra) else "")
        for one in line.names:
            if one in self.problems:
                return f"{one[1].__name__.replace('_', ' ')}: {self.problems[one]}", wanted, None
        if isinstance(line, Extra):
            spent = self.samples[line.over]
            extra = median((one.cpu - one.needed) / one.submissions for one in spent)  # type: ignore[operator]
            total = median(one.cpu / one.submissions for one in spent)  # type: ignore[operator]
            return f"**{extra:.3g} s**, {total:.3g} − {total - extra:.3g} s each", wanted, extra <= line.limit
        over = [line.of(spent) for spent in self.samples[line.over]]
        under = [line.of(spent) for spent in self.samples[line.under]]
        ratio = median(a / b for a, b in zip(over, under, strict=False))
        measured = f"**{ratio:.3g}**, {median(over):.3g} : {median(under):.3g} {line.unit}"
        return measured, wanted, ratio >= line.limit if line.at_least else ratio <= line.limit


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time the grading of a class against its alternatives.")
    parser.add_argument("--submissions", type=int, default=40, metavar="N", help="in each class (default: 40)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="of all contestants (default: 1)")
    parser.add_argument("--only", metavar="WORD", default="", help="only lines that contain this word")
    parser.add_argument("--large", type=int, default=2000, metavar="N", help="submissions of a large class; 0: none")
    parser.add_argument("--otter", metavar="PYTHON", help="a Python that has otter-grader, numpy and matplotlib")
    options = parser.parse_args(arguments)

    lines = [line for line in LINES if options.only.lower() in line.title.lower()]
    contestants = list(dict.fromkeys(one for line in lines for one in line.names))
    if options.large == 0:
        lines = [line for line in lines if line.over[0] != LARGE]
        contestants = [one for one in contestants if one[0] != LARGE]
    print(*machine(options), sep="\n", end="\n\n")
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        small = Work("problem1", light, 3, QUICKSTART, options.submissions)
        works = {
            LIGHT: small,
            LARGE: replace(small, submissions=options.large),
            LINEAR: Work(LINEAR, linear_classifiers, 82, REPOSITORY / "solutions" / LINEAR, options.submissions),
        }
        race = Race({name: Classroom(work, Path(folder, name), options.otter) for name, work in works.items()})
        race.run(contestants, options.rounds)
    print("| commands | measured | must be | ok? |\n|---|---|---|---|")
    verdicts = []
    for line in lines:
        measured, wanted, ok = race.row(line)
        verdicts.append(bool(ok))
        print(f"| {line.title} | {measured} | {wanted} | {'' if ok is None else 'yes' if ok else 'no'} |")
    print(f"\n{sum(verdicts)} of {len(verdicts)} met")


def machine(options: argparse.Namespace) -> list[str]:
    """Where and with what this was measured."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("nbgrader", "numpy", "matplotlib")]
    if options.otter:
        ask = "import importlib.metadata as m; print(m.version('otter-grader'))"
        found_otter = subprocess.run([options.otter, "-c", ask], capture_output=True, text=True, check=False).stdout
        versions.append(f"otter-grader {found_otter.strip() or 'not installed'}")
    return [
        f"{datetime.date.today()}: {found[1] if found else platform.processor()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}, {', '.join(versions)}",
        f"{options.submissions} submissions of each notebook, {options.large} of a large class, "
        f"{options.rounds} round{'s' * (options.rounds != 1)}",
    ]


if __name__ == "__main__":
    main()
