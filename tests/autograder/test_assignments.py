"""Properties that every assignment of the course has."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from assessed import assessed
from demo import make_course
from nbclient import NotebookClient
from nbgrader.utils import determine_grade
from nbgrader.validator import Validator
from programs import REPOSITORY
from released import assert_same_cases
from sampled import some

from autograder.course import Course

pytestmark = pytest.mark.slow

# The contract with the curriculum: the exercises with their points, and the written question.
CURRICULUM: dict[str, dict[str, float]] = {
    "circuits": {
        "gradient_at_point": 4,
        "numerical_derivative": 6,
        "add_mul_circuit": 8,
        "sigmoid_circuit": 14,
        "sigmoid_neuron": 10,
        "AddGate": 4,
        "MultiplyGate": 4,
        "MaxGate": 4,
        "CopyGate": 4,
        "shared_input": 8,
        "regression_circuit": 10,
    },
    "linear_classifiers": {
        "numerical_gradient": 8,
        "relative_error": 4,
        "svm_loss_naive": 12,
        "svm_loss_vectorized": 12,
        "softmax_loss_naive": 12,
        "softmax_loss_vectorized": 12,
        "step_decay": 2,
        "cosine_decay": 2,
        "linear_decay": 2,
        "inverse_sqrt_decay": 2,
        "train": 10,
        "predict": 4,
    },
    "logistic_regression": {
        "sigmoid": 6,
        "bce_loss": 6,
        "logistic_backward": 14,
        "gradient_descent": 10,
        "backtracking_line_search": 10,
        "entropy": 4,
        "cross_entropy": 4,
        "kl_divergence": 4,
        "mlp_backward": 16,
    },
    "matmul_backward": {
        "relu_jacobian": 6,
        "relu_backward": 6,
        "jacobian_bytes": 4,
        "matmul_jacobian_x": 10,
        "matmul_forward": 4,
        "matmul_backward": 14,
        "affine_forward": 6,
        "affine_backward": 14,
        "linear_backward_row": 10,
        "unbroadcast": 10,
        "chain_flops": 8,
    },
    "worked_example": {"forward": 10, "loss": 4, "backward": 30, "update": 8, "train": 14},
    "two_layer_net": {
        "collapse_linear": 4,
        "relu": 3,
        "leaky_relu": 3,
        "elu": 3,
        "tanh": 3,
        "sigmoid": 3,
        "maxout": 8,
        "three_layer_forward": 6,
        "polar_features": 4,
        "train_sigmoid_net": 12,
        "TwoLayerNet": 30,
    },
    "build_autograd": {
        "Value": 30,
        "ComputationalGraph": 14,
        "Multiply": 4,
        "Sigmoid": 4,
        "MatMul": 8,
        "topological_order": 8,
        "MLP": 16,
    },
    "differentiable_programming": {
        "hvp": 12,
        "gradient_penalty": 12,
        "momentum_step": 8,
        "adversarial_signal": 14,
        "visualise_unit": 12,
        "match_embedding": 10,
    },
}
SLUGS = [path.parent.name for path in sorted((REPOSITORY / "solutions").glob("*/checks.py"))]
EXERCISES = [(slug, name) for slug in SLUGS for name in CURRICULUM[slug]]
# What the lectures print, where the notebook tries an exercise on the lecture's numbers.
PRINTED: dict[str, dict[str, str]] = {
    "worked_example": {
        "forward-try": "[0.7 0.3]",
        "loss-try": "0.01747",
        "backward-numerical": "explains 100 %",
        "train-try": "[0.0175 0.0076 0.0033",
    },
    "build_autograd": {
        "graph-try": "f = -12.0   gradients: {'x': -4.0, 'y': -4.0, 'z': 3.0}",
        "neuron-try": "f = 0.73",
        "multiply-try": "(15.0, 10.0)",
        "value-try": "f = -12.0   gradients: -4.0 -4.0 3.0",
        "value-neuron-try": "[-0.2, 0.39, -0.39, -0.59, 0.2]",
        "mlp-try": "33 parameters",
    },
}
WITHOUT_QUESTION = ("circuits", "matmul_backward")


def notebook(folder: str, slug: str) -> nbformat.NotebookNode:
    return nbformat.read(REPOSITORY / folder / slug / f"{slug}.ipynb", as_version=4)


def by_id(nb: nbformat.NotebookNode) -> dict[str, Any]:
    return {cell.metadata.nbgrader.grade_id: cell for cell in nb.cells if "nbgrader" in cell.metadata}


def check_line(slug: str, name: str) -> str:
    functions = assessed(slug).assignment.described[name].functions
    return f'check("{name}", {", ".join(functions)})'


each_assignment = pytest.mark.parametrize("slug", SLUGS)
each_exercise = pytest.mark.parametrize(("slug", "name"), EXERCISES)


# -- the notebooks -------------------------------------------------------------------------------


@each_assignment
@pytest.mark.parametrize("folder", ["solutions", "assignments"])
def test_cells_and_points_are_those_of_the_curriculum(slug: str, folder: str) -> None:
    nb = notebook(folder, slug)
    cells = by_id(nb)
    for name, points in CURRICULUM[slug].items():
        written, check = cells[name].metadata.nbgrader, cells[f"check_{name}"].metadata.nbgrader
        assert (written.solution, written.grade) == (True, False)
        assert (check.points, check.grade, check.locked, check.solution) == (points, True, True, False)
        assert cells[f"check_{name}"].source == check_line(slug, name)
    assert {name for name in cells if name.startswith("check_")} == {f"check_{name}" for name in CURRICULUM[slug]}
    by_hand = [cell for cell in cells.values() if cell.metadata.nbgrader.grade and cell.metadata.nbgrader.solution]
    assert [(cell.cell_type, cell.metadata.nbgrader.points) for cell in by_hand] == (
        [] if slug in WITHOUT_QUESTION else [("markdown", 6)]
    )


@each_assignment
@pytest.mark.parametrize("folder", ["solutions", "assignments"])
def test_cell_ids_equal_their_grade_ids_and_there_are_no_outputs(slug: str, folder: str) -> None:
    nb = notebook(folder, slug)
    assert [grade_id for grade_id, cell in by_id(nb).items() if cell.id != grade_id] == []
    assert len({cell.id for cell in nb.cells}) == len(nb.cells)
    assert [cell.id for cell in nb.cells if cell.get("outputs") or cell.get("execution_count")] == []


@each_assignment
def test_the_release_holds_no_solution(slug: str) -> None:
    folder = REPOSITORY / "assignments" / slug
    assert sorted(path.name for path in folder.iterdir()) == sorted(["cases.json", "cases.npz", f"{slug}.ipynb"])
    everything = "\n".join(path.read_text(errors="replace") for path in folder.iterdir())
    assert "BEGIN SOLUTION" not in everything
    for cell in notebook("solutions", slug).cells:
        for hidden in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.DOTALL):
            lines = [line for line in hidden.splitlines() if len(line.strip()) > 15]
            # One line such as `return X @ W` may well stand elsewhere.
            assert not lines or json.dumps("\n".join(lines[:3]))[1:-1] not in everything, f"{cell.id} is released"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course in which every assignment has just been released."""
    return make_course(tmp_path_factory.mktemp("all") / "course", SLUGS)


@each_assignment
def test_the_committed_release_is_exactly_what_release_makes(slug: str, course: Course) -> None:
    made, committed = course.folder("release", ".", slug), REPOSITORY / "assignments" / slug
    hint = f"run `autograder release {slug}` and commit what changed in assignments/"
    assert (made / f"{slug}.ipynb").read_text() == (committed / f"{slug}.ipynb").read_text(), hint
    assert_same_cases(made, committed, hint)


# -- the notebooks, run ---------------------------------------------------------------------------


def executed(slug: str, filled: bool, folder: Path) -> nbformat.NotebookNode:
    """The released notebook, `filled` in with the solutions or not, run from top to bottom in `folder`."""
    shutil.copytree(REPOSITORY / "assignments" / slug, folder, dirs_exist_ok=True)
    nb = notebook("assignments", slug)
    if filled:
        solved = {cell.id: cell for cell in notebook("solutions", slug).cells}
        for cell in nb.cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                cell.source = solved[cell.id].source
    NotebookClient(nb, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return nb


@each_assignment
def test_filled_in_with_the_solutions_a_notebook_earns_everything_and_validates(slug: str, tmp_path: Path) -> None:
    nb = executed(slug, True, tmp_path)
    cells = by_id(nb)
    for name, points in CURRICULUM[slug].items():
        assert determine_grade(cells[f"check_{name}"]) == (points, points), name
    said = {
        cell.id: "".join(str(output.get("text", output.get("data", ""))) for output in cell.get("outputs", []))
        for cell in nb.cells
    }
    for cell, printed in PRINTED.get(slug, {}).items():
        assert printed in said[cell]
    validator = Validator()  # what `nbgrader validate` looks at, without running the notebook again
    assert validator._get_failed_cells(nb) == []
    assert validator._get_changed_cells(nb) == []


@pytest.mark.parametrize("slug", some(SLUGS, 4))
def test_as_released_a_notebook_runs_and_every_check_says_that_nothing_is_written(slug: str, tmp_path: Path) -> None:
    nb = executed(slug, False, tmp_path)
    cells = by_id(nb)
    for name in CURRICULUM[slug]:
        assert f"{name}: not written yet." in json.dumps(cells[f"check_{name}"].outputs)
    assert [cell.id for cell in nb.cells for output in cell.get("outputs", []) if output.output_type == "error"] == []


# -- what is not written, and what is forbidden ---------------------------------------------------


@each_exercise
def test_what_is_not_filled_in_is_called_not_written(slug: str, name: str) -> None:
    source = by_id(notebook("assignments", slug))[name].source
    report = assessed(slug).graded(name, source, "student-0")
    assert (report.status, report.score) == ("not written", 0)


@each_assignment
def test_a_forbidden_module_is_refused_with_the_reason(slug: str) -> None:
    forbidden = assessed(slug).assignment.forbidden
    assert {"torch", "jax", "tensorflow", "autograd"} <= set(forbidden)
    for engine in ("coursekit.autograd", "coursekit.tracing"):
        assert (engine in forbidden) == (slug != "differentiable_programming")
    assert all(len(reason) > 40 for reason in forbidden.values())
