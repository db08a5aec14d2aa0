"""The floors of both packages: what may import what, also inside functions, and no cycle at import time."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import autograder
import coursekit
from autograder.wall.kit import when_loaded

# Each part, and the parts of the same package that it may import.  A part imports only what stands above it here.
COURSEKIT = {
    "_typing": (),
    "reporting": ("_typing",),
    "data": ("_typing",),
    "plots": ("_typing", "reporting"),
    "diagrams": ("_typing", "reporting", "plots"),
    "widgets": ("_typing", "reporting", "plots", "diagrams"),
    "autograd": ("_typing",),
    "tracing": ("_typing", "autograd", "diagrams"),
    "losses": ("_typing", "autograd"),
    "nn": ("_typing", "autograd"),
    "optim": ("_typing", "autograd"),
    "training": ("_typing", "autograd", "losses", "nn", "optim"),
    "gradcheck": ("_typing", "reporting", "autograd"),
    "checks": ("_typing", "reporting"),
}
# Old hand-ins say `from coursekit.autograd import flat, graph` and must stay gradable.
EXCEPTIONS = {("coursekit.autograd", "coursekit.tracing")}

# The floors of the grader, lowest first: a module imports what stands on its floor or below, and nobody in a circle.
AUTOGRADER = {
    "terms": ("errors", "hashing", "results", "marks"),
    "what an instructor writes": (
        "answers",
        "bundle",
        "kept_back",
        "comparable",
        "spec",
        "cases",
        "mistakes",
        "conditioning",
    ),
    "the wall": ("wall",),
    "a course on disk": (
        "settings",
        "course",
        "scores",
        "records",
        "handed_in",
        "fingerprint",
        "new",
        "converters",
        "feedback",
    ),
    "what was handed in": ("repair", "finding", "timestamp", "submitted"),
    "one submission": ("notebook", "testcells", "handout", "fit", "grade"),
    "what is to be done": ("plan", "preloaded", "workers", "dispatch"),
    "nbgrader": ("restore", "nbgrader_plugin", "released", "gradebook", "migrate", "trial", "release"),
    "a class": ("recording", "run", "replay"),
    "what is shown": ("summary", "table"),
    "commands": ("cli",),
}
# What runs behind the wall, beside the student's program: no other module of the grader exists there.
BEHIND_THE_WALL = {
    "inside",
    "kernel",
    "streams",
    "forkserver",
    "hooks",
    "stubs",
    "messages",
    "namespaces",
    "syscalls",
    "noted",
    "watch",
    "remote",
}

PACKAGES = {package.__name__: Path(str(package.__file__)).resolve().parent for package in (coursekit, autograder)}
SKIPPED = "skeleton"  # what an instructor starts from


def modules() -> dict[str, Path]:
    """All modules of both packages."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            if SKIPPED not in parts:
                found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports_in(module: str, nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The modules of both packages that these statements import."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name in MODULES)


def imports_anywhere(module: str) -> set[str]:
    return set(imports_in(module, ast.walk(tree(module))))


def imports_when_loaded(module: str) -> set[str]:
    """What importing the module imports: not what stands in functions or is for type checkers alone."""
    found = set(imports_in(module, when_loaded(tree(module))))
    # A package is loaded before its modules anyway.
    return {name for name in found if not f"{module}.".startswith(f"{name}.")}


def part_of(module: str) -> str:
    """The first name below the package; of the package itself, nothing."""
    return [*module.split("."), ""][1]


@pytest.mark.parametrize("module", [name for name in MODULES if part_of(name) and name.startswith("coursekit.")])
def test_a_part_of_coursekit_imports_only_lower_floors(module: str) -> None:
    part = part_of(module)
    assert part in COURSEKIT, f"give {part} a row in the table of floors"
    for name in imports_anywhere(module):
        assert not name.startswith("autograder"), f"{module} imports {name}, which students do not have"
        if part_of(name) not in ("", part) and (module, name) not in EXCEPTIONS:
            assert part_of(name) in COURSEKIT[part], f"{module} imports {name}, which is not below it"


def test_the_tables_name_nothing_that_is_not_there() -> None:
    there = {(name.partition(".")[0], part_of(name)) for name in MODULES}
    floors = [part for names in AUTOGRADER.values() for part in names]
    assert {("coursekit", part) for part in COURSEKIT} | {("autograder", part) for part in floors} <= there


def test_the_table_of_coursekit_has_no_cycle() -> None:
    above: set[str] = set()
    for part, lower in COURSEKIT.items():
        assert above.issuperset(lower), f"{part} may import what stands below it in the table"
        above.add(part)


@pytest.mark.parametrize("module", [name for name in MODULES if part_of(name) and name.startswith("autograder.")])
def test_a_module_of_the_grader_imports_only_its_floor_and_lower_ones(module: str) -> None:
    floors = {name: height for height, names in enumerate(AUTOGRADER.values()) for name in names}
    assert part_of(module) in floors, f"put {part_of(module)} on a floor in the table"
    for name in imports_anywhere(module):
        if name.startswith("autograder.") and part_of(name) in floors:  # else it is missed above
            assert floors[part_of(name)] <= floors[part_of(module)], f"{module} imports {name}, which is above it"


def test_the_parts_of_the_grader_import_each_other_in_no_circle_also_in_functions() -> None:
    parts: dict[str, set[str]] = {}
    for module in MODULES:
        if module.startswith("autograder."):
            imports = {part_of(name) for name in imports_anywhere(module) if name.startswith("autograder.")}
            parts.setdefault(part_of(module), set()).update(imports - {part_of(module), ""})
    assert_no_cycle(parts)


@pytest.mark.parametrize("name", sorted(BEHIND_THE_WALL))
def test_what_runs_behind_the_wall_imports_coursekit_alone(name: str) -> None:
    there = {"autograder", "autograder.wall", *(f"autograder.wall.{name}" for name in BEHIND_THE_WALL)}
    ours = {module for module in imports_anywhere(f"autograder.wall.{name}") if module.startswith("autograder")}
    assert ours <= there


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_when_they_are_loaded(package: str) -> None:
    assert_no_cycle({name: imports_when_loaded(name) for name in MODULES if name.startswith(package)})


def assert_no_cycle(imports: dict[str, set[str]]) -> None:
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle of imports: {' ← '.join(error.args[1])}")


def test_a_circle_of_imports_is_noticed() -> None:
    with pytest.raises(pytest.fail.Exception, match="a circle of imports: "):
        assert_no_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_these_are_modules_of_every_floor_and_their_imports_are_seen() -> None:
    assert {"coursekit", "coursekit.autograd.tensor", "autograder.wall.inside", "autograder.cli"} <= MODULES.keys()
    assert "coursekit.autograd.tensor" in imports_when_loaded("coursekit.autograd.ops")
    assert "autograder.wall.hooks" in imports_when_loaded("autograder.wall.inside")  # a relative import
    assert "coursekit.tracing" in imports_anywhere("coursekit.autograd")  # in a function
    assert "coursekit.tracing" not in imports_when_loaded("coursekit.autograd")
