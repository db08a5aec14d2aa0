"""A bundle: the text of `checks.py` and of the modules that it imports from beside it.

A worker process, or a worker on another machine, does not see the course folder.  So an assignment travels to it as
text.  An instructor may split a long `checks.py` into modules with relative imports::

    solutions/
      losses.py                     from ..losses import ...      shared by several assignments
      linear_classifiers/
        checks.py                   the module that is loaded
        mistakes.py                 from .mistakes import ...     of this assignment alone

What several assignments share lies directly in `solutions/`, because nbgrader takes every folder there for an
assignment.  A bundle holds these modules and nothing else; what it holds is hashed as a whole.
"""

from __future__ import annotations

import ast
import functools
import importlib
import posixpath
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import decode_source
from pathlib import Path, PurePosixPath
from types import CodeType, ModuleType
from typing import Any

from .errors import Refused
from .hashing import digest

CHECKS = "checks.py"
SHARED = "../"  # how the path of a shared module begins


@dataclass(frozen=True)
class Bundle:
    """The modules that say what an assignment grades.

    Attributes
    ----------
    name : str
        The assignment's name, for messages.
    files : dict
        The text of each module, by its path relative to the assignment's folder: ``"checks.py"``, ``"mistakes.py"``,
        ``"../losses.py"``.
    """

    name: str
    files: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> Bundle | None:
        """Collect `checks.py` in `folder` and all that it imports by relative imports; None if there is no `checks.py`.

        Raises
        ------
        Refused
            If a module that is imported is not there, lies elsewhere, or cannot be read.
        """
        if not (folder / CHECKS).is_file():
            return None
        files: dict[str, str] = {}
        todo = [CHECKS]
        while todo:
            path = todo.pop()
            if path not in files:
                try:
                    files[path] = decode_source((folder / path).read_bytes())  # also with a byte-order mark
                except (OSError, UnicodeDecodeError, SyntaxError) as error:
                    raise Refused(f"{folder / path} cannot be read: {error}") from error
                todo += _imported(folder, path, files[path])
        return cls(folder.name, dict(sorted(files.items())))

    @property
    def own(self) -> frozenset[str]:
        """The paths of the modules in the assignment's own folder."""
        return frozenset(path for path in self.files if not path.startswith(SHARED))

    @functools.cached_property
    def digest(self) -> str:
        """A hash of all texts and their paths."""
        return digest(part.encode() for file in sorted(self.files.items()) for part in file)

    def __hash__(self) -> int:
        return hash(self.digest)

    def load(self) -> ModuleType:
        """Run `checks.py`, and with it what it imports; give its module.  What it raises is raised."""
        package = f"checks_{self.digest[:16]}"
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
        _PACKAGES[package] = self
        return importlib.import_module(f"{package}.{OWN}.checks")

    def filename(self, path: str) -> str:
        """What tracebacks call a module: unlike any other module's name, so that its source is found by it."""
        return f"{posixpath.normpath(posixpath.join(self.name, path))}#{self.digest[:16]}"


# -- which modules a module imports -----------------------------------------------------------


def imported_by_name(tree: ast.Module) -> Iterator[str]:
    """Yield the full names of the modules that a program imports, but not those of relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _imported(folder: Path, path: str, source: str) -> Iterator[str]:
    """Give the paths of the modules that the module at `path` reads by relative imports."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return  # it is reported, with its line, when the bundle is loaded
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            target = posixpath.join(posixpath.dirname(path), *[".."] * (node.level - 1))
            if node.module:
                target = posixpath.join(target, node.module.replace(".", "/"))
            names = [alias.name for alias in node.names]
            statement = f"{folder.name}/{path}: `{ast.unparse(node)}`"
            yield from _found(folder, posixpath.normpath(target), names, statement)


def _found(folder: Path, target: str, names: list[str], statement: str) -> list[str]:
    """The files that ``from target import names`` reads: the module, packages around it, and modules among `names`."""
    if "/" in target.removeprefix(SHARED) and target.startswith(SHARED):
        raise Refused(
            f"{statement} leaves the assignment. Import from its own folder (`from .mistakes import ...`) "
            f"or from a module directly in {folder.parent} (`from ..losses import ...`)"
        )
    around = [str(package) for package in PurePosixPath(target).parents]
    modules = [*around, target, *(posixpath.join(target, name) for name in names)]
    files = [
        posixpath.normpath(file)
        for module in modules
        for file in (f"{module}.py", f"{module}/__init__.py")
        if posixpath.basename(module) not in (".", "..") and (folder / file).is_file()
    ]
    if not files:
        raise Refused(f"{statement}: there is no {posixpath.normpath(posixpath.join(folder.name, target))}.py")
    return files


# -- how Python imports from a bundle -------------------------------------------------------------

OWN = "own"  # the package of the assignment's own folder, whose name need not be an identifier
_PACKAGES: dict[str, Bundle] = {}


class _Importer(MetaPathFinder, InspectLoader):
    """Finds the modules of loaded bundles: ``checks_<digest>.own.mistakes`` and ``checks_<digest>.losses``."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        found = self._find(fullname)
        if found is None:
            return None
        bundle, file = found
        is_package = file not in bundle.files or file.endswith("__init__.py")
        spec = ModuleSpec(fullname, self, origin=bundle.filename(file), is_package=is_package)
        spec.has_location = True
        return spec

    def get_source(self, fullname: str) -> str:
        bundle, file = self._existing(fullname)
        return bundle.files.get(file, "")

    def get_code(self, fullname: str) -> CodeType:
        bundle, file = self._existing(fullname)
        return compile(bundle.files.get(file, ""), bundle.filename(file), "exec", dont_inherit=True)

    def _existing(self, fullname: str) -> tuple[Bundle, str]:
        found = self._find(fullname)
        if found is None:
            raise ImportError(f"no module {fullname}", name=fullname)
        return found

    def _find(self, fullname: str) -> tuple[Bundle, str] | None:
        """The bundle of a module, and the module's path in it; a package without an ``__init__.py`` is its folder."""
        package, *names = fullname.split(".")
        bundle = _PACKAGES.get(package)
        if bundle is None:
            return None
        path = "/".join(names[1:]) if names[:1] == [OWN] else SHARED + "/".join(names)
        if names in ([], [OWN]):
            return bundle, path
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if file in bundle.files:
                return bundle, file
        return (bundle, path) if any(file.startswith(f"{path}/") for file in bundle.files) else None


sys.meta_path.append(_Importer())
