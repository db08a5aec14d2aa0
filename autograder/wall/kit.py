"""The kit: the files that are seen as /kit behind the wall, chosen for one assignment.

A student's program can read and run whatever lies there, so nothing does that answers an exercise.  There are

- the modules that run there themselves (`forkserver.py`, and what it imports from beside it);
- the parts of coursekit that students import, but for those that the assignment forbids or that need one of these;
- what these import when they are loaded.  What is imported inside a function is left out, so `check` comes without
  its judge, its probes and its comparisons, for it does not need them here;
- of a function that the assignment withholds, a sentence in place of its source.

The files are copies in the memory of the processes behind the wall.  Nothing there leads to their originals.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import coursekit

from ..errors import Refused

FOLDERS = {"coursekit": Path(coursekit.__file__).parent, "wall": Path(__file__).parent}  # top package → where it lies
RUNS = "wall.forkserver"
STUBS = {"coursekit.diagrams.computing": "wall.uncomputed"}  # module → what takes its place
DATA = {"coursekit.data": ("coursekit/_data/digits.npz",)}
NOT_HERE = "this part of coursekit is not there while a notebook is graded; a hand-in can do without it"


@dataclass(frozen=True)
class Kit:
    """The kit of one assignment.

    Attributes
    ----------
    files : dict
        The content of each file, by its path below /kit.
    missing : dict
        The modules that are not there, each with the reason that a student is told.
    """

    files: Mapping[str, bytes]
    missing: Mapping[str, str]

    def write(self, folder: Path) -> None:
        """Write the files into `folder`."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def kit_of(forbidden: Mapping[str, str], withheld: Sequence[str]) -> Kit:
    """Choose the kit of an assignment that forbids these modules, each for a reason, and withholds these functions.

    Raises
    ------
    Refused
        If coursekit has no function or class of a name in `withheld`.
    """
    return _kit_of(tuple(sorted(forbidden.items())), tuple(withheld))


@functools.lru_cache(maxsize=8)
def _kit_of(forbidden: tuple[tuple[str, str], ...], withheld: tuple[str, ...]) -> Kit:
    reasons = dict(forbidden)
    missing, there = dict(forbidden), set[str]()
    for part in (RUNS, "coursekit", *(f"coursekit.{name}" for name in coursekit.PARTS)):
        needed = _needed(part)
        lacking = [name for one in sorted(needed) for name in _around(one) if name in reasons]
        if not lacking:
            there |= needed
        elif part not in reasons:
            missing[part] = f"it needs {lacking[0]}; {reasons[lacking[0]]}"
    for module in _modules():
        if module not in there and module.startswith("coursekit.") and missing.keys().isdisjoint(_around(module)):
            missing[module] = NOT_HERE
    sources = {module: _source(STUBS.get(module, module)) for module in there}
    for name in withheld:
        module, function = _defined(name)
        if module in sources:
            sources[module] = _without(sources[module], function, name)
    files = {_path(module): source.encode() for module, source in sources.items()}
    for module in there & DATA.keys():
        files.update({name: (FOLDERS["coursekit"].parent / name).read_bytes() for name in DATA[module]})
    return Kit(dict(sorted(files.items())), missing)


# -- modules, and what they import ------------------------------------------------------------


@functools.cache
def _modules() -> Mapping[str, Path]:
    """The files of coursekit and of the wall, by the names of their modules behind the wall."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            name = ".".join((package, *path.relative_to(folder).with_suffix("").parts))
            found[name.removesuffix(".__init__")] = path
    return found


def _path(module: str) -> str:
    """The path of a module's file below /kit."""
    package = module.partition(".")[0]
    return f"{package}/{_modules()[module].relative_to(FOLDERS[package]).as_posix()}"


def _source(module: str) -> str:
    return _modules()[module].read_text(encoding="utf-8")


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_source(module))


def _around(module: str) -> Iterator[str]:
    """Yield the packages around a module, and the module itself."""
    names = module.split(".")
    for count in range(1, len(names) + 1):
        yield ".".join(names[:count])


def _needed(root: str) -> set[str]:
    """Collect what importing `root` loads: it, what it imports, what these import, and the packages around them."""
    needed: set[str] = set()
    todo = [root]
    while todo:
        module = todo.pop()
        if module not in needed:
            needed.add(module)
            todo += [*_around(module), *_imported(STUBS.get(module, module))]
    return needed


@functools.cache
def _imported(module: str) -> frozenset[str]:
    """Find the modules of the kit that a module imports when it is loaded."""
    found: set[str] = set()
    for node in when_loaded(_tree(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            found.update((base, *(f"{base}.{alias.name}" for alias in node.names)))
    return frozenset(found & _modules().keys())


def when_loaded(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of a module that are run when it is loaded: none in a function, or for type checkers alone."""
    open_: list[ast.AST] = [tree]
    while open_:
        node = open_.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        open_ += ast.iter_child_nodes(node)


def _base(module: str, node: ast.ImportFrom) -> str:
    """The module from which `node`, a statement in `module`, imports."""
    package = module if _modules()[module].name == "__init__.py" else module.rpartition(".")[0]
    around = package.rsplit(".", node.level - 1)[0] if node.level else ""
    return ".".join(filter(None, (around, node.module)))


# -- withheld functions -----------------------------------------------------------------------


def _defined(name: str) -> tuple[str, str]:
    """Find where the function or class `name` is defined: the module, and its name there."""
    module, _, attribute = name.rpartition(".")
    for node in _tree(module).body if module in _modules() else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attribute:
            return module, attribute
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if attribute == (alias.asname or alias.name):
                    return _defined(f"{_base(module, node)}.{alias.name}")
    raise Refused(f"withheld: there is no function or class {name!r} in coursekit")


def _without(source: str, function: str, full_name: str) -> str:
    """Put a sentence in place of `function` in `source`; the lines after it keep their numbers."""
    sentence = f"{full_name} is what you are asked to write here, so it is not there while that is graded"
    node = next(one for one in ast.parse(source).body if getattr(one, "name", None) == function)
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    raised = f"(*args, **kwargs):\n    raise RuntimeError({sentence!r})"
    if isinstance(node, ast.ClassDef):
        raised = ":\n    def __init__" + raised.replace("\n", "\n    ")
    kind = "class" if isinstance(node, ast.ClassDef) else "def"
    put = f"{kind} {function}{raised}".splitlines()
    lines = source.splitlines()
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1
    last = node.end_lineno or node.lineno
    return "\n".join([*lines[:first], *put, *[""] * (last - first - len(put)), *lines[last:], ""])
