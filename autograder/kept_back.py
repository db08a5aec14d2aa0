"""Which files of an assignment's folder are neither handed out nor shown to a student's program.

nbgrader copies whatever lies there, also what editors and notebook servers leave behind: and that holds solutions.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from .bundle import CHECKS, Bundle, imported_by_name

# Of editors, of version control and of desktops.
LEFTOVERS = (
    *("*~", "#*#", "*.bak", "*.bak[0-9]", "*.backup", "*.old", "*.orig", "*.rej", "*.save", "*.tmp", "*.swp", "*.swo"),
    *("*.pyc", "__pycache__", "Thumbs.db", "desktop.ini", "*.lnk"),
)
EXPORTS = (".html", ".htm", ".pdf", ".docx", ".odt", ".epub", ".zip", ".tar", ".tgz", ".gz", ".7z")
REGIONS = (b"BEGIN SOLUTION", b"BEGIN HIDDEN TESTS", b"BEGIN MARK SCHEME")
MAX_READ = 50 * 2**20


def kept_back(folder: Path, checks: Bundle | None) -> Iterator[tuple[str, str]]:
    """Yield the files in `folder` that are not handed out, as relative names, each with the reason."""
    notebooks = {path.stem for path in folder.glob("*.ipynb")}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if (path.is_file() or path.is_symlink()) and (why := _why(path, name, notebooks, checks)):
            yield str(name), why


def _why(path: Path, name: Path, notebooks: set[str], checks: Bundle | None) -> str:
    if any(part.startswith(".") for part in name.parts):
        return "it is hidden"
    if any(fnmatch.fnmatchcase(part, pattern) for part in name.parts for pattern in LEFTOVERS):
        return "it is a leftover"
    if checks and str(name) in checks.own:
        return "checks.py needs it for grading"
    for module in {CHECKS, *(checks.own if checks else ())}:
        if name.name.startswith(Path(module).name) and (name.name != Path(module).name or module == CHECKS):
            return f"it may be a copy of {module}"
    if re.search(r"(^|[\W_])checks([\W_].*)?\.py$", name.name):
        return "it may be a copy of checks.py"
    if name.parts[0].removesuffix("_files") in notebooks - {name.parts[0]}:
        return "it was exported from the notebook"
    if path.suffix.lower() in EXPORTS and name.name.split(".")[0] in notebooks:
        return "it was exported from the notebook"
    if path.suffix == ".ipynb" and len(name.parts) == 1:
        return ""  # a notebook of the assignment
    try:
        state = path.stat()
        return _why_by_content(path, state.st_mtime_ns, state.st_size)
    except OSError:  # a link that leads nowhere
        return ""


@functools.lru_cache(maxsize=1024)  # this is asked for every submission
def _why_by_content(path: Path, changed: int, size: int) -> str:
    if not path.is_file() or size > MAX_READ:
        return ""
    content = path.read_bytes()
    if any(region in content for region in REGIONS):
        return "it holds a solution, hidden tests or a mark scheme"
    if path.suffix == ".py" and _imports_grader(content):
        return "it imports autograder"
    return ""


def _imports_grader(content: bytes) -> bool:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return b"autograder" in content
    return any(name.split(".")[0] == "autograder" for name in imported_by_name(tree))
