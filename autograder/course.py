"""An nbgrader course folder: its configuration, its folders, nbgrader's API on it.

nbgrader takes a second to import, so it is imported only where it is needed.
"""

from __future__ import annotations

import glob
import itertools
import logging
import os
import re
import sys
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from .bundle import Bundle
from .errors import Refused

if TYPE_CHECKING:
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

CONFIG = "nbgrader_config.py"
STATE = ".autograder"
MAX_NAME = 128  # of the gradebook's column

# The defaults of nbgrader's CourseDirectory; a test compares them.
DEFAULTS = {
    "directory_structure": os.path.join("{nbgrader_step}", "{student_id}", "{assignment_id}"),
    "source_directory": "source",
    "release_directory": "release",
    "submitted_directory": "submitted",
    "autograded_directory": "autograded",
    "feedback_directory": "feedback",
}

# Without these lines, nbgrader's own commands would release no cases, run students' code beside the gradebook, and
# show their HTML in other people's browsers as it is.
NEEDED = (
    ("GenerateAssignment", "preprocessors", "autograder.nbgrader_plugin.PublicCases"),
    ("Autograde", "autograde_preprocessors", "autograder.nbgrader_plugin.WallExecute"),
    ("Autograde", "sanitize_preprocessors", "autograder.nbgrader_plugin.KeepFields"),
    ("GenerateFeedback", "preprocessors", "autograder.nbgrader_plugin.OnlyPages"),
    ("HTMLExporter", "preprocessors", "autograder.wall.pages.OnePage"),
)


@dataclass
class Course:
    """An nbgrader course folder with its configuration."""

    root: Path
    config: Config

    @classmethod
    def at(cls, root: Path) -> Course:
        """Open the course in the folder `root`.

        Raises
        ------
        Refused
            If it is not a course folder.
        """
        root = root.resolve()
        if not (root / CONFIG).is_file():
            raise Refused(
                f"{root} is not a course folder: it has no {CONFIG}. "
                "Go to your course folder, or name it with --course DIR."
            )
        config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
        config.CourseDirectory.root = str(root)
        for section, trait, name in NEEDED:
            if name not in str(config[section].get(trait, "")):
                raise Refused(
                    f"{root / CONFIG} leaves out what autograder needs: c.{section}.{trait} must name {name}. "
                    f"Take all lines from the {CONFIG} in coursekit's repository."
                )
        # nbgrader calls the `alembic` program by its bare name.
        programs = str(Path(sys.executable).parent)
        if programs not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] = programs + os.pathsep + os.environ["PATH"]
        return cls(root, config)

    @property
    def state(self) -> Path:
        """The folder in which grading keeps the course secret and its records."""
        return self.root / STATE

    @property
    def db_url(self) -> str:
        """The URL of the gradebook's database."""
        return str(self._setting("db_url", f"sqlite:///{self.root / 'gradebook.db'}"))

    def folder(self, step: str, student: str, slug: str) -> Path:
        """Return the folder of one of nbgrader's steps: ``"source"``, ``"release"``, ``"submitted"``, …"""
        structure = str(self._setting("directory_structure", DEFAULTS["directory_structure"]))
        name = str(self._setting(f"{step}_directory", DEFAULTS[f"{step}_directory"]))
        return self.root / structure.format(nbgrader_step=name, student_id=student, assignment_id=slug)

    def _setting(self, name: str, default: object) -> object:
        return self.config.CourseDirectory.get(name, default)

    def notebooks(self, slug: str) -> list[str]:
        """Return the names of the notebooks of the assignment `slug`."""
        return sorted(path.stem for path in self.folder("source", ".", slug).glob("*.ipynb"))

    def assignments(self) -> list[str]:
        """Return the names of the assignments that have a source notebook."""
        pattern = self.folder("source", ".", "*") / "*.ipynb"
        return sorted({Path(path).parent.name for path in glob.glob(str(pattern))})

    def students(self, slug: str) -> list[str]:
        """Return the students who have handed in the assignment `slug`."""
        pattern = self.folder("submitted", "*", slug)
        found = [Path(path).parent.name for path in glob.glob(str(pattern)) if Path(path).is_dir()]
        return sorted(name for name in found if _why_not(name) is None)

    def overlooked(self, slug: str) -> list[str]:
        """Say what lies among the submissions and is not graded for `slug`, and why; or looks like a mistake."""
        everybody = self.folder("submitted", ".", slug).parent
        graded = self.students(slug)
        found = []
        for place in sorted(everybody.iterdir()) if everybody.is_dir() else ():
            name = place.name
            if not place.is_dir():
                if not name.startswith("."):  # .DS_Store, .gitkeep
                    found.append(f"{name!r} is a file: it belongs into {everybody.name}/<student>/{slug}/")
                continue
            inside = sorted(os.listdir(place))
            if slug in inside and name not in graded:
                found.append(f"{name!r} {_why_not(name) or f'has a file in place of the folder {slug}'}")
            found += [
                f"{name!r} has {other!r} in no folder of an assignment: it belongs into {everybody.name}/{name}/{slug}/"
                for other in inside
                if slug not in inside and _folded(slug) in _folded(other) and (place / other).is_file()
            ]
            found += [
                f"{name!r} has a folder {other!r}: was {slug!r} meant? Rename it"
                for other in inside
                if other != slug and _folded(other) == _folded(slug)
            ]
        for _, alike in itertools.groupby(sorted(graded, key=_folded), _folded):
            names = [repr(name) for name in alike]
            if len(names) > 1:
                found.append(f"{' and '.join(names)} are written alike: if they are one student, keep one folder")
        return found

    def require(self, slug: str) -> None:
        """Refuse an assignment that does not exist."""
        known = self.assignments()
        if slug not in known:
            place = self.folder("source", ".", "")
            raise Refused(f"there is no assignment {slug!r} in {place}; there is {', '.join(known) or 'none'}")

    def checks(self, slug: str) -> Bundle | None:
        """Read the assignment's `checks.py` with what it imports; None if it has none."""
        return Bundle.read(self.folder("source", ".", slug))

    # -- nbgrader -----------------------------------------------------------------------

    @property
    def directory(self) -> CourseDirectory:
        quick_nbgrader()
        from nbgrader.coursedir import CourseDirectory

        return CourseDirectory(config=self.config)

    def api(self, **settings: dict[str, Any]) -> NbGraderAPI:
        """Return nbgrader's API for this course, with `settings` (class name to traits) on top of the configuration."""
        quick_nbgrader()
        from nbgrader.apps import NbGraderAPI

        config = Config(self.config)
        for name, traits in settings.items():
            config[name].update(traits)
        logging.getLogger("traitlets").setLevel(logging.CRITICAL)  # what matters is in the result
        return NbGraderAPI(config=config)


def _why_not(name: str) -> str | None:
    """Return why neither nbgrader nor its gradebook can keep a student of this name, or None."""
    if name.startswith("."):
        why = "begins with a dot, and nbgrader does not see such folders"
    elif name != name.strip() or not name.isprintable():
        why = "has spaces around it, or characters that cannot be printed"
    elif set(name) & set('<>&"'):
        why = "has characters that formgrader's pages would take for HTML"
    elif len(name) > MAX_NAME:
        why = f"has more than {MAX_NAME} characters"
    else:
        return None
    return f"{why}: rename the folder"


def _folded(name: str) -> str:
    """Return `name` as file systems and databases compare it that know no capitals."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def quick_nbgrader() -> None:
    """Make the import of nbgrader faster and silent; call this before it."""
    # On import, jsonschema builds 38 grammars with it, which takes 1.5 s, for kinds of addresses that no notebook has.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # nbgrader uses SQLAlchemy in a way that works and warns.
    warnings.filterwarnings("ignore", message="(?s).*", module="nbgrader", append=True)


def must_succeed(result: dict[str, Any], what: str) -> None:
    """Refuse with nbgrader's own message if one of its steps failed."""
    if not result["success"]:
        raise Refused(f"{what} failed. nbgrader says:\n{complaint(result)}")


def complaint(result: dict[str, Any]) -> str:
    """Return the lines of nbgrader's log that say what went wrong."""
    lines = [line for part in ("log", "error") for line in str(result.get(part, "")).splitlines()]
    start = next((i for i, line in enumerate(lines) if "Refused:" in line), None)
    if start is not None:  # our own message, which may have several lines
        rest = [lines[start].split("Refused:", 1)[1].strip()]
        for line in lines[start + 1 :]:
            if not line.strip().startswith("- "):
                break
            rest.append("  " + line.strip())
        return "\n".join(rest)
    raised = [line for line in lines if re.match(r"\s*[\w.]+(Error|Exception|Entry)\b", line)]
    return "\n".join(raised[-1:] or [line for line in lines if "[ERROR]" in line][-3:] or lines[-3:])
