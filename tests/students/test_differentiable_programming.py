"""What is special about `differentiable_programming`: how far is far enough, and the engine that may be used."""

from __future__ import annotations

from typing import Any

import pytest
from assessed import assessed

from autograder.wall.box import Box, Limits
from autograder.wall.sandbox import Setup
from coursekit.checks.cases import Expected

ASSESSED = assessed("differentiable_programming")


@pytest.mark.parametrize("name", ["adversarial_signal", "visualise_unit", "match_embedding"])
def test_a_third_of_the_way_is_not_enough(name: str) -> None:
    def on_the_way(item: Expected) -> Any:
        start = item.options["start"]
        return start + (item.value - start) / 3

    for student in ("student-0", "student-1", "student-2"):
        report = ASSESSED.answers(name, student, on_the_way)
        assert report.score < report.points, student


@pytest.mark.needs("bwrap")
@pytest.mark.parametrize("module", ["coursekit.autograd", "coursekit.autograd.transforms"])
def test_the_engine_s_own_hvp_cannot_be_handed_in_and_hessian_can_be_compared_with(module: str) -> None:
    with Box(Limits(), Setup(withheld=tuple(ASSESSED.assignment.withheld))) as box:
        (error,) = box.run_cell(0, f"from {module} import hvp\nhvp(lambda x: x[0] ** 2, [1.0], [1.0])")
        assert error["evalue"] == (
            "coursekit.autograd.hvp is what you are asked to write here, so it is not there while that is graded"
        )
        code = "import numpy as np\nfrom coursekit.autograd import hessian\n"
        code += "print(hessian(lambda x: x[0] ** 2)(np.ones(1)))"
        assert box.run_cell(1, code)[0]["text"] == "[[2.]]\n"
