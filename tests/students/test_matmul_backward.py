"""What is special about `matmul_backward`: its kinks, and the numbers of the lecture."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from assessed import assessed

exercise = assessed("matmul_backward").exercise
MANY = [f"student-{i}" for i in range(20)]


def test_each_exercise_knows_mistakes() -> None:
    described = assessed("matmul_backward").assignment.described
    assert min(len(one.mistakes) for one in described.values()) >= 8


def test_either_slope_is_right_at_a_kink_because_no_case_is_near_one() -> None:
    for student, (name, where) in itertools.product(MANY, (("relu_jacobian", 0), ("relu_backward", 1))):
        for made in exercise(name, student).cases:
            assert np.min(np.abs(made.steps[0].args[where])) > 0.01, f"{student}: {made.title}"


def test_the_lectures_numbers_are_what_is_expected_of_them() -> None:
    def expected(name: str) -> list[Any]:
        return [item.value for item in exercise(name, MANY[0]).cases[0].steps[0].expected]

    np.testing.assert_allclose(expected("relu_backward")[0], [4, 0, 5, 0])
    assert expected("jacobian_bytes") == [256 * 2**30]
    np.testing.assert_allclose(expected("matmul_forward")[0], [[-1, -1, 2, 6], [5, 2, 11, 7]])
    dX, dW = expected("matmul_backward")
    np.testing.assert_allclose(dX, [[0, 16, -9], [-24, 9, -30]])
    np.testing.assert_allclose(dW, [[28, 3, -18, 0], [-30, 7, 13, 33], [-22, -7, 17, -15]])
