"""What is special about `logistic_regression`: overflow that costs nothing, histories and stopping rules."""

from __future__ import annotations

import pytest
from assessed import assessed
from programs import first

ASSESSED = assessed("logistic_regression")
MANY = [f"student-{i}" for i in range(12)]


@pytest.mark.parametrize(
    "source",
    [
        "def sigmoid(x): return 1 / (1 + np.exp(-x))",
        "def sigmoid(x): return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))",
    ],
)
def test_an_overflow_that_leaves_no_trace_costs_nothing_and_is_told(source: str) -> None:
    report = ASSESSED.graded("sigmoid", source, MANY[0])
    assert report.passed
    assert "RuntimeWarning: overflow encountered in exp" in report.notes


HISTORIES = ("history[2:]", "history[::2]", "[]", "history + [0.0]", "[v + 1e-3 for v in history]")


@pytest.mark.parametrize("wrong", HISTORIES)
def test_histories_that_the_text_does_not_allow_are_rejected(wrong: str) -> None:
    source = first("logistic_regression", "gradient_descent").replace(("return w, history", f"return w, {wrong}"))
    report = ASSESSED.graded("gradient_descent", source, MANY[0])
    assert report.score < report.points


def test_the_stopping_rules_are_put_to_the_test() -> None:
    """In the cases that end at tol, gradient descent neither stops at once nor runs out of iterations."""
    for student in MANY:
        for made in ASSESSED.exercise("gradient_descent", student).cases:
            (step,) = made.steps
            length, limit = len(ASSESSED.module("descent").descend(*step.args)[1]), step.args[4]
            if made.title.startswith("stops"):
                assert 4 < length < limit, f"{student}, {made.title}: {length} of {limit}"
