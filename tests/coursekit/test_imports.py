"""What importing coursekit loads, and what it never loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import coursekit

PACKAGE = Path(coursekit.__file__).resolve().parent
HEAVY = ("matplotlib", "IPython", "nbgrader", "ipywidgets", "autograder", "scipy", "pandas", "nbformat", "pytest")


LIGHT = (
    "autograd",
    "checks",
    "data",
    "diagrams",
    "gradcheck",
    "losses",
    "nn",
    "optim",
    "reporting",
    "tracing",
    "training",
)


@pytest.mark.parametrize("module", ["coursekit", *(f"coursekit.{part}" for part in LIGHT)])
def test_importing_it_loads_nothing_heavier_than_numpy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "coursekit" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert done.stderr == ""


def imported(path: Path) -> Iterator[str]:
    """Return the top-level packages that the file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_students_package_knows_nothing_of_grading_or_tests(path: Path) -> None:
    assert {"autograder", "nbgrader", "tests", "pytest"}.isdisjoint(imported(path))


def test_those_are_files_of_every_floor() -> None:
    assert {"tensor.py", "judge.py", "__init__.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("name", coursekit.__all__)
def test_everything_that_it_offers_is_there_and_described(name: str) -> None:
    assert getattr(coursekit, name).__doc__


def test_the_parts_are_there_when_first_used() -> None:
    code = (
        "import coursekit; print(coursekit.autograd.Tensor.__name__, coursekit.nn.MLP.__name__, 'nn' in dir(coursekit))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Tensor", "MLP", "True"]


def test_the_checker_is_one_import_away_and_loaded_by_it_alone() -> None:
    code = """
import sys
def loaded():
    return sorted(name for name in sys.modules if name.startswith(("coursekit.", "numpy.linalg")))
import coursekit
print(loaded())
from coursekit import check, when_written
print("coursekit.gradcheck" in loaded(), "coursekit.autograd" in loaded())
from coursekit import check_backward, check_gradient
print(check_gradient.__module__, check_backward.__module__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False False", "coursekit.gradcheck.check coursekit.gradcheck.check"]


def test_a_name_that_it_does_not_have_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(AttributeError, match=r"no 'chekc'; it has .*check.*autograd"):
        coursekit.chekc  # noqa: B018


def test_what_old_hand_ins_import_from_the_engine_is_that_of_tracing_and_costs_nothing_before() -> None:
    code = """
import sys
import coursekit.autograd
print("coursekit.tracing" in sys.modules, "flat" in coursekit.autograd.__all__)
from coursekit.autograd import flat, graph
from coursekit import tracing
print(flat is tracing.flat, graph is tracing.graph)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False", "True True"]


def test_a_name_that_the_engine_does_not_have_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"module 'coursekit\.autograd' has no attribute 'grd'"):
        coursekit.autograd.grd  # noqa: B018
