"""The arena: a course in which every attack is handed in, what it must not reach, and what became of it.

Between the attacks an honest student hands in; a neighbour, a file outside, the gradebook, the
solution, the environment and the course secret each hold a word that nobody may ever repeat.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nbformat
from attacks import ATTACKS, HERE, SLUG, Attack, honest, hostile, source_notebook
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbgrader.api import Gradebook
from nbgrader.server_extensions.formgrader import handlers
from rich.console import Console
from traitlets.config import Config

from autograder.course import Course
from autograder.errors import Refused
from autograder.feedback import feedback
from autograder.release import release
from autograder.run import ClassRun
from autograder.scores import of_class
from autograder.summary import class_summary
from autograder.table import show_class

REPOSITORY = HERE.parents[1]
LIMITS = {"cell_seconds": 1.5, "call_seconds": 1.0, "notebook_seconds": 12.0, "memory": 2**30, "processes": 64}
LARGE = 2**20  # bytes: files that some attacks hand in are holes, and take minutes to read
FULL = {"check_double": 3.0, "test_triple": 2.0, "essay": 0.0}
SIBLING = "_sibling"
MAX_COPIED = 120 * 2**20  # bytes in `autograded/`: 48 MB of files, and a notebook
EVERY = 6  # after so many attacks comes an honest student
PAGE_LIKE = re.compile(r"\.(x?html?|shtml|xml|svgz?|css|js|pdf|mht|swf|wasm|gz)$|^[^.]*$", re.IGNORECASE)
ESCAPE = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")  # all but rich's own colours


@dataclass
class Arena:
    """A course on which the attacks have been let loose."""

    course: Course
    outside: Path
    known: dict[str, Any]
    words: dict[str, str]
    reached: list[bytes]
    before: dict[str, str] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    printed: str = ""
    exported: str = ""
    left: list[str] = field(default_factory=list)

    def harm(self, attack: Attack) -> list[str]:
        """What `attack` has won, each in a few words; an empty list is what there should be."""
        harm = (self.gained, self.read, self.ran, self.copied, self.took, self.harmed_sibling)
        return [what for one in harm for what in one(attack)]

    def gained(self, attack: Attack) -> list[str]:
        """Points that it has not earned."""
        return [
            f"gained {score:g} of {cell}"
            for cell, score in self.scores.get(attack.student, {}).items()
            if score != attack.earns.get(cell, 0.0)
        ]

    def read(self, attack: Attack) -> list[str]:
        """Words that nobody may repeat, wherever the instructor or a student would find them."""
        shown = [self.notebook(attack.student), self.page(attack.student), repr(self.records[attack.student])]
        words = [f"read {what}" for what, word in self.words.items() if any(word in text for text in shown)]
        return [*words, *boasts(self.notebook(attack.student))]

    def ran(self, attack: Attack) -> list[str]:
        """What its feedback page holds that an honest student's does not hold, and that a browser would obey."""
        return [f"a page with {what}" for what in active(self.page(attack.student)) if what not in self.harmless]

    def copied(self, attack: Attack) -> list[str]:
        """Files that became the instructor's or the student's pages and that the grader did not make."""
        feedback = self.course.folder("feedback", attack.student, SLUG)
        copies = [path.relative_to(feedback) for path in feedback.rglob("*") if path.is_file()]
        autograded = self.course.folder("autograded", attack.student, SLUG)
        pages = [path.name for path in autograded.rglob("*") if path.is_file() and PAGE_LIKE.search(path.name)]
        size = sum(path.stat().st_size for path in autograded.rglob("*") if path.is_file())
        if size > MAX_COPIED:
            return [f"copied {size >> 20} MB"]
        return [f"copied {path}" for path in copies if str(path) != f"{SLUG}.html"] + [
            f"copied {name}" for name in pages
        ]

    def took(self, attack: Attack) -> list[str]:
        """Time beyond the limits of a notebook, and what is ended a little later."""
        seconds = self.records[attack.student]["seconds"]
        return [f"took {seconds:.0f} s"] if seconds > LIMITS["notebook_seconds"] + 15 else []

    @functools.cached_property
    def harmless(self) -> set[str]:
        """What nbgrader's own pages hold."""
        return set(active(self.page(next(name for name in self.records if name.endswith(SIBLING)))))

    def harmed_sibling(self, attack: Attack) -> list[str]:
        """Whether the honest student after it has lost anything."""
        later = sorted(name for name in self.scores if name.endswith(SIBLING) and name > attack.student)
        sibling = later[0] if later else max(name for name in self.scores if name.endswith(SIBLING))
        return [] if self.scores[sibling] == FULL else [f"{sibling} has {self.scores[sibling]}"]

    def changed(self) -> list[str]:
        """Files outside that are not as they were."""
        after = fingerprints(self)
        return sorted(name for name in {*self.before, *after} if self.before.get(name) != after.get(name))

    def notebook(self, student: str) -> str:
        """The text of the autograded notebook, or nothing."""
        path = self.course.folder("autograded", student, SLUG) / f"{SLUG}.ipynb"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def page(self, student: str) -> str:
        """The feedback page."""
        return (self.course.folder("feedback", student, SLUG) / f"{SLUG}.html").read_text(encoding="utf-8")


@contextmanager
def arena(
    folder: Path, attacks: Sequence[Attack] = ATTACKS, settings: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Arena]:
    """Build the course in `folder`, let the attacks loose in one class, look what became of it."""
    words = {
        what: f"CANARY-{what}-{secrets.token_hex(6)}" for what in ("outside", "neighbour", "book", "solution", "shell")
    }
    marker = f"hostile-{secrets.token_hex(8)}"
    reached: list[bytes] = []
    with listening(folder, marker, reached) as port:
        ground = prepared(folder, attacks, words, {"PORT": port, "MARKER": marker, "RUNNER": os.getpid()}, reached)
        secret = ground.course.root / ".autograder" / "secret"
        started = time.monotonic()
        os.environ["SECRET_OF_THE_SHELL"] = words["shell"]
        try:
            records = ClassRun(ground.course, SLUG, {**LIMITS, **settings}).run(4)  # most of the time is waiting
        finally:
            del os.environ["SECRET_OF_THE_SHELL"]
        ground.seconds = time.monotonic() - started
        ground.words["course secret"] = secret.read_text().strip()
        ground.records = {record["student"]: record for record in records}
        ground.left = processes_with(marker)
        # Without a wall an attack may have overwritten a graded notebook, and nbgrader then stops at that student.
        broken = suppress(Refused) if settings.get("sandbox") == "none" else nullcontext()
        with exported(ground.course) as grades, broken:
            feedback(ground.course, SLUG)
        ground.exported = grades.read_text(encoding="utf-8")
        ground.scores = scores(ground.course)
        screen = Console(file=io.StringIO(), force_terminal=True, width=160)
        show_class(SLUG, records, of_class(ground.course, SLUG), {}, screen)
        screen.print(class_summary(records))
        ground.printed = screen.file.getvalue()  # type: ignore[attr-defined]
        yield ground


def prepared(
    folder: Path, attacks: Sequence[Attack], words: dict[str, str], known: dict[str, Any], reached: list[bytes]
) -> Arena:
    """The course with everything handed in, nothing graded yet."""
    outside = folder / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(words["outside"] + "\n")
    root = folder / "course"
    source = root / "solutions" / SLUG
    source.mkdir(parents=True)
    shutil.copy(REPOSITORY / "nbgrader_config.py", root)
    checks = (HERE / "course" / "checks.py").read_text(encoding="utf-8")
    (source / "checks.py").write_text(checks.replace("CANARY-solution-SECRET", words["solution"]), encoding="utf-8")
    nbformat.write(source_notebook(), source / f"{SLUG}.ipynb")
    course = Course.at(root)
    release(course, SLUG, trial=False)
    ground = Arena(course, outside, {"COURSE": str(root), "OUTSIDE": str(outside), **known}, words, reached)

    def released() -> nbformat.NotebookNode:
        return nbformat.read(course.folder("release", ".", SLUG) / f"{SLUG}.ipynb", as_version=4)

    def place(student: str) -> Path:
        made = course.folder("submitted", student, SLUG)
        made.mkdir(parents=True)
        shutil.copy(course.folder("release", ".", SLUG) / "cases.json", made)
        return made

    neighbour = honest(released(), ground.known)
    neighbour.cells.append(nbformat.v4.new_markdown_cell(words["neighbour"]))
    nbformat.write(neighbour, place("neighbour") / f"{SLUG}.ipynb")
    with Gradebook(course.directory.db_url, course.directory.course_id) as book:
        book.add_student("neighbour", last_name=words["book"])
    for number, attack in enumerate(attacks, start=1):
        hostile(attack, released(), ground.known, place(attack.student))
        if number % EVERY == 0 or number == len(attacks):
            nbformat.write(honest(released(), ground.known), place(attack.student + SIBLING) / f"{SLUG}.ipynb")
    ground.before = fingerprints(ground)
    return ground


# -- what is looked at ------------------------------------------------------------------------


def boasts(notebook: str) -> list[str]:
    """What an attack printed of what the kernel let it do."""
    cells = json.loads(notebook)["cells"] if notebook else []
    texts = ["".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", [])]
    return [line for text in texts for line in text.splitlines() if line.startswith("WON")]


def fingerprints(ground: Arena) -> dict[str, str]:
    """Every file that grading has no reason to change, with what it holds."""
    root = ground.course.root
    return fingerprints_of([ground.outside, *(root / name for name in ("solutions", "assignments", "submitted"))])


def fingerprints_of(folders: Iterable[Path]) -> dict[str, str]:
    """Every file in `folders`, with what it holds."""
    found = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            found[str(path)] = "not a file"
        elif (about := path.stat()).st_size > LARGE:
            found[str(path)] = f"{about.st_size} bytes, written at {about.st_mtime_ns}"
        else:
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def scores(course: Course) -> dict[str, dict[str, float]]:
    """The scores in the gradebook, by student and cell."""
    directory = course.directory
    with Gradebook(directory.db_url, directory.course_id) as book:
        return {
            submission.student.id: {grade.name: grade.score for nb in submission.notebooks for grade in nb.grades}
            for submission in book.assignment_submissions(SLUG)
        }


@contextmanager
def exported(course: Course) -> Iterator[Path]:
    """What `nbgrader export` writes, which takes a while: it is there when this ends."""
    path = course.root / "grades.csv"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "nbgrader", "export", "--to", str(path)]
    with subprocess.Popen(command, cwd=course.root, env=environment, stderr=subprocess.DEVNULL) as export:
        yield path
    assert export.returncode == 0


ACTIVE_TAGS = {
    "script",
    "style",
    "iframe",
    "object",
    "embed",
    "form",
    "base",
    "meta",
    "link",
    "applet",
    "frame",
    "video",
}
ACTIVE_ATTRIBUTES = re.compile(r"on.*|srcdoc|formaction|srcset|ping|background")
ACTIVE_VALUES = re.compile(r"(javascript|vbscript):|data:(?!image/)")
FETCHED = {"src", "poster", "data", "xlink:href"}
ACTIVE_STYLES = re.compile(r"position|fixed|z-index|transform|url\(|:-|expression")


def active(page: str) -> Iterator[str]:
    """What a browser would run, fetch or obey in `page`."""
    for tag in BeautifulSoup(page, "html.parser").find_all(True):
        if tag.name in ACTIVE_TAGS:
            yield f"<{tag.name}> {tag.attrs} {hashlib.sha256(tag.get_text().encode()).hexdigest()[:8]}"
        for name, value in tag.attrs.items():
            text = re.sub(r"[\s\x00-\x1f]", "", " ".join(value) if isinstance(value, list) else str(value)).lower()
            if (
                ACTIVE_ATTRIBUTES.fullmatch(name)
                or ACTIVE_VALUES.search(text)
                or (name in FETCHED and not text.startswith("data:image/"))
                or (name == "style" and ACTIVE_STYLES.search(text))
            ):
                yield f"{name}={text[:80]}"


def processes_with(marker: str, seconds: float = 5.0) -> list[str]:
    """The command lines, anywhere on this machine, that still hold `marker` after some `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    line = (folder / "cmdline").read_bytes()
                except OSError:
                    continue
                if marker.encode() in line:
                    found.append(line.decode(errors="replace"))
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


@contextmanager
def listening(folder: Path, marker: str, reached: list[bytes]) -> Iterator[int]:
    """Sockets of this machine that wait for a notebook; who reaches them is added to `reached`."""
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    named = socket.socket(socket.AF_UNIX)
    named.bind(f"\0{marker}")
    named.listen()

    def wait(sock: socket.socket) -> None:
        while True:
            try:
                reached.append(sock.recv(100) if sock is udp else repr(sock.accept()[1]).encode())
            except OSError:
                return

    for sock in (tcp, udp, named):
        threading.Thread(target=wait, args=[sock], daemon=True).start()
    try:
        yield port
    finally:
        for sock in (tcp, udp, named):
            sock.close()


def formgrader_page(course: Course, student: str) -> str:
    """The page on which an instructor grades by hand, made as formgrader makes it."""
    config = Config(course.config)
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    names = {"assignment_id": SLUG, "notebook_id": SLUG, "submission_id": "1", "student": student, "base_url": ""}
    resources = {**names, "index": 0, "total": 1, "first_name": "", "last_name": "", "notebook_path": "x"}
    path = course.folder("autograded", student, SLUG) / f"{SLUG}.ipynb"
    return HTMLExporter(config=config).from_filename(str(path), resources=resources)[0]
