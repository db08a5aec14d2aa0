"""Nothing that lies in an assignment's kit answers one of its exercises: everything there is tried on all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from sampled import some

import coursekit
from autograder.bundle import Bundle
from autograder.spec import Assignment, load
from autograder.wall.kit import kit_of

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
SLUGS = sorted(path.parent.name for path in (REPOSITORY / "solutions").glob("*/checks.py"))
PACKAGE = Path(coursekit.__file__).parent


def assignment(slug: str) -> Assignment:
    bundle = Bundle.read(REPOSITORY / "solutions" / slug)
    assert bundle is not None
    return load(bundle)


def answered(slug: str, folder: Path, module: str = "coursekit") -> tuple[int, list[str]]:
    """How many callables were tried, and one line for each that answers an exercise."""
    command = [sys.executable, str(Path(__file__).with_name("kit_answers.py")), slug, str(folder), module]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    tried, *lines = done.stdout.split("\n")
    return int(tried.split()[0]), [line for line in lines if line]


@pytest.mark.parametrize("slug", some(SLUGS, 3))
def test_nothing_in_the_kit_answers_an_exercise(slug: str, tmp_path: Path) -> None:
    described = assignment(slug)
    kit_of(described.forbidden, described.withheld).write(tmp_path)
    tried, answers = answered(slug, tmp_path)
    assert tried > 150
    assert answers == []


# What was there before, and what would be there if it were not forbidden: each would be noticed.
NOTICED: Mapping[str, tuple[str, str, str]] = {
    "probes": ("logistic_regression", "coursekit.checks.probes", "logistic_backward: {}.logistic(X, y, w) gives loss"),
    "a table": ("logistic_regression", "coursekit.diagrams.computing", "sigmoid: {}._FUNCTIONS['sigmoid']"),
    "a circuit": ("circuits", "coursekit.diagrams.reader", "add_mul_circuit: {}.Circuit("),
    "a picture": ("circuits", "coursekit.diagrams.circuits", "shared_input: {}.show_circuit("),
    "withheld": ("differentiable_programming", "coursekit.autograd.transforms", "hvp: {}.hvp(f, x, v) gives Hv"),
    "a checker": (
        "linear_classifiers",
        "coursekit.gradcheck.numeric",
        "numerical_gradient: {}.numerical_gradient(f, x)",
    ),
    "a private helper": ("two_layer_net", "coursekit.nn", "sigmoid: {}._logistic(x) gives out"),
}


@pytest.mark.parametrize("what", some(NOTICED, 3))
def test_an_answer_in_the_kit_would_be_noticed(what: str, tmp_path: Path) -> None:
    slug, module, line = NOTICED[what]
    (tmp_path / "coursekit").symlink_to(PACKAGE)
    _, answers = answered(slug, tmp_path, module)
    assert any(answer.startswith(line.format(module)) for answer in answers), answers
