"""What is special about `circuits`: scores of parts, and the numbers of the lecture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from assessed import assessed, codes
from programs import first

ASSESSED = assessed("circuits")
STUDENTS = [f"student-{i}" for i in range(4)]


def test_two_mistakes_at_once_are_both_named() -> None:
    source = first("circuits", "sigmoid_circuit").replace(
        ("dw2 = ddot", "dw2 = 0.0"), ("dw0x0 = dsum\n    dw1x1 = dsum", "dw0x0 = dw1x1 = dsum / 2")
    )
    report = ASSESSED.graded("sigmoid_circuit", source, STUDENTS[0])
    assert set(codes(report)) == {"gradient-zero", "addition-shares"}


@pytest.mark.parametrize(
    ("name", "old", "new", "score"),
    [
        ("add_mul_circuit", "dz = q", "dz = z", 2),
        ("sigmoid_neuron", "(1 - f) * f", "1 - f", 2),
        ("regression_circuit", "dw1 = du * x", "dw1 = du * w1", 10 - 3),
        ("regression_circuit", '"w1": dw1, ', "", 10 - 3),
    ],
)
def test_who_has_a_part_right_gets_its_points(name: str, old: str, new: str, score: float) -> None:
    source = first("circuits", name).replace((old, new))
    assert ASSESSED.graded(name, source, STUDENTS[0]).score == score


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("gradient_at_point", "2 * y", "2.001 * y"),
        ("numerical_derivative", "(2 * h)", "(2.001 * h)"),
        ("sigmoid_circuit", '"exp": dexp', '"exp": 1.0005 * dexp'),
        ("sigmoid_circuit", '"plus1": plus1', '"plus1": 1.0005 * plus1'),
        ("sigmoid_neuron", "1.0 * ddot", "1.0005 * ddot"),
        ("AddGate", "return dz, dz", "return dz, 1.0005 * dz"),
        ("MultiplyGate", "dx = self.y * dz", "dx = 1.0005 * self.y * dz"),
        ("MaxGate", "return dz, 0.0", "return dz, 0.0005 * dz"),
        ("CopyGate", "da + db", "da + 1.0005 * db"),
        ("shared_input", "dx += dq", "dx += 1.0005 * dq"),
        ("regression_circuit", "dz = 2 * z", "dz = 2.001 * z"),
    ],
)
def test_what_is_slightly_wrong_is_rejected_even_in_one_result(name: str, old: str, new: str) -> None:
    source = first("circuits", name).replace((old, new))
    for student in STUDENTS:
        report = ASSESSED.graded(name, source, student)
        assert report.score < report.points
        assert not report.findings, report.text()


@pytest.mark.parametrize(
    ("name", "circuit"),
    [
        ("add_mul_circuit", ASSESSED.module("mistakes").ADD_MUL),
        ("sigmoid_circuit", ASSESSED.module("mistakes").SIGMOID),
        ("shared_input", ASSESSED.module("mistakes").SHARED),
        ("regression_circuit", ASSESSED.module("mistakes").REGRESSION),
    ],
)
def test_what_the_bank_knows_by_hand_is_what_the_engine_finds(name: str, circuit: Any) -> None:
    for student in STUDENTS:
        for made in ASSESSED.exercise(name, student).cases:
            (step,) = made.steps
            results = circuit(**dict(zip(step.names, step.args, strict=True)))
            for item in step.expected:
                top = results[item.name.partition("[")[0]]
                got = top[item.at[-1]] if isinstance(top, dict) else top
                np.testing.assert_allclose(
                    got, item.value, rtol=1e-12, atol=1e-15, err_msg=f"{made.title}: {item.name}"
                )


def test_the_lectures_numbers_come_first() -> None:
    first_case = {name: ASSESSED.exercise(name, STUDENTS[0]).cases[0].steps for name in ASSESSED.assignment.described}
    sigmoid = {item.name: item.value for item in first_case["sigmoid_circuit"][0].expected}
    values = {"w0x0": -2, "w1x1": 6, "sum": 4, "dot": 1, "neg": -1, "exp": 0.37, "plus1": 1.37, "f": 0.73}
    grads = {"f": 1, "plus1": -0.53, "exp": -0.53, "neg": -0.20, "dot": 0.20}
    grads |= {"w0": -0.20, "x0": 0.39, "w1": -0.39, "x1": -0.59, "w2": 0.20}
    for kind, numbers in (("values", values), ("grads", grads)):
        for name, number in numbers.items():
            assert round(sigmoid[f'{kind}["{name}"]'], 2) == number, name
    assert first_case["gradient_at_point"][0].args == (5, 3)
    assert first_case["gradient_at_point"][0].expected[0].value.tolist() == [10, 6]
    assert first_case["add_mul_circuit"][0].args == (-2, 5, -4)
    assert [item.value.tolist() for item in first_case["add_mul_circuit"][0].expected] == [-12, [-4, -4, 3]]
    assert [step.args for step in first_case["MultiplyGate"][1:]] == [(2, 3), (5,)]
    assert tuple(first_case["MultiplyGate"][2].expected[0].value) == (15, 10)
