"""An nbgrader course folder: its configuration, its folders, nbgrader's API on it.

nbgrader takes a second to import, so it is imported only where it is needed.
"""

from __future__ import annotations

import contextlib
import copy
import fnmatch
import glob
import itertools
import logging
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import TraitError
from traitlets.config import Config

from .bundle import Bundle
from .errors import Refused
from .settings import CONFIG
from .settings import read as read_settings

if TYPE_CHECKING:
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

STATE = ".autograder"
MAX_NAME = 128  # of the gradebook's column
STUDENT, SLUG = "@student@", "@assignment@"  # stand for any in a path

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
    ("GenerateAssignment", "preprocessors", "autograder.nbgrader_plugin.DropLeftovers"),
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
    files: list[Path] = field(default_factory=list)  # in which the configuration stands

    @classmethod
    def at(cls, root: Path) -> Course:
        """Open the course in the folder `root`.

        Raises
        ------
        Refused
            If it is not a course folder.
        """
        root, config, files = read_settings(root.resolve())
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
        # As nbgrader does: a course's own plugins and preprocessors lie beside its configuration.
        if str(root) not in sys.path:
            sys.path.append(str(root))
        return cls(root, config, files)

    @property
    def state(self) -> Path:
        """The folder in which grading keeps the course secret and its records."""
        return self.root / STATE

    @property
    def db_url(self) -> str:
        """The URL of the gradebook's database."""
        return str(self._setting("db_url", f"sqlite:///{self.config.CourseDirectory.root}/gradebook.db"))

    def folder(self, step: str, student: str, slug: str) -> Path:
        """Return the folder of one of nbgrader's steps: ``"source"``, ``"release"``, ``"submitted"``, …"""
        structure = str(self._setting("directory_structure", DEFAULTS["directory_structure"]))
        name = str(self._setting(f"{step}_directory", DEFAULTS[f"{step}_directory"]))
        return self.root / structure.format(nbgrader_step=name, student_id=student, assignment_id=slug)

    def folders(
        self, step: str, student: str | None = None, slug: str | None = None
    ) -> Iterator[tuple[str, str, Path]]:
        """Yield the folders of a step that are there, each with its student and assignment; None stands for any."""
        path = str(self.folder(step, student or STUDENT, slug or SLUG))
        pattern, form = glob.escape(path), re.escape(path)
        for token, name in ((STUDENT, "student"), (SLUG, "slug")):
            pattern = pattern.replace(token, "*")
            form = form.replace(re.escape(token), f"(?P<{name}>[^/]+)", 1).replace(re.escape(token), f"(?P={name})")
        for found in sorted(glob.glob(pattern)):
            if (match := re.fullmatch(form, found)) and os.path.isdir(found):
                names = {"student": student, "slug": slug, **match.groupdict()}
                yield str(names["student"]), str(names["slug"]), Path(found)

    def _setting(self, name: str, default: object) -> object:
        return self.config.CourseDirectory.get(name, default)

    def notebooks(self, slug: str) -> list[str]:
        """Return the names of the notebooks of the assignment `slug`."""
        chosen = str(self._setting("notebook_id", "*"))
        names = sorted(path.stem for path in self.folder("source", ".", slug).glob("*.ipynb"))
        return [name for name in names if fnmatch.fnmatchcase(name, chosen)]

    def assignments(self) -> list[str]:
        """Return the names of the assignments that have a source notebook."""
        return sorted({slug for _, slug, folder in self.folders("source", student=".") if any(folder.glob("*.ipynb"))})

    def students(self, slug: str) -> list[str]:
        """Return the students who have handed in the assignment `slug`, but for those whom the course excludes."""
        found = sorted({student for student, _, _ in self.folders("submitted", slug=slug)})
        return [name for name in found if _why_not(name) is None and self.is_chosen(name)]

    def is_chosen(self, student: str) -> bool:
        """Return whether the configuration lets `student` be graded."""
        excluded = str(self._setting("student_id_exclude", "")).split(",")
        return student not in excluded and fnmatch.fnmatchcase(student, str(self._setting("student_id", "*")))

    def overlooked(self, slug: str) -> list[str]:
        """Say what lies among the submissions and is not graded for `slug`, and why; or looks like a mistake."""
        one = self.folder("submitted", STUDENT, slug)
        of_student = Path(*itertools.takewhile(lambda name: name != STUDENT, one.parts), STUDENT)
        inner = one.relative_to(of_student).parts if STUDENT in one.parts else ()  # such as the assignment
        everybody = of_student.parent
        graded = self.students(slug)
        found = []
        for place in sorted(everybody.iterdir()) if everybody.is_dir() else ():
            name = place.name
            if not place.is_dir():
                if not name.startswith("."):  # .DS_Store, .gitkeep
                    where = one.relative_to(everybody.parent)
                    found.append(f"{name!r} is a file: it belongs into {str(where).replace(STUDENT, '<student>')}/")
                continue
            inside = sorted(os.listdir(place)) if inner else []
            if name not in graded and (not inner or inner[0] in inside):
                if why := _why_not(name):
                    found.append(f"{name!r} {why}")
                elif self.is_chosen(name):
                    found.append(f"{name!r} has a file in place of the folder {'/'.join(inner)}")
            found += [
                f"{name!r} has {other!r} in no folder of an assignment: it belongs into {everybody.name}/{name}/{slug}/"
                for other in inside
                if slug not in inside and _folded(slug) in _folded(other) and (place / other).is_file()
            ]
            found += [
                f"{name!r} has a folder {other!r}: was {slug!r} meant? Rename it"
                for other in inside
                if inner == (slug,) and other != slug and _folded(other) == _folded(slug)
            ]
        for _, alike in itertools.groupby(sorted(graded, key=_folded), _folded):
            names = [repr(name) for name in alike]
            if len(names) > 1:
                found.append(f"{' and '.join(names)} are written alike: if they are one student, keep one folder")
        return found

    def require(self, slug: str) -> None:
        """Refuse an assignment that does not exist."""
        if trouble := set(slug) & set("*?[+/"):
            raise Refused(
                f"nbgrader cannot work with an assignment whose name holds {trouble.pop()}: rename the folder {slug!r}"
            )
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

        with self.well_configured():
            return CourseDirectory(config=self.config)

    def api(self, **settings: dict[str, Any]) -> NbGraderAPI:
        """Return nbgrader's API for this course, with `settings` (class name to traits) on top of the configuration."""
        quick_nbgrader()
        from nbgrader.apps import NbGraderAPI

        config = copy.deepcopy(self.config)
        for name, traits in settings.items():
            config[name].update(traits)
        logging.getLogger("traitlets").setLevel(logging.CRITICAL)  # what matters is in the result
        with self.well_configured():
            return NbGraderAPI(config=config)

    @contextlib.contextmanager
    def well_configured(self) -> Iterator[None]:
        """Say in one sentence what nbgrader does not take of the configuration."""
        try:
            yield
        except (TraitError, ImportError) as error:
            raise Refused(f"the configuration in {' and '.join(map(str, self.files))} is wrong: {error}") from error


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
