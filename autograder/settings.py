"""The configuration of a course, from the files that nbgrader reads.

The user's own come first and the course's own last: what a later one sets holds.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

from jupyter_core.paths import jupyter_config_path
from traitlets.config import Config
from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

from .errors import Refused

NAME = "nbgrader_config"
CONFIG = f"{NAME}.py"


class _PyFile(PyFileConfigLoader):  # type: ignore[misc]
    """Notes the files that are read, also those that a file reads by `load_subconfig`."""

    read: ClassVar[list[Path]] = []

    def load_config(self) -> Config:
        found = super().load_config()
        self.read.append(Path(self.full_filename))
        return found


FORMS = {".py": _PyFile, ".json": JSONFileConfigLoader}
USERS = ("jupyter_config", NAME)  # what nbgrader reads in the folders of Jupyter's configuration


def read(folder: Path) -> tuple[Path, Config, list[Path]]:
    """Return the root of the course in `folder`, its configuration, and the files that this stands in.

    Raises
    ------
    Refused
        If `folder` is no course folder, or a file of the configuration cannot be run.
    """
    users = [Path(place) / f"{name}{form}" for name in USERS for place in jupyter_config_path()[::-1] for form in FORMS]
    files = [path for path in users if os.path.isfile(path)]  # False also for what may not be read
    _PyFile.read.clear()
    config = Config()
    for path in files:
        config.merge(_loaded(path))
    own = [folder / f"{NAME}{form}" for form in FORMS if (folder / f"{NAME}{form}").is_file()]
    root = config.CourseDirectory.get("root")  # of another course, if this one has a configuration
    if not own and root and Path(root).is_dir() and Path(root).resolve() != folder:
        return read(Path(root).resolve())
    if not own:
        raise Refused(
            f"{folder} is not a course folder: it has no {CONFIG}. "
            "Go to your course folder, or name it with --course DIR."
        )
    config.CourseDirectory.pop("root", None)
    for path in own:
        config.merge(_loaded(path))
    root = (folder / str(config.CourseDirectory.get("root") or "")).resolve()
    config.CourseDirectory.root = _without_magic(root)
    _anchor_gradebook(config)
    return root, config, list(dict.fromkeys([*files, *own, *_PyFile.read]))


def _anchor_gradebook(config: Config) -> None:
    """Let a relative path of the gradebook begin in the course folder, wherever the command was typed."""
    kind, slashes, path = str(config.CourseDirectory.get("db_url", "")).partition(":///")
    if slashes and kind.startswith("sqlite") and path not in ("", ":memory:") and not path.startswith(("/", "file:")):
        config.CourseDirectory.db_url = f"{kind}:///{config.CourseDirectory.root}/{path}"


def _without_magic(root: Path) -> str:
    """Return a path of the folder that neither nbgrader nor a URL takes for a pattern, which lasts for this process."""
    if not set(str(root)) & set("*?[]#%"):
        return str(root)
    aside = tempfile.mkdtemp(prefix="course-")
    atexit.register(shutil.rmtree, aside, ignore_errors=True)  # removes the link, not what it leads to
    link = Path(aside, "course")
    link.symlink_to(root)
    return str(link)


def _loaded(path: Path) -> Config:
    try:
        with contextlib.chdir(path.parent):  # where nbgrader is run
            return FORMS[path.suffix](str(path), str(path.parent)).load_config()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it is a program, and may do anything, such as sys.exit()
        line = _line_in(path, error)
        where = f", line {line}" if line else ""
        raise Refused(f"{path}{where}: {type(error).__name__}: {error}. Mend the configuration first.") from error


def _line_in(path: Path, error: BaseException) -> int | None:
    """Return the last line of the file at `path` that `error` came from."""
    found = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if os.path.basename(trace.tb_frame.f_code.co_filename) == path.name:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found
